# SPDX-License-Identifier: Apache-2.0
"""A residual that sees pictures: its layout, its bundle and what the controller shows it."""

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import BundleError, ConfigError, InputError
from ocrrl_ros.core.se3 import pose_identity
from ocrrl_ros.policy.action_chunk import ActionChunk
from ocrrl_ros.policy.assembly import build_controller
from ocrrl_ros.policy.composition import ResidualBounds
from ocrrl_ros.policy.image_observation import (
    described_image_layout, image_columns, ImageLayout, sees_images)
from ocrrl_ros.policy.image_residual import ImageResidualController, ImageResidualNetwork
from ocrrl_ros.policy.task_spec import load_task_spec
from ocrrl_ros.robot.fr3 import READY_POSITION
from ocrrl_ros.robot.kinematics import FrankaKinematics
import pytest

READY = np.array(READY_POSITION)
LAYOUT = ImageLayout(width=32, height=24)


@dataclasses.dataclass
class Port:
    """An input or output of a session."""

    name: str
    shape: list


class Session:
    """A network that answers with the mean brightness in every component."""

    def __init__(self, image_shape=('n', 24, 32, 3)):
        """Take the shape that the model declares for its image."""
        self.image_shape = list(image_shape)
        self.seen = []

    def get_inputs(self):
        """Return both inputs."""
        return [Port('observation', ['n', LAYOUT.size]), Port('image', self.image_shape)]

    def get_outputs(self):
        """Return the output."""
        return [Port('action', ['n', 7])]

    def run(self, names, feed):
        """Remember and answer."""
        self.seen.append(feed)
        brightness = feed['image'].mean(axis=(1, 2, 3), keepdims=True)[..., 0, 0] / 255.0
        return [np.repeat(brightness, 7, axis=1).astype(np.float32)]


class Rig:
    """A controller in an episode that started at 10 s, with a plan that stays."""

    def __init__(self):
        """Start."""
        self.session = Session()
        network = ImageResidualNetwork(self.session, LAYOUT, ResidualBounds())
        self.controller = build_controller('cube_lift', network)
        self.now_s = 10.0
        self.controller.on_joint_state(READY, np.zeros(7), self.now_s)
        self.controller.start_episode(self.now_s)

    def ticks(self, count, brightness=None):
        """Run policy ticks of 20 ms, each with a picture of now when asked; return the last."""
        plan = np.tile(FrankaKinematics().forward(READY), (16, 1))
        for _ in range(count):
            self.now_s += 0.02
            self.controller.on_joint_state(READY, np.zeros(7), self.now_s)
            self.controller.on_chunk(
                ActionChunk(self.now_s, 0.05, plan, np.ones(16)), self.now_s)
            if brightness is not None:
                self.controller.on_image(
                    np.full((480, 640, 3), brightness, np.uint8), self.now_s)
            action = self.controller.policy_tick(self.now_s)
        return action


def test_image_layout_has_the_pose_layout_without_objects_and_its_own_hash():
    poses = load_task_spec('pick_place').layout()
    columns = image_columns(poses)
    assert len(columns) == LAYOUT.size
    assert not any('block' in name for name, _ in LAYOUT.fields())
    start = poses.slices()['chunk_phase'].start
    assert columns[LAYOUT.slices()['chunk_phase'].start] == start
    assert LAYOUT.sha256 not in (poses.sha256, ImageLayout().sha256)
    assert sees_images(LAYOUT.describe())
    assert not sees_images(poses.describe())
    assert described_image_layout(LAYOUT.describe()) == LAYOUT


@pytest.mark.parametrize('image', [None, {'width': 64}, {'width': 64, 'height': 64},
                                   {'width': 6400, 'height': 4800}])
def test_description_without_a_possible_size_is_refused(image):
    with pytest.raises(ConfigError, match='image is'):
        described_image_layout(LAYOUT.describe() | {'image': image})


def test_layout_with_images_has_no_variants():
    with pytest.raises(ConfigError, match="observation is 'world'; allowed with images"):
        ImageLayout(variant='world')


def test_network_of_another_picture_size_is_refused():
    with pytest.raises(BundleError, match='inputs'):
        ImageResidualNetwork(Session(('n', 48, 64, 3)), LAYOUT, ResidualBounds())


def test_controller_shows_the_newest_picture_shrunk():
    rig = Rig()
    assert isinstance(rig.controller, ImageResidualController)
    action = rig.ticks(40, brightness=51)
    np.testing.assert_allclose(action.action, 0.2, atol=1e-6)
    assert action.gain == 1.0
    assert rig.session.seen[-1]['image'].shape == (1, 24, 32, 3)
    rig.controller.on_image(np.zeros((480, 640, 3), np.uint8), 9.0)
    np.testing.assert_allclose(rig.ticks(1).action, 0.2, atol=1e-6)


def test_without_a_picture_the_base_acts_alone_and_a_silent_camera_fades_the_residual():
    rig = Rig()
    action = rig.ticks(20)
    assert action.gain == 0.0
    np.testing.assert_array_equal(action.action, 0.0)
    assert rig.session.seen == []
    assert rig.ticks(40, brightness=255).gain == 1.0
    assert rig.ticks(20).gain == 1.0
    assert rig.ticks(60).gain == 0.0


def test_picture_of_the_last_episode_does_not_count():
    rig = Rig()
    rig.ticks(20, brightness=255)
    rig.controller.start_episode(rig.now_s)
    assert rig.ticks(5).gain == 0.0


def test_object_poses_are_ignored_and_pictures_of_another_shape_refused():
    rig = Rig()
    rig.controller.on_object_pose('block', pose_identity(), np.zeros(36), 10.0)
    assert rig.ticks(5).gain == 0.0
    with pytest.raises(InputError, match='4:3'):
        rig.controller.on_image(np.zeros((480, 480, 3), np.uint8), rig.now_s)


def test_answer_that_is_no_number_is_an_error():
    rig = Rig()
    rig.ticks(3, brightness=10)
    rig.session.run = lambda names, feed: [np.full((1, 7), np.nan, np.float32)]
    with pytest.raises(InputError, match='nan'):
        rig.ticks(1, brightness=10)
