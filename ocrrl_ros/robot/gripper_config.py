# SPDX-License-Identifier: Apache-2.0
"""Settings of the logic between wished openings and a hand's driver."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ocrrl_ros.core.errors import ConfigError
from ocrrl_ros.robot import fr3

#: Peak force of the Franka Hand; 70 N is what it holds for long.
_PEAK_FORCE_N = 140.0
_RANGES: dict[str, tuple[float, float, str]] = {
    'deadband': (0.0, 0.5, ''),
    'max_width_m': (0.001, 0.5, ' m'),
    'open_width_m': (0.001, 0.5, ' m'),
    'speed_m_s': (0.001, 2 * fr3.FINGER_MAX_VELOCITY, ' m/s'),
    'force_n': (0.1, _PEAK_FORCE_N, ' N'),
    'grasp_width_m': (0.0, 0.5, ' m'),
    'epsilon_inner_m': (0.0, 0.5, ' m'),
    'epsilon_outer_m': (0.0, 0.5, ' m'),
    'empty_width_m': (0.0, 0.05, ' m'),
    'settle_s': (0.0, 5.0, ' s'),
    'command_timeout_s': (0.1, 60.0, ' s'),
    'homing_timeout_s': (1.0, 120.0, ' s'),
    'retries': (0, 10, ''),
    'retry_wait_s': (0.0, 10.0, ' s'),
    'gone_after_s': (0.0, 10.0, ' s'),
    'max_wish_age_s': (0.05, 60.0, ' s'),
    'stream_rate_hz': (1.0, 100.0, ' Hz'),
    'max_delta': (0.001, 1.0, ''),
}


def _setting(default: float, description: str) -> float:
    """Return a dataclass field with a description."""
    return field(default=default, metadata={'description': description})


@dataclass(frozen=True, kw_only=True)
class HandDriverConfig:
    """How wishes become commands; openings are 0 closed .. 1 open."""

    close_below: float = _setting(0.4, 'binary: a wish below this closes, opening 0..1')
    open_above: float = _setting(
        0.6, 'binary: a wish above this opens, opening 0..1; between both nothing changes')
    deadband: float = _setting(
        0.02, 'proportional: a change of the wish up to this is not sent, opening; 0 and 1 are')
    max_width_m: float = _setting(
        fr3.MAX_WIDTH_M, 'width that counts as opening 1 in gripper/joint_states, m')
    open_width_m: float = _setting(
        0.078, 'width commanded for opening 1, m; below the least that a homed hand reports, '
        'as the driver refuses more than that')
    speed_m_s: float = _setting(0.1, 'speed of move and grasp, m/s')
    force_n: float = _setting(50.0, 'force of a grasp, N; the hand holds 70 N for long')
    grasp_width_m: float = _setting(0.0, 'width of a grasp, m; 0 with epsilon_outer_m 0.08 m '
                                         'takes objects of any size')
    epsilon_inner_m: float = _setting(0.01, 'an object may be thinner by this, m')
    epsilon_outer_m: float = _setting(0.08, 'an object may be thicker by this, m')
    empty_width_m: float = _setting(
        0.002, 'a closed hand narrower than this has nothing between its fingers, m')
    settle_s: float = _setting(
        0.3, 'how long the measured width lags behind the end of a grasp, s')
    home_first: bool = field(default=False, metadata={'description': (
        'home the hand at the first wish, before anything else; it opens and closes fully')})
    command_timeout_s: float = _setting(5.0, 'move, grasp and stop have failed after this, s')
    homing_timeout_s: float = _setting(30.0, 'homing has failed after this, s')
    retries: int = field(default=2, metadata={'description': (
        'how often a failed command is sent again; then it waits for another wish')})
    retry_wait_s: float = _setting(0.5, 'pause before a command is sent again, s')
    gone_after_s: float = _setting(
        1.0, 'a command has failed when its server was away for this long, s')
    max_wish_age_s: float = _setting(
        1.0, 'without a wish for this long nothing new is commanded, s')
    stream_rate_hz: float = _setting(30.0, 'width_percent and crisp: rate of commands, Hz')
    max_delta: float = _setting(
        1.0, 'width_percent and crisp: greatest change from one command to the next, opening; '
        '1 passes wishes on as they are')

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, and pairs that contradict each other."""
        for item in fields(self):
            if item.name in _RANGES:
                low, high, unit = _RANGES[item.name]
                value = getattr(self, item.name)
                if not low <= value <= high:
                    raise ConfigError(
                        f'{item.name} is {value}{unit}; allowed: {low} .. {high}{unit}')
        if not 0.0 < self.close_below <= self.open_above < 1.0:
            raise ConfigError(
                f'close_below {self.close_below} and open_above {self.open_above}; allowed: '
                '0 < close_below <= open_above < 1')
        if self.open_width_m > self.max_width_m:
            raise ConfigError(
                f'open_width_m is {self.open_width_m} m; allowed: up to max_width_m, '
                f'{self.max_width_m} m')
        if self.grasp_width_m >= self.open_width_m:
            raise ConfigError(
                f'grasp_width_m is {self.grasp_width_m} m; allowed: below open_width_m, '
                f'{self.open_width_m} m')
