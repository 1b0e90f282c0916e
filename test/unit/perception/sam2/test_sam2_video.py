# SPDX-License-Identifier: Apache-2.0
"""Tests of SAM 2 as a video predictor, with a small model of random weights."""
import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.perception.adapters.sam2_predictor import Prompt
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoConfig, Sam2VideoTracker
import pytest

SHAPE = (48, 80)
BOX = np.array([20.0, 10.0, 50.0, 40.0])
POINT = np.array([30.0, 20.0])


@pytest.fixture
def tracker(sam2_video):
    """Return a tracker that follows nothing yet."""
    return Sam2VideoTracker(sam2_video)


@pytest.fixture
def pictures():
    """Return ten pictures that are not square."""
    rng = np.random.default_rng(7)
    return [rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8) for _ in range(10)]


def region():
    """Return a mask in a picture."""
    mask = np.zeros(SHAPE, bool)
    mask[12:36, 25:55] = True
    return mask


def masks(tracker, pictures, object_id='cube'):
    """Return an object's logits in each picture."""
    return [tracker.track(rgb)[object_id].logits for rgb in pictures]


@pytest.mark.parametrize('prompt', [{'box': BOX}, {'point': POINT}, {'mask': region()}])
def test_each_kind_of_prompt_gives_masks_as_large_as_the_picture(tracker, pictures, prompt):
    tracker.prompt('cube', **prompt)
    for rgb in pictures[:3]:
        found = tracker.track(rgb)
        assert list(found) == ['cube']
        assert (found['cube'].logits.shape, found['cube'].logits.dtype) == (SHAPE, np.float32)
        assert 0.5 < found['cube'].quality < 1.0
        assert np.ptp(found['cube'].logits) > 1.0


def test_prompts_of_other_kinds_and_places_give_other_masks(tracker, pictures):
    tracker.prompt('box', box=BOX)
    tracker.prompt('beside', box=BOX + 15.0)
    tracker.prompt('point', point=POINT)
    found = [answer.logits for answer in tracker.track(pictures[0]).values()]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_prompted_mask_is_the_answer_in_its_picture(tracker, pictures):
    mask = region()
    tracker.prompt('cube', mask=mask)
    found = tracker.track(pictures[0])['cube'].logits > 0.0
    assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_without_a_prompt_nothing_is_tracked(tracker, pictures):
    assert tracker.track(pictures[0]) == {}
    assert (tracker.object_ids, tracker.size) == ((), None)
    tracker.forget('cube')


def test_an_object_that_joins_or_leaves_changes_nothing_for_another(
        sam2_video, tracker, pictures):
    tracker.prompt('cube', box=BOX)
    alone = masks(tracker, pictures)
    busy = Sam2VideoTracker(sam2_video)
    busy.prompt('cube', box=BOX)
    together = masks(busy, pictures[:3])
    busy.prompt('bowl', point=POINT)
    together += masks(busy, pictures[3:6])
    assert busy.object_ids == ('cube', 'bowl')
    busy.forget('bowl')
    together += masks(busy, pictures[6:])
    assert busy.object_ids == ('cube',)
    assert np.array_equal(alone, together)


def test_a_prompt_forgets_what_was_tracked_before(sam2_video, tracker, pictures):
    tracker.prompt('cube', mask=region())
    masks(tracker, pictures[:5])
    tracker.prompt('cube', box=BOX)
    again = masks(tracker, pictures[5:])
    fresh = Sam2VideoTracker(sam2_video)
    fresh.prompt('cube', box=BOX)
    assert np.array_equal(again, masks(fresh, pictures[5:]))


def test_a_picture_is_encoded_once_for_all_objects_and_looks(tracker, pictures):
    encoded = []
    tracker._model.vision_encoder.register_forward_hook(lambda *_: encoded.append(1))
    tracker.prompt('cube', box=BOX)
    tracker.prompt('bowl', point=POINT)
    tracker.predict(pictures[0], Prompt(box=BOX))
    tracker.track(pictures[0])
    tracker.predict(pictures[0], Prompt(box=BOX))
    assert encoded == [1]
    tracker.track(pictures[1])
    assert encoded == [1, 1]


def test_the_same_array_is_the_same_picture(tracker, pictures):
    tracker.prompt('cube', box=BOX)
    first = tracker.track(pictures[0])['cube']
    assert tracker.track(pictures[0])['cube'] is first
    tracker.prompt('bowl', point=POINT)
    both = tracker.track(pictures[0])
    assert both['cube'] is first
    assert both['bowl'].logits.shape == SHAPE
    assert not np.array_equal(tracker.track(pictures[0].copy())['cube'].logits, first.logits)


def test_a_look_is_the_answer_of_a_prompt_and_leaves_no_trace(sam2_video, tracker, pictures):
    tracker.prompt('cube', box=BOX)
    undisturbed = masks(tracker, pictures)
    other = Sam2VideoTracker(sam2_video)
    assert np.array_equal(other.predict(pictures[0], Prompt(box=BOX)).logits, undisturbed[0])
    other.prompt('cube', box=BOX)
    found = []
    for rgb in pictures:
        other.predict(rgb, Prompt(points=POINT[None], on_object=np.array([True])))
        found.append(other.track(rgb)['cube'].logits)
        other.predict(rgb, Prompt(box=BOX))
    assert np.array_equal(found, undisturbed)


def test_an_object_that_is_not_there_has_no_mask(tracker, pictures):
    tracker.prompt('cube', box=BOX)
    assert masks(tracker, pictures[:2])[1].max() > 0.0
    tracker._model.mask_decoder.pred_obj_score_head.proj_out.bias.data.fill_(-99.0)
    found = tracker.track(pictures[2])['cube']
    assert found.quality < 0.5
    assert found.logits.max() < 0.0
    assert tracker.predict(pictures[2], Prompt(box=BOX)) is None


def test_a_look_below_the_score_asked_for_is_none(sam2_video, pictures):
    strict = Sam2VideoTracker(dataclasses.replace(sam2_video, min_object_score=1.0))
    assert strict.predict(pictures[0], Prompt(box=BOX)) is None


def test_pictures_keep_their_size_until_a_reset(tracker, pictures):
    tracker.prompt('cube', box=BOX)
    tracker.track(pictures[0])
    assert tracker.size == SHAPE
    turned = np.ascontiguousarray(pictures[1].swapaxes(0, 1))
    with pytest.raises(InputError, match=r'\(80, 48\), rows and columns.*in \(48, 80\); reset'):
        tracker.track(turned)
    assert tracker.track(pictures[2])['cube'].logits.shape == SHAPE
    tracker.reset()
    assert (tracker.track(turned), tracker.size) == ({}, None)
    tracker.prompt('cube', box=BOX)
    assert tracker.track(turned)['cube'].logits.shape == (80, 48)


def test_a_mask_of_another_size_is_refused_and_the_rest_goes_on(tracker, pictures):
    tracker.prompt('cube', box=BOX)
    tracker.prompt('bowl', mask=np.ones((10, 10), bool))
    with pytest.raises(InputError, match=r"'bowl' is \(10, 10\); allowed: \(48, 80\)"):
        tracker.track(pictures[0])
    assert list(tracker.track(pictures[1])) == ['cube']


@pytest.mark.parametrize(('prompt', 'message'), [
    ({}, 'one of box, point and mask; given: none'),
    ({'box': BOX, 'point': POINT}, 'given: box, point'),
    ({'box': BOX[[2, 1, 0, 3]]}, 'allowed: left < right'),
    ({'box': BOX[:3]}, 'allowed: 4 finite numbers'),
    ({'point': np.array([np.nan, 1.0])}, 'allowed: 2 finite numbers'),
    ({'mask': np.zeros(SHAPE, bool)}, 'with 0 pixels; allowed'),
    ({'mask': region().astype(np.uint8)}, 'uint8 .*bool')])
def test_prompts_without_meaning_are_refused(tracker, prompt, message):
    with pytest.raises(InputError, match=message):
        tracker.prompt('cube', **prompt)
    assert tracker.object_ids == ()


def test_what_is_no_picture_is_refused(tracker, pictures):
    for act in (tracker.track, lambda rgb: tracker.predict(rgb, Prompt(box=BOX))):
        with pytest.raises(InputError, match=r'allowed: \(H, W, 3\) uint8'):
            act(pictures[0][..., 0])


def test_bfloat16_gives_masks_too(sam2_video, pictures):
    tracker = Sam2VideoTracker(dataclasses.replace(sam2_video, dtype='bfloat16'))
    for number, prompt in enumerate(({'box': BOX}, {'point': POINT}, {'mask': region()})):
        tracker.prompt(number, **prompt)
    for rgb in pictures[:4]:
        found = tracker.track(rgb)
    assert [answer.logits.dtype for answer in found.values()] == [np.float32] * 3


@pytest.mark.parametrize(('change', 'error', 'message'), [
    ({'device': 'tpu'}, UnknownNameError, "unknown device 'tpu'.*known: cpu, cuda"),
    ({'dtype': 'int8'}, UnknownNameError, "unknown dtype 'int8'.*known: bfloat16, float32"),
    ({'memory_frames': -1}, ConfigError, 'memory_frames is -1; allowed: >= 0'),
    ({'min_object_score': 0.4}, ConfigError, r'min_object_score is 0.4; allowed: 0.5 \.\. 1'),
    ({'absent_frames': 0}, ConfigError, 'absent_frames is 0; allowed: >= 1')])
def test_settings_without_meaning_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        Sam2VideoConfig(**change)
