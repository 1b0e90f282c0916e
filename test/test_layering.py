# SPDX-License-Identifier: Apache-2.0
"""Imports point down the layers only, ROS and torch stay where they belong, files stay small."""
import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'ocrrl_ros'
SOURCES = sorted(PACKAGE.rglob('*.py'))

# What each layer may import besides itself; below these lines the closure is taken.
BELOW = {
    'core': (),
    'robot': ('core',),
    'perception': ('robot',),
    'policy': ('robot',),
    'sim': ('policy', 'perception'),
    'data': ('sim',),
    'evaluation': ('data',),
    'learning': ('evaluation',),
    'improvement': ('learning',),
    'interfaces': ('improvement',),
    'nodes': ('interfaces',),
    'cli': ('nodes',),
}
ROS_LAYERS = ('interfaces', 'nodes')
ROS_ROOTS = {'rclpy', 'launch', 'launch_ros', 'launch_testing', 'tf2_ros', 'rosidl_runtime_py',
             'ament_index_python', 'builtin_interfaces', 'rcl_interfaces', 'std_srvs', 'cv_bridge'}
Check = Callable[[str, str, ast.AST], list[str]]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def allowed_layers(layer: str) -> set[str]:
    """Return every layer that a layer may import, itself included."""
    found = {layer}
    for lower in BELOW[layer]:
        found |= allowed_layers(lower)
    return found


def is_ros(module: str) -> bool:
    """Return whether a module belongs to ROS."""
    root = module.split('.')[0]
    return root in ROS_ROOTS or root.endswith('_msgs')


def imports_of(tree: ast.AST, *, within_functions: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and absolute module name of each import; `from a import b` yields `a.b` too."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = '.' * node.level + (node.module or '')
            yield node.lineno, module
            yield from ((node.lineno, f'{module}.{alias.name}') for alias in node.names)
        elif within_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes += ast.iter_child_nodes(node)


def layer_of(path: Path) -> str:
    """Return the layer that a file of the package belongs to; empty for the package itself."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ''


def layering_faults(name: str, layer: str, tree: ast.AST) -> list[str]:
    """List the imports of one file that its layer forbids."""
    faults = []
    for line, module in imports_of(tree):
        if module.startswith('.'):
            faults.append(f'{name}:{line} relative import {module}')
        parts = module.split('.')
        if parts[0] == 'ocrrl_ros' and len(parts) > 1 and parts[1] in BELOW:
            if layer not in BELOW or parts[1] not in allowed_layers(layer):
                faults.append(f'{name}:{line} {layer} imports {module}')
        if is_ros(module) and layer not in ROS_LAYERS:
            faults.append(f'{name}:{line} {layer} imports {module}, which is ROS')
    return faults


def torch_faults(name: str, layer: str, tree: ast.AST) -> list[str]:
    """
    List imports of torch, or of transformers, which needs it, outside learning/.

    The SAM 2 adapter may import them in a function.
    """
    if layer == 'learning':
        return []
    is_adapter = layer == 'perception' and Path(name).name.startswith('sam2')
    found = imports_of(tree, within_functions=not is_adapter)
    return [f'{name}:{line} imports {module}' for line, module in found
            if module.split('.')[0] in ('torch', 'transformers')]


def habit_faults(name: str, layer: str, tree: ast.AST) -> list[str]:
    """List star imports, bare excepts, prints outside cli/ and functions that are too long."""
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(item.name == '*' for item in node.names):
            faults.append(f'{name}:{node.lineno} star import')
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            faults.append(f'{name}:{node.lineno} bare except')
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'print':
            if layer != 'cli':
                faults.append(f'{name}:{node.lineno} print outside cli/')
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                faults.append(f'{name}:{node.lineno} {node.name} has {length} lines; '
                              f'allowed: {MAX_FUNCTION_LINES}')
    return faults


def faults_of(check: Check) -> list[str]:
    """Run one check over every file of the package."""
    return [fault for path in SOURCES
            for fault in check(path.relative_to(ROOT).as_posix(), layer_of(path),
                               ast.parse(path.read_text(encoding='utf-8')))]


def test_every_folder_of_the_package_is_a_known_layer() -> None:
    """A new layer is added to the table above, on purpose."""
    assert {layer_of(path) for path in SOURCES} - {''} <= set(BELOW)


def test_imports_point_down_the_layers() -> None:
    """No file imports a layer above its own, and ROS stays in interfaces/ and nodes/."""
    assert faults_of(layering_faults) == []


def test_torch_stays_in_learning() -> None:
    """Robot and deployment need no torch."""
    assert faults_of(torch_faults) == []


def test_no_star_import_bare_except_print_or_long_function() -> None:
    """The habits that CONTRIBUTING.md asks for."""
    assert faults_of(habit_faults) == []


def test_files_stay_small_enough_to_read() -> None:
    """No source file is longer than the cap."""
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
               for path in SOURCES}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_every_source_file_names_its_licence() -> None:
    """The first line of each file is the SPDX tag."""
    paths = [*SOURCES, *(ROOT / 'test').rglob('*.py'), *(ROOT / 'launch').rglob('*.py')]
    first_lines = {path: path.read_text(encoding='utf-8').split('\n', 1)[0] for path in paths}
    assert [str(path) for path, line in first_lines.items()
            if line != '# SPDX-License-Identifier: Apache-2.0'] == []


@pytest.mark.parametrize(('layer', 'code', 'check'), [
    ('core', 'from ocrrl_ros.robot import limits', layering_faults),
    ('core', 'from ocrrl_ros import sim', layering_faults),
    ('policy', 'def f():\n    import ocrrl_ros.sim.world', layering_faults),
    ('policy', 'from ocrrl_ros.perception.frame import RgbdFrame', layering_faults),
    ('sim', 'from std_msgs.msg import Header', layering_faults),
    ('sim', 'from . import physics', layering_faults),
    ('sim', 'def f():\n    import torch.nn', torch_faults),
    ('perception', 'from transformers import Sam2VideoModel', torch_faults),
    ('sim', 'print(1)', habit_faults),
    ('sim', 'from math import *', habit_faults),
    ('sim', 'try:\n    pass\nexcept:\n    pass', habit_faults),
    ('sim', 'def f():\n' + '    x = 1\n' * MAX_FUNCTION_LINES, habit_faults),
])
def test_the_checks_find_what_they_are_for(layer: str, code: str, check: Check) -> None:
    """Each rule turns red on an example that breaks it."""
    assert check('example.py', layer, ast.parse(code)) != []
