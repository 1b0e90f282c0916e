# SPDX-License-Identifier: Apache-2.0
"""
Validity, age and loss of object poses: one class for the trainer (N robots) and the node (N = 1).

A pose is valid while its stamp is younger than ``max_pose_age_s`` and nothing said that the
object is lost. Short losses are a trained situation (entries zeroed, residual active); after
``loss_tolerance_s`` without any valid pose the residual's gain ramps to zero, and back when poses
return (protocol.md section 5). An object that was not seen yet is not lost for a moment: the gain
of an episode starts at zero and rises with the first pose, so that without any the base acts
alone.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.se3 import pose_identity
from ocrrl_ros.policy import kernels

#: First entry of the covariance of an object that is lost now.
LOST = -1.0
_POSE = np.zeros(7)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectPoseConfig:
    """When a pose counts and how fast the residual fades without one."""

    max_pose_age_s: float = dataclasses.field(
        default=0.2, metadata={'description': (
            'oldest pose stamp that is valid, s; only the value of the observation layout')})
    loss_tolerance_s: float = dataclasses.field(
        default=0.5, metadata={'description': 'time without poses before the gain ramps down, s'})
    gain_ramp_s: float = dataclasses.field(
        default=0.3, metadata={'description': 'time of a full ramp of the residual gain, s'})

    def __post_init__(self) -> None:
        """Refuse times that cannot work."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not 0 < value < 60:
                raise ConfigError(f'{field.name} is {value} s; allowed: 0 < x < 60')


@dataclasses.dataclass(frozen=True)
class ObjectView:
    """
    Object poses as the policy may use them.

    :param poses: (N, K, 7) in the robot base frame; identity where invalid.
    :param valid: (N, K) bool.
    :param age_s: (N, K) age of the pose, ``max_pose_age_s`` where invalid.
    """

    poses: np.ndarray
    valid: np.ndarray
    age_s: np.ndarray


class ObjectPoseBuffer:
    """
    Newest pose of K objects for each of N robots.

    :param n: number of robots.
    :param n_objects: number of objects per robot.
    """

    def __init__(self, n: int, n_objects: int, config: ObjectPoseConfig | None = None):
        """Start without poses and without gain."""
        self.config = config or ObjectPoseConfig()
        self._poses = np.tile(pose_identity(), (n, n_objects, 1))
        self._stamp_s = np.full((n, n_objects), -np.inf)
        self._seen_s = np.full(n, -np.inf)
        self._gain = np.zeros(n)
        self._updated_s = np.zeros(n)

    def reset(self, rows: np.ndarray | slice, now_s: np.ndarray | float) -> None:
        """Start new episodes: forget poses; the gain waits for the first new one."""
        self._poses[rows] = pose_identity()
        self._stamp_s[rows] = -np.inf
        self._seen_s[rows] = -np.inf
        self._gain[rows] = 0.0
        self._updated_s[rows] = now_s

    def update(
            self, rows: np.ndarray | int, objects: np.ndarray | int, poses: np.ndarray,
            stamp_s: np.ndarray | float) -> None:
        """
        Store poses; one older than what is stored is ignored.

        :param rows: (M,) robot indices, or one.
        :param objects: (M,) object indices, or one.
        :param poses: (M, 7) or (7,) in the robot base frame.
        :param stamp_s: (M,) or one stamp in seconds.
        """
        rows, objects = np.atleast_1d(rows), np.atleast_1d(objects)
        poses = np.atleast_2d(poses)
        stamp_s = np.broadcast_to(np.asarray(stamp_s, dtype=float), rows.shape)
        newer = stamp_s > self._stamp_s[rows, objects]
        self._poses[rows[newer], objects[newer]] = poses[newer]
        self._stamp_s[rows[newer], objects[newer]] = stamp_s[newer]

    def mark_lost(self, rows: np.ndarray | int, objects: np.ndarray | int) -> None:
        """Make objects invalid at once, until their next pose."""
        self._stamp_s[rows, objects] = -np.inf

    def query(self, now_s: np.ndarray | float) -> ObjectView:
        """
        Return what is valid now and advance the gain.

        :param now_s: (N,) or one time in seconds; must not run backwards between resets.
        """
        config = self.config
        poses, valid, age_s, self._seen_s, self._gain = kernels.view_objects(
            self._poses, self._stamp_s, now_s, self._seen_s, self._gain, self._updated_s,
            config.max_pose_age_s, config.loss_tolerance_s, config.gain_ramp_s, _POSE)
        self._updated_s[:] = now_s
        return ObjectView(poses=poses, valid=valid > 0.0, age_s=age_s)

    def gain(self) -> np.ndarray:
        """Return what scales the residual, (N,) in 0 .. 1, as of the last query."""
        return self._gain.copy()
