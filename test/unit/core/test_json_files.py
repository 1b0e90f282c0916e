# SPDX-License-Identifier: Apache-2.0
"""Tests of JSON files that are whole or not there."""
from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.core.json_files import read_json, write_json
import pytest


def test_what_is_written_is_read_and_no_part_is_left(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    write_json(path, {'rate': 0.5, 'names': ['a']})
    write_json(path, {'rate': 0.25})
    assert read_json(path) == {'rate': 0.25}
    assert list(path.parent.iterdir()) == [path]


def test_a_number_that_is_none_keeps_the_file_before(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'rate': 0.5})
    with pytest.raises(ValueError, match='not JSON compliant'):
        write_json(path, {'rate': float('nan')})
    assert read_json(path) == {'rate': 0.5}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OcrrlError, match='cannot write .*file/a.json'):
        write_json(tmp_path / 'file' / 'a.json', {})


@pytest.mark.parametrize(('text', 'message'), [
    ('{', 'a.json is no JSON that can be read'), ('[1]', 'a.json holds list; a JSON object')])
def test_what_is_no_object_is_refused(tmp_path, text, message):
    path = tmp_path / 'a.json'
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_json(path)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match='none.json is no JSON that can be read'):
        read_json(tmp_path / 'none.json')
