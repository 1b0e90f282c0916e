# SPDX-License-Identifier: Apache-2.0
"""The graph's processes follow from the launch arguments; contradictions are refused."""

from ocrrl_ros.core.configuration import from_mapping
from ocrrl_ros.core.errors import BundleError, ConfigError
from ocrrl_ros.core.resources import model_path
from ocrrl_ros.interfaces.arm_sinks import SinkConfig
from ocrrl_ros.interfaces.graph_plan import (
    GraphConfig, group_processes, LOCKSTEP_NODES, parameter_text, parse_arguments, plan_graph,
    SUBSYSTEMS)
from ocrrl_ros.interfaces.supervisor import process_command
from ocrrl_ros.nodes.composed_node import node_arguments
from ocrrl_ros.nodes.recorder_node import RecorderConfig
import pytest

PROXY, SIM = str(model_path('base_proxy')), str(model_path('base_sim'))


def _plan(*arguments):
    config = from_mapping(GraphConfig, parse_arguments(list(arguments)), 'test')
    return {plan.name: plan.parameters for plan in plan_graph(config)}


def test_simulated_graph_has_the_bridge_and_the_proxys_base():
    plan = _plan('robot:=sim', 'domain:=proxy')
    assert set(plan) == {
        'mujoco_bridge', 'episode', 'pose_estimator', 'base_policy', 'residual_policy'}
    assert plan['base_policy']['bundle'] == PROXY
    assert plan['mujoco_bridge']['sim.domain'] == 'proxy'


@pytest.mark.parametrize(('priority', 'of_robot'), [(20, 15), (3, 1), (0, 0)])
def test_simulated_robot_never_holds_the_command_loop_up(priority, of_robot):
    plan = _plan(f'realtime_priority:={priority}')
    assert plan['residual_policy']['realtime_priority'] == priority
    assert plan['mujoco_bridge']['realtime_priority'] == of_robot


def test_sim_domain_runs_the_sim_counterpart():
    assert _plan('domain:=sim')['base_policy']['bundle'] == SIM
    assert _plan('domain:=my/sim.yaml')['base_policy']['bundle'] == PROXY
    real = _plan('robot:=fr3', 'robot_ip:=10.0.0.2', 'domain:=sim')
    assert real['base_policy']['bundle'] == PROXY


def test_bundles_are_planned_by_absolute_folder_nearest_first(tmp_path, monkeypatch):
    (tmp_path / 'models' / 'mine').mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    plan = _plan('vla:=models/mine', 'residual:=models/residual_cube_lift')
    assert plan['base_policy']['bundle'] == str(tmp_path / 'models' / 'mine')
    assert plan['residual_policy']['residual'] == str(model_path('residual_cube_lift'))
    assert _plan('residual:=none')['residual_policy']['residual'] == 'none'


@pytest.mark.parametrize('argument', ['vla', 'residual'])
def test_missing_bundle_is_refused_with_the_places_looked_at(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError) as caught:
        _plan(f'{argument}:=models/nowhere')
    assert str(tmp_path / 'models' / 'nowhere') in str(caught.value)
    assert str(model_path() / 'nowhere') in str(caught.value)


def test_recorder_writes_the_tasks_objects_and_the_sinks_commands():
    joint = _plan('record:=true')['recorder']
    assert set(joint['topics']) >= set(RecorderConfig().topics)
    assert set(joint['fast_topics']) == set(RecorderConfig().fast_topics)
    assert 'objects/cube/pose:geometry_msgs/msg/PoseWithCovarianceStamped' in joint['topics']
    pose = _plan('record:=true', 'sink:=crisp_pose')['recorder']
    assert 'target_pose:geometry_msgs/msg/PoseStamped' in pose['fast_topics']
    assert not [topic for topic in pose['fast_topics'] if topic.startswith('target_joint')]


@pytest.mark.parametrize('sink, controller', [
    ('gello_joint', 'gello'), ('equilibrium_pose', 'cartesian_impedance_example'),
    ('crisp_pose', None), ('jtc_trajectory', None)])
def test_simulated_arm_listens_to_the_sink(sink, controller):
    plan = _plan(f'sink:={sink}')
    assert plan['mujoco_bridge'].get('arm_controller') == controller
    assert plan['residual_policy']['sink'] == sink
    assert plan['residual_policy']['arm_sink.robot'] == 'sim'


def test_real_robot_starts_slow_without_residual_and_with_deadman():
    plan = _plan('robot:=fr3', 'robot_ip:=10.0.0.2')
    assert 'mujoco_bridge' not in plan
    residual = plan['residual_policy']
    assert residual['controller.residual_gain'] == 0.0
    assert residual['arm_sink.robot'] == 'fr3'
    assert residual['controller.require_deadman'] is True
    assert residual['speed_scale'] == 0.1
    assert residual['preflight'] is True and residual['arming.arm'] == 'franka_ros2'
    assert residual['recovery.controller'] == 'joint_impedance_controller'
    assert 'arming.skip' not in residual
    assert plan['base_policy']['replan.latency_s'] == 0.0


def test_lockstep_makes_every_participant_use_simulated_time():
    plan = _plan('lockstep:=true')
    assert all(plan[name]['use_sim_time'] for name in (*LOCKSTEP_NODES, 'mujoco_bridge'))
    assert plan['mujoco_bridge']['lockstep_participants'] == list(LOCKSTEP_NODES)


def test_every_planned_node_belongs_to_one_subsystem():
    members = [name for names in SUBSYSTEMS.values() for name in names]
    real = _plan(
        'robot:=fr3', 'robot_ip:=10.0.0.2', 'camera:=realsense', 'arm_driver:=fci')
    assert sorted(members) == sorted({*_plan('record:=true'), *real})


def test_the_camera_node_is_started_on_the_real_robot_where_it_is_asked_for():
    assert 'camera' not in _plan('robot:=fr3', 'robot_ip:=10.0.0.2')
    plan = _plan('robot:=fr3', 'robot_ip:=10.0.0.2', 'camera:=realsense')
    assert list(plan)[:2] == ['gripper', 'camera']


def test_the_gripper_node_is_started_on_the_real_robot_unless_it_is_not_wanted():
    real = ('robot:=fr3', 'robot_ip:=10.0.0.2')
    assert _plan(*real)['gripper'] == {'driver': 'franka'}
    assert _plan(*real, 'gripper:=crisp')['gripper'] == {'driver': 'crisp'}
    without = _plan(*real, 'gripper:=none')
    assert 'gripper' not in without
    assert without['residual_policy']['arming.skip'] == ['gripper']
    assert 'gripper' not in _plan('robot:=sim') and 'gripper' not in _plan('gripper:=none')


def test_the_driver_without_a_real_time_pc_is_started_where_it_is_asked_for():
    assert 'fci_arm' not in _plan('robot:=fr3', 'robot_ip:=10.0.0.2')
    plan = _plan('robot:=fr3', 'robot_ip:=10.0.0.2', 'arm_driver:=fci')
    assert list(plan)[0] == 'fci_arm'
    assert plan['fci_arm'] == {'robot_ip': '10.0.0.2'}
    assert plan['residual_policy']['sink'] == 'crisp_joint'
    assert plan['residual_policy']['robot_state_topic'] == 'fci_arm/state'
    assert plan['residual_policy']['recovery.driver'] == 'fci_arm'
    assert plan['residual_policy']['arming.arm'] == 'fci'
    assert 'recovery.controller' not in plan['residual_policy']


def test_a_recovery_asks_the_driver_of_the_real_arm_alone():
    assert _plan('robot:=sim')['residual_policy']['recovery.driver'] == 'none'
    # Without a word of the plan the node takes its own default, franka_ros2.
    assert 'recovery.driver' not in _plan(
        'robot:=fr3', 'robot_ip:=10.0.0.2')['residual_policy']


@pytest.mark.parametrize(('arguments', 'words'), [
    (['task:=juggle'], ['juggle', 'cube_lift']), (['robot:=ur5'], ['ur5', 'fr3']),
    (['robot:=fr3'], ['robot_ip']), (['speed:=1'], ['speed', 'robot_ip']),
    (['record:=maybe'], ['maybe', 'true']), (['command_rate_hz:=fast'], ['fast', 'number']),
    (['compose:=episode,camera'], ['camera', 'pose_estimator']),
    (['compose:=episode'], ['episode', 'two']),
    (['compose:=episode,episode'], ['episode', 'different']),
    (['compose:=episode,recorder'], ['recorder', 'record is false']),
    (['camera:=webcam'], ['webcam', 'realsense2_camera']),
    (['camera:=realsense'], ['camera is realsense', 'robot:=fr3']),
    (['arm_driver:=fci'], ['arm_driver is fci', 'robot:=fr3']),
    (['robot:=fr3', 'robot_ip:=1', 'arm_driver:=fci', 'sink:=crisp_pose'],
     ['crisp_pose', 'crisp_joint']),
    (['gripper:=hook'], ['hook', 'gripper_command']),
    (['gripper:=crisp'], ['gripper is crisp', 'robot:=fr3']),
    (['record:=true', 'sink:=teleport'], ['teleport', 'crisp_joint']),
    (['sim'], ['sim', 'name:=value'])])
def test_wrong_arguments_name_value_and_allowed(arguments, words):
    with pytest.raises(ConfigError) as caught:
        _plan(*arguments)
    assert all(word in str(caught.value) for word in words)


def test_command_line_carries_namespace_parameters_and_file():
    plan = plan_graph(GraphConfig())[0]
    command = process_command((plan,), 'left', 'my.yaml')
    assert '__ns:=/left' in command and command[-2:] == ['--params-file', 'my.yaml']
    assert 'sim.domain:="proxy"' in command


def test_composed_nodes_share_a_process_and_keep_their_own_parameters():
    groups = group_processes(plan_graph(GraphConfig()), 'residual_policy,base_policy')
    assert [[plan.name for plan in group] for group in groups] == [
        ['mujoco_bridge'], ['episode'], ['pose_estimator'], ['base_policy', 'residual_policy']]
    command = process_command(groups[-1], 'left', 'my.yaml')
    assert command[2:4] == ['ocrrl_ros.nodes.composed_node', 'base_policy,residual_policy']
    own = node_arguments('base_policy', command[4:])
    assert own[:3] == ['--ros-args', '-p', f'bundle:="{PROXY}"']
    assert own[-2:] == ['--params-file', 'my.yaml']
    assert f'bundle:="{PROXY}"' not in node_arguments('residual_policy', command[4:])


@pytest.mark.parametrize(('value', 'text'), [
    (True, 'true'), (0.5, '0.5'), (3, '3'), ('', '""'), ('a:b', '"a:b"'),
    (['a', 'b'], '["a", "b"]')])
def test_parameter_values_are_written_as_yaml(value, text):
    assert parameter_text(value) == text


@pytest.mark.parametrize('sink', ['crisp_joint', 'ptp_async'])
def test_the_driver_without_a_real_time_pc_takes_joint_targets_however_often(sink):
    real = ('robot:=fr3', 'robot_ip:=1', 'arm_driver:=fci', f'sink:={sink}')
    assert _plan(*real)['residual_policy']['sink'] == sink


@pytest.mark.parametrize('homing', ['follow_joint_trajectory', 'moveit'])
@pytest.mark.parametrize('others', [
    ('robot:=fr3', 'robot_ip:=1'), ('robot:=fr3', 'robot_ip:=1', 'sink:=crisp_pose'),
    ('robot:=fr3', 'robot_ip:=1', 'arm_driver:=fci'), ('sink:=gello_joint',)])
def test_a_way_home_through_a_controller_that_the_sink_keeps_out_is_refused(homing, others):
    with pytest.raises(ConfigError) as error:
        _plan(f'homing:={homing}', *others)
    for words in (f'homing is {homing}', 'sink:=jtc_trajectory', 'homing:=own'):
        assert words in str(error.value)


@pytest.mark.parametrize('arguments', [
    ('homing:=own', 'robot:=fr3', 'robot_ip:=1'), ('homing:=follow_joint_trajectory',),
    ('homing:=moveit', 'robot:=fr3', 'robot_ip:=1', 'sink:=jtc_trajectory')])
def test_a_way_home_that_can_work_is_handed_to_the_policy(arguments):
    parameters = _plan(*arguments)['residual_policy']
    assert f'homing:={parameters["homing"]}' == arguments[0]


def test_a_simulated_arm_starts_without_preflight_and_without_a_controller_to_watch():
    residual = _plan('robot:=sim')['residual_policy']
    assert not {'preflight', 'arming.arm', 'recovery.controller'} & set(residual)


def test_the_controller_that_is_watched_is_that_of_the_sink():
    real = ('robot:=fr3', 'robot_ip:=10.0.0.2')
    assert _plan(*real, 'sink:=crisp_pose')['residual_policy'][
        'recovery.controller'] == 'cartesian_impedance_controller'
    # Its name is that of the sink's own setting, whose topic it reads.
    assert _plan(*real, 'sink:=jtc_trajectory')['residual_policy'][
        'recovery.controller'] == SinkConfig().jtc_controller
    assert 'recovery.controller' not in _plan(*real, 'sink:=gello_joint')['residual_policy']
