# SPDX-License-Identifier: Apache-2.0
"""package.xml names what the code imports, so that rosdep installs it."""
import ast
from collections.abc import Iterator
from pathlib import Path
import xml.etree.ElementTree

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('ocrrl_ros/interfaces', 'ocrrl_ros/nodes', 'launch')
ROS_NAMES = {'ament_index_python', 'builtin_interfaces', 'launch', 'launch_ros', 'rcl_interfaces',
             'rclpy', 'std_srvs', 'tf2_ros'}


def is_ros(package: str) -> bool:
    """Return whether a top-level module comes with a ROS package of the same name."""
    return package in ROS_NAMES or package.endswith(('_msgs', '_srvs'))


def required_imports(node: ast.AST) -> Iterator[str]:
    """Yield the top-level modules that a file imports, without those that it can do without."""
    if isinstance(node, ast.Try) and any(
            getattr(handler.type, 'id', '') == 'ImportError' for handler in node.handlers):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name.split('.')[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module.split('.')[0]
    for child in ast.iter_child_nodes(node):
        yield from required_imports(child)


def imported_packages() -> set[str]:
    """Return the ROS packages that the ROS side of the package cannot do without."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob('*.py')]
    return {module for path in paths
            for module in required_imports(ast.parse(path.read_text(encoding='utf-8')))
            if is_ros(module)}


def test_package_xml_names_exactly_the_ros_packages_that_are_imported() -> None:
    """A missing one breaks a fresh installation; a stale one is installed for nothing."""
    tree = xml.etree.ElementTree.parse(ROOT / 'package.xml')
    named = {element.text for element in tree.iter('exec_depend')}
    assert {name for name in named if is_ros(name)} == imported_packages()


def test_an_optional_import_is_none_that_package_xml_must_name() -> None:
    """Only what is caught as ImportError may be absent."""
    code = ('import rclpy\ntry:\n    import a_msgs\nexcept ImportError:\n    pass\n'
            'def f():\n    from b_msgs.msg import B\n')
    assert set(required_imports(ast.parse(code))) == {'rclpy', 'b_msgs'}
