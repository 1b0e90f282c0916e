# SPDX-License-Identifier: Apache-2.0
"""Recordings of a software device, played by the library."""
from pathlib import Path
import time

import numpy as np
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.adapters.realsense.connection import CameraConnection, CameraState
from ocrrl_ros.perception.adapters.realsense.opener import RealsenseOpener
import pytest
from software_camera import CARD_RGB, NEAR_M, write_recording

BAG = Path(__file__).resolve().parents[3] / 'data' / 'software_camera.bag'
LIMIT_S = 20.0


@pytest.fixture(scope='module')
def recording(rs, tmp_path_factory):
    """Return the path of a recording by the library that is installed, units of 0.1 mm."""
    path = tmp_path_factory.mktemp('recording') / 'camera.db3'
    write_recording(rs, str(path), unit_m=0.0001)
    return path


def play(settings, path, enough, **changes):
    """Play until ``enough(frames, connection)``; return the frames."""
    config = settings(rosbag_filename=str(path), **changes)
    connection = CameraConnection(RealsenseOpener(config).open_source, config)
    frames, end_s = [], time.monotonic() + LIMIT_S
    while not enough(frames, connection):
        assert time.monotonic() < end_s, (connection.state, connection.reason, len(frames))
        frame = connection.step(time.monotonic())
        frames += [] if frame is None else [frame]
        time.sleep(0.001)
    connection.close()
    return frames


def has_ended(frames, connection):
    return connection.state is CameraState.ENDED


@pytest.mark.parametrize('realtime', [True, False])
def test_a_bag_of_an_older_library_is_played_to_its_end(rs, settings, realtime):
    frames = play(settings, BAG, has_ended, rosbag_loop=False, rosbag_realtime=realtime)
    # The syncer may keep the first for itself, and the newest replaces what nobody has polled.
    assert 3 <= len(frames) <= 10
    assert [frame.timestamp_s for frame in frames] == pytest.approx(
        [100.0 + (frame.number - 1) / 30 for frame in frames], abs=1e-6)
    assert (np.diff([frame.number for frame in frames]) > 0).all()
    for frame in frames:
        assert frame.rgb[0, 0, 0] == frame.number
        assert frame.domain == 'recording'
        card = (frame.rgb == CARD_RGB).all(axis=-1)
        assert np.median(frame.depth_mm[card]) == NEAR_M * 1e3


def test_a_recording_keeps_its_depth_unit_and_begins_anew_at_its_end(settings, recording):
    frames = play(settings, recording, lambda found, _: (
        np.diff([frame.number for frame in found]) < 0).sum() >= 2)
    for frame in frames:
        card = (frame.rgb == CARD_RGB).all(axis=-1)
        assert np.median(frame.depth_mm[card]) == NEAR_M * 1e3


def test_what_cannot_be_played_is_refused_by_name(rs, settings, tmp_path):
    broken = tmp_path / 'broken.bag'
    broken.write_bytes(b'no recording')
    for path, words in ((tmp_path / 'absent.bag', 'absent.bag.*no file'),
                        (broken, 'broken.bag.*cannot be played')):
        with pytest.raises(ConfigError, match=words):
            RealsenseOpener(settings(rosbag_filename=str(path))).open_source()
