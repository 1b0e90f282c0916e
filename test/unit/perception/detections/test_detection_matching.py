# SPDX-License-Identifier: Apache-2.0
"""Detections meet the images that they were made of, whichever comes first."""

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError, UnknownNameError
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.adapters.detections.matching import DetectionMatcher
from ocrrl_ros.perception.detected_pose import DetectedPose
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
import pytest

CAMERA = Intrinsics(fx=10.0, fy=10.0, cx=1.5, cy=1.5, width=4, height=4)
PERIOD_S = 1.0 / 30.0
POSE = DetectedPose(np.array([0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0]))


def image(number):
    """Return the image of a number; 30 of them are taken per second."""
    return RgbdFrame(stamp_s=100.0 + number * PERIOD_S, rgb=np.zeros((4, 4, 3), np.uint8),
                     depth_m=np.zeros((4, 4), np.float32), intrinsics=CAMERA)


def matcher(first=0, last=10, object_ids=('cube',), **settings):
    """Return a matcher that has seen images."""
    result = DetectionMatcher(object_ids, DetectionsConfig(**settings))
    for number in range(first, last + 1):
        result.add_frame(image(number))
    return result


def detect(matcher_, number, name='cube', shift_s=0.0, pose=POSE):
    """Add a detection in an image."""
    matcher_.add_pose(name, image(number).stamp_s + shift_s, pose, 'poses')


def numbers(matched):
    """Return which images were matched, with which objects."""
    return [(round((frame.stamp_s - 100.0) / PERIOD_S), sorted(poses)) for frame, poses in matched]


def test_a_detection_goes_with_the_past_image_of_its_stamp_once():
    found = matcher()
    detect(found, 6)
    matched, problems = found.take()
    assert numbers(matched) == [(6, ['cube'])] and not problems
    assert matched[0][1]['cube'] is POSE
    assert found.take() == ([], [])


def test_images_come_out_in_order_with_all_that_was_found_in_them():
    found = matcher(object_ids=('cube', 'cup'))
    for number, name in ((7, 'cup'), (5, 'cube'), (7, 'cube'), (6, 'cup')):
        detect(found, number, name)
    assert numbers(found.take()[0]) == [(5, ['cube']), (6, ['cup']), (7, ['cube', 'cup'])]


def test_a_detection_that_is_taken_before_its_image_waits_for_it():
    found = matcher()
    detect(found, 11)
    assert found.take() == ([], [])
    found.add_frame(image(11))
    assert numbers(found.take()[0]) == [(11, ['cube'])]


def test_stamps_agree_within_half_the_time_between_images():
    found = matcher()
    detect(found, 5, shift_s=0.4 * PERIOD_S)
    detect(found, 8, shift_s=-0.4 * PERIOD_S)
    assert numbers(found.take()[0]) == [(5, ['cube']), (8, ['cube'])]


def test_a_detection_of_an_image_that_was_missed_is_given_up_with_its_topic():
    found = matcher(last=4)
    for number in (6, 7, 8):
        found.add_frame(image(number))
    detect(found, 5)
    matched, (problem,) = found.take()
    assert not matched
    assert 'poses: no image has the stamp of a detection of cube' in problem


@pytest.mark.parametrize('number, words', [
    (-60, 'poses: detection of cube is 2.333 s older than the newest image.*history_s'),
    (90, 'poses: detection of cube is stamped 2.667 s after the newest image')])
def test_stamps_of_another_clock_are_refused(number, words):
    with pytest.raises(InputError, match=words):
        detect(matcher(), number)


def test_detections_before_any_image_and_old_ones_again_are_refused():
    with pytest.raises(InputError, match='poses: detections arrive, but no images'):
        detect(DetectionMatcher(['cube'], DetectionsConfig()), 0)
    found = matcher()
    detect(found, 6)
    found.take()
    for number in (6, 5):
        with pytest.raises(InputError, match='poses: .* not newer than the last'):
            detect(found, number)


def test_images_and_detections_that_wait_are_bounded():
    found = matcher(last=90)
    with pytest.raises(InputError, match='own image is not kept'):
        detect(found, 58)
    detect(found, 61)
    for number in range(91, 111):
        detect(found, number)
    for number in range(91, 111):
        found.add_frame(image(number))
    matched = numbers(found.take()[0])
    assert [number for number, _ in matched] == list(range(101, 111))


def test_silence_is_noticed_by_images_that_go_on():
    found = matcher(last=14, object_ids=('cube', 'cup'))
    assert found.silent() == {}
    detect(found, 12)
    found.take()
    for number in range(15, 20):
        found.add_frame(image(number))
    assert found.silent() == {'cup': None}
    for number in range(20, 30):
        found.add_frame(image(number))
    silent = found.silent()
    assert silent['cube'] == pytest.approx(17 * PERIOD_S) and silent['cup'] is None


def test_a_clock_that_runs_back_starts_anew():
    found = matcher(first=50, last=60)
    detect(found, 58)
    found.take()
    found.add_frame(image(0))
    found.add_frame(image(1))
    detect(found, 1)
    assert numbers(found.take()[0]) == [(1, ['cube'])]


def test_topics_say_which_objects_they_carry():
    config = DetectionsConfig(
        topics=('cube:=isaac/output', 'found'), classes=('7:=bowl',))
    sources = config.sources(['cube', 'bowl'])
    assert sources['isaac/output'].object_ids == {'cube'}
    assert sources['found'].classes == {'cube': 'cube', 'bowl': 'bowl', '7': 'bowl'}


@pytest.mark.parametrize('settings, kind, words', [
    ({'topics': ()}, ConfigError, r'topics is \[\], which has nothing for cube, bowl'),
    ({'topics': ('cube:=a',)}, ConfigError, 'has nothing for bowl'),
    ({'topics': ('mug:=a',)}, UnknownNameError, "unknown object 'mug'.*detections.topics"),
    ({'topics': ('a', 'cube:=a')}, ConfigError, 'names a twice'),
    ({'topics': ('a',), 'classes': ('7:=mug',)}, UnknownNameError, 'detections.classes')])
def test_topics_that_do_not_fit_the_objects_are_refused(settings, kind, words):
    with pytest.raises(kind, match=words):
        DetectionsConfig(**settings).sources(['cube', 'bowl'])


@pytest.mark.parametrize('settings, words', [
    ({'max_wait_s': 0.0}, 'max_wait_s is 0.0; allowed: > 0'),
    ({'topics': (':=a',)}, "topics holds ':=a'"), ({'topics': ('',)}, "topics holds ''"),
    ({'classes': ('cube',)}, "classes holds 'cube'; allowed: class_id:=object")])
def test_settings_that_cannot_be_meant_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        DetectionsConfig(**settings)
