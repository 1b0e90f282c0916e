# SPDX-License-Identifier: Apache-2.0
"""The `faults` block of an evaluation's result."""
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import to_mapping
from ocrrl_ros.evaluation.episode_record import EpisodeRecord
from ocrrl_ros.evaluation.faults.record import FaultRecord
from ocrrl_ros.evaluation.faults.settings import FAULTS, FaultSettings
from ocrrl_ros.evaluation.statistics import wilson_interval


def summarise_faults(
        settings: FaultSettings, records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """
    Build the block.

    :param records: of all episodes, each with its fault.
    """
    by_fault = {}
    for name in settings.names:
        found = [record for record in records if record.fault.name == name]
        if found:
            by_fault[name] = {'what': FAULTS[name]} | _figures(found)
    total = sum(row['violations_total'] for row in by_fault.values())
    return {
        'names': list(settings.names), 'sizes': to_mapping(settings.sizes), 'by_fault': by_fault,
        'episodes': [asdict(record.fault) for record in records],
        'commands': sum(record.fault.commands for record in records),
        'violations_total': total}


def _figures(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Return the figures of the episodes of one fault."""
    faults = [record.fault for record in records]
    successes = sum(record.outcome for record in records)
    violations: Counter[str] = Counter()
    for fault in faults:
        violations.update(fault.violations)
    times = [fault.recovery_s for fault in faults if fault.recovery_s is not None]
    return {
        'n': len(records), 'met': sum(fault.met for fault in faults),
        'commands': sum(fault.commands for fault in faults), 'violations': dict(violations),
        'violations_total': sum(violations.values()),
        'recovered': len(times),
        'recovery_s': None if not times else {
            'median': float(np.median(times)), 'worst': float(max(times))},
        'stopped': sum(fault.is_stopped for fault in faults),
        'ended_before_recovery': sum(_ended(fault) for fault in faults),
        'refused': sum(fault.refused for fault in faults),
        'refusals': _counted(fault.refusals for fault in faults),
        'states': _counted(fault.states for fault in faults),
        'successes': successes, 'rate': successes / len(records),
        'wilson95': list(wilson_interval(successes, len(records)))}


def _ended(fault: FaultRecord) -> bool:
    """Tell whether the episode was over before anything could be said of recovery."""
    return fault.recovery_s is None and not fault.is_stopped


def _counted(texts: Any) -> dict[str, int]:
    """Return in how many episodes each text stands, the most frequent first."""
    return dict(Counter(text for found in texts for text in found).most_common())
