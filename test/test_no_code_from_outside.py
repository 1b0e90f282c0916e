# SPDX-License-Identifier: Apache-2.0
"""No file or message can become code: what could do that is called nowhere in the package."""
import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / 'ocrrl_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py'),
                  *(ROOT / 'tools').glob('*.py')])
#: Modules that make objects or code of bytes.
MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'marshal', 'shelve', 'joblib', 'runpy',
           'code', 'codeop', 'imp', 'pandas'}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
#: Calls by the last two names: yaml.load and its kin, shells, loaders of classes.
CALLS = {
    'yaml.load', 'yaml.load_all', 'yaml.unsafe_load', 'yaml.unsafe_load_all', 'yaml.full_load',
    'yaml.full_load_all', 'os.system', 'os.popen', 'os.execv', 'os.execvp', 'os.execve',
    'subprocess.getoutput', 'subprocess.getstatusoutput', 'machinery.SourceFileLoader',
    'util.spec_from_file_location', 'hub.load'}
#: Files that import a module by a name that is not a literal, and where that name comes from.
BY_NAME = {
    'ocrrl_ros/cli/main.py': 'the registry of commands',
    'ocrrl_ros/cli/cell_commands.py': 'the registry of commands',
    'ocrrl_ros/nodes/composed_node.py': 'the names of COMPOSABLE',
    'ocrrl_ros/interfaces/spare_process.py': "ocrrl_ros.nodes, of the supervisor's own plan",
    'ocrrl_ros/interfaces/recording.py': 'package.msg of a read-only parameter, by pattern',
    'ocrrl_ros/interfaces/optional.py': 'literals of its callers'}


def dotted(node: ast.AST) -> str:
    """Return the last two names of what is called, such as ``yaml.load``."""
    if isinstance(node, ast.Attribute):
        inner = node.value
        owner = inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, 'id', '')
        return f'{owner}.{node.attr}'
    return getattr(node, 'id', '')


def keyword(call: ast.Call, name: str) -> object:
    """Return the literal of a keyword argument; None where it is absent."""
    for item in call.keywords:
        if item.arg == name:
            return getattr(item.value, 'value', 'no literal')
    return None


def call_fault(name: str, call: ast.Call) -> str:
    """Return what is wrong with one call, or ''."""
    called = dotted(call.func)
    if called in BUILTINS or called in CALLS:
        return called
    if called == 'torch.load' and keyword(call, 'weights_only') is not True:
        return 'torch.load without weights_only=True'
    if called.endswith('.load') and keyword(call, 'allow_pickle') not in (None, False):
        return 'allow_pickle'
    if keyword(call, 'shell') not in (None, False):
        return 'a shell'
    if keyword(call, 'trust_remote_code') not in (None, False):
        return 'trust_remote_code'
    if called.endswith('import_module') and name not in BY_NAME:
        if not (call.args and isinstance(call.args[0], ast.Constant)):
            return 'import of a module by a computed name'
    return ''


def faults_of(name: str, tree: ast.AST) -> list[str]:
    """Return what a file does that could turn data into code."""
    faults = []
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or '']
            modules += [f'{node.module}.{alias.name}' for alias in node.names]
            if node.module == 'yaml':
                faults += [f'{name}: from yaml import {alias.name}' for alias in node.names
                           if 'safe' not in alias.name.lower() and alias.name != 'YAMLError']
        faults += [f'{name}: {module}' for module in modules if module.split('.')[0] in MODULES]
        if isinstance(node, ast.Call):
            fault = call_fault(name, node)
            faults += [f'{name}:{node.lineno} {fault}'] if fault else []
    return faults


def test_nothing_in_the_package_turns_data_into_code() -> None:
    """Every source file of package, launch and tools."""
    assert [fault for path in SOURCES for fault in faults_of(
        path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding='utf-8')))] == []


def test_files_that_import_by_name_exist_and_still_do() -> None:
    """The list of exceptions is no longer than needed."""
    for name in BY_NAME:
        assert 'import_module(' in (ROOT / name).read_text(encoding='utf-8'), name


@pytest.mark.parametrize('code', [
    'import pickle', 'from pickle import loads', 'def f():\n    import dill', 'eval(text)',
    'exec(text)', 'import yaml\nyaml.load(text, Loader=yaml.Loader)', 'yaml.unsafe_load(text)',
    'from yaml import load', 'torch.load(path)', 'torch.load(path, weights_only=False)',
    'np.load(path, allow_pickle=True)', 'subprocess.run(text, shell=True)', 'os.system(text)',
    'importlib.import_module(name)', 'AutoModel.from_pretrained(x, trust_remote_code=True)'])
def test_the_check_finds_what_it_is_for(code: str) -> None:
    """Each rule turns red on an example that breaks it."""
    assert faults_of('example.py', ast.parse(code)) != []


@pytest.mark.parametrize('code', [
    'yaml.safe_load(text)', 'torch.load(path, weights_only=True)', 'np.load(path)',
    'model.eval()', "importlib.import_module('pylibfranka')", 're.compile(text)'])
def test_the_check_leaves_alone_what_is_safe(code: str) -> None:
    """No rule is wider than it should be."""
    assert faults_of('example.py', ast.parse(code)) == []
