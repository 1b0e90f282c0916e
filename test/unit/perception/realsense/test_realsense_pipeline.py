# SPDX-License-Identifier: Apache-2.0
"""A software device through the library's own pipeline, syncer and align block."""
import gc
import types

import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.adapters.realsense.config import (
    AlignDepthConfig, DepthModuleConfig, RgbCameraConfig)
from ocrrl_ros.perception.adapters.realsense.connection import CameraLostError
from ocrrl_ros.perception.adapters.realsense.frames import depth_to_millimetres
from ocrrl_ros.perception.adapters.realsense.opener import RealsenseOpener
from ocrrl_ros.perception.adapters.realsense.pipeline_source import PipelineSource
import pytest
from software_camera import (
    card_mask, CARD_RGB, FAR_M, FOCAL_PX, HEIGHT, NEAR_M, SERIAL, SHIFT_M, SoftwareCamera, WIDTH)


@pytest.fixture
def source(opener):
    """Return a running software camera."""
    found = opener.open_source()
    yield found
    found.close()


@pytest.mark.parametrize('unit_m', [0.001, 0.0001])
def test_depth_of_a_shifted_camera_lies_on_the_right_colour_pixels_in_millimetres(
        opener, rs, unit_m):
    opener.plugged = SoftwareCamera(rs, unit_m=unit_m)
    source = opener.open_source()
    frame = opener.frame(source, 1.0)
    source.close()
    assert (frame.rgb.dtype, frame.depth_mm.dtype) == (np.uint8, np.uint16)
    assert set(np.unique(frame.depth_mm)) <= {0, int(NEAR_M * 1e3), int(FAR_M * 1e3)}
    near = frame.depth_mm == NEAR_M * 1e3
    card = (frame.rgb == CARD_RGB).all(axis=-1)
    assert card.sum() > 100
    # The align block rounds to pixels: a column at either edge may go to the neighbour.
    assert (near & card).sum() / (near | card).sum() > 0.8
    inner = card & np.roll(card, 1, axis=1) & np.roll(card, -1, axis=1)
    assert near[inner].mean() > 0.95
    # Without alignment, the same card is seen SHIFT_M elsewhere.
    elsewhere = card_mask(0.0)
    assert (near & elsewhere).sum() / (near | elsewhere).sum() < 0.5


def test_depth_without_alignment_is_the_depth_cameras_own(make_opener):
    opener = make_opener(align_depth=AlignDepthConfig(enable=False))
    source = opener.open_source()
    frame = opener.frame(source, 1.0)
    source.close()
    np.testing.assert_array_equal(frame.depth_mm == NEAR_M * 1e3, card_mask(0.0))
    np.testing.assert_array_equal((frame.rgb == CARD_RGB).all(axis=-1), card_mask(SHIFT_M))


def test_a_frame_carries_number_time_clock_and_camera(opener, rs):
    coefficients = (0.1, -0.05, 0.001, 0.002, 0.01)
    opener.plugged = SoftwareCamera(rs, coefficients=coefficients, domain='global_time')
    source = opener.open_source()
    frame = opener.frame(source, 12.5, skip=4, depth_lag_s=0.01)
    source.close()
    assert (frame.number, frame.timestamp_s, frame.domain) == (5, 12.5, 'host')
    assert frame.depth_lag_s == pytest.approx(0.01)
    model = frame.color_model
    assert (model.intrinsics.fx, model.intrinsics.width) == (FOCAL_PX, WIDTH)
    assert model.distortion_model == 'plumb_bob'
    np.testing.assert_allclose(model.distortion, coefficients, rtol=1e-6)
    assert frame.depth_model == model
    assert source.name == f'Software Camera {SERIAL}'


def test_frames_are_copies_that_outlive_the_library_s_buffers(opener, source):
    first = opener.frame(source, 1.0)
    rgb, depth_mm = first.rgb.copy(), first.depth_mm.copy()
    for index in range(40):
        opener.frame(source, 1.1 + index / 30, is_blind=True)
    gc.collect()
    np.testing.assert_array_equal(first.rgb, rgb)
    np.testing.assert_array_equal(first.depth_mm, depth_mm)


def test_each_exposure_comes_once_and_a_lone_image_never(opener, source):
    assert opener.frame(source, 1.0).number == 1
    assert source.poll() is None
    opener.plugged.send(1.033, streams='colour')
    assert opener.frame(source, 1.066).number == 3
    assert source.poll() is None


def test_depth_that_is_a_frame_late_is_not_taken_for_the_colours(opener, source):
    opener.plugged.send(1.0, depth_lag_s=0.033)
    frame = opener.frame(source, 1.1)
    assert (frame.number, frame.depth_lag_s) == (2, 0.0)


def test_a_camera_without_calibration_is_refused_with_its_focal_length(opener, rs):
    opener.plugged = SoftwareCamera(rs, focal_px=0.0)
    source = opener.open_source()
    with pytest.raises(InputError, match=r'colour stream .*fx is 0.0 px.*calibrated'):
        opener.frame(source, 1.0)
    source.close()


def test_depth_that_is_zero_everywhere_is_still_a_frame(opener, source):
    frame = opener.frame(source, 1.0, is_blind=True)
    assert frame.depth_mm.shape == (HEIGHT, WIDTH)
    assert not frame.depth_mm.any()


def test_a_profile_that_the_camera_lacks_is_refused_with_those_that_it_has(make_opener):
    opener = make_opener(rgb_camera=RgbCameraConfig(color_profile='640x480x30'))
    with pytest.raises(ConfigError, match='color_profile is 640x480x30.*allowed: 64x48x30'):
        opener.open_source()


def test_a_camera_of_which_only_a_part_is_there_yet_is_waited_for(opener):
    opener.plugged.device = opener.rs.software_device()
    with pytest.raises(CameraLostError, match='has no stream for color_profile'):
        opener.open_source()


def test_an_exposure_that_the_camera_cannot_set_is_refused(make_opener):
    opener = make_opener(rgb_camera=RgbCameraConfig(color_profile='64x48x30', exposure=120))
    with pytest.raises(ConfigError, match='exposure is 120'):
        opener.open_source()


@pytest.mark.parametrize(('exposure', 'automatic'), [(200, 0.0), (0, 1.0)])
def test_exposure_is_set_and_zero_is_automatic(make_opener, rs, exposure, automatic):
    opener = make_opener(
        rgb_camera=RgbCameraConfig(color_profile='64x48x30', exposure=exposure))
    opener.plugged = SoftwareCamera(rs, most_exposure=10000)
    opener.open_source().close()
    depth, color = opener.plugged.device.query_sensors()
    assert color.get_option(rs.option.enable_auto_exposure) == automatic
    assert color.get_option(rs.option.exposure) == (exposure or 1)
    assert depth.get_option(rs.option.enable_auto_exposure) == 1.0


def test_where_one_sensor_takes_both_streams_an_automatic_colour_leaves_its_exposure(
        make_opener, rs):
    opener = make_opener(
        depth_module=DepthModuleConfig(depth_profile='64x48x30', exposure=300))
    opener.plugged = SoftwareCamera(rs, most_exposure=10000, has_one_sensor=True)
    source = opener.open_source()
    sensor, = opener.plugged.device.query_sensors()
    assert sensor.get_option(rs.option.exposure) == 300
    assert sensor.get_option(rs.option.enable_auto_exposure) == 0
    assert opener.frame(source, 1.0).number == 1
    source.close()


def test_an_exposure_out_of_the_sensors_range_is_refused_with_the_range(make_opener, rs):
    opener = make_opener(
        depth_module=DepthModuleConfig(depth_profile='64x48x30', exposure=20000))
    opener.plugged = SoftwareCamera(rs, most_exposure=10000)
    with pytest.raises(ConfigError, match='exposure is 20000; allowed by .*: 0, or 1 .. 10000'):
        opener.open_source()


def test_without_a_camera_the_serial_number_that_is_missed_is_named(settings):
    with pytest.raises(CameraLostError, match='no RealSense camera is connected'):
        RealsenseOpener(settings()).open_source()
    with pytest.raises(CameraLostError, match="'831' is connected; there: none"):
        RealsenseOpener(settings(serial_no='_831')).open_source()


def test_of_several_cameras_the_serial_number_chooses(settings, rs):
    cameras = [SoftwareCamera(rs, serial=serial).device for serial in ('01', '02')]
    there = types.SimpleNamespace(query_devices=lambda: cameras)
    for serial, expected in (('_02', cameras[1]), ('01', cameras[0])):
        opener = RealsenseOpener(settings(serial_no=serial))
        opener._context = there
        assert opener.find_device() is expected
    opener = RealsenseOpener(settings())
    opener._context = there
    with pytest.raises(ConfigError, match=r'several .*01, 02.*serial_no'):
        opener.find_device()


class Failing:
    """Any object of the library while the camera it belongs to is being unplugged."""

    def __getattr__(self, name):
        raise RuntimeError('hwmon command failed')


def test_a_camera_that_goes_while_it_is_looked_at_or_opened_is_not_there(make_opener):
    opener = make_opener()
    opener.find_device = Failing
    with pytest.raises(CameraLostError, match='does not start: hwmon command failed'):
        opener.open_source()
    opener = RealsenseOpener(opener._config)
    opener._context = Failing()
    with pytest.raises(CameraLostError, match='cannot be listed: hwmon command failed'):
        opener.open_source()


class FailingPipeline:
    """A pipeline as it is after an unplug: no frames, or an error of the library."""

    def __init__(self, error=None):
        self.error = error

    def get_active_profile(self):
        device = types.SimpleNamespace(
            is_connected=lambda: False, is_playback=lambda: False)
        return types.SimpleNamespace(get_device=lambda: device)

    def poll_for_frames(self):
        if self.error is not None:
            raise self.error
        return []

    def stop(self):
        raise RuntimeError('stop() cannot be called: no device')


@pytest.mark.parametrize(('error', 'words'), [
    (None, 'D435 1 was unplugged'), (RuntimeError('xioctl failed'), 'D435 1: xioctl failed')])
def test_a_device_that_is_gone_is_lost_and_can_be_closed(rs, error, words):
    source = PipelineSource(rs, FailingPipeline(error), 'D435 1')
    with pytest.raises(CameraLostError, match=words):
        source.poll()
    source.close()


@pytest.mark.parametrize(('unit_m', 'counts', 'expected'), [
    (0.001, 1234, 1234), (0.0001, 1236, 124), (0.00025, 65535, 16384), (0.001, 0, 0),
    (0.005, 20000, 0)])
def test_depth_is_rounded_to_millimetres_and_invalid_beyond_their_range(
        unit_m, counts, expected):
    depth = depth_to_millimetres(np.full((2, 2), counts, np.uint16), unit_m)
    assert depth.dtype == np.uint16
    assert (depth == expected).all()


def test_depth_without_a_unit_is_refused():
    with pytest.raises(InputError, match='depth units of 0.0 m'):
        depth_to_millimetres(np.ones((2, 2), np.uint16), 0.0)
