# SPDX-License-Identifier: Apache-2.0
"""What becomes of messages under each fault, and what is drawn."""
import numpy as np
from ocrrl_ros.core.errors import ConfigError, UnknownNameError
from ocrrl_ros.evaluation.evaluate import EvaluateConfig
from ocrrl_ros.evaluation.faults.channel import FaultyChannel, garbled
from ocrrl_ros.evaluation.faults.plan import draw_fault, FaultPlan
from ocrrl_ros.evaluation.faults.settings import (
    fault_settings, FaultConfig, FAULTS, STALLS_S)
import pytest

SIZES = FaultConfig()
PERIOD_S = 0.01


def deliver(name, count=1000, **sizes):
    """Send numbered messages, the middle half under a fault; return (time, number) of arrival."""
    plan = FaultPlan(
        name=name, begin_s=count * PERIOD_S / 4, lasts_s=count * PERIOD_S / 2)
    channel = FaultyChannel(
        plan, FaultConfig(**sizes), np.random.default_rng(0), lambda _, wrong, __: wrong)
    arrived = []
    for number in range(count + 100):
        now_s = number * PERIOD_S
        sent = [float(number)] if number < count else []
        arrived += [(now_s, message) for message in channel.deliver(sent, now_s)]
    return arrived, plan


def under(plan, arrived):
    """Return the numbers that were sent while the fault acted, as they arrived."""
    return [number for _, number in arrived if plan.acts(number * PERIOD_S)]


def test_outside_the_fault_everything_arrives_at_once():
    arrived, plan = deliver('loss')
    outside = [(time_s, number) for time_s, number in arrived
               if not plan.acts(number * PERIOD_S)]
    assert len(outside) == 500
    assert all(time_s == number * PERIOD_S for time_s, number in outside)


def test_as_many_messages_are_lost_as_said():
    arrived, plan = deliver('loss', loss_share=0.3)
    assert len(under(plan, arrived)) == pytest.approx(0.7 * 500, abs=40)


def test_late_messages_come_by_their_delay_late():
    arrived, plan = deliver('delay', delay_s=0.2)
    late = [time_s - number * PERIOD_S for time_s, number in arrived
            if plan.acts(number * PERIOD_S)]
    assert len(late) == 500 and np.allclose(late, 0.2)


def test_messages_overtake_each_other_some_come_twice_and_none_is_lost():
    arrived, plan = deliver('reorder', twice_share=0.2)
    numbers = under(plan, arrived)
    assert len(set(numbers)) == 500
    assert len(numbers) == pytest.approx(600, abs=40)
    assert sum(later < sooner for sooner, later in zip(numbers, numbers[1:])) > 100


@pytest.mark.parametrize(('name', 'is_wrong'), [
    ('nan', np.isnan), ('inf', np.isinf), ('huge', lambda value: abs(value) == 1e30)])
def test_a_share_of_the_messages_is_garbled(name, is_wrong):
    arrived, _ = deliver(name, garbled_share=0.5)
    assert len(arrived) == 1000
    assert sum(bool(is_wrong(number)) for _, number in arrived) == pytest.approx(250, abs=40)


def test_one_number_is_garbled_and_the_message_that_was_sent_stays():
    sent = np.arange(12.0).reshape(3, 4)
    found = garbled(sent, np.inf, np.random.default_rng(1))
    assert (found != sent).sum() == 1 and np.isinf(found).sum() == 1
    assert np.isfinite(sent).all()


def test_the_number_of_the_episode_decides_the_fault_and_its_stream_the_rest():
    settings = fault_settings((), SIZES)
    plans = [draw_fault(np.random.default_rng(5), episode, settings)
             for episode in range(len(FAULTS))]
    assert [plan.name for plan in plans] == list(FAULTS)
    assert len({plan.begin_s for plan in plans}) == 1
    assert all(plan.lasts_s == STALLS_S.get(plan.name, plan.lasts_s) for plan in plans)
    assert all(SIZES.begin_s[0] <= plan.begin_s <= SIZES.begin_s[1] for plan in plans)


def test_names_are_checked_and_nothing_else_may_disturb_the_episodes():
    assert fault_settings(None, SIZES) is None
    assert fault_settings(('nan', 'nan', 'loss'), SIZES).names == ('nan', 'loss')
    with pytest.raises(UnknownNameError, match="unknown fault 'fire'.*known: clock_back"):
        EvaluateConfig(faults=('fire',))
    with pytest.raises(ConfigError, match='one of them'):
        EvaluateConfig(faults=(), stall_s=1.0)
    with pytest.raises(ConfigError, match='one of them'):
        EvaluateConfig(faults=(), perturb=('push',))


@pytest.mark.parametrize('wrong', [
    {'begin_s': (0.0, 1.0)}, {'lasts_s': (2.0, 1.0)}, {'loss_share': 0.0}, {'delay_s': -1.0},
    {'garbled_share': 1.5}, {'clock_s': 0.0}])
def test_sizes_without_meaning_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FaultConfig(**wrong)
