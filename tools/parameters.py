# SPDX-License-Identifier: Apache-2.0
"""
Write docs/parameters.md from the dataclasses that the nodes fill from their parameters.

With `--check` nothing is written and the exit code says whether the file is up to date.
"""
from collections.abc import Iterator
from pathlib import Path
import sys

from ocrrl_ros.interfaces.parameters import parameter_names
from ocrrl_ros.nodes.base_policy_node import BasePolicyConfig
from ocrrl_ros.nodes.camera_node import CameraConfig
from ocrrl_ros.nodes.episode_node import EpisodeConfig
from ocrrl_ros.nodes.fci_arm_node import FciArmConfig
from ocrrl_ros.nodes.gripper_node import GripperNodeConfig
from ocrrl_ros.nodes.pose_estimator_node import PoseEstimatorConfig
from ocrrl_ros.nodes.recorder_node import RecorderConfig
from ocrrl_ros.nodes.residual_policy_node import ResidualPolicyConfig
from ocrrl_ros.sim.bridge_config import BridgeConfig, EpisodeSelection, WorldSelection

DOCUMENT = Path(__file__).resolve().parents[1] / 'docs' / 'parameters.md'
LONGEST_DEFAULT = 80
NODES = {
    'mujoco_bridge': ((WorldSelection, 'sim'), (EpisodeSelection, 'sim'), (BridgeConfig, '')),
    'camera': ((CameraConfig, ''),),
    'fci_arm': ((FciArmConfig, ''),),
    'pose_estimator': ((PoseEstimatorConfig, ''),),
    'base_policy': ((BasePolicyConfig, ''),),
    'residual_policy': ((ResidualPolicyConfig, ''),),
    'gripper': ((GripperNodeConfig, ''),),
    'episode': ((EpisodeConfig, ''),),
    'recorder': ((RecorderConfig, ''),),
}
HEAD = """# Parameters of the nodes

Written by `python tools/parameters.py` from the dataclasses in the code; a test compares the two.
`ros2 param describe NODE NAME` says the same of a running node. Set them in a YAML file
(`params_file:=`) or with `--ros-args -p name:=value`; a name that a node does not know is refused.
"""


def text_of(value: object) -> str:
    """Write a default as it stands in YAML; nothing for an empty one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        listed = '[' + ', '.join(text_of(item) for item in value) + ']'
        return listed if len(listed) <= LONGEST_DEFAULT else f'{len(value)} entries'
    return '' if value is None else str(value)


def lines_of(name: str) -> Iterator[str]:
    """Yield the table of one node."""
    yield from ('', f'## {name}', '', '| parameter | default | meaning |', '|---|---|---|')
    for cls, prefix in NODES[name]:
        for parameter, default, description in parameter_names(cls, prefix):
            shown, description = text_of(default), description.replace('|', r'\|')
            yield f'| `{parameter}` | {f"`{shown}`" if shown else ""} | {description} |'


def main(arguments: list[str]) -> int:
    """Write or check the document."""
    wanted = HEAD + '\n'.join(line for name in NODES for line in lines_of(name)) + '\n'
    if '--check' in arguments:
        return int(not DOCUMENT.exists() or DOCUMENT.read_text(encoding='utf-8') != wanted)
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(wanted, encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
