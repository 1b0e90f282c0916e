# SPDX-License-Identifier: Apache-2.0
"""A self-contained HTML report of results: tables, pictures, videos; opens from disk."""
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ocrrl_ros.core.errors import InputError, OcrrlError
from ocrrl_ros.evaluation.result_pairs import check_result, pair_results, policy_name

PICTURE_TYPES = {b'\xff\xd8': 'image/jpeg', b'\x89P': 'image/png'}


@dataclass(frozen=True, kw_only=True)
class Still:
    """One picture (JPEG or PNG bytes) and what it shows."""

    caption: str
    picture: bytes


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One H.264 MP4 and what it shows."""

    caption: str
    video: bytes


@dataclass(frozen=True, kw_only=True)
class TimingRow:
    """One measured time: what, its value as text, and the goal as text or empty."""

    what: str
    value: str
    goal: str = ''


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything a report shows; parts that are empty are left out."""

    title: str
    results: Sequence[Mapping[str, Any]]
    stills: Sequence[Still] = ()
    clips: Sequence[Clip] = ()
    timing: Sequence[TimingRow] = ()
    machine: Mapping[str, Any] | None = None
    commands: Sequence[str] = ()
    notes: Sequence[str] = ()


def render_report(content: ReportContent) -> str:
    """Build the HTML text."""
    for index, result in enumerate(content.results):
        check_result(result, f'result {index + 1}')
    sections = [
        _summary_section(content.results), _clip_section(content.clips),
        _still_section(content.stills), _episode_section(content.results),
        _timing_section(content.timing), _origin_section(content)]
    template = resources.files('ocrrl_ros.evaluation').joinpath('templates', 'report.html')
    return Template(template.read_text(encoding='utf-8')).substitute(
        title=escape(content.title), subtitle=escape(_subtitle(content.results)),
        sections='\n'.join(section for section in sections if section))


def write_report(path: Path, content: ReportContent) -> None:
    """Write the report; errors name the file."""
    text = render_report(content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise OcrrlError(f'cannot write {path}: {error}') from error


def _subtitle(results: Sequence[Mapping[str, Any]]) -> str:
    """Say what was measured in one line."""
    domains = sorted({str(result['domain']) for result in results})
    tasks = sorted({str(result['task']) for result in results})
    episodes = sum(int(result['episodes']) for result in results)
    return f'{", ".join(tasks)} in {", ".join(domains)}, {episodes} counted episodes in simulation'


def _percent(value: float | None) -> str:
    """Write a share as percent; a dash where nothing was counted."""
    return '–' if value is None else f'{100 * value:.1f} %'


def _table(
        header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Build a table; cells are HTML already, columns in ``numbers`` are right-aligned."""
    def line(cells: Sequence[str], tag: str) -> str:
        return '<tr>' + ''.join(
            f'<{tag}{" class=number" if i in numbers else ""}>{cell}</{tag}>'
            for i, cell in enumerate(cells)) + '</tr>'
    body = '\n'.join(line(row, 'td') for row in rows)
    return f'<div class="scroll"><table>{line(header, "th")}\n{body}</table></div>'


def _summary_section(results: Sequence[Mapping[str, Any]]) -> str:
    """Build the table and chart of success rates and the paired differences."""
    rows = [[escape(policy_name(result)), escape(str(result['domain'])),
             escape(str(result['poses'])), f'{result["successes"]} / {result["episodes"]}',
             _percent(result['rate']),
             f'{_percent(result["wilson95"][0])} … {_percent(result["wilson95"][1])}',
             f'{result["mean_episode_s"]:.1f} s' if result.get('mean_episode_s') else '',
             escape(_modes_text(endings(result)))] for result in results]
    table = _table(['policy', 'domain', 'poses', 'successes', 'rate', 'Wilson 95 %',
                    'mean episode', 'failures'], rows, numbers=(3, 4, 5, 6))
    lines = [f'<p>{escape(name)}: <b>{100 * paired.difference:+.1f} points</b> '
             f'(95 % {100 * paired.interval95[0]:+.1f} … {100 * paired.interval95[1]:+.1f}, '
             f'exact McNemar p = {paired.p_value:.3g}, n = {paired.counts.n} pairs; only the '
             f'first succeeded {paired.counts.only_first}, only the second '
             f'{paired.counts.only_second})</p>' for name, paired in pair_results(results)]
    return f'<section><h2>Success</h2>{_rate_chart(results)}{table}{"".join(lines)}</section>'


def endings(result: Mapping[str, Any]) -> Sequence[str]:
    """Return how each episode ended: by the rules of `evaluate`, or as the graph saw it."""
    return result.get('endings') or result.get('failure_modes') or []


def _modes_text(modes: Sequence[str]) -> str:
    """Count failure modes in words."""
    failed = [mode for mode in modes if mode and mode != 'success']
    return ', '.join(f'{failed.count(mode)} {mode.replace("_", " ")}'
                     for mode in sorted(set(failed), key=failed.count, reverse=True))


def _rate_chart(results: Sequence[Mapping[str, Any]]) -> str:
    """Draw success rates with their intervals as inline SVG."""
    left, width, height = 210, 700, 34
    total = height * len(results) + 24
    parts = [f'<svg viewBox="0 0 {left + width + 80} {total}" width="100%" role="img">']
    for tick in range(0, 101, 25):
        x = left + width * tick / 100
        parts.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{total - 20}" stroke="#e3e3e8"/>'
                     f'<text x="{x}" y="{total - 5}" text-anchor="middle">{tick} %</text>')
    for index, result in enumerate(results):
        y = height * index + 8
        low, high = (left + width * end for end in result['wilson95'])
        colour = 'var(--base)' if result['policy'] == 'base' else 'var(--corrected)'
        label = f'{policy_name(result)}, {result["domain"]}, {result["poses"]}'
        parts.append(
            f'<text x="0" y="{y + 14}">{escape(label)}</text>'
            f'<rect x="{left}" y="{y}" width="{width * (result["rate"] or 0.0):.1f}" height="20" '
            f'rx="3" fill="{colour}"/><line x1="{low:.1f}" y1="{y + 10}" x2="{high:.1f}" '
            f'y2="{y + 10}" stroke="#1c1c1e" stroke-width="2"/>')
    return ''.join(parts) + '</svg>'


def _data_address(data: bytes, kind: str) -> str:
    """Embed bytes as a data: address."""
    return f'data:{kind};base64,{base64.b64encode(data).decode("ascii")}'


def _clip_section(clips: Sequence[Clip]) -> str:
    """Build the videos."""
    if not clips:
        return ''
    figures = ''.join(
        f'<figure><video controls muted loop playsinline preload="metadata" '
        f'src="{_data_address(clip.video, "video/mp4")}"></video>'
        f'<figcaption>{escape(clip.caption)}</figcaption></figure>' for clip in clips)
    return f'<section><h2>Videos</h2><div class="gallery">{figures}</div></section>'


def _still_section(stills: Sequence[Still]) -> str:
    """Build the pictures."""
    if not stills:
        return ''
    figures = []
    for still in stills:
        kind = PICTURE_TYPES.get(still.picture[:2])
        if kind is None:
            raise InputError(f'the picture {still.caption!r} is neither JPEG nor PNG')
        caption = escape(still.caption)
        figures.append(f'<figure><img alt="{caption}" src="{_data_address(still.picture, kind)}">'
                       f'<figcaption>{caption}</figcaption></figure>')
    return f'<section><h2>Pictures</h2><div class="gallery">{"".join(figures)}</div></section>'


def _outcome_cell(result: Mapping[str, Any], index: int) -> str:
    """Write one episode's outcome, its duration and failure mode."""
    if index >= len(result['outcomes']):
        return ''
    seconds = (result.get('durations_s') or [])[index:index + 1]
    time = f' {seconds[0]:.1f} s' if seconds and seconds[0] is not None else ''
    valid = (result.get('valid') or [True] * len(result['outcomes']))[index]
    if not valid:
        return f'<span class="void">not counted</span>{time}'
    if result['outcomes'][index]:
        return f'<span class="good">success</span>{time}'
    mode = endings(result)[index:index + 1]
    reason = escape(mode[0].replace('_', ' ')) if mode and mode[0] else 'failed'
    return f'<span class="bad">{reason}</span>{time}'


def _episode_section(results: Sequence[Mapping[str, Any]], limit: int = 100) -> str:
    """Build the table of single episodes."""
    shown = [result for result in results if result.get('outcomes')]
    if not shown:
        return ''
    count = max(len(result['outcomes']) for result in shown)
    rows = [[str(index + 1), *(_outcome_cell(result, index) for result in shown)]
            for index in range(min(count, limit))]
    more = f'<p class="soft">The first {limit} of {count} are shown.</p>' if count > limit else ''
    header = ['episode', *(escape(f'{policy_name(result)}, {result["domain"]}, '
                                  f'{result["poses"]}') for result in shown)]
    return f'<section><h2>Episodes</h2>{_table(header, rows)}{more}</section>'


def _timing_section(timing: Sequence[TimingRow]) -> str:
    """Build the timing table."""
    if not timing:
        return ''
    rows = [[escape(row.what), escape(row.value), escape(row.goal)] for row in timing]
    table = _table(['what', 'measured', 'goal or scheduler'], rows)
    return f'<section><h2>Timing</h2>{table}</section>'


def _origin_section(content: ReportContent) -> str:
    """Say where the figures come from: machine, commands, commit, bundles."""
    rows = []
    if content.machine:
        machine = dict(content.machine)
        packages = machine.pop('packages', {})
        rows += [[escape(str(key).replace('_', ' ')), escape(str(value))]
                 for key, value in machine.items()]
        rows.append(['packages', escape(', '.join(f'{k} {v}' for k, v in packages.items()))])
    for name, label in (('git', 'commit'), ('seed', 'seed'), ('base_sha256', 'base bundle'),
                        ('bundle_sha256', 'residual bundle'), ('domain_sha256', 'domain'),
                        ('success_version', 'success version'),
                        ('protocol_version', 'protocol version')):
        values = sorted({str(r[name]) for r in content.results if r.get(name) is not None})
        if values:
            dirty = name == 'git' and any(result.get('git_dirty') for result in content.results)
            suffix = ' (with uncommitted changes)' if dirty else ''
            rows.append([label, f'<code>{escape(", ".join(values))}</code>{suffix}'])
    commands = ''.join(f'<pre>{escape(command)}</pre>' for command in content.commands)
    notes = ''.join(f'<p>{escape(note)}</p>' for note in content.notes)
    return (f'<section><h2>Where the figures come from</h2>{notes}{commands}'
            f'{_table(["", ""], rows)}</section>')
