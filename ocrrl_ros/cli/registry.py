# SPDX-License-Identifier: Apache-2.0
"""Which `ocrrl` commands exist and where each one lives."""
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CommandEntry:
    """One command: its words, its module below `ocrrl_ros.cli`, its class and a one-line help."""

    words: tuple[str, ...]
    module: str
    attribute: str
    help_line: str


def _entry(words: str, module: str, attribute: str, help_line: str) -> CommandEntry:
    return CommandEntry(words=tuple(words.split()), module=f'ocrrl_ros.cli.{module}',
                        attribute=attribute, help_line=help_line)


COMMANDS: tuple[CommandEntry, ...] = (
    _entry('demo', 'demo', 'Demo', 'run the whole ROS 2 graph in simulation and write a report'),
    _entry('demonstrations record', 'demonstrations', 'RecordDemonstrations',
           'record demonstrations of the scripted operator'),
    _entry('demonstrations replay', 'demonstrations', 'ReplayDemonstrations',
           'replay recorded actions in another domain'),
    _entry('train base', 'train_base', 'TrainBase', 'train a base policy from demonstrations'),
    _entry('train residual', 'train_residual', 'TrainResidual',
           'train a residual policy in simulation'),
    _entry('train distill', 'train_distill', 'TrainDistill',
           'train a residual that sees images to do what one on object poses does'),
    _entry('evaluate', 'evaluate', 'Evaluate', 'measure a success rate offline'),
    _entry('compare', 'compare', 'Compare', 'compare two results on the same episodes'),
    _entry('domains seed', 'domains', 'DomainsSeed',
           'print the seed of the held-out worlds that test given bundles'),
    _entry('domains sample', 'domains', 'DomainsSample', 'draw held-out worlds'),
    _entry('align', 'align', 'Align', 'compare what the bases of two worlds plan'),
    _entry('bench loop', 'bench_loop', 'BenchLoop',
           'measure the command loop of the running stack from a second process'),
    _entry('bench camera', 'bench_camera', 'BenchCamera',
           'count the camera frames that reach other processes while the stack runs'),
    _entry('bench faults', 'bench_faults', 'BenchFaults',
           'kill every node of the running stack and time its return'),
    _entry('bench residual', 'bench_residual', 'BenchResidual',
           'measure the residual network and the policy tick'),
    _entry('bench limits', 'bench_limits', 'BenchLimits',
           'count limit violations in random command ticks and time the command shaping'),
    _entry('bench jerk', 'bench_jerk', 'BenchJerk',
           'compare joint jerk at chunk boundaries with a direct publisher of the same chunks'),
    _entry('bench env', 'bench_env', 'BenchEnv', 'measure training environment steps per second'),
    _entry('bench tracker', 'bench_tracker', 'BenchTracker', 'measure the object pose tracker'),
    _entry('bench foundation-pose', 'bench_foundation_pose', 'BenchFoundationPose',
           'check a downloaded pair of FoundationPose networks'),
    _entry('bench parity', 'bench_parity', 'BenchParity',
           'compare training physics with evaluation physics'),
    _entry('bench corrections', 'bench_corrections', 'BenchCorrections',
           "log one episode's targets before and after the residual"),
    _entry('bench language', 'bench_language', 'BenchLanguage',
           'count which of two cubes a base lifts when told so'),
    _entry('calibrate board', 'calibrate', 'CalibrateBoard', 'write a calibration board to print'),
    _entry('calibrate camera', 'calibrate', 'CalibrateCamera',
           'find out where a camera is, from pictures of a board'),
    _entry('perception calibrate-confidence', 'calibrate_confidence', 'CalibrateConfidence',
           "fit the tracker's confidence and measure how far it can be trusted"),
    _entry('doctor', 'doctor', 'Doctor', 'say what this machine lacks and how to install it'),
    _entry('security policy', 'security', 'SecurityPolicy',
           'write who may say what to whom, for SROS2'),
    _entry('results', 'results', 'Results', 'run what is missing of the protocol, in parts'),
    _entry('report', 'report_command', 'Report',
           'rebuild docs/results.md, or write an HTML report of result files'),
)
