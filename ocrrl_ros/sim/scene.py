# SPDX-License-Identifier: Apache-2.0
"""Build the MuJoCo model of a task in a domain around the FR3."""

from __future__ import annotations

import mujoco
import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.robot import fr3
from ocrrl_ros.sim.domain import Domain, LightConfig, SurfaceLook
from ocrrl_ros.sim.object_shapes import AddGeom, Drawer, Role
from ocrrl_ros.sim.physics import PhysicsConfig
from ocrrl_ros.sim.tasks.task import DRAWER_JOINTS, ObjectSpec, Task
from ocrrl_ros.sim.textures import SIZE_PX, texture_rgb

CAMERA_NAME = 'camera_color'
FINGER_BODIES = ('fr3_leftfinger', 'fr3_rightfinger')
TABLE_CENTRE_M = (0.45, 0.0)
TABLE_HALF_M = (0.60, 0.80)
FLOOR_HEIGHT_M = -0.75
# Renderers leave this group of geoms out unless told otherwise.
_HIDDEN_GROUP = 3
_CABINET_KG = 6.0
_CABINET_FRICTION = 2000.0
_CABINET_ARMATURE = 50.0
_CABINET_SOLIMP = (0.999, 0.9999, 0.001, 0.5, 2.0)
_DRAWER_DAMPING = 3.0
# MuJoCo cameras look along -z with y up; optical frames look along +z with y down.
_OPTICAL_T_MUJOCO_QUAT = np.array([1.0, 0.0, 0.0, 0.0])


def build_model(
        task: Task, domain: Domain, physics: PhysicsConfig, *,
        timestep_s: float | None = None) -> mujoco.MjModel:
    """
    Return the compiled model of a task's scene.

    World frame = robot base frame, table top at z = 0. Every task object is a free body named
    by its id; sensors are those that :class:`ocrrl_ros.sim.readout.Readout` lists.

    :param timestep_s: physics step; the evaluation step when None.
    """
    return build_spec(task, domain, physics, timestep_s=timestep_s).compile()


def build_spec(
        task: Task, domain: Domain, physics: PhysicsConfig, *,
        timestep_s: float | None = None) -> mujoco.MjSpec:
    """Return the editable specification of a task's scene."""
    spec = mujoco.MjSpec.from_file(str(model_path('fr3', 'fr3.xml')))
    spec.modelname = f'{task.name}_{domain.name}'
    physics.apply(spec, physics.timestep_s if timestep_s is None else timestep_s)
    _apply_arm(spec, domain, physics)
    _apply_render_settings(spec, domain)
    _add_surroundings(spec, domain, physics)
    for light in domain.looks.lights:
        _add_light(spec, light)
    _add_camera(spec, domain)
    for item in task.objects:
        _add_object(spec, item, domain, physics)
    _add_sensors(spec, task)
    return spec


def mujoco_camera_pose(base_T_optical: np.ndarray) -> np.ndarray:
    """Return base_T_camera (7,) in MuJoCo's camera convention for an optical-frame pose."""
    turn = se3.pose(np.zeros(3), _OPTICAL_T_MUJOCO_QUAT)
    return se3.pose_multiply(base_T_optical, turn)


def _wxyz(quaternion: np.ndarray) -> np.ndarray:
    """Return MuJoCo's scalar-first order of a scalar-last quaternion."""
    return np.roll(quaternion, 1)


def _apply_arm(spec: mujoco.MjSpec, domain: Domain, physics: PhysicsConfig) -> None:
    """Write the impedance law and the domain's deviations into arm and hand."""
    stiffness = physics.arm.stiffness_gains() * domain.arm.stiffness_scale
    damping = physics.arm.damping_gains() * domain.arm.damping_scale
    for index, name in enumerate(fr3.ARM_ACTUATOR_NAMES):
        actuator = spec.actuator(name)
        actuator.gainprm[0] = stiffness[index]
        actuator.biasprm[:3] = (0.0, -stiffness[index], -damping[index])
        # Targets lead by D/K * dq and may pass the joint limit for a moment.
        actuator.ctrllimited = False
        joint = spec.joint(fr3.ARM_JOINT_NAMES[index])
        joint.frictionloss = joint.frictionloss * domain.arm.joint_friction_scale
    # The tendon that couples the fingers gives each of them half of the actuator's force.
    force = 2.0 * domain.hand.finger_force_n
    spec.actuator(fr3.GRIPPER_ACTUATOR_NAME).forcerange = (-force, force)


def _apply_render_settings(spec: mujoco.MjSpec, domain: Domain) -> None:
    """Set shadow map, multisampling and head light; the defaults cost 8 times the frame."""
    looks = domain.looks
    visual = spec.visual
    visual.quality.shadowsize = 512
    visual.quality.offsamples = 0
    visual.map.znear = 0.02
    visual.map.zfar = 20.0
    # "global" is a keyword in Python, so the bindings append an underscore.
    visual.global_.offwidth = domain.camera.width
    visual.global_.offheight = domain.camera.height
    visual.headlight.ambient = (looks.headlight_ambient,) * 3
    visual.headlight.diffuse = (looks.headlight_diffuse,) * 3
    visual.headlight.specular = (0.0, 0.0, 0.0)
    spec.stat.extent = 1.0
    for material in spec.materials:
        material.rgba[:3] = np.clip(material.rgba[:3] * looks.robot_tint, 0.0, 1.0)
    spec.add_texture(
        name='sky', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, width=64, height=384,
        rgb1=looks.zenith_rgb, rgb2=looks.horizon_rgb)


def _add_surface(spec: mujoco.MjSpec, name: str, look: SurfaceLook, half_m: float) -> None:
    """Add a material and its pattern; ``half_m`` is half the surface's larger side."""
    material = spec.add_material(
        name=name, specular=look.specular, shininess=look.shininess,
        rgba=(*look.rgb, 1.0) if look.pattern == 'flat' else (1.0, 1.0, 1.0, 1.0))
    if look.pattern == 'flat':
        return
    texture = spec.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=SIZE_PX, height=SIZE_PX,
        nchannel=3)
    texture.data = texture_rgb(look).tobytes()
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.texuniform = True
    material.texrepeat = (look.repeat_per_m, look.repeat_per_m)


def _add_surroundings(spec: mujoco.MjSpec, domain: Domain, physics: PhysicsConfig) -> None:
    """Add the table, an infinite contact plane drawn as a rectangle, and the floor."""
    _add_surface(spec, 'table', domain.looks.table, TABLE_HALF_M[1])
    _add_surface(spec, 'floor', domain.looks.floor, 3.0)
    spec.worldbody.add_geom(
        name='table', type=mujoco.mjtGeom.mjGEOM_PLANE, size=(*TABLE_HALF_M, 0.05),
        pos=(*TABLE_CENTRE_M, 0.0), material='table', condim=3,
        friction=(0.5, 0.005, 0.0001), solref=physics.contact.solref,
        solimp=physics.contact.solimp)
    spec.worldbody.add_geom(
        name='floor', type=mujoco.mjtGeom.mjGEOM_PLANE, size=(3.0, 3.0, 0.05),
        pos=(0.45, 0.0, FLOOR_HEIGHT_M), material='floor', contype=0, conaffinity=0)


def _add_light(spec: mujoco.MjSpec, light: LightConfig) -> None:
    """Add a directional light that shines from its position to its target."""
    direction = np.subtract(light.target_m, light.position_m)
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=light.position_m,
        dir=direction / np.linalg.norm(direction), diffuse=light.diffuse,
        specular=light.specular, castshadow=light.casts_shadow)


def _add_camera(spec: mujoco.MjSpec, domain: Domain) -> None:
    """Add the fixed camera with the domain's true pose and intrinsics."""
    camera = domain.camera
    pose = mujoco_camera_pose(camera.true_pose())
    # Sensor of 1 um pixels. MuJoCo measures the image centre from the principal point, left and
    # up; found by projecting known points into rendered images.
    spec.worldbody.add_camera(
        name=CAMERA_NAME, pos=pose[:3], quat=_wxyz(pose[3:]),
        resolution=(camera.width, camera.height),
        sensor_size=(camera.width * 1e-6, camera.height * 1e-6),
        focal_pixel=(camera.fx_px, camera.fy_px),
        principal_pixel=(
            (camera.width - 1) / 2 - camera.cx_px, (camera.height - 1) / 2 - camera.cy_px))


def _add_object(
        spec: mujoco.MjSpec, item: ObjectSpec, domain: Domain, physics: PhysicsConfig) -> None:
    """Add one object with the domain's size, mass, friction and colour."""
    colour = domain.looks.objects.get(item.object_id, (0.8, 0.1, 0.1))
    mass = item.mass_kg * domain.objects.mass_scale
    if isinstance(item.shape, Drawer):
        _add_drawer(spec, item, domain, physics, colour)
        extents = np.array(item.half_extents_m)
    else:
        scale = domain.objects.size_scale
        extents = np.multiply(item.half_extents_m, scale)
        body = spec.worldbody.add_body(name=item.object_id, pos=(0.5, 0.0, extents[2]))
        body.add_freejoint(name=f'{item.object_id}_free')
        item.shape.build(_geom_adder(body, item.object_id, colour, domain, physics), scale, mass)
    spec.add_numeric(name=f'{item.object_id}_half_extents', size=3, data=extents)


def _geom_adder(
        body: mujoco.MjsBody, name: str, colour: tuple[float, float, float], domain: Domain,
        physics: PhysicsConfig) -> AddGeom:
    """Return what adds geoms ``name``, ``name_1`` ... with the domain's contact to a body."""
    contact = physics.contact
    solref = (contact.solref[0] * domain.objects.contact_softness, contact.solref[1])

    def add(kind: mujoco.mjtGeom, size: np.ndarray, position: np.ndarray,
            quaternion: np.ndarray, mass_kg: float, role: Role = 'solid') -> None:
        count = len(body.geoms)
        geom = body.add_geom(
            name=f'{name}_{count}' if count else name, type=kind, size=size, pos=position,
            quat=_wxyz(quaternion), mass=mass_kg, rgba=(*colour, 1.0), condim=contact.condim,
            priority=1, solref=solref, solimp=contact.solimp,
            friction=(
                domain.objects.friction, contact.torsional_friction_m,
                contact.rolling_friction_m))
        if role == 'look':
            geom.contype = geom.conaffinity = 0
        elif role == 'touch':
            geom.group = _HIDDEN_GROUP

    return add


def _add_drawer(
        spec: mujoco.MjSpec, item: ObjectSpec, domain: Domain, physics: PhysicsConfig,
        colour: tuple[float, float, float]) -> None:
    """
    Add a cabinet that stands where its three joints are set, and its drawer.

    Dry friction that no arm overcomes holds the cabinet, so that one model serves every start.
    """
    shape = item.shape
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    cabinet = spec.worldbody.add_body(name='cabinet')
    kinds = ((slide, (1, 0, 0)), (slide, (0, 1, 0)), (hinge, (0, 0, 1)))
    for name, (kind, axis) in zip(DRAWER_JOINTS, kinds):
        cabinet.add_joint(
            name=name, type=kind, axis=axis, armature=_CABINET_ARMATURE,
            frictionloss=_CABINET_FRICTION, solref_friction=physics.contact.solref,
            solimp_friction=_CABINET_SOLIMP)
    shade = tuple(0.7 * np.array(domain.looks.objects.get('cabinet', colour)))
    shape.build_cabinet(_geom_adder(cabinet, 'cabinet', shade, domain, physics), _CABINET_KG)
    # It slides on its joints; sixteen contacts with the table would only cost time.
    spec.add_exclude(name='cabinet_on_table', bodyname1='cabinet', bodyname2='world')
    drawer = cabinet.add_body(name=item.object_id, pos=(0.0, 0.0, shape.centre_height_m))
    drawer.add_joint(
        name=DRAWER_JOINTS[3], type=slide, axis=(-1, 0, 0), range=(0.0, shape.travel_m),
        limited=True, damping=_DRAWER_DAMPING, frictionloss=domain.objects.drawer_friction_n,
        solref_limit=physics.contact.solref)
    shape.build_drawer(
        _geom_adder(drawer, item.object_id, colour, domain, physics),
        item.mass_kg * domain.objects.mass_scale)


def _add_sensors(spec: mujoco.MjSpec, task: Task) -> None:
    """Add pose, velocity and contact sensors of the objects, and the TCP pose."""
    kinds = mujoco.mjtSensor
    frame, site = mujoco.mjtObj.mjOBJ_XBODY, mujoco.mjtObj.mjOBJ_SITE
    for suffix, kind in (('pos', kinds.mjSENS_FRAMEPOS), ('quat', kinds.mjSENS_FRAMEQUAT)):
        spec.add_sensor(name=f'tcp_{suffix}', type=kind, objtype=site, objname=fr3.TCP_FRAME)
    for item in task.objects:
        for suffix, kind in (
                ('pos', kinds.mjSENS_FRAMEPOS), ('quat', kinds.mjSENS_FRAMEQUAT),
                ('linvel', kinds.mjSENS_FRAMELINVEL), ('angvel', kinds.mjSENS_FRAMEANGVEL)):
            spec.add_sensor(
                name=f'{item.object_id}_{suffix}', type=kind, objtype=frame,
                objname=item.object_id)
        for side, finger in zip(('left', 'right'), FINGER_BODIES):
            sensor = spec.add_sensor(
                name=f'{side}_contact_{item.object_id}', type=kinds.mjSENS_CONTACT,
                objtype=mujoco.mjtObj.mjOBJ_BODY, objname=finger,
                reftype=mujoco.mjtObj.mjOBJ_BODY, refname=item.object_id)
            # Report only whether a contact was found, of the first match.
            sensor.intprm[:3] = (1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1)
