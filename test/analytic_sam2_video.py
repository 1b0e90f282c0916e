# SPDX-License-Identifier: Apache-2.0
"""
A video predictor that computes in the place of SAM 2.

What has the colour of the prompt is the object, wherever it goes. It stands in for weights that do
not ship, and counts what it is asked.
"""

from __future__ import annotations

import numpy as np
from ocrrl_ros.core.errors import InputError
from ocrrl_ros.perception.adapters.sam2_predictor import MaskPrediction

_REACH = 40.0
THERE, AWAY = 0.95, 0.02


class AnalyticVideo:
    """Follows colours; ``prompted`` names the prompts, ``pictures`` counts what was tracked in."""

    def __init__(self):
        self.prompted, self.looks, self.pictures = [], 0, 0
        self._asked, self._colours, self._size, self._seen = {}, {}, None, None

    @property
    def object_ids(self):
        return (*self._colours, *self._asked)

    @property
    def size(self):
        return self._size if self.object_ids else None

    def predict(self, rgb, prompt):
        self.looks += 1
        if prompt.box is None:
            column, row = prompt.points[0].astype(int)
            return self._answer(rgb, rgb[row, column].astype(float))
        column, row = (0.5 * (prompt.box[:2] + prompt.box[2:])).astype(int)
        found = self._answer(rgb, rgb[row, column].astype(float))
        left, top, right, bottom = prompt.box.astype(int)
        inside = np.full(found.logits.shape, -6.0, np.float32)
        inside[top:bottom + 1, left:right + 1] = found.logits[top:bottom + 1, left:right + 1]
        return MaskPrediction(logits=inside, quality=found.quality)

    def prompt(self, object_id, *, box=None, point=None, mask=None):
        assert mask is not None and mask.any() and box is None and point is None
        self.prompted.append(object_id)
        self._colours.pop(object_id, None)
        self._asked[object_id] = mask

    def track(self, rgb):
        if not self.object_ids:
            return {}
        if self._size not in (None, rgb.shape[:2]):
            raise InputError(f'picture is {rgb.shape[:2]}, not {self._size}')
        if rgb is not self._seen:
            self.pictures += 1
        self._seen, self._size = rgb, rgb.shape[:2]
        for object_id, mask in self._asked.items():
            self._colours[object_id] = np.median(rgb[mask], axis=0)
        self._asked = {}
        return {name: self._answer(rgb, colour) for name, colour in self._colours.items()}

    def forget(self, object_id):
        self._asked.pop(object_id, None)
        self._colours.pop(object_id, None)
        self._size = self.size

    def reset(self):
        self._asked, self._colours, self._size = {}, {}, None

    @staticmethod
    def _answer(rgb, colour):
        apart = ((rgb - colour) ** 2).sum(axis=2) / _REACH ** 2
        logits = (6.0 * np.maximum(1.0 - apart, -1.0)).astype(np.float32)
        return MaskPrediction(logits=logits, quality=THERE if logits.max() > 0.0 else AWAY)
