# SPDX-License-Identifier: Apache-2.0
"""SAM 2 on video keeps no more than it reads: its memory does not grow, its masks are the same."""
import dataclasses

import numpy as np
from ocrrl_ros.perception.adapters.sam2_predictor import (
    logits_in_picture, normalised_square, points_in_square, Prompt)
from ocrrl_ros.perception.adapters.sam2_video import Sam2VideoTracker
import pytest
from tiny_sam2_video import held, SIDE

SHAPE = (48, 80)
PROMPTS = {'cube': {'box': np.array([20.0, 10.0, 50.0, 40.0])},
           'bowl': {'point': np.array([30.0, 20.0])}}
ASKED = {'cube': Prompt(box=PROMPTS['cube']['box']),
         'bowl': Prompt(points=PROMPTS['bowl']['point'][None], on_object=np.array([True]))}


def pictures(count):
    """Yield pictures of a bright square that moves through noise."""
    rng = np.random.default_rng(3)
    for number in range(count):
        rgb = rng.integers(0, 120, (*SHAPE, 3), dtype=np.uint8)
        rgb[10:30, 5 + number % 50:25 + number % 50] = 250
        yield rgb


def tracker_of(settings):
    """Return a tracker with two objects prompted."""
    tracker = Sam2VideoTracker(settings)
    for name, prompt in PROMPTS.items():
        tracker.prompt(name, **prompt)
    return tracker


def sizes(tracker):
    """Return what a tracker holds beside its model: entries, and bytes of tensors."""
    parts = list(held([{**vars(tracker), '_model': None}], {id(tracker._model)}))
    return len(parts), sum(parts)


class PlainSession:
    """Objects in one session of transformers, as its documentation shows, with all it keeps."""

    def __init__(self, folder, names):
        import torch
        from transformers import Sam2VideoInferenceSession, Sam2VideoModel
        self.model = Sam2VideoModel.from_pretrained(folder, local_files_only=True).eval()
        self.session = Sam2VideoInferenceSession(dtype=torch.float32)
        for name in names:
            points, labels = points_in_square(ASKED[name], SHAPE, SIDE)
            self.session.add_point_inputs(self.session.obj_id_to_idx(name), 0, {
                'point_coords': torch.from_numpy(points)[None, None],
                'point_labels': torch.from_numpy(labels.astype(np.int32))[None, None]})
        self.session.obj_with_new_inputs = list(names)

    def track(self, rgb):
        import torch
        found = self.model(inference_session=self.session,
                           frame=torch.from_numpy(normalised_square(rgb, SIDE)))
        return {name: logits_in_picture(mask[0].numpy(), SHAPE)
                for name, mask in zip(found.object_ids, found.pred_masks)}


def test_masks_are_those_of_sessions_that_keep_everything_to_the_bit(sam2_video):
    tracker = tracker_of(sam2_video)
    plain = {name: PlainSession(sam2_video.model, [name]) for name in PROMPTS}
    for rgb in pictures(60):
        for name, found in tracker.track(rgb).items():
            assert np.array_equal(found.logits, plain[name].track(rgb)[name])
            assert found.quality > 0.5
    assert [len(one.session.processed_frames) for one in plain.values()] == [60, 60]


def test_masks_are_those_of_one_session_with_all_objects(sam2_video):
    tracker, plain = tracker_of(sam2_video), PlainSession(sam2_video.model, list(PROMPTS))
    for rgb in pictures(10):
        expected = plain.track(rgb)
        # Memories of two objects are encoded together there, which rounds otherwise.
        for name, found in tracker.track(rgb).items():
            np.testing.assert_allclose(found.logits, expected[name], rtol=0.0, atol=0.05)


def test_what_is_held_does_not_grow(sam2_video):
    tracker, plain = tracker_of(sam2_video), PlainSession(sam2_video.model, list(PROMPTS))
    after, growing = [], []
    for number, rgb in enumerate(pictures(60)):
        tracker.track(rgb)
        tracker.predict(rgb, ASKED['cube'])
        plain.track(rgb)
        if number >= 20 and number % 5 == 0:
            after.append(sizes(tracker))
            growing.append(sum(held(plain.session)))
    assert set(after) == {after[0]}
    assert growing[-1] > 1.5 * growing[0]


def test_prompting_anew_and_forgetting_do_not_pile_up(sam2_video):
    tracker, after = tracker_of(sam2_video), []
    for number, rgb in enumerate(pictures(60)):
        tracker.track(rgb)
        if number % 10 == 9:
            after.append(sizes(tracker))
            tracker.forget('bowl')
            for name, prompt in PROMPTS.items():
                tracker.prompt(name, **prompt)
    assert set(after) == {after[0]}
    tracker.reset()
    assert sizes(tracker)[1] < after[0][1]


def test_the_masks_depend_on_each_frame_that_is_remembered(sam2_video):
    found = {}
    for frames, pointers in ((6, 16), (5, 16), (0, 16), (6, 15), (9, 16)):
        tracker = tracker_of(dataclasses.replace(sam2_video, memory_frames=frames))
        tracker._model.config.max_object_pointers_in_encoder = pointers
        masks = [tracker.track(rgb)['cube'].logits for rgb in pictures(20)]
        found[frames, pointers] = np.array(masks), sizes(tracker)[1]
    whole, most = found[6, 16]
    for other in ((5, 16), (0, 16), (6, 15)):
        masks, size = found[other]
        assert np.abs(masks - whole).max() > 0.01
        assert size < most
    # The checkpoint reads six.
    assert np.array_equal(found[9, 16][0], whole)


@pytest.mark.parametrize('start', [1000, 10 ** 9])
def test_the_number_of_the_frame_means_nothing(sam2_video, start):
    first, later = tracker_of(sam2_video), tracker_of(sam2_video)
    later._frame = start
    for rgb in pictures(25):
        assert np.array_equal(
            first.track(rgb)['cube'].logits, later.track(rgb)['cube'].logits)


def test_a_picture_that_was_left_out_is_a_gap(sam2_video):
    tracker = tracker_of(sam2_video)
    for number, rgb in enumerate(pictures(30)):
        if number % 3 == 2:
            tracker.predict(rgb, ASKED['bowl'])
        else:
            assert np.isfinite(tracker.track(rgb)['cube'].logits).all()
