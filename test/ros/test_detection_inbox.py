# SPDX-License-Identifier: Apache-2.0
"""Detection3DArray as poses: what is taken from it, and what is said of what cannot be."""

from types import SimpleNamespace

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.interfaces.detection_inbox import DetectionInbox, read_detections
from ocrrl_ros.interfaces.detections import detection_array
from ocrrl_ros.perception.adapters.detections.config import DetectionsConfig
from ocrrl_ros.perception.estimate import ObjectEstimate, TrackState
from ocrrl_ros.perception.frame import Intrinsics, RgbdFrame
import pytest
from stand_in_vision_msgs import detection, detections, hypothesis, vision_msgs

CAMERA = 'camera_color_optical_frame'
POSE, OTHER = (0.1, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0), (0.0, 0.2, 0.6, 0.0, 0.0, 1.0, 0.0)
OWN = DetectionsConfig(topics=('cube:=isaac/output',)).sources(['cube'])['isaac/output']
SHARED = DetectionsConfig(
    topics=('found',), classes=('21:=bowl',)).sources(['cube', 'bowl'])['found']


def read(source, *found, frame_id=CAMERA):
    """Return poses and problems of an array."""
    return read_detections(detections(frame_id, 1.0, *found), source, CAMERA)


def test_isaac_ros_gives_one_object_per_topic_in_the_box_alone():
    poses, problems = read(OWN, detection(POSE))
    np.testing.assert_array_equal(poses['cube'].pose, POSE)
    assert not poses['cube'].in_base and not problems


def test_class_ids_say_which_object_and_hypotheses_where_it_is():
    poses, problems = read(
        SHARED, detection(POSE, hypothesis('cube', 0.9, OTHER)),
        detection(POSE, hypothesis('cube', 0.3), hypothesis('21', 0.8)))
    np.testing.assert_array_equal(poses['cube'].pose, OTHER)
    np.testing.assert_array_equal(poses['bowl'].pose, POSE)
    assert not problems


def test_of_several_detections_of_an_object_the_likeliest_counts():
    poses, problems = read(
        SHARED, detection(POSE, hypothesis('cube', 0.4)),
        detection(OTHER, hypothesis('cube', 0.6)))
    np.testing.assert_array_equal(poses['cube'].pose, OTHER)
    assert not problems
    poses, (problem,) = read(OWN, detection(POSE), detection(OTHER))
    assert not poses
    assert 'isaac/output: 2 detections of cube of which not all have a score' in problem


def test_poses_in_base_are_taken_as_such():
    poses, _ = read(OWN, detection((0.5, 0.0, -0.01, 0.0, 0.0, 0.0, 1.0)), frame_id='base')
    assert poses['cube'].in_base


def test_other_frames_are_refused_with_topic_and_what_is_allowed():
    with pytest.raises(InputError, match=(
            f"isaac/output: .* frame 'world'; allowed: '{CAMERA}'.*, and 'base'")):
        read(OWN, detection(POSE), frame_id='world')
    own = detection(POSE)
    own.header.frame_id = 'world'
    poses, (problem,) = read(OWN, own)
    assert not poses and "isaac/output: detection 0 is in frame 'world'" in problem


def test_an_empty_array_is_refused_with_its_topic():
    with pytest.raises(InputError, match='isaac/output: an array without detections'):
        read(OWN)


@pytest.mark.parametrize('pose, words', [
    ((np.nan, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0), 'must be finite'),
    ((0.1, 0.0, 0.5, 0.0, 0.0, 0.0, 0.5), 'quaternion of norm 0.5'),
    ((0.1, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0), 'allowed: > 0 m, in front')])
def test_what_is_no_pose_is_no_pose_and_the_others_are_used(pose, words):
    poses, (problem,) = read(
        SHARED, detection(pose, hypothesis('cube', 0.9)),
        detection(OTHER, hypothesis('bowl', 0.9)))
    assert list(poses) == ['bowl']
    assert 'found: detection 0' in problem and words in problem


@pytest.mark.parametrize('results', [(), (hypothesis('mug', 0.9),)])
def test_unknown_class_ids_are_named_with_those_that_are_known(results):
    poses, (problem,) = read(SHARED, detection(POSE, *results))
    assert not poses
    assert 'found: detection 0 has class id' in problem
    assert 'allowed: cube, bowl, 21' in problem


def test_our_own_detections_can_be_read():
    estimate = ObjectEstimate(
        object_id='bowl', stamp_s=2.5, base_T_object=np.array(OTHER), covariance=np.eye(6),
        confidence=0.97, state=TrackState.OK, valid=True, just_lost=False, parts={})
    message = detection_array(
        vision_msgs(), [estimate], {'bowl': np.array([[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]])}, 2.5)
    poses, problems = read_detections(message, SHARED, CAMERA)
    np.testing.assert_allclose(poses['bowl'].pose, OTHER)
    assert poses['bowl'].in_base and not problems


class Feed:
    """Images and messages that a test hands over, and the warnings that come of them."""

    def __init__(self):
        """Start with nothing."""
        self.frame_id, self.frame, self.waiting, self.log = '', None, [], []
        warnings = SimpleNamespace(warn=self.log.append, attempt=self.attempt)
        self.inbox = DetectionInbox(
            ['cube'], DetectionsConfig(topics=('cube:=isaac/output',)), self,
            {'isaac/output': self}, warnings)

    def attempt(self, take, *arguments):
        """Note a refusal."""
        try:
            take(*arguments)
        except InputError as error:
            self.log.append(str(error))

    def show(self, number):
        """Let the image of a number come, of 10 per second."""
        self.frame_id, camera = CAMERA, Intrinsics(
            fx=10.0, fy=10.0, cx=1.5, cy=1.5, width=4, height=4)
        self.frame = RgbdFrame(
            stamp_s=0.1 * number, rgb=np.zeros((4, 4, 3), np.uint8),
            depth_m=np.zeros((4, 4), np.float32), intrinsics=camera)
        return self.inbox.take()

    def take(self):
        """Give the image, once."""
        frame, self.frame = self.frame, None
        return frame

    def take_all(self):
        """Give what waits."""
        messages, self.waiting = self.waiting, []
        return messages


def test_inbox_joins_past_images_and_their_detections():
    feed = Feed()
    for number in range(10, 14):
        assert feed.show(number)[0] == []
    feed.waiting = [detections(CAMERA, 1.1, detection(POSE))]
    ((frame, poses),), newest = feed.show(14)
    assert (frame.stamp_s, newest.stamp_s) == pytest.approx((1.1, 1.4))
    assert list(poses) == ['cube'] and not feed.log


def test_inbox_says_what_it_cannot_use():
    feed = Feed()
    feed.waiting = [detections(CAMERA, 1.1, detection(POSE))]
    assert feed.inbox.take() == ([], None)
    for number in range(10, 14):
        feed.show(number)
    feed.waiting = [detections(CAMERA, 1.36, detection(POSE)), detections('map', 1.2)]
    assert feed.inbox.take()[0] == []
    assert 'isaac/output: detections arrive, but no images' in feed.log[0]
    assert "isaac/output: detections are in frame 'map'" in feed.log[1]
    for number in (15, 16):
        feed.show(number)
    assert 'isaac/output: no image has the stamp' in feed.log[2]


def test_inbox_tells_of_objects_that_nobody_detects():
    feed = Feed()
    for number in range(10, 18):
        feed.show(number)
    assert feed.inbox.silent() == {'cube': 'no detection on isaac/output yet'}
    feed.waiting = [detections(CAMERA, 1.7, detection(POSE))]
    feed.inbox.take()
    assert feed.inbox.silent() == {}
    for number in range(18, 25):
        feed.show(number)
    assert feed.inbox.silent() == {'cube': 'no detection on isaac/output for 0.7 s'}
