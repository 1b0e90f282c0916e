# SPDX-License-Identifier: Apache-2.0
"""Tests of perception/gate.py."""

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.perception.gate import ConfidenceGate, GateConfig
import pytest

CONFIG = GateConfig(enter=0.7, leave=0.4, enter_frames=3)


def open_gate():
    gate = ConfidenceGate(CONFIG)
    for _ in range(3):
        gate.update(0.9)
    return gate


def test_gate_opens_after_enough_confident_frames_in_a_row():
    gate = ConfidenceGate(CONFIG)
    opened = []
    for confidence in (0.9, 0.9, 0.6, 0.9, 0.9, 0.9):
        gate.update(confidence)
        opened.append(gate.is_open)
    assert opened == [False, False, False, False, False, True]


def test_gate_stays_open_between_the_thresholds():
    gate = open_gate()
    assert gate.update(0.5) is False
    assert gate.is_open


def test_gate_reports_its_closing_once():
    gate = open_gate()
    assert gate.update(0.1) is True
    assert not gate.is_open
    assert gate.update(0.1) is False


def test_confidence_that_is_no_number_closes_the_gate():
    gate = open_gate()
    assert gate.update(float('nan')) is True


def test_reset_closes_silently():
    gate = open_gate()
    gate.reset()
    assert not gate.is_open


def test_thresholds_out_of_order_are_refused():
    with pytest.raises(ConfigError, match='leave'):
        GateConfig(enter=0.3, leave=0.5)
