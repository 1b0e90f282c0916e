# SPDX-License-Identifier: Apache-2.0
"""
Compiled kernels of the policy tick, one robot per call; their callers document them.

In numpy a tick of one robot is a hundred array operations of a few numbers each, 2 us apiece.
"""

import math

import numpy as np
from ocrrl_ros.core import se3_inline as se3
from ocrrl_ros.core.ufunc import compiled_ufunc

#: Where the first object's entries begin in an observation, after proprioception.
FIRST_OBJECT = 13
UP = np.array([0.0, 0.0, 1.0])


@compiled_ufunc('(h,p),(h),(),(p)->(p),()')
def interpolate_chunk(poses, grippers, elapsed_steps, _, pose, gripper):
    """Write the action of one chunk at one time."""
    last = poses.shape[0] - 1
    elapsed = min(max(elapsed_steps, 0.0), float(last))
    # A time computed as 2.9999999 steps is step 3, also for the zero-order hold.
    lower = min(int(math.floor(elapsed + 1e-6)), last)
    share = max(elapsed - lower, 0.0)
    se3.pose_interpolate(poses[lower], poses[min(lower + 1, last)], share, pose)
    gripper[0] = grippers[lower]


@compiled_ufunc('(p),(),(p),(p),(),(p)->(p),()')
def compose(base, base_opening, action, scale, gain, _, pose, opening):
    """Write base pose and opening plus the residual."""
    is_active = False
    for i in range(7):
        pose[i] = min(max(action[i], -1.0), 1.0) * scale[i] * gain
        is_active = is_active or pose[i] != 0.0
    opening[0] = base_opening
    if not is_active:
        for i in range(7):
            pose[i] = base[i]
        return
    offset = pose.copy()
    opening[0] = min(max(base_opening + offset[6], 0.0), 1.0)
    se3.rotate(base[3:], offset[:3], pose[:3])
    for i in range(3):
        pose[i] += base[i]
    se3.exponential(offset[3], offset[4], offset[5], pose[3:])
    se3.multiply(base[3:], pose[3:], pose[3:])
    se3.make_canonical(pose[3:])


@compiled_ufunc('(p),(p),(),(p)->()')
def pull(base, target, rest_m, _, out):
    """Write how hard a residual pulls."""
    x, y, z = target[0] - base[0], target[1] - base[1], target[2] - base[2]
    out[0] = min(math.sqrt(x * x + y * y + z * z) / rest_m, 1.0)


@compiled_ufunc('(k,p),(t),(p),(v),(),(),(),(p),(t),(v)->(k,p),(t)')
def limit_lead(
        targets, twist, base_T_tcp, velocity, pulled, rest_m, speed_s, _, __, ___,
        out_targets, out_twist):
    """Write a plan, shifted back where its first target runs too far ahead of the hand."""
    way_x = targets[0, 0] - base_T_tcp[0]
    way_y = targets[0, 1] - base_T_tcp[1]
    way_z = targets[0, 2] - base_T_tcp[2]
    lead_m = math.sqrt(way_x * way_x + way_y * way_y + way_z * way_z)
    along = way_x * velocity[0] + way_y * velocity[1] + way_z * velocity[2]
    # What moves away from the target, or past it, does not lag behind it.
    speed = max(along, 0.0) / max(lead_m, 1e-9)
    allowed_m = rest_m + speed_s * speed
    out_targets[:] = targets
    out_twist[:] = twist
    if lead_m > allowed_m and pulled > 0.0:
        cut = pulled * (1.0 - allowed_m / max(lead_m, 1e-9))
        for k in range(targets.shape[0]):
            out_targets[k, 0] -= cut * way_x
            out_targets[k, 1] -= cut * way_y
            out_targets[k, 2] -= cut * way_z
        for i in range(3):
            out_twist[i] *= 1.0 - cut


@compiled_ufunc('(k,p),(k),(),(),(),(),(),(),(),(p)->(k,p),(k),(k),(),()')
def view_objects(
        poses, stamps, now, seen, gain, updated, max_age, tolerance, ramp, _,
        valid_poses, valid, ages, now_seen, now_gain):
    """Write what is valid of an object buffer now, and its gain."""
    now_seen[0] = seen
    for k in range(poses.shape[0]):
        age = now - stamps[k]
        valid[k] = age <= max_age
        ages[k] = max(age, 0.0) if valid[k] else max_age
        for i in range(7):
            valid_poses[k, i] = poses[k, i] if valid[k] else (1.0 if i == 6 else 0.0)
        if valid[k]:
            now_seen[0] = now
    step = max(now - updated, 0.0) / ramp
    if now - now_seen[0] > tolerance:
        step = -step
    now_gain[0] = min(max(gain + step, 0.0), 1.0)


@compiled_ufunc(
    '(p),(v),(),(k,p),(k),(k),(t,p),(t),(),(),(k,s,q),(k),(),(),(p),(v),(d)->(d)')
def observe(
        base_T_tcp, velocity, opening, objects, valid, ages, targets, openings, phase, gain,
        groups, group_sizes, max_age, near, _, __, ___, out):
    """Write the observation of one robot in the order of `ObservationLayout.fields`."""
    tcp_T_base = base_T_tcp.copy()
    relative = base_T_tcp.copy()
    rotation = base_T_tcp[3:].copy()
    identity = base_T_tcp[3:].copy()
    identity[:3], identity[3] = 0.0, 1.0
    se3.pose_inverse(base_T_tcp, tcp_T_base)
    out[:3] = base_T_tcp[:3]
    se3.rotation_6d(base_T_tcp[3:], out[3:9])
    out[9:12] = velocity
    out[12] = opening
    at = FIRST_OBJECT
    for k in range(objects.shape[0]):
        if valid[k]:
            se3.pose_multiply(tcp_T_base, objects[k], relative)
            out[at:at + 3] = relative[:3]
            if group_sizes[k] > 0:
                se3.nearest_equivalent(
                    relative[3:], groups[k], int(group_sizes[k]), identity, rotation)
                se3.rotation_6d(rotation, out[at + 3:at + 9])
            else:
                se3.rotate(relative[3:], UP, out[at + 3:at + 6])
                out[at + 6:at + 9] = 0.0
            out[at + 9] = objects[k, 2]
            for i in range(3):
                out[at + 10 + i] = math.tanh(relative[i] / near)
            out[at + 13] = 1.0
        else:
            out[at:at + 14] = 0.0
        out[at + 14] = ages[k] / max_age
        at += 15
        if k > 0:
            for i in range(3):
                known = valid[0] and valid[k]
                apart = out[FIRST_OBJECT + i] - out[at - 15 + i]
                out[at + i] = math.tanh(apart / near) if known else 0.0
            at += 3
    for t in range(2):
        se3.pose_multiply(tcp_T_base, targets[t], relative)
        out[at:at + 3] = relative[:3]
        x, y, z = se3.logarithm(relative[3], relative[4], relative[5], relative[6])
        out[at + 3], out[at + 4], out[at + 5] = x, y, z
        if t == 0:
            for i in range(3):
                out[at + 12 + i] = math.tanh(relative[i] / near)
        at += 6
    at += 3
    out[at], out[at + 1] = openings[0], openings[1]
    out[at + 2], out[at + 3] = phase, gain
