# SPDX-License-Identifier: Apache-2.0
"""Tests of the HTML report and its media."""
from html.parser import HTMLParser
import io

import numpy as np
from ocrrl_ros.core import se3
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.evaluation import media, report, result_pairs
import pytest

VOID_TAGS = {'meta', 'img', 'line', 'rect', 'br'}


def make_result(policy='base', outcomes=(True, False, False), **changes):
    """Make a result as `evaluate` writes it."""
    n = len(outcomes)
    return {'task': 'cube_lift', 'domain': 'sim', 'policy': policy, 'poses': 'modelled', 'seed': 3,
            'episodes': n, 'successes': sum(outcomes), 'rate': sum(outcomes) / n,
            'wilson95': [0.1, 0.8], 'mean_episode_s': 4.0, 'outcomes': list(outcomes),
            'durations_s': [3.0] * n, 'init_sha256': [str(i) for i in range(n)],
            'failure_modes': ['success' if good else 'hover' for good in outcomes],
            'git': 'abc', 'git_dirty': False, **changes}


def make_picture(height=48, width=64):
    """Make a picture with a gradient."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 2, columns * 2, 0 * rows], axis=-1).astype(np.uint8)


class Checker(HTMLParser):
    """Collect tags and addresses and check that tags close."""

    def __init__(self):
        """Start with an empty stack."""
        super().__init__()
        self.stack, self.addresses, self.tags = [], [], []

    def handle_starttag(self, tag, attributes):
        """Push a tag."""
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ('src', 'href')]
        if tag not in VOID_TAGS:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        """Take a tag that closes itself."""
        self.tags.append(tag)

    def handle_endtag(self, tag):
        """Pop the matching tag."""
        assert self.stack.pop() == tag


def test_report_is_whole_html_and_loads_nothing_from_elsewhere():
    picture = media.encode_jpeg(make_picture())
    content = report.ReportContent(
        title='A <test>', results=[make_result(), make_result('residual', (True, True, False))],
        stills=[report.Still(caption='start', picture=picture)],
        clips=[report.Clip(caption='base', video=media.encode_video([make_picture()] * 3, 10))],
        timing=[report.TimingRow(what='policy tick p99', value='0.2 ms', goal='<= 0.5 ms')],
        machine={'cpu': 'x', 'packages': {'numpy': '2'}}, commands=['ocrrl evaluate'])
    checker = Checker()
    text = report.render_report(content)
    checker.feed(text)
    assert checker.stack == []
    assert {'img', 'video', 'table', 'svg'} <= set(checker.tags)
    assert all(address.startswith('data:') for address in checker.addresses)
    assert 'http' not in text
    assert 'A &lt;test&gt;' in text
    assert '+33.3 points' in text


def test_results_are_paired_only_over_the_same_initial_states():
    base = make_result()
    paired = result_pairs.pair_results([base, make_result('residual', (True, True, False))])
    assert paired[0][1].counts.only_first == 1
    other = make_result('residual', init_sha256=['a', 'b', 'c'])
    assert result_pairs.pair_results([base, other]) == []


def test_invalid_episodes_are_left_out_of_the_pairs():
    base = make_result(valid=[True, False, True])
    paired = result_pairs.pair_results([base, make_result('residual', (True, True, False))])
    assert paired[0][1].counts.n == 2


def test_a_result_without_a_field_is_refused_by_name():
    broken = make_result()
    del broken['wilson95']
    with pytest.raises(InputError, match='wilson95'):
        report.render_report(report.ReportContent(title='x', results=[broken]))


def test_video_is_h264_with_every_frame():
    import av
    data = media.encode_video([make_picture()] * 7, 10)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264'
        assert stream.codec_context.pix_fmt == 'yuv420p'
        assert sum(1 for _ in container.decode(stream)) == 7


def test_odd_sides_are_refused_for_videos():
    with pytest.raises(InputError, match='even sides'):
        media.encode_video([make_picture(47, 64)], 10)


def test_jpeg_survives_a_round_trip():
    picture = make_picture()
    decoded = media.decode_jpeg(media.encode_jpeg(picture, 95))
    assert np.abs(decoded.astype(int) - picture).mean() < 4


def test_projection_of_a_point_on_the_axis_is_the_principal_point():
    view = media.PinholeView(se3.pose(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0])),
                             (600.0, 600.0, 319.5, 239.5))
    pixels, in_front = view.project(np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    assert pixels[0] == pytest.approx([319.5, 239.5])
    assert pixels[1] == pytest.approx([379.5, 239.5])
    assert list(in_front) == [True, True, False]


def test_arrows_change_the_picture_only_where_a_correction_exists():
    view = media.PinholeView(se3.pose(np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0])),
                             (60.0, 60.0, 31.5, 23.5))
    base = np.zeros((10, 3))
    rgb = make_picture()
    trace = media.TargetTrace(np.arange(10) * 0.05, base, base + [0.1, 0.0, 0.0])
    drawn = media.draw_corrections(rgb, view, trace)
    changed = np.any(drawn != rgb, axis=-1)
    assert changed[20:28, 30:45].any()
    assert not changed[:10].any()
    assert not np.shares_memory(drawn, rgb)


def test_episodes_over_ros_are_paired_with_the_offline_ones():
    offline = make_result('residual', (True, True, False))
    graph = make_result('residual', (True, False, False), through='ros')
    (name, paired), = result_pairs.pair_results([offline, graph])
    assert 'over ROS minus offline' in name
    assert paired.difference == pytest.approx(-1 / 3)
