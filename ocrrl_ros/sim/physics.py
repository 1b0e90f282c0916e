# SPDX-License-Identifier: Apache-2.0
"""The one physics that training, evaluation and the bridge share (protocol, section 1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import mujoco
from ocrrl_ros.core.configuration import load_yaml
from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.robot.impedance import JointImpedanceConfig

_INTEGRATORS = {
    'implicitfast': mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    'implicit': mujoco.mjtIntegrator.mjINT_IMPLICIT,
    'Euler': mujoco.mjtIntegrator.mjINT_EULER,
}
_SOLVERS = {
    'Newton': mujoco.mjtSolver.mjSOL_NEWTON,
    'CG': mujoco.mjtSolver.mjSOL_CG,
    'PGS': mujoco.mjtSolver.mjSOL_PGS,
}
_CONES = {
    'elliptic': mujoco.mjtCone.mjCONE_ELLIPTIC,
    'pyramidal': mujoco.mjtCone.mjCONE_PYRAMIDAL,
}


@dataclass(frozen=True, kw_only=True)
class ContactParameters:
    """Contact of a task object with table and fingers (MuJoCo's solref, solimp, friction)."""

    solref: tuple[float, float] = field(
        default=(0.004, 1.0), metadata={'description': 'time constant in s, damping ratio'})
    solimp: tuple[float, float, float, float, float] = field(
        default=(0.95, 0.99, 0.001, 0.5, 2.0),
        metadata={'description': 'impedance dmin, dmax, width in m, midpoint, power'})
    condim: int = field(
        default=4, metadata={'description': 'contact dimension: 3 sliding, 4 with torsion'})
    torsional_friction_m: float = field(
        default=0.005, metadata={'description': 'torsional friction coefficient in m'})
    rolling_friction_m: float = field(
        default=0.0001, metadata={'description': 'rolling friction coefficient in m'})

    def __post_init__(self) -> None:
        """Refuse values that MuJoCo would silently change."""
        if self.condim not in (3, 4, 6):
            raise ConfigError(f'contact.condim is {self.condim}; allowed: 3, 4, 6')
        if self.solref[0] <= 0.0:
            raise ConfigError(f'contact.solref time constant is {self.solref[0]} s; allowed: > 0')


@dataclass(frozen=True, kw_only=True)
class PhysicsConfig:
    """
    Time step, solver, contact and arm law.

    The arm law tau = K (q_d - q) + D (dq_d - dq) + gravity compensation runs as MuJoCo affine
    actuators; a law in numpy per step would cost three times the step itself.
    """

    timestep_s: float = field(
        default=0.001, metadata={'description': 'physics step of evaluate and the bridge in s'})
    training_timestep_s: float = field(
        default=0.002, metadata={'description': 'physics step of training in s'})
    integrator: Literal['implicitfast', 'implicit', 'Euler'] = 'implicitfast'
    solver: Literal['Newton', 'CG', 'PGS'] = 'Newton'
    cone: Literal['elliptic', 'pyramidal'] = 'elliptic'
    impratio: float = field(
        default=10.0,
        metadata={'description': 'frictional over normal impedance; high holds a grasp'})
    iterations: int = field(default=50, metadata={'description': 'most solver iterations'})
    tolerance: float = field(default=1e-8, metadata={'description': 'solver tolerance'})
    ls_iterations: int = field(
        default=50,
        metadata={'description': 'most line search steps; with 20 a grasped cube slips out'})
    contact: ContactParameters = field(default_factory=ContactParameters)
    arm: JointImpedanceConfig = field(default_factory=JointImpedanceConfig)

    def __post_init__(self) -> None:
        """Refuse steps that are not whole parts of the 5 ms command tick."""
        for name in ('timestep_s', 'training_timestep_s'):
            value = getattr(self, name)
            if not 0.0 < value <= 0.005:
                raise ConfigError(f'{name} is {value} s; allowed: 0 < {name} <= 0.005 s')
        if self.impratio < 1.0:
            raise ConfigError(f'impratio is {self.impratio}; allowed: >= 1')

    def apply(self, spec: mujoco.MjSpec, timestep_s: float) -> None:
        """Write solver and time step into a model specification."""
        option = spec.option
        option.timestep = timestep_s
        option.integrator = _INTEGRATORS[self.integrator]
        option.solver = _SOLVERS[self.solver]
        option.cone = _CONES[self.cone]
        option.impratio = self.impratio
        option.iterations = self.iterations
        option.ls_iterations = self.ls_iterations
        option.tolerance = self.tolerance
        # Dense avoids the sparse Cholesky path; these models have nv < 60.
        option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        # One robot and a few objects make one island when it matters; looking for more costs 9 %.
        option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)


def load_physics() -> PhysicsConfig:
    """Return the settings of config/physics.yaml."""
    return load_yaml(PhysicsConfig, config_path('physics.yaml'))
