# SPDX-License-Identifier: Apache-2.0
"""Pictures and targets of one episode, and what a report makes of them."""
from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.evaluation.media import (
    decode_jpeg, draw_corrections, encode_jpeg, encode_video, label_picture, PinholeView,
    TargetTrace)
from ocrrl_ros.evaluation.pose_sources import World
from ocrrl_ros.sim.renderer import SceneRenderer

RATE_HZ = 10
TRAIL_S = 1.0
MOVED_M = 0.0005


@dataclass
class Film:
    """
    One episode as the camera and the policy saw it; pictures are kept as JPEG.

    Times are on one clock for pictures and targets.
    """

    pictures: list[bytes] = field(default_factory=list)
    picture_times_s: list[float] = field(default_factory=list)
    target_times_s: list[float] = field(default_factory=list)
    base_targets: list[np.ndarray] = field(default_factory=list)
    corrected_targets: list[np.ndarray] = field(default_factory=list)

    def take(self, world: World, renderer: SceneRenderer, time_s: float) -> None:
        """Keep the camera's view of a simulated world."""
        renderer.set_state(world.render_state())
        self.add_picture(renderer.rgb(), time_s)

    def add_picture(self, rgb: np.ndarray, time_s: float) -> None:
        """Keep a camera picture (H, W, 3) uint8."""
        self.pictures.append(encode_jpeg(rgb))
        self.picture_times_s.append(time_s)

    def add_targets(self, base: np.ndarray, corrected: np.ndarray, time_s: float) -> None:
        """Keep a policy tick: target positions (3,) of the base alone and after the residual."""
        self.base_targets.append(np.asarray(base, dtype=float))
        self.corrected_targets.append(np.asarray(corrected, dtype=float))
        self.target_times_s.append(time_s)

    def trace(self, begin_s: float = -np.inf, end_s: float = np.inf) -> TargetTrace:
        """Return the targets between two times."""
        times = np.array(self.target_times_s)
        chosen = (times >= begin_s) & (times <= end_s)
        return TargetTrace(
            times[chosen], np.reshape(self.base_targets, (-1, 3))[chosen],
            np.reshape(self.corrected_targets, (-1, 3))[chosen])

    def strongest_time_s(self) -> float:
        """
        Return when the correction is worth a picture; the middle when there was none.

        Of the ticks with at least half the largest correction it is the one nearest the table,
        where grasps are decided.
        """
        trace = self.trace()
        size = np.linalg.norm(trace.corrected_targets - trace.base_targets, axis=1)
        if not len(size) or size.max() <= MOVED_M:
            return self.picture_times_s[len(self.picture_times_s) // 2]
        height = np.where(size >= 0.5 * size.max(), trace.base_targets[:, 2], np.inf)
        return float(trace.time_s[int(height.argmin())])

    def picture_at(self, time_s: float) -> np.ndarray:
        """Return the picture nearest to a time."""
        times = np.array(self.picture_times_s)
        return decode_jpeg(self.pictures[int(np.abs(times - time_s).argmin())])

    def correction_picture(self, view: PinholeView) -> bytes:
        """Return the picture of the strongest correction with the arrows around it, as JPEG."""
        time_s = self.strongest_time_s()
        trace = self.trace(time_s - TRAIL_S, time_s + TRAIL_S)
        return encode_jpeg(draw_corrections(self.picture_at(time_s), view, trace))

    def video(self, view: PinholeView, label: str) -> bytes:
        """Return an MP4 with the targets of the last second drawn in every picture."""
        begin_s = self.picture_times_s[0]
        frames = []
        for data, time_s in zip(self.pictures, self.picture_times_s):
            rgb = draw_corrections(decode_jpeg(data), view, self.trace(time_s - TRAIL_S, time_s))
            frames.append(label_picture(rgb, f'{label}   {time_s - begin_s:4.1f} s'))
        return encode_video(frames, RATE_HZ)
