# SPDX-License-Identifier: Apache-2.0
"""Tests of ocrrl_ros.evaluation.worker_pool."""
import multiprocessing
import os

from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.evaluation.worker_pool import run_items, WorkerError
import pytest


def make_squarer(settings):
    """Build a worker that squares, refuses 13 and dies of 17."""
    def square(item):
        if item == 13:
            raise OcrrlError('thirteen is refused')
        if item == 17:
            os._exit(3)
        return item, item * item + settings, os.getpid()
    return square


def test_every_item_is_answered_once_by_several_processes():
    results = list(run_items(make_squarer, 1, range(12), workers=2))
    assert sorted(item for item, _, _ in results) == list(range(12))
    assert all(value == item * item + 1 for item, value, _ in results)
    assert os.getpid() not in {pid for _, _, pid in results}


def test_one_worker_runs_in_this_process():
    assert {pid for _, _, pid in run_items(make_squarer, 0, range(3), workers=1)} == {os.getpid()}


@pytest.mark.parametrize(('bad', 'message'), [(13, 'thirteen is refused'), (17, 'exit code 3')])
def test_a_failing_worker_ends_the_run_and_leaves_no_process(bad, message):
    with pytest.raises(WorkerError, match=message):
        list(run_items(make_squarer, 0, [1, bad, 2], workers=2))
    assert multiprocessing.active_children() == []


def test_leaving_early_stops_the_workers():
    results = run_items(make_squarer, 0, range(1000), workers=2)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []
