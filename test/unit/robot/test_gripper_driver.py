# SPDX-License-Identifier: Apache-2.0
"""Wishes become whole commands: one at a time, the newest wins, a stop before the opening."""

from hypothesis import given, settings, strategies as st
from ocrrl_ros.core.errors import ConfigError, InputError
from ocrrl_ros.robot.gripper_commands import CommandResult, HandAction, Homed, Outcome
from ocrrl_ros.robot.gripper_config import HandDriverConfig
from ocrrl_ros.robot.gripper_driver import CommandedHand
from ocrrl_ros.robot.gripper_wish import BinaryWish, ProportionalWish
from played_hand import DT_S, PlayedHand
import pytest

#: Far more than every sequence of the tests takes to settle: a stop, a command, and its retries.
SETTLED_S = 30.0


def hand(config=None, *, is_binary=True, can_home=True, **played):
    """Return a played hand with its logic."""
    config = config or HandDriverConfig()
    wish = (BinaryWish if is_binary else ProportionalWish)(config)
    return PlayedHand(CommandedHand(
        config, wish, is_binary=is_binary, can_home=can_home), **played)


def failing(action, outcome, times=10**6):
    """Return answers of which the first few to an action are another outcome."""
    left = [times]

    def answer(command):
        if command.action is action and left[0] > 0:
            left[0] -= 1
            return outcome
        return Outcome.SUCCEEDED

    return answer


def test_nothing_is_commanded_without_a_wish():
    played = hand()
    played.run(5.0)
    assert played.sent == []
    assert (played.phase, played.status().wish) == ('idle', 'none')


def test_a_grasp_has_the_settings_of_the_facts_and_a_move_the_open_width():
    played = hand()
    played.run(1.0, 0.0)
    played.run(1.0, 1.0)
    (_, grasp), (_, stop), (_, move) = played.sent
    assert grasp.action is HandAction.GRASP
    assert (grasp.width_m, grasp.epsilon_outer_m, grasp.epsilon_inner_m) == (0.0, 0.08, 0.01)
    assert (grasp.speed_m_s, grasp.force_n) == (0.1, 50.0)
    assert stop.action is HandAction.STOP
    assert (move.action, move.width_m, move.speed_m_s) == (HandAction.MOVE, 0.078, 0.1)
    assert [command.number for _, command in played.sent] == [1, 2, 3]


def test_a_wish_within_the_band_changes_nothing():
    played = hand()
    played.run(1.0, 0.5)
    assert played.sent == []
    played.run(1.0, 0.39)
    for opening in (0.41, 0.59, 0.4, 0.6):
        played.run(1.0, opening)
    assert played.actions == ['grasp']
    played.run(1.0, 0.61)
    assert played.actions == ['grasp', 'stop', 'move']
    played.run(1.0, 0.45)
    assert played.phase == 'open'


def test_the_same_wish_at_30_hz_is_one_command():
    played = hand()
    played.run(10.0, 0.0)
    assert played.actions == ['grasp']


def test_the_newest_wish_waits_for_the_end_of_the_command_and_older_ones_are_forgotten():
    played = hand(takes_s=1.0)
    played.run(0.1, 0.0)
    played.run(0.3, 1.0)
    played.run(0.3, 0.0)
    played.run(1.0, 0.0)
    assert played.actions == ['grasp']
    played.run(0.1, 1.0)
    assert played.actions == ['grasp', 'stop']
    played = hand(takes_s=1.0)
    played.run(0.1, 0.0)
    played.run(0.8, 1.0)
    assert played.actions == ['grasp']
    played.run(4.0, 1.0)
    assert played.actions == ['grasp', 'stop', 'move']
    assert played.phase == 'open'


def test_the_first_opening_is_stopped_before_too_as_whoever_was_here_may_have_grasped():
    played = hand()
    played.run(1.0, 1.0)
    assert played.actions == ['stop', 'move']


def test_an_opening_after_an_opening_needs_no_stop():
    played = hand(answer=failing(HandAction.MOVE, Outcome.FAILED, times=1))
    played.run(3.0, 1.0)
    assert played.actions == ['stop', 'move', 'move']


def test_a_wish_that_turns_round_after_the_stop_grasps_again():
    played = hand(takes_s=0.2)
    played.run(1.0, 0.0)
    played.tick(1.0)
    assert played.phase == 'stopping'
    played.run(1.0, 0.0)
    assert played.actions == ['grasp', 'stop', 'grasp']
    assert played.phase in ('holding', 'empty')


@pytest.mark.parametrize(('stop_m', 'phase'), [
    (0.04, 'holding'), (0.0021, 'holding'), (0.0019, 'empty'), (0.0, 'empty')])
def test_a_closed_hand_says_whether_something_is_inside(stop_m, phase):
    played = hand(stop_m=stop_m)
    played.run(0.4, 0.0)
    assert played.phase == 'closed'
    played.run(1.0, 0.0)
    assert played.phase == phase
    assert played.actions == ['grasp']
    assert played.status().last_result == 'grasp succeeded: as played'


def test_an_object_that_is_lost_while_it_is_held_is_told():
    played = hand(stop_m=0.04)
    played.run(2.0, 0.0)
    assert played.phase == 'holding'
    played.width_m = 0.001
    played.tick(0.0)
    assert (played.phase, played.actions) == ('empty', ['grasp'])


def test_a_width_of_long_ago_is_not_told_as_holding():
    played = hand(stop_m=0.04)
    played.run(2.0, 0.0)
    assert played.logic.status(played.now_s + 0.9).phase.value == 'holding'
    assert played.logic.status(played.now_s + 1.1).phase.value == 'closed'


def test_a_grasp_that_failed_with_closed_fingers_is_not_repeated():
    played = hand(answer=failing(HandAction.GRASP, Outcome.FAILED))
    played.run(0.3, 0.0)
    played.width_m = 0.0
    played.run(5.0, 0.0)
    assert (played.actions, played.phase) == (['grasp'], 'empty')
    played.run(5.0, 1.0)
    assert (played.actions, played.phase) == (['grasp', 'stop', 'move'], 'open')


@pytest.mark.parametrize('outcome', [
    Outcome.FAILED, Outcome.REJECTED, Outcome.CANCELED])
def test_a_failed_command_is_repeated_twice_after_a_pause_and_then_given_up(outcome):
    played = hand(answer=failing(HandAction.GRASP, outcome))
    played.run(20.0, 0.0)
    assert played.actions == ['grasp'] * 3
    times = [sent_s for sent_s, _ in played.sent]
    assert min(b - a for a, b in zip(times, times[1:])) >= 0.3 + 0.5 - DT_S
    status = played.status()
    assert status.phase.value == 'failed'
    assert 'given up after 3 tries' in status.reason and f'grasp {outcome.value}' in status.reason


def test_another_wish_ends_the_giving_up():
    played = hand(answer=failing(HandAction.GRASP, Outcome.REJECTED, times=3))
    played.run(10.0, 0.0)
    assert played.phase == 'failed'
    played.run(5.0, 1.0)
    assert played.phase == 'open'
    played.run(5.0, 0.0)
    assert played.phase == 'empty'


def test_no_answer_is_a_timeout_and_a_stop_comes_before_the_next_try():
    played = hand(answer=failing(HandAction.MOVE, None))
    played.run(40.0, 1.0)
    assert played.actions == ['stop', 'move'] * 3
    status = played.status()
    assert status.phase.value == 'failed' and 'move timed out' in status.reason
    sent = {command.number: sent_s for sent_s, command in played.sent}
    assert sent[3] - sent[2] == pytest.approx(5.0 + 0.5, abs=3 * DT_S)


def test_a_late_answer_to_a_command_that_was_given_up_is_ignored():
    config = HandDriverConfig()
    logic = CommandedHand(config, BinaryWish(config), is_binary=True)
    logic.wish(0.0, 0.0)
    grasp = logic.step(0.0, is_ready=True)
    logic.wish(1.0, 6.0)
    assert logic.step(6.0, is_ready=True) is None
    assert logic.status(6.0).last_result == 'grasp timed out'
    logic.wish(1.0, 7.0)
    stop = logic.step(7.0, is_ready=True)
    assert stop.action is HandAction.STOP
    late = CommandResult(grasp.number, Outcome.SUCCEEDED)
    assert logic.step(7.1, is_ready=True, results=[late]) is None
    assert logic.status(7.1).phase.value == 'stopping'
    move = logic.step(7.2, is_ready=True, results=[CommandResult(stop.number, Outcome.SUCCEEDED)])
    assert move.action is HandAction.MOVE


def test_a_stop_that_fails_does_not_keep_the_hand_closed():
    played = hand(answer=failing(HandAction.STOP, Outcome.FAILED))
    played.run(3.0, 1.0)
    assert (played.actions, played.phase) == (['stop', 'move'], 'open')


def test_a_stop_without_an_answer_is_repeated_and_given_up():
    played = hand(answer=failing(HandAction.STOP, None))
    played.run(60.0, 1.0)
    assert (played.actions, played.phase) == (['stop'] * 3, 'failed')


def test_nothing_is_sent_to_a_driver_that_is_not_there_and_the_newest_wish_when_it_comes():
    played = hand()
    played.is_ready = False
    played.run(2.0, 0.0)
    assert (played.sent, played.phase) == ([], 'waiting')
    played.run(1.0, 1.0)
    played.is_ready = True
    played.run(2.0, 1.0)
    assert (played.actions, played.phase) == (['stop', 'move'], 'open')


def test_a_server_that_goes_during_a_command_is_named_and_a_short_absence_is_not():
    played = hand(takes_s=3.0)
    played.run(0.1, 0.0)
    played.is_ready = False
    played.run(0.9, 0.0)
    assert played.phase == 'closing'
    played.run(0.3, 0.0)
    assert played.phase == 'waiting'
    assert played.status().last_result.startswith('grasp server gone: away for 1.0')
    played.is_ready = True
    played.run(8.0, 0.0)
    assert played.actions == ['grasp', 'stop', 'grasp']


def test_a_server_that_comes_back_gets_all_tries_anew():
    played = hand(answer=failing(HandAction.GRASP, Outcome.REJECTED, times=3))
    played.run(10.0, 0.0)
    assert played.phase == 'failed'
    played.is_ready = False
    played.run(1.0, 0.0)
    played.is_ready = True
    played.run(3.0, 0.0)
    assert played.phase == 'empty'


def test_a_stale_wish_keeps_what_is():
    played = hand(takes_s=2.0)
    played.run(0.1, 0.0)
    played.tick(1.0)
    played.run(10.0)
    assert played.actions == ['grasp']
    assert (played.phase, played.status().wish) == ('empty', 'stale')
    played.run(6.0, 1.0)
    assert played.phase == 'open'


def test_a_stale_wish_is_not_tried_again():
    played = hand(answer=failing(HandAction.GRASP, Outcome.FAILED), takes_s=1.0)
    played.tick(0.0)
    played.run(20.0)
    assert played.actions == ['grasp']


def test_an_opening_that_began_with_a_stop_is_finished_without_another_wish():
    played = hand(takes_s=2.0)
    played.tick(1.0)
    played.run(10.0)
    assert (played.actions, played.phase) == (['stop', 'move'], 'open')


def test_an_opening_that_began_with_a_stop_is_not_finished_minutes_later():
    played = hand()
    played.tick(1.0)
    played.run(0.2)
    played.is_ready = False
    played.run(60.0)
    played.is_ready = True
    played.run(10.0)
    assert played.actions == ['stop']


def test_the_hand_is_homed_at_the_first_wish_where_that_is_asked_for():
    played = hand(HandDriverConfig(home_first=True), takes_s=1.0)
    played.run(5.0)
    assert (played.sent, played.status().homed) == ([], Homed.UNKNOWN)
    played.run(6.0, 0.0)
    assert played.actions == ['stop', 'home', 'grasp']
    assert played.status().homed is Homed.YES
    played.run(6.0, 1.0)
    assert played.actions == ['stop', 'home', 'grasp', 'stop', 'move']


def test_a_hand_that_cannot_be_homed_does_nothing_else():
    played = hand(
        HandDriverConfig(home_first=True), answer=failing(HandAction.HOME, Outcome.FAILED, 3))
    played.run(20.0, 0.0)
    assert played.actions == ['stop'] + ['home'] * 3
    assert (played.phase, played.status().homed) == ('failed', Homed.NO)
    played.run(5.0, 1.0)
    assert played.phase == 'failed'
    assert played.logic.ask_home() is None
    played.run(5.0, 1.0)
    assert (played.phase, played.status().homed) == ('open', Homed.YES)


def test_homing_is_waited_for_longer_than_other_commands():
    played = hand(takes_s=20.0)
    played.logic.ask_home()
    played.is_ready = True
    config = HandDriverConfig()
    assert config.homing_timeout_s > 20.0 > config.command_timeout_s
    played.takes_s = 0.1
    played.run(0.12)
    played.takes_s = 20.0
    played.run(1.0)
    assert played.actions[-1] == 'home'
    played.run(22.0)
    assert played.status().homed is Homed.YES


def test_an_operator_homes_without_a_wish_and_the_grasp_is_made_again_afterwards():
    played = hand(stop_m=0.03)
    played.run(2.0, 0.0)
    played.run(2.0)
    assert played.logic.ask_home() is None
    played.run(2.0)
    assert played.actions == ['grasp', 'stop', 'home']
    assert played.status().homed is Homed.YES
    played.run(2.0, 0.0)
    assert (played.actions[3:], played.phase) == (['grasp'], 'holding')


def test_homing_that_an_operator_asked_for_fails_but_does_not_bar_wishes():
    played = hand(answer=failing(HandAction.HOME, Outcome.REJECTED))
    played.logic.ask_home()
    played.run(5.0)
    assert (played.phase, played.status().homed) == ('failed', Homed.NO)
    played.run(3.0, 1.0)
    assert played.phase == 'open'


def test_a_driver_without_homing_says_so():
    played = hand(HandDriverConfig(home_first=True), can_home=False)
    assert 'no homing' in played.logic.ask_home()
    played.run(3.0, 1.0)
    assert (played.actions, played.status().homed) == (['stop', 'move'], Homed.NOT_OFFERED)


def test_a_proportional_hand_moves_to_widths_and_ignores_the_deadband():
    played = hand(is_binary=False)
    played.run(1.0, 0.5)
    assert played.sent[-1][1].width_m == pytest.approx(0.5 * 0.078)
    played.run(1.0, 0.515)
    assert played.actions == ['stop', 'move']
    played.run(1.0, 0.53)
    assert played.sent[-1][1].opening == pytest.approx(0.53)
    played.run(1.0, 0.01)
    played.run(1.0, 0.0)
    assert [command.opening for _, command in played.sent[1:]] == [0.5, 0.53, 0.01, 0.0]
    assert played.phase == 'reached'
    assert played.actions == ['stop'] + ['move'] * 4


@pytest.mark.parametrize('opening', [float('nan'), float('inf'), -0.01, 1.01])
@pytest.mark.parametrize('is_binary', [True, False])
def test_a_wish_that_is_none_is_refused_and_the_one_before_stays(opening, is_binary):
    played = hand(is_binary=is_binary)
    played.run(1.0, 0.0)
    with pytest.raises(InputError, match='allowed: 0 closed .. 1 open'):
        played.logic.wish(opening, played.now_s)
    before = len(played.sent)
    played.run(1.0)
    assert len(played.sent) == before


@pytest.mark.parametrize(('values', 'words'), [
    ({'close_below': 0.7}, ['0.7', 'open_above 0.6']), ({'close_below': 0.0}, ['0 < close_below']),
    ({'open_above': 1.0}, ['open_above 1.0']), ({'force_n': 200.0}, ['200.0 N', '140.0 N']),
    ({'speed_m_s': 0.0}, ['speed_m_s', 'm/s']), ({'open_width_m': 0.09}, ['0.09 m', '0.08 m']),
    ({'grasp_width_m': 0.078}, ['grasp_width_m', '0.078']), ({'retries': -1}, ['retries', '10']),
    ({'command_timeout_s': float('nan')}, ['command_timeout_s', 'nan']),
    ({'max_wish_age_s': 0.0}, ['max_wish_age_s'])])
def test_settings_that_cannot_work_are_refused_by_name(values, words):
    with pytest.raises(ConfigError) as caught:
        HandDriverConfig(**values)
    assert all(word in str(caught.value) for word in words)


OUTCOMES = st.sampled_from([*Outcome, None])
WISHES = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(0.01, 1.5)), min_size=1, max_size=8)


def check_stops(played):
    """Check that no opening and no homing follows a grasp without a stop in between."""
    has_grasped = False
    for action in played.actions:
        if action == 'grasp':
            has_grasped = True
        elif action == 'stop':
            has_grasped = False
        else:
            assert not has_grasped, played.actions


@settings(max_examples=150, deadline=None)
@given(WISHES, st.floats(0.02, 2.0), st.integers(0, 3))
def test_after_any_wishes_the_hand_is_where_the_last_one_wants_it(wishes, takes_s, flips):
    played = hand(takes_s=takes_s)
    wanted = None
    for opening, seconds in wishes:
        played.run(seconds, opening)
        wanted = 1.0 if opening > 0.6 else 0.0 if opening < 0.4 else wanted
    last = wishes[-1][0]
    for flip in range(flips):
        played.tick(float(flip % 2))
    if flips:
        wanted = 1.0 if last > 0.6 else 0.0 if last < 0.4 else float((flips - 1) % 2)
    # What is under way, and a stop and a command for the last wish.
    played.run(4 * takes_s + 1.0, last)
    assert played.phase == {1.0: 'open', 0.0: 'empty', None: 'idle'}[wanted]
    assert played.most_under_way <= 1
    check_stops(played)


@settings(max_examples=150, deadline=None)
@given(WISHES, st.lists(OUTCOMES, max_size=12), st.lists(st.booleans(), max_size=8),
       st.floats(0.02, 7.0))
def test_whatever_the_driver_answers_there_is_one_command_and_it_ends(
        wishes, outcomes, presence, takes_s):
    answers = {}

    def answer(command):
        if command.number not in answers:
            answers[command.number] = outcomes.pop(0) if outcomes else Outcome.SUCCEEDED
        return answers[command.number]

    played = hand(HandDriverConfig(command_timeout_s=1.0), takes_s=takes_s, answer=answer)
    under_way = set()
    step = played.logic.step

    def watched(now_s, *, is_ready, results=()):
        under_way.difference_update(result.number for result in results)
        command = step(now_s, is_ready=is_ready, results=results)
        if command is not None:
            # Of those without an answer each was given up by name, and a stop came.
            assert not under_way or command.action is HandAction.STOP
            under_way.clear()
            under_way.add(command.number)
            assert is_ready
        return command

    played.logic.step = watched
    for index, (opening, seconds) in enumerate(wishes):
        played.is_ready = presence[index] if index < len(presence) else True
        played.run(seconds, opening)
    played.is_ready = True
    check_stops(played)
    played.takes_s, last = 0.1, 0.0 if wishes[-1][0] < 0.5 else 1.0
    # A wish for the other end, and back, ends a giving up; then every answer is a success.
    outcomes.clear()
    played.run(SETTLED_S, 1.0 - last)
    played.run(SETTLED_S, last)
    assert played.phase == ('open' if last else 'empty')
    check_stops(played)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4), st.sampled_from([Outcome.FAILED, Outcome.REJECTED, None]),
       st.sampled_from([HandAction.GRASP, HandAction.MOVE, HandAction.STOP]))
def test_commands_that_fail_for_ever_are_bounded_in_number(retries, outcome, action):
    config = HandDriverConfig(retries=retries, retry_wait_s=0.1, command_timeout_s=0.5)
    played = hand(config, answer=failing(action, outcome), takes_s=0.1)
    played.width_m = 0.05
    played.run(20.0, 0.0 if action is HandAction.GRASP else 1.0)
    assert played.actions.count(action.value) <= retries + 1
    assert len(played.sent) <= 2 * (retries + 1)
