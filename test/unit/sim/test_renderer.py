# SPDX-License-Identifier: Apache-2.0
"""The renderer shows the state that it was given."""

import mujoco
import numpy as np
from ocrrl_ros.core.errors import InputError, MissingDependencyError
from ocrrl_ros.sim.renderer import SceneRenderer
from ocrrl_ros.sim.scene import CAMERA_NAME
import pytest


def test_pictures_have_the_documented_shapes_and_units(make_world, make_renderer):
    world = make_world()
    rgb, depth = make_renderer(world.model).render(world.render_state())
    assert rgb.shape == (480, 640, 3)
    assert rgb.dtype == np.uint8
    assert depth.shape == (480, 640)
    assert depth.dtype == np.float32
    assert 0.3 < depth[300:, :].min() < depth[300:, :].max() < 1.2


def test_stamp_is_the_time_of_the_state(make_world, make_renderer):
    world = make_world()
    renderer = make_renderer(world.model, width=64, height=48)
    world.step(123)
    renderer.set_state(world.render_state())
    assert renderer.stamp_s == pytest.approx(0.123)


def test_domains_look_different(make_world, make_renderer):
    pictures = []
    for domain in ('sim', 'proxy'):
        world = make_world(domain)
        pictures.append(make_renderer(world.model).render(world.render_state())[0])
    difference = np.abs(pictures[0].astype(int) - pictures[1]).mean()
    assert difference > 20


def test_quality_is_set_for_software_rendering(make_world):
    quality = make_world().model.vis.quality
    assert (quality.shadowsize, quality.offsamples) == (512, 0)


def test_state_of_another_model_is_refused(make_world, make_renderer):
    renderer = make_renderer(make_world().model, width=64, height=48)
    with pytest.raises(InputError, match=r'\(3,\)'):
        renderer.set_state(np.zeros(3))


def test_missing_opengl_names_the_packages(make_world, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise mujoco.FatalError('no EGL')
    monkeypatch.setattr(mujoco, 'GLContext', fail)
    with pytest.raises(MissingDependencyError, match=r'apt-get install libegl1 libgl1-mesa-dri'):
        SceneRenderer(make_world().model)


@pytest.mark.parametrize('domain', ['sim', 'proxy'])
def test_drawing_what_stands_still_only_once_changes_no_pixel(domain, make_world, make_renderer):
    world = make_world(domain)
    model = world.model
    renderer = make_renderer(model, width=320, height=240)
    everything = mujoco.MjvOption()
    everything.geomgroup[3] = 1
    data = mujoco.MjData(model)
    rng = np.random.default_rng(1)
    with mujoco.Renderer(model, 240, 320) as reference:
        reference.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        for _ in range(5):
            state = world.render_state()
            state[1:8] += rng.normal(scale=0.3, size=7)
            data.qpos[:] = state[1:]
            mujoco.mj_forward(model, data)
            reference.update_scene(data, camera=CAMERA_NAME, scene_option=everything)
            rgb, depth = renderer.render(state)
            assert (rgb == reference.render()).all()
            reference.enable_depth_rendering()
            # The sky is far, however far each draws it.
            assert np.allclose(depth.clip(max=5.0), reference.render().clip(max=5.0), rtol=1e-5)
            reference.disable_depth_rendering()
