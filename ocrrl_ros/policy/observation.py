# SPDX-License-Identifier: Apache-2.0
"""
The residual's observation: one layout, versioned and hashed, shared by trainer and node.

Everything is relative to the TCP, so that the residual learns the correction and not the place
(facts/residual_rl.md section 9.1): object poses, the base target now and a little later, chunk
phase, proprioception, validity and age. Object rotations are reduced over the object's symmetry
to the representative nearest to the TCP; a solid of revolution gives the direction of its axis and
three zeros instead, as no choice of a representative would be continuous: under a hand that points
down all turns of a standing cup are equally far. Entries of an invalid object are zero.

That is the layout `relative`. The others are for comparisons (protocol section 7): `no_plan` and
`no_validity` leave entries of it out, `world` is the one of world_observation.py.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, get_args, Literal

import numpy as np
from ocrrl_ros.core.bundle import hash_layout
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.symmetry import REVOLUTION, symmetry_group
from ocrrl_ros.policy import kernels
from ocrrl_ros.policy.action_chunk import ChunkSample
from ocrrl_ros.policy.object_poses import ObjectView
from ocrrl_ros.policy.world_observation import observe_world, world_fields

LAYOUT_VERSION = 2
LayoutVariant = Literal['relative', 'no_plan', 'no_validity', 'world']
VARIANTS: tuple[LayoutVariant, ...] = get_args(LayoutVariant)
#: Distances are given twice: as they are, and compressed at the scale of a grasp. Normalised over
#: an episode (0.3 m), the centimetre that decides a grasp would be a hundredth of the input.
NEAR_M = 0.03
_POSE, _VECTOR = np.zeros(7), np.zeros(3)
_PROPRIOCEPTION = (
    ('base_tcp_position', 3), ('base_tcp_rotation_6d', 6), ('base_tcp_velocity', 3),
    ('gripper_opening', 1))
_OBJECT = (
    ('tcp_object_position', 3), ('tcp_object_rotation_6d', 6), ('base_object_height', 1),
    ('tcp_object_near', 3),
    ('valid', 1), ('age', 1))
#: Where the first object, the one that is handled, lies seen from each other one, its goal: by
#: difference of TCP distances this is known, but not at the scale of the centimetre that counts.
_GOAL = (('tcp_first_object_near', 3),)
_BASE_ACTION = (
    ('tcp_target_position', 3), ('tcp_target_rotvec', 3),
    ('tcp_next_target_position', 3), ('tcp_next_target_rotvec', 3), ('tcp_target_near', 3),
    ('target_opening', 1), ('next_target_opening', 1), ('chunk_phase', 1), ('residual_gain', 1))
#: Entries of `relative` that a variant lacks; those of objects by the name behind the dot.
_LEFT_OUT = {
    'no_plan': ('tcp_next_target_position', 'tcp_next_target_rotvec', 'next_target_opening',
                'chunk_phase'),
    'no_validity': ('valid', 'age')}


@dataclasses.dataclass(frozen=True)
class ObservationInputs:
    """
    Arrays of N robots that an observation is made of, all in the robot base frame.

    :param base_T_tcp: (N, 7) measured.
    :param tcp_velocity: (N, 3) measured linear velocity in m/s.
    :param opening: (N,) measured gripper opening 0 .. 1.
    :param objects: poses, validity and ages from ``ObjectPoseBuffer.query``.
    :param targets: (N, 2, 7) base action now and ``lookahead_s`` later.
    :param target_openings: (N, 2).
    :param phase: (N,) share of the chunk that has passed.
    :param gain: (N,) gain of the residual.
    """

    base_T_tcp: np.ndarray
    tcp_velocity: np.ndarray
    opening: np.ndarray
    objects: ObjectView
    targets: np.ndarray
    target_openings: np.ndarray
    phase: np.ndarray
    gain: np.ndarray


@dataclasses.dataclass(frozen=True)
class ObservationLayout:
    """
    Names, order and sizes of the observation's entries.

    :param object_ids: objects in the order of ``ObjectView``.
    :param symmetries: symmetry group of each object, names of ``core.symmetry``.
    :param max_pose_age_s: age that is scaled to 1.
    :param lookahead_s: how far ahead the second base target lies.
    :param variant: which entries there are.
    """

    object_ids: tuple[str, ...]
    symmetries: tuple[str, ...]
    max_pose_age_s: float = 0.2
    lookahead_s: float = 0.3
    variant: LayoutVariant = 'relative'

    def __post_init__(self) -> None:
        """Refuse variants that do not exist."""
        if self.variant not in VARIANTS:
            raise UnknownNameError('observation layout', self.variant, VARIANTS)

    def fields(self) -> list[tuple[str, int]]:
        """Return (name, size) of every entry in order."""
        if self.variant == 'world':
            return world_fields(self.object_ids)
        left_out = _LEFT_OUT.get(self.variant, ())
        return [(name, size) for name, size in _relative_fields(self.object_ids)
                if name.rpartition('.')[2] not in left_out]

    @property
    def size(self) -> int:
        """Return the number of entries D."""
        return sum(size for _, size in self.fields())

    def slices(self) -> dict[str, slice]:
        """Return where each named entry lies."""
        found, start = {}, 0
        for name, size in self.fields():
            found[name] = slice(start, start + size)
            start += size
        return found

    def describe(self) -> dict[str, Any]:
        """Return the description that a bundle stores and that the hash is taken of."""
        # Bundles of the shipped layout were written before there were others.
        variant = {} if self.variant == 'relative' else {'variant': self.variant}
        return variant | {
            'version': LAYOUT_VERSION,
            'objects': list(self.object_ids),
            'symmetries': list(self.symmetries),
            'max_pose_age_s': self.max_pose_age_s,
            'lookahead_s': self.lookahead_s,
            'near_m': NEAR_M,
            'fields': [[name, size] for name, size in self.fields()],
        }

    @property
    def sha256(self) -> str:
        """Return the hash that trainer and node compare."""
        return hash_layout(self.describe())


def build_observation(layout: ObservationLayout, inputs: ObservationInputs) -> np.ndarray:
    """Return observations (N, D) float32 of N robots."""
    objects = inputs.objects
    if layout.variant == 'world':
        return observe_world(
            inputs.base_T_tcp, inputs.opening, objects.poses, objects.valid,
            inputs.targets[:, 0], inputs.target_openings[:, 0])
    columns, size = _columns(layout)
    groups, group_sizes = _padded_groups(layout.symmetries)
    observed = kernels.observe(
        inputs.base_T_tcp, inputs.tcp_velocity, inputs.opening, objects.poses, objects.valid,
        objects.age_s, inputs.targets, inputs.target_openings, inputs.phase, inputs.gain,
        groups, group_sizes, layout.max_pose_age_s, NEAR_M, _POSE, _VECTOR,
        _template(size)).astype(np.float32)
    return observed if columns is None else observed[:, columns]


def observe_one(
        layout: ObservationLayout, base_T_tcp: np.ndarray, tcp_velocity: np.ndarray,
        opening: float, objects: ObjectView, sample: ChunkSample, gain: float) -> np.ndarray:
    """Return the observation (1, D) float32 of one robot; see ``ObservationInputs``."""
    return build_observation(layout, ObservationInputs(
        base_T_tcp=base_T_tcp[None], tcp_velocity=tcp_velocity[None],
        opening=np.array([opening]), objects=objects, targets=sample.poses[None],
        target_openings=sample.grippers[None], phase=np.array([sample.phase]),
        gain=np.array([gain])))


def _relative_fields(object_ids: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (name, size) of every entry that the kernel writes."""
    found = list(_PROPRIOCEPTION)
    for index, object_id in enumerate(object_ids):
        entries = _OBJECT + _GOAL if index else _OBJECT
        found += [(f'{object_id}.{name}', size) for name, size in entries]
    return found + list(_BASE_ACTION)


@functools.lru_cache(maxsize=None)
def _columns(layout: ObservationLayout) -> tuple[np.ndarray | None, int]:
    """Return which of the kernel's columns a layout has, None for all, and how many it writes."""
    whole = dataclasses.replace(layout, variant='relative')
    if whole == layout:
        return None, whole.size
    slices = whole.slices()
    columns = [np.arange(whole.size)[slices[name]] for name, _ in layout.fields()]
    return np.concatenate(columns), whole.size


@functools.lru_cache(maxsize=None)
def _padded_groups(symmetries: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups (K, S, 4) and how many rows of each count (K,), 0 for revolution."""
    groups = [
        symmetry_group(name) if name != REVOLUTION else np.zeros((0, 4)) for name in symmetries]
    sizes = np.array([len(group) for group in groups], dtype=float)
    padded = np.zeros((len(groups), max(1, int(sizes.max(initial=1))), 4))
    for row, group in zip(padded, groups):
        row[:len(group)] = group
    return padded, sizes


@functools.lru_cache(maxsize=None)
def _template(size: int) -> np.ndarray:
    """Return an array (size,) that tells the kernel how many entries there are."""
    return np.zeros(size)


def near(distance_m: np.ndarray) -> np.ndarray:
    """Return distances compressed to -1 .. 1, steep within ``NEAR_M`` of zero."""
    return np.tanh(distance_m / NEAR_M)
