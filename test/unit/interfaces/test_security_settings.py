# SPDX-License-Identifier: Apache-2.0
"""Who hears a graph, and what a secured one is started with."""

from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.core.resources import config_path
from ocrrl_ros.interfaces.graph_plan import GraphConfig, NodePlan
from ocrrl_ros.interfaces.locality import graph_environment, local_environment, SIM_DOMAIN_ID
from ocrrl_ros.interfaces.security import enclave_arguments, is_secured, security_note
from ocrrl_ros.interfaces.spin import fastdds_environment
from ocrrl_ros.interfaces.supervisor import process_command
import pytest

SECURED = {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'Enforce'}
FR3 = GraphConfig(robot='fr3', robot_ip='192.0.2.1')


def test_simulation_stays_on_this_host_and_off_the_robots_domain():
    added = graph_environment(GraphConfig(), {})
    assert added == {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': str(SIM_DOMAIN_ID)}
    # Where robots are as a rule, and what tests (11 ..) and runs of demo and bench (12 ..) use.
    assert SIM_DOMAIN_ID not in (0, *range(11, 102))


def test_robot_is_left_as_ros_has_it():
    assert graph_environment(FR3, {}) == {}


@pytest.mark.parametrize(('given', 'added'), [
    ({'ROS_DOMAIN_ID': '0'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'ROS_DOMAIN_ID': '3'}, {}),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': '', 'ROS_DOMAIN_ID': ''}, {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': '9'})])
def test_what_the_operator_has_set_wins(given, added):
    assert local_environment(given, 9) == added


@pytest.mark.parametrize(('environment', 'file'), [
    ({}, 'fastdds.xml'), ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, 'fastdds.xml'),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, 'fastdds_local.xml'),
    ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_STATIC_PEERS': '192.0.2.7'},
     'fastdds.xml')])
def test_sockets_are_those_of_loopback_where_nobody_else_is_to_be_heard(environment, file):
    profiles = fastdds_environment(environment)
    assert set(profiles.values()) == {str(config_path(file))}


def test_both_profiles_differ_in_comments_and_the_white_list_alone():
    def rows(name):
        text = config_path(name).read_text(encoding='utf-8')
        head, _, rest = text.partition('<!--')
        return (head + rest.partition('-->')[2]).split('\n')

    wide, local = rows('fastdds.xml'), rows('fastdds_local.xml')
    at = local.index('        <interfaceWhiteList>')
    assert local[:at] + local[at + 3:] == wide
    assert [line.strip() for line in local[at:at + 3]] == [
        '<interfaceWhiteList>', '<address>127.0.0.1</address>', '</interfaceWhiteList>']


@pytest.mark.parametrize('environment', [
    {'ROS_SECURITY_ENABLE': 'True'}, {'ROS_SECURITY_ENABLE': '1'},
    {'ROS_SECURITY_ENABLE': 'true', 'ROS_SECURITY_STRATEGY': 'enforce'}])
def test_security_that_ros_would_silently_leave_off_is_refused(environment):
    name = list(environment)[-1]
    with pytest.raises(UnknownNameError, match=name):
        is_secured(environment)


@pytest.mark.parametrize(('environment', 'namespace', 'arguments'), [
    ({}, '', []), ({'ROS_SECURITY_ENABLE': 'false'}, '', []),
    (SECURED, '', ['--enclave', '/ocrrl/episode']),
    (SECURED, '/left/', ['--enclave', '/ocrrl/left/episode']),
    (SECURED | {'ROS_SECURITY_ENCLAVE_OVERRIDE': '/mine'}, '', [])])
def test_processes_get_their_enclaves_where_ros_is_secured(environment, namespace, arguments):
    assert enclave_arguments('episode', namespace, environment) == arguments


def test_stack_starts_nodes_in_their_enclaves(monkeypatch):
    for name, value in SECURED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv('ROS_SECURITY_ENCLAVE_OVERRIDE', raising=False)
    alone = process_command((NodePlan('episode', {}),), 'left')
    assert alone[alone.index('--enclave') + 1] == '/ocrrl/left/episode'
    assert alone.index('--enclave') > alone.index('--ros-args')
    shared = process_command((NodePlan('episode', {}), NodePlan('recorder', {})))
    assert shared[shared.index('--enclave') + 1] == '/ocrrl/composed'
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'false')
    assert '--enclave' not in process_command((NodePlan('episode', {}),))


def test_who_starts_a_robot_is_told_who_else_may_command_it():
    assert 'SROS2 is off' in security_note({})
    assert 'not Enforce' in security_note({'ROS_SECURITY_ENABLE': 'true'})
    assert security_note(SECURED) == ''
