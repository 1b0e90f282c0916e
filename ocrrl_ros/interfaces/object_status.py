# SPDX-License-Identifier: Apache-2.0
"""Object estimates as messages: poses, the news of a loss, and status with all parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
import numpy as np
from ocrrl_ros.interfaces.conversions import pose_with_covariance, to_stamp
from ocrrl_ros.interfaces.monitor import status_message
from ocrrl_ros.perception.object_tracker import ObjectEstimate, TrackState
from ocrrl_ros.policy.controller import LOST

BASE_FRAME = 'base'
_LEVELS = {
    TrackState.OK: DiagnosticStatus.OK, TrackState.WARN: DiagnosticStatus.WARN,
    TrackState.STALE: DiagnosticStatus.STALE, TrackState.ERROR: DiagnosticStatus.ERROR}


def pose_message(estimate: ObjectEstimate) -> PoseWithCovarianceStamped:
    """Return the pose with its covariance, stamped with the image's time."""
    return pose_with_covariance(
        estimate.base_T_object, estimate.covariance, BASE_FRAME, estimate.stamp_s)


def lost_message(estimate: ObjectEstimate) -> PoseWithCovarianceStamped:
    """Return the message that makes the object invalid at once (covariance[0] = -1)."""
    covariance = np.zeros(36)
    covariance[0] = LOST
    return pose_with_covariance(
        estimate.base_T_object, covariance, BASE_FRAME, estimate.stamp_s)


def status_array(
        estimates: Iterable[ObjectEstimate], stamp_s: float,
        notes: Mapping[str, str] | None = None) -> DiagnosticArray:
    """
    Return one status per object: state, confidence, the figures behind it, and what is not seen.

    :param notes: what to say beside the state, by object id.
    """
    message = DiagnosticArray(status=[
        status_message(
            f'objects/{estimate.object_id}', _LEVELS[estimate.state][0],
            ': '.join([estimate.state.value, *_note(notes, estimate.object_id)]),
            {'confidence': estimate.confidence, 'valid': estimate.valid,
             'unobserved': ' '.join(estimate.unobserved)} | estimate.parts)
        for estimate in estimates])
    message.header.stamp = to_stamp(stamp_s)
    message.header.frame_id = BASE_FRAME
    return message


def _note(notes: Mapping[str, str] | None, object_id: str) -> list[str]:
    """Return what there is to say of an object, nothing or one text."""
    return [notes[object_id]] if notes and object_id in notes else []
