# SPDX-License-Identifier: Apache-2.0
"""Watch the demo's episodes: films for the report, delays of the object poses."""
from typing import TYPE_CHECKING

import numpy as np
from ocrrl_ros.evaluation.film import Film, RATE_HZ
from ocrrl_ros.evaluation.graph_session import GraphEpisode, GraphStatus
from ocrrl_ros.evaluation.report import Clip, Still, TimingRow

if TYPE_CHECKING:
    from ocrrl_ros.interfaces.graph_client import GraphClient

LABELS = {'base': 'base alone', 'residual': 'base + residual'}


class DemoObserver:
    """
    Films one episode per policy: the base's first failure, and the residual from the same start.

    Without a failure the first episode is kept.
    """

    def __init__(self, client: 'GraphClient'):
        """Watch through this client."""
        self._client = client
        self._film = Film()
        self._next_picture_s = 0.0
        self._poses: list[tuple[float, float]] = []
        self.kept: dict[str, tuple[GraphEpisode, Film]] = {}
        self.pose_delays_s: list[float] = []
        self.pose_rates_hz: list[float] = []

    def begin(self, policy: str, episode: int) -> None:
        """Start a new film, unless nobody will want to see it."""
        self._client.take_actions()
        self._client.take_pose_delays()
        self._film = Film()
        self._next_picture_s = 0.0 if self._may_be_wanted(policy, episode) else np.inf
        self._poses = []

    def _may_be_wanted(self, policy: str, episode: int) -> bool:
        """Tell whether an episode can tell more than the one kept so far."""
        kept, base = self.kept.get(policy), self.kept.get('base')
        if kept is None:
            return True
        if policy == 'base' or base is None:
            return kept[0].success
        return episode == base[0].episode

    def watch(self, status: GraphStatus) -> None:
        """Take a picture when one is due, and every target."""
        self._poses += self._client.take_pose_delays()
        for stamp_s, values in self._client.take_actions():
            base, corrected = (np.array([values[f'{prefix}.{axis}'] for axis in 'xyz'])
                               for prefix in ('base', 'command'))
            self._film.add_targets(base, corrected, stamp_s)
        if status.time_s >= self._next_picture_s and self._film.target_times_s:
            picture = self._client.take_picture()
            if picture is not None:
                self._film.add_picture(picture, self._film.target_times_s[-1])
                self._next_picture_s = status.time_s + 1.0 / RATE_HZ

    def end(self, record: GraphEpisode) -> None:
        """Keep the film if it is the one to show."""
        self.pose_delays_s += [delay for _, delay in self._poses]
        if len(self._poses) > 10:
            sent = [sent_s for sent_s, _ in self._poses]
            self.pose_rates_hz.append((len(sent) - 1) / (sent[-1] - sent[0]))
        if self._film.pictures and self._is_wanted(record):
            self.kept[record.policy] = (record, self._film)

    def _is_wanted(self, record: GraphEpisode) -> bool:
        """Tell whether a filmed episode tells more than the one kept so far."""
        kept, is_paired = self.kept.get(record.policy), 'base' in self.kept
        # Of what was worth filming a success adds nothing, but to the base's film its counterpart.
        return kept is None or not record.success or (record.policy != 'base' and is_paired)

    def stills(self) -> list[Still]:
        """Return pictures of the kept films."""
        view, found = self._client.wait_view(), []
        for policy, (record, film) in self.kept.items():
            name = f'{LABELS[policy]}, episode {record.episode + 1}'
            if policy != 'base':
                found.append(Still(picture=film.correction_picture(view), caption=(
                    f'{name}: targets of the base policy (blue), after the residual (orange), and '
                    'the correction (red arrows, drawn twice as long)')))
            found.append(Still(picture=film.pictures[-1], caption=f'{name}: {record.outcome}'))
        return found

    def clips(self) -> list[Clip]:
        """Return one video per policy."""
        view = self._client.wait_view()
        return [
            Clip(video=film.video(view, f'{LABELS[policy]}: {record.outcome}'), caption=(
                f'{LABELS[policy]}, episode {record.episode + 1}: {record.outcome} after '
                f'{record.duration_s:.1f} s'))
            for policy, (record, film) in self.kept.items()]

    def timing_rows(self, records: list[GraphEpisode]) -> list[TimingRow]:
        """Return what the graph says about its loops, and what was seen of poses and time."""
        rows = []
        factors = [r.real_time_factor for r in records if r.real_time_factor is not None]
        # In lockstep image stamps are simulated time, and publications are not.
        if self.pose_delays_s and factors:
            p50, p95 = 1e3 * np.quantile(self.pose_delays_s, [0.5, 0.95])
            rows += [
                TimingRow(what='image stamp to published pose, p50 / p95',
                          value=f'{p50:.0f} / {p95:.0f} ms', goal='p95 <= 60 ms'),
                TimingRow(what='pose rate, lowest episode', goal='>= 25 Hz',
                          value=f'{min(self.pose_rates_hz, default=0.0):.1f} Hz')]
        if factors:
            rows.append(TimingRow(what='real-time factor, lowest 1 s window',
                                  value=f'{min(factors):.3f}', goal='>= 0.98'))
        for name, values in sorted(self._client.diagnostics.items()):
            if 'period_p50_ms' in values:
                text = ' / '.join(values.get(f'period_{q}_ms', '') for q in ('p50', 'p99', 'max'))
                rows.append(TimingRow(
                    what=f'{name}: loop period p50 / p99 / max (nominal '
                         f'{values.get("period_nominal_ms", "?")} ms)',
                    value=f'{text} ms', goal=values.get('scheduler', '')))
        return rows
