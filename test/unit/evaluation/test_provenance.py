# SPDX-License-Identifier: Apache-2.0
"""Tests of what counts as an uncommitted change."""
import subprocess

from ocrrl_ros.evaluation.provenance import read_git_state
import pytest


@pytest.fixture
def tree(tmp_path):
    """Return a repository with one commit."""
    def git(*arguments):
        subprocess.run(['git', '-C', str(tmp_path), '-c', 'user.name=t', '-c', 'user.email=t@t.t',
                        *arguments], check=True, capture_output=True)
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'notes.md').write_text('a')
    git('init')
    git('add', '.')
    git('commit', '-m', 'a')
    return tmp_path


def test_new_results_leave_a_tree_clean(tree):
    (tree / 'docs' / 'results').mkdir()
    (tree / 'docs' / 'results' / 'one.json').write_text('{}')
    (tree / 'docs' / 'results.md').write_text('x')
    state = read_git_state(tree / 'docs')
    assert not state.dirty
    assert len(state.commit) == 40


@pytest.mark.parametrize('name', ['new.py', 'docs/notes.md', 'docs/results_of_mine.md'])
def test_any_other_change_makes_it_dirty(tree, name):
    (tree / name).write_text('changed')
    assert read_git_state(tree).dirty


def test_without_a_repository_the_commit_is_unknown_and_dirty(tmp_path):
    state = read_git_state(tmp_path)
    assert (state.commit, state.dirty) == ('unknown', True)
