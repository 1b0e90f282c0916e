# SPDX-License-Identifier: Apache-2.0
"""Look at the machine: packages, rendering, ROS, real-time limits, shared memory, bundles."""

from __future__ import annotations

import getpass
import importlib.metadata
import importlib.util
import os
from pathlib import Path
import resource
import shutil
import subprocess
import sys

from ocrrl_ros.core.memory_lock import lock_problem
from ocrrl_ros.core.system_packages import ABSENT, camera_install_command, check_python
from ocrrl_ros.core.system_packages import CheckResult, FAILED, install_command
from ocrrl_ros.core.system_packages import missing_camera_packages, missing_packages, OK, WARNING

RTPRIO_NEEDED = 50
LIMITS_FILE = '/etc/security/limits.d/ocrrl.conf'
SHARED_MEMORY_NEEDED = 512 * 2 ** 20
MUJOCO_VERSION = '3.17.0'
SETUP_REMEDY = 'make setup'
REQUIRED_MODULES = {
    'av': 'av', 'cv2': 'opencv-python-headless', 'matplotlib': 'matplotlib', 'mcap': 'mcap',
    'mujoco': 'mujoco', 'numba': 'numba', 'numpy': 'numpy', 'onnx': 'onnx',
    'onnxruntime': 'onnxruntime', 'pinocchio': 'pin', 'pyarrow': 'pyarrow', 'rclpy': 'rclpy',
    'rosbags': 'rosbags', 'ruckig': 'ruckig', 'scipy': 'scipy', 'trimesh': 'trimesh',
    'tyro': 'tyro', 'yaml': 'PyYAML',
}
OPTIONAL_MODULES = {
    'torch': ('training', 'make setup TRAIN=1'),
    'transformers': ('SAM 2 on video', 'pip install torch transformers'),
    'pylibfranka': ('an FR3 without a real-time PC', 'pip install pylibfranka==0.21.3'),
    'launch': ('launch files', 'source a ROS 2 Jazzy installation'),
    'franka_msgs': ('grasp actions and the full robot state', 'build franka_ros2 from source'),
    'control_msgs': ('gripper action of ros2_control', 'apt-get install ros-jazzy-control-msgs'),
    'vision_msgs': ('Detection3DArray', 'apt-get install ros-jazzy-vision-msgs'),
}
RENDER_PROGRAM = """
import mujoco
from OpenGL import GL
model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><light pos="0 0 2"/><geom type="plane" size="1 1 .1"/></worldbody>'
    '</mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, 'the picture is black'
    print(GL.glGetString(GL.GL_RENDERER).decode())
"""
RMW_PROGRAM = """
import rclpy.utilities
print(rclpy.utilities.get_rmw_implementation_identifier())
"""


def check_system_packages() -> CheckResult:
    """Check the libraries that come from the distribution."""
    missing = missing_packages()
    if not missing:
        return CheckResult('system packages', OK, 'OpenGL, EGL and venv are there')
    detail = ', '.join(f'{package} ({purpose})' for package, purpose in missing.items())
    return CheckResult('system packages', FAILED, f'missing: {detail}',
                       install_command(list(missing)))


def _version(distribution: str) -> str:
    """Return the installed version of a distribution, or an empty string."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ''


def check_packages() -> CheckResult:
    """Check that every Python package that the stack imports is installed."""
    missing = [distribution for module, distribution in REQUIRED_MODULES.items()
               if importlib.util.find_spec(module) is None]
    if missing:
        return CheckResult('packages', FAILED, 'missing: ' + ', '.join(missing), SETUP_REMEDY)
    if _version('mujoco') != MUJOCO_VERSION:
        return CheckResult(
            'packages', WARNING, f'mujoco {_version("mujoco")}; every figure of this project '
            f'was measured with {MUJOCO_VERSION}', SETUP_REMEDY)
    shown = ('mujoco', 'pin', 'onnxruntime', 'numpy', 'ruckig')
    return CheckResult('packages', OK, ', '.join(f'{name} {_version(name)}' for name in shown))


def check_optional_packages() -> list[CheckResult]:
    """Say which optional Python packages are there, and what the absent ones would add."""
    results = []
    for module, (purpose, remedy) in OPTIONAL_MODULES.items():
        if importlib.util.find_spec(module) is not None:
            results.append(CheckResult(module, OK, f'optional, for {purpose}'))
        else:
            results.append(CheckResult(
                module, ABSENT, f'optional, for {purpose}', remedy))
    return results


def _run_python(program: str, timeout_s: float = 60.0) -> tuple[bool, str]:
    """Run a program in a new interpreter; return success and the last line it wrote."""
    environment = {'MUJOCO_GL': 'egl', **os.environ}
    try:
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                              timeout=timeout_s, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return False, f'no answer within {timeout_s:.0f} s'
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).split('\n')
    written = [line.strip() for line in lines if line.strip()]
    return done.returncode == 0, written[-1] if written else f'exit code {done.returncode}'


def check_rendering() -> CheckResult:
    """Render one small picture in another process, as a broken driver may end it."""
    backend = os.environ.get('MUJOCO_GL', 'egl')
    rendered, text = _run_python(RENDER_PROGRAM)
    if rendered:
        return CheckResult('rendering', OK, f'MUJOCO_GL={backend}: {text}')
    packages = list(missing_packages()) or ['libegl1', 'libgl1', 'libegl-mesa0', 'libgl1-mesa-dri']
    return CheckResult('rendering', FAILED, f'MUJOCO_GL={backend}: {text}',
                       install_command(packages))


def check_rmw() -> CheckResult:
    """Ask ROS 2 in another process which middleware it uses."""
    loaded, text = _run_python(RMW_PROGRAM)
    if loaded:
        distribution = os.environ.get('ROS_DISTRO', 'from wheels')
        return CheckResult('ROS 2', OK, f'{distribution}, {text}')
    return CheckResult('ROS 2', FAILED, text, SETUP_REMEDY)


def limits_lines(user: str | None = None) -> tuple[str, str]:
    """
    Return the lines of /etc/security/limits.d/ that permit SCHED_FIFO and locked memory.

    :param user: name; None for who runs this. Without a name, as under ``docker run --user``,
        the lines have the number in the form that limits.conf takes for one uid.
    """
    if user is None:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = f':{os.getuid()}'
    # A limit is no help to locked memory: what is allocated beyond it would fail.
    return f'{user} - rtprio {RTPRIO_NEEDED}', f'{user} - memlock unlimited'


def check_realtime() -> CheckResult:
    """Check whether a thread of this user may take SCHED_FIFO."""
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    program = (f'import os; os.sched_setscheduler('
               f'0, os.SCHED_FIFO, os.sched_param({RTPRIO_NEEDED}))')
    if _run_python(program)[0]:
        return CheckResult('real time', OK, f'SCHED_FIFO {RTPRIO_NEEDED} is permitted')
    return CheckResult(
        'real time', WARNING, f'SCHED_FIFO is not permitted (rtprio limit {limit}): periods of '
        'the command loop will scatter more; log in again after the remedy', _limits_remedy())


def check_locked_memory() -> CheckResult:
    """Check whether a process of this user may keep all its memory in RAM."""
    problem = lock_problem()
    if not problem:
        return CheckResult('locked memory', OK, 'mlockall is permitted without a limit')
    return CheckResult(
        'locked memory', WARNING, f'mlockall is not permitted ({problem}): the command loop waits '
        'where the system has paged its memory out; log in again after the remedy',
        _limits_remedy())


def _limits_remedy() -> str:
    """Return the command that writes the lines of both limits."""
    prefix = '' if os.geteuid() == 0 else 'sudo '
    lines = ' '.join(f"'{line}'" for line in limits_lines())
    return f"printf '%s\\n' {lines} | {prefix}tee {LIMITS_FILE}"


def check_shared_memory(folder: str = '/dev/shm') -> CheckResult:
    """Check the room for the middleware's shared-memory segments, 32 MB per process."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return CheckResult('shared memory', FAILED, f'{folder}: {error.strerror}',
                           f'mount -t tmpfs -o size=1g tmpfs {folder}')
    detail = f'{folder}: {usage.free // 2 ** 20} MB of {usage.total // 2 ** 20} MB free'
    if usage.free >= SHARED_MEMORY_NEEDED:
        return CheckResult('shared memory', OK, detail)
    return CheckResult(
        'shared memory', WARNING, f'{detail}; images need {SHARED_MEMORY_NEEDED // 2 ** 20} MB',
        f'mount -o remount,size=1g {folder} (in a container: --shm-size=1g)')


def check_camera() -> CheckResult:
    """Check what a RealSense camera needs."""
    missing = missing_camera_packages()
    if not missing:
        return CheckResult('RealSense', OK, 'optional: pyrealsense2 and libusb are there')
    return CheckResult(
        'RealSense', ABSENT, 'optional, for a real camera; missing: ' + ', '.join(missing),
        camera_install_command(missing))


def check_bundles(folder: Path | None = None) -> list[CheckResult]:
    """
    Load every model bundle that ships, hashes included.

    :param folder: where bundles lie side by side; None: the package's own models/.
    """
    from ocrrl_ros.core.bundle import load_bundle, MANIFEST_NAME
    from ocrrl_ros.core.errors import OcrrlError
    from ocrrl_ros.core.resources import model_path
    folder = model_path() if folder is None else folder
    results = []
    for manifest in sorted(folder.glob(f'*/{MANIFEST_NAME}')):
        path = manifest.parent
        kind = 'residual' if path.name.startswith('residual') else 'base'
        try:
            bundle = load_bundle(path, kind)
        except OcrrlError as error:
            results.append(CheckResult(f'bundle {path.name}', FAILED, str(error),
                                       f'git checkout -- models/{path.name}'))
        else:
            results.append(CheckResult(
                f'bundle {path.name}', OK,
                f'{kind} for {", ".join(bundle.manifest.tasks)}, {bundle.sha256[:12]}'))
    if not results:
        results.append(CheckResult('bundles', FAILED, f'no bundle in {folder}',
                                   'git checkout -- models'))
    return results


def check_everything() -> list[CheckResult]:
    """Run every check, the cheap ones first."""
    return [
        check_python(), check_system_packages(), check_packages(), check_shared_memory(),
        check_realtime(), check_locked_memory(), check_rendering(), check_rmw(),
        *check_bundles(), check_camera(),
        *check_optional_packages(),
    ]
