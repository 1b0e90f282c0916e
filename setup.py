# SPDX-License-Identifier: Apache-2.0
"""Install the ROS 2 package `ocrrl` (Python module `ocrrl_ros`)."""
from pathlib import Path

from setuptools import find_packages
from setuptools import setup

PACKAGE = 'ocrrl'
ROOT = Path(__file__).resolve().parent
# One executable per node: `x` runs main() of ocrrl_ros/nodes/x_node.py.
NODES = sorted(
    path.stem[:-len('_node')] for path in (ROOT / 'ocrrl_ros' / 'nodes').glob('*_node.py'))


def shared_files(*folders: str) -> list[tuple[str, list[str]]]:
    """
    List every file below the given folders for `share/ocrrl`, folder by folder.

    Paths are relative to this file, as setuptools asks.
    """
    by_folder: dict[str, list[str]] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                name = path.relative_to(ROOT)
                by_folder.setdefault(name.parent.as_posix(), []).append(name.as_posix())
    return [(f'share/{PACKAGE}/{folder}', files) for folder, files in by_folder.items()]


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=['ocrrl_ros', 'ocrrl_ros.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        *shared_files('launch', 'config', 'models'),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=False,
    maintainer='The ocrrl maintainers',
    maintainer_email='maintainers@ocrrl.invalid',
    description='Object-centric residual reinforcement learning on a Franka Research 3, in ROS 2.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'ocrrl = ocrrl_ros.cli.main:main',
            *(f'{name} = ocrrl_ros.nodes.{name}_node:main' for name in NODES),
        ],
    },
)
