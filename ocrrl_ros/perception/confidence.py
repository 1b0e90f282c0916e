# SPDX-License-Identifier: Apache-2.0
"""How probable it is that an estimated pose is good, from what the image says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from ocrrl_ros.core.errors import ConfigError

FEATURES = (
    'silhouette_error', 'depth_outliers', 'depth_rms', 'scarcity', 'invalid_depth',
    'free_space', 'unmeasured', 'excess', 'truncated', 'size_doubt', 'innovation',
    'position_sigma_mm', 'rotation_sigma_deg', 'refiner_update', 'mask_doubt')


@dataclass(frozen=True, kw_only=True)
class ConfidenceConfig:
    """
    Weights of a logistic regression on `FEATURES`, and the tolerances behind the features.

    Fitted by `ocrrl perception calibrate-confidence` on rendered sequences of domain `sim`.
    """

    bias: float = field(default=5.0, metadata={'description': 'log odds of a perfect match'})
    silhouette_error: float = field(
        default=-16.0, metadata={'description': 'weight of 1 - IoU of rendered and seen mask'})
    depth_outliers: float = field(
        default=-6.0, metadata={'description': 'weight of the share of depths out of tolerance'})
    depth_rms: float = field(
        default=-3.0, metadata={'description': 'weight of the depth RMS in tolerances'})
    scarcity: float = field(
        default=-1.5, metadata={'description': 'weight of log(pixels of the object / visible)'})
    invalid_depth: float = field(
        default=-1.0, metadata={'description': 'weight of the share of pixels without depth'})
    free_space: float = field(
        default=-8.0, metadata={'description': 'weight of the share measured behind the object'})
    unmeasured: float = field(
        default=0.0, metadata={'description': 'weight of the share of pixels with neither its '
                               'colour nor depth'})
    excess: float = field(
        default=0.0, metadata={'description': 'weight of the share of the mask that lies outside '
                               'the rendered object'})
    truncated: float = field(
        default=0.0, metadata={'description': 'weight of the share of the outline that lies '
                               'outside the picture'})
    size_doubt: float = field(
        default=0.0, metadata={'description': 'weight of how much better another size fits'})
    innovation: float = field(
        default=-0.3, metadata={'description': 'weight of the step against the motion model'})
    position_sigma_mm: float = field(
        default=-0.3, metadata={'description': 'weight of the position uncertainty, per mm'})
    rotation_sigma_deg: float = field(
        default=-0.3, metadata={'description': 'weight of the rotation uncertainty, per deg'})
    refiner_update: float = field(
        default=0.0, metadata={'description': 'weight of the last step of the network that '
                               'refines, in its assumed errors; 0 of other backends'})
    mask_doubt: float = field(
        default=0.0, metadata={'description': 'weight of 1 - mask_quality, what SAM 2 or the '
                               'segmentation by depth thinks of its mask; 0 of masks by colour'})
    tolerance_m: float = field(
        default=0.0075, metadata={'description': 'depth tolerance at 1 m, m; grows as z squared'})
    tolerance_floor_m: float = field(
        default=0.002, metadata={'description': 'least depth tolerance, m'})
    occluder_m: float = field(
        default=0.006, metadata={'description': 'an occluder is at least this much nearer, m'})

    def __post_init__(self) -> None:
        """Refuse weights that reward errors and tolerances that are not positive."""
        for name in FEATURES:
            if getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)}; allowed: <= 0')
        for name in ('tolerance_m', 'tolerance_floor_m', 'occluder_m'):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f'{name} is {getattr(self, name)} m; allowed: > 0 m')

    @property
    def tolerances(self) -> np.ndarray:
        """Return (3,) for the compare kernel."""
        return np.array([self.tolerance_m, self.tolerance_floor_m, self.occluder_m])

    def probability(self, parts: dict[str, float]) -> float:
        """Return the probability, 0..1, that the pose is good; 0 when a part is not finite."""
        return float(self.probabilities(parts))

    def probabilities(self, parts: Mapping[str, float | np.ndarray]) -> np.ndarray:
        """Return the same of many frames (...), each part (...)."""
        odds = self.bias + sum(getattr(self, name) * parts[name] for name in FEATURES)
        chance = 1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0)))
        return np.where(np.isfinite(odds), chance, 0.0)


def image_parts(sums: np.ndarray) -> dict[str, float]:
    """
    Return the features that compare image and rendered object.

    Occlusion is counted apart: hidden pixels leave the IoU and the depth residual alone.

    :param sums: (10,) of the compare kernel.
    """
    model, both, mask_only, hidden, missing, compared, inliers, squares, behind, unmeasured = sums
    union = both + mask_only + missing
    visible = max(model - hidden, 1.0)
    return {
        'iou': both / max(union, 1.0),
        'silhouette_error': 1.0 - both / max(union, 1.0),
        'depth_outliers': 1.0 - inliers / compared if compared else 1.0,
        'depth_rms': float(np.sqrt(squares / compared)) if compared else 3.0,
        'scarcity': float(np.log(max(model, 1.0) / max(both + missing, 1.0))),
        'occluded': 1.0 - (both + missing) / max(model, 1.0),
        'invalid_depth': 1.0 - compared / max(both, 1.0),
        'free_space': behind / visible,
        'unmeasured': unmeasured / max(model, 1.0),
        'excess': mask_only / max(both + mask_only, 1.0),
        'visible_px': both,
    }
