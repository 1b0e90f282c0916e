# SPDX-License-Identifier: Apache-2.0
"""
Measure how much torque the law of training asks for, and print a line per task.

``PYTHONPATH=. python test/measure_joint_torque.py [EPISODES]``. CRISP clips the torque of its
joint role at ``nullspace.max_tau``; simulation does not. The largest torque of policies that
succeed says how low that clip may be.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

import numpy as np
from ocrrl_ros.evaluation import rollout
from ocrrl_ros.evaluation.evaluate import evaluate, EvaluateConfig
from ocrrl_ros.robot.impedance import JointImpedanceMonitor

TASKS = ('cube_lift', 'pick_place', 'stack_cube', 'close_drawer', 'stand_cup')
SEED = 12000
SHIPPED_NM = 5.0


class TorqueMonitor(JointImpedanceMonitor):
    """Also keeps the torque (7,) of every command tick."""

    torques: list[np.ndarray] = []

    def update(self, q_target, q, dq, dt_s, **more):
        """Note the torque before any clip."""
        self.torques.append(self._stiffness * (q_target - q) - self._damping * dq)
        return super().update(q_target, q, dq, dt_s, **more)


def main(episodes: int) -> None:
    """Run the episodes in this process."""
    for task in TASKS:
        TorqueMonitor.torques.clear()
        with patch.object(rollout, 'JointImpedanceMonitor', TorqueMonitor):
            result = evaluate(EvaluateConfig(
                task=task, domain='sim', policy='residual', poses='truth', episodes=episodes,
                seed=SEED, workers=1))
        found = np.abs(TorqueMonitor.torques)
        print(
            f'{task}: {result["successes"]} of {episodes} succeed; {len(found)} ticks, largest '
            f'{found.max():.1f} Nm, more than {SHIPPED_NM:g} Nm in some joint in '
            f'{100.0 * (found > SHIPPED_NM).any(axis=1).mean():.0f} % of them')


if __name__ == '__main__':
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
