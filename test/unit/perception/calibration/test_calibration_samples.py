# SPDX-License-Identifier: Apache-2.0
"""Tests of the folder in which pictures of a board are kept."""
import json

from board_pictures import CAMERA
import numpy as np
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.perception.calibration.board import BoardConfig
from ocrrl_ros.perception.calibration.samples import (
    CalibrationSample, SampleFolder, SessionHead)
import pytest

HEAD = SessionHead(mount='wrist', board=BoardConfig(square_m=0.0347), camera=CAMERA)


def make_sample(number=0):
    """Return a sample of noise."""
    rng = np.random.default_rng(number)
    return CalibrationSample(
        stamp_s=12.5 + number, rgb=rng.integers(0, 256, (48, 64, 3), np.uint8),
        base_T_tcp=np.array([0.4, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0]), q=tuple(range(7)))


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a begun session."""
    found = SampleFolder(tmp_path / 'session')
    found.begin(HEAD)
    return found


def test_samples_come_back_as_they_were(folder):
    written = [make_sample(number) for number in range(3)]
    paths = [folder.add(sample) for sample in written]
    assert [path.name for path in paths] == ['sample_000.png', 'sample_001.png', 'sample_002.png']
    for sample, found in zip(written, folder.read()):
        assert np.array_equal(found.rgb, sample.rgb)
        assert np.allclose(found.base_T_tcp, sample.base_T_tcp)
        assert (found.stamp_s, found.q) == (sample.stamp_s, sample.q)
    assert folder.head() == HEAD


def test_a_sample_that_was_interrupted_does_not_count_and_its_number_is_not_reused(
        folder, tmp_path):
    folder.add(make_sample())
    folder.add(make_sample(1)).with_suffix('.json').unlink()
    assert len(folder.read()) == 1
    assert folder.add(make_sample(2)).name == 'sample_002.png'


def test_the_same_session_goes_on_and_another_is_refused(folder):
    folder.begin(HEAD)
    other = SessionHead(mount='fixed', board=HEAD.board, camera=CAMERA)
    with pytest.raises(InputError, match='of another mount: wrist instead of fixed; .*--out'):
        folder.begin(other)
    assert folder.head() == HEAD


def test_a_folder_without_a_session_is_named(tmp_path):
    empty = SampleFolder(tmp_path)
    assert not empty.is_begun
    assert empty.read() == []
    with pytest.raises(InputError, match='holds no pictures of a calibration: .*session.json'):
        empty.head()


def test_damage_is_named_by_its_file(folder, tmp_path):
    path = folder.add(make_sample())
    path.unlink()
    with pytest.raises(InputError, match='sample_000.png is missing or no picture'):
        folder.read()
    path.with_suffix('.json').write_text('{"stamp_s": 1.0')
    with pytest.raises(InputError, match='sample_000.json is no JSON'):
        folder.read()
    path.with_suffix('.json').write_text(json.dumps({'stamp_s': 1.0}))
    with pytest.raises(InputError, match='sample_000.json lacks base_T_tcp'):
        folder.read()
    path.with_suffix('.json').write_text('[]')
    with pytest.raises(InputError, match='holds list; a JSON object'):
        folder.read()


def test_a_pose_that_is_none_is_refused(folder):
    path = folder.add(make_sample())
    content = json.loads(path.with_suffix('.json').read_text())
    content['base_T_tcp'][3] = 5.0
    path.with_suffix('.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match='sample_000.json: base_T_tcp'):
        folder.read()


def test_a_session_file_with_an_unknown_key_is_refused(folder, tmp_path):
    path = tmp_path / 'session' / 'session.json'
    content = json.loads(path.read_text())
    content['lens'] = 'fisheye'
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="unknown key 'lens'"):
        folder.head()
