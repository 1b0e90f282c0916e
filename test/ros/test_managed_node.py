# SPDX-License-Identifier: Apache-2.0
"""What `ManagedNode` makes of a small node: states, refusals, errors, diagnosis, lockstep."""
import dataclasses

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.interfaces import qos
from ocrrl_ros.interfaces.lockstep import LockstepServer
from ocrrl_ros.interfaces.managed_node import ManagedConfig, ManagedNode
from ocrrl_ros.interfaces.polling import PolledClient, PolledServices, PolledSubscription
from ocrrl_ros.interfaces.tick_loop import LoopConfig
import pytest
from rclpy.parameter import Parameter
from std_msgs.msg import String

SAY, HEAR, LOADED = 'small/say', 'small/hear', 'small/loaded'


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallConfig(ManagedConfig):
    """Settings of the node."""

    loop: LoopConfig = LoopConfig(rate_hz=100.0)


class SmallNode(ManagedNode):
    """Notes what is done with it; raises what it is told to."""

    def __init__(self, raising, **arguments):
        super().__init__('small', SmallConfig, **arguments)
        self.raising = raising
        self.done = []
        self.heard = []
        self.say = self.create_publisher(String, SAY, qos.RELIABLE)
        self.hear = None
        self.start()

    def _do(self, what):
        self.done.append(what)
        if what in self.raising:
            raise self.raising[what]

    def configure(self):
        self.create_publisher(String, LOADED, qos.RELIABLE)
        self._do('configure')

    def activate(self):
        self.hear = PolledSubscription(self, String, HEAR, qos.LATCHED)
        self._do('activate')

    def step_active(self, now_s):
        self._do('step')
        self.loop.monitor.on_input('hear', now_s - 5.0, max_age_s=1.0)
        self.loop.monitor.set_problem('mood', 'bad')
        self.say.publish(String(data='here'))
        self.heard += [message.data for message in self.hear.take_all()]

    def step_inactive(self, now_s):
        self.done.append('idle')

    def deactivate(self):
        self._do('deactivate')

    def cleanup(self):
        self._do('cleanup')


class Loop:
    """Turns a node's loop by hand, so that the test's own probe can call it."""

    def __init__(self, node, probe):
        self.node, self.probe, self.now_s = node, probe, 100.0
        self._services = PolledServices(node)
        self._clients = {}

    def turn(self):
        self.now_s += 0.01
        self.node.loop.monitor.tick(self.now_s)
        self.node.step(self.now_s)
        self._services.serve_all()

    def change(self, transition, label=''):
        """Ask for a transition and return whether it succeeded."""
        return self.call(ChangeState, 'change_state', ChangeState.Request(
            transition=Transition(id=transition, label=label))).success

    def call(self, kind, service, request):
        if service not in self._clients:
            self._clients[service] = PolledClient(self.probe.node, kind, f'small/{service}')
        client = self._clients[service]
        self.probe.until(client.is_ready, what=service)
        client.send(request)
        return self.probe.until(lambda: self.turn() or client.take(), what=f'answer of {service}')

    def state(self):
        """Return the state as ROS tells it, which the node's own must be."""
        label = self.call(GetState, 'get_state', GetState.Request()).current_state.label
        assert label == self.node.lifecycle
        return label

    def diagnosis(self):
        """Return level, message and values of the diagnosis."""
        status = self.node.loop.monitor.status(self.now_s)
        return status.level, status.message, {pair.key: pair.value for pair in status.values}


CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = (
    Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE)
OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN


@pytest.fixture
def small(ros, probe):
    """Return a function that makes a node, not started, and the hand that turns its loop."""
    nodes = []

    def make(raising=None, **parameters):
        overrides = [Parameter(name, value=value)
                     for name, value in ({'autostart': False} | parameters).items()]
        nodes.append(SmallNode(
            {} if raising is None else raising, parameter_overrides=overrides))
        return Loop(nodes[-1], probe)

    yield make
    for node in nodes:
        node.destroy_node()


def created(node):
    """Return whether what configure publishes and what activate hears are there."""
    publishers = {publisher.topic_name for publisher in node.publishers}
    subscriptions = {subscription.topic_name for subscription in node.subscriptions}
    assert f'/{SAY}' in publishers
    return f'/{LOADED}' in publishers, f'/{HEAR}' in subscriptions


def test_a_node_that_starts_itself_is_active_before_its_first_step(small):
    loop = small(autostart=True)
    assert loop.node.done == ['configure', 'activate']
    loop.turn()
    assert loop.node.done[2:] == ['step'] and loop.state() == 'active'
    assert 'nothing is published' not in loop.diagnosis()[1]


def test_every_state_is_reached_on_request_and_shown(small, probe):
    events = probe.listen(TransitionEvent, 'small/transition_event', qos.DEEP_RELIABLE)
    loop = small()
    probe.until(lambda: probe.node.count_publishers('/small/transition_event'), what='a publisher')
    node = loop.node
    loop.turn()
    assert node.done == ['idle'] and created(node) == (False, False)
    assert loop.state() == 'unconfigured'
    level, message, values = loop.diagnosis()
    assert (level, message) == (WARN, 'unconfigured: nothing is published')
    assert values['lifecycle'] == 'unconfigured'

    assert loop.change(CONFIGURE) and loop.state() == 'inactive'
    assert created(node) == (True, False)
    assert loop.diagnosis()[:2] == (WARN, 'inactive: nothing is published')

    node.done.clear()
    assert loop.change(0, 'activate') and loop.state() == 'active'
    assert created(node) == (True, True) and 'activate' in node.done
    level, message, values = loop.diagnosis()
    assert 'bad' in message and 'hear is' in message and 'nothing is' not in message
    assert values['lifecycle'] == 'active'

    assert loop.change(DEACTIVATE) and loop.state() == 'inactive'
    assert set(node.done[node.done.index('deactivate') + 1:]) == {'idle'}
    assert created(node) == (True, False)
    # What was heard and what was wrong while active is no news of now.
    assert loop.diagnosis()[:2] == (WARN, 'inactive: nothing is published')

    assert loop.change(ACTIVATE) and loop.state() == 'active'
    assert loop.change(DEACTIVATE) and loop.change(CLEANUP) and loop.state() == 'unconfigured'
    assert created(node) == (False, False)
    assert loop.change(CONFIGURE) and loop.change(ACTIVATE)
    assert loop.change(Transition.TRANSITION_ACTIVE_SHUTDOWN) and loop.state() == 'finalized'
    assert created(node) == (False, False)
    loop.turn()
    assert set(node.done[len(node.done) - node.done[::-1].index('cleanup'):]) == {'idle'}
    assert loop.diagnosis()[1] == 'finalized: nothing is published'
    labels = probe.until(lambda: [event.goal_state.label for event in events], what='events')
    assert 'active' in labels


def test_what_is_not_possible_in_a_state_is_refused_and_ends_nothing(small):
    loop = small()
    for transition, label in ((ACTIVATE, ''), (DEACTIVATE, ''), (77, ''), (0, 'dance'), (10, '')):
        assert not loop.change(transition, label)
        assert loop.state() == 'unconfigured'
    assert 'activate' not in loop.node.done
    possible = loop.call(
        GetAvailableTransitions, 'get_available_transitions', GetAvailableTransitions.Request())
    assert {item.transition.label for item in possible.available_transitions} == {
        'configure', 'shutdown'}


def test_a_refusal_to_configure_is_told_and_can_be_mended(small):
    raising = {'configure': ConfigError('no such file')}
    loop = small(raising)
    assert not loop.change(CONFIGURE) and loop.state() == 'unconfigured'
    assert 'cleanup' in loop.node.done and created(loop.node) == (False, False)
    level, message, _ = loop.diagnosis()
    assert (level, message) == (WARN, 'unconfigured: nothing is published; no such file')
    raising.clear()
    assert loop.change(CONFIGURE) and loop.state() == 'inactive'
    assert 'no such file' not in loop.diagnosis()[1]


@pytest.mark.parametrize('where', ['activate', 'step'])
def test_a_refusal_to_activate_leaves_the_node_inactive_and_undoes_what_was_begun(small, where):
    raising = {where: InputError('no such device')}
    loop = small(raising)
    assert loop.change(CONFIGURE) and not loop.change(ACTIVATE) and loop.state() == 'inactive'
    assert 'deactivate' in loop.node.done and created(loop.node) == (True, False)
    assert 'no such device' in loop.diagnosis()[1]
    raising.clear()
    assert loop.change(ACTIVATE) and loop.state() == 'active'
    assert 'no such device' not in loop.diagnosis()[1]


@pytest.mark.parametrize('where', ['configure', 'activate'])
def test_an_unexpected_error_on_request_is_told_and_the_node_is_unconfigured(
        small, where, capfd):
    raising = {where: ZeroDivisionError('a bug')}
    loop = small(raising)
    assert loop.change(CONFIGURE) is (where == 'activate')
    if where == 'activate':
        assert not loop.change(ACTIVATE)
    assert 'ZeroDivisionError: a bug' in capfd.readouterr().err
    assert loop.state() == 'unconfigured' and created(loop.node) == (False, False)
    assert 'a bug' in loop.diagnosis()[1]
    raising.clear()
    assert loop.change(CONFIGURE) and loop.change(ACTIVATE) and loop.state() == 'active'


def test_a_node_that_cannot_let_go_is_of_no_more_use(small):
    raising = {'deactivate': InputError('stuck')}
    loop = small(raising)
    assert loop.change(CONFIGURE) and loop.change(ACTIVATE)
    assert not loop.change(DEACTIVATE) and loop.state() == 'finalized'
    raising.clear()


def test_an_error_of_a_step_comes_out_of_it_as_it_does_from_every_node(small):
    raising = {}
    loop = small(raising, autostart=True)
    raising['step'] = ConfigError('no such mode')
    with pytest.raises(ConfigError, match='no such mode'):
        loop.turn()
    raising.clear()


@pytest.mark.parametrize('where', ['configure', 'activate'])
@pytest.mark.parametrize('error', [ConfigError('refused'), ZeroDivisionError('a bug')])
def test_what_a_node_that_starts_itself_refuses_is_raised(ros, where, error):
    with pytest.raises(type(error), match=str(error)):
        SmallNode({where: error})


def test_what_was_said_to_an_inactive_node_is_not_found_but_latched_facts_are(small, probe):
    loop = small()
    publisher = probe.node.create_publisher(String, HEAR, qos.LATCHED)
    assert loop.change(CONFIGURE) and loop.change(ACTIVATE)
    for text in ('one', 'two'):
        publisher.publish(String(data=text))
        probe.until(lambda: loop.turn() or text in loop.node.heard, what=text)  # noqa: B023
    assert loop.change(DEACTIVATE)
    loop.node.heard.clear()
    publisher.publish(String(data='three'))
    assert loop.change(ACTIVATE)
    probe.until(lambda: loop.turn() or loop.node.heard, what='the latched fact')
    assert loop.node.heard == ['three']
    probe.node.destroy_publisher(publisher)


def test_a_transition_is_no_late_period_of_the_loop(small):
    loop = small()
    loop.turn()
    configure = loop.node.configure
    loop.node.configure = lambda: (configure(), setattr(loop, 'now_s', loop.now_s + 60.0))
    assert loop.change(CONFIGURE) and loop.change(ACTIVATE)
    loop.turn()
    values = loop.diagnosis()[2]
    assert values['overruns'] == '0' and float(values['period_max_ms']) < 11.0


@pytest.mark.parametrize('is_active', [False, True])
def test_lockstep_is_answered_in_every_state(small, probe, is_active):
    loop = small(use_sim_time=True, autostart=is_active)
    server = LockstepServer(probe.node, ['small'])
    run = loop.node.loop

    def answered():
        server.announce(1.0)
        now_s = run._lockstep.take()
        if now_s is not None:
            loop.node.step(now_s)
            run._lockstep.done(now_s)
        return server.missing(1.0) == ()

    probe.until(answered, what='an answer')
    assert loop.node.done[-1] == ('step' if is_active else 'idle')


def test_a_node_that_was_destroyed_is_seen_no_more(small, probe):
    loop = small(autostart=True)
    assert loop.state() == 'active'
    loop.node.destroy_node()
    probe.until(lambda: 'small' not in probe.node.get_node_names(), what='the end of the node')
    probe.until(lambda: not probe.node.count_services('/small/get_state'), what='no service')
