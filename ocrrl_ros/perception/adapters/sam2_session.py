# SPDX-License-Identifier: Apache-2.0
"""
One object's session of a SAM 2 video model of transformers, which does not grow.

transformers keeps all outputs of all frames. A later frame reads no more than the memory of the
prompted frame and of the last few, and the object pointers of some more.
"""

from __future__ import annotations

import numpy as np

# All that a later frame reads of an earlier one. What another version of transformers needs
# beside it is missed there at once; a list of what to drop would let it pile up unseen.
_POINTER = ('object_pointer',)
_MEMORY = ('object_pointer', 'maskmem_features', 'maskmem_pos_enc')


class Sam2Session:
    """
    The memory of one object, from the frame in which it is prompted.

    Objects have sessions of their own, so that one can be forgotten or prompted again without the
    others, and share the features of the picture.

    :param model: a Sam2VideoModel; its ``num_maskmem`` - 1 frames are remembered.
    :param shared: a session whose features of the present picture are used, too.
    """

    def __init__(self, model, shared: Sam2Session | None = None) -> None:
        """Start without a prompt."""
        from transformers import Sam2VideoInferenceSession
        self._model = model
        self._session = Sam2VideoInferenceSession(
            inference_device=model.device, inference_state_device=model.device,
            video_storage_device=model.device, dtype=model.dtype)
        self._index = self._session.obj_id_to_idx(0)
        if shared is not None:
            self._session.cache = shared._session.cache

    def prompt_points(self, frame: int, points: np.ndarray, labels: np.ndarray) -> None:
        """Say by points (N, 2) of the square picture and labels (N,) what the object is."""
        import torch
        self._session.add_point_inputs(self._index, frame, {
            'point_coords': torch.from_numpy(points)[None, None],
            'point_labels': torch.from_numpy(labels.astype(np.int32))[None, None]})
        self._session.obj_with_new_inputs = [0]

    def prompt_mask(self, frame: int, mask: np.ndarray) -> None:
        """Say by a mask (side, side) of the square picture what the object is."""
        import torch
        self._session.add_mask_inputs(
            self._index, frame, torch.from_numpy(mask.astype(np.float32))[None, None])
        self._session.obj_with_new_inputs = [0]

    def step(self, frame: int, pixels, remember: bool = True) -> tuple[np.ndarray, float]:
        """
        Return the mask in a frame, logits (h, w) of the square picture, and the object's score.

        :param frame: its number, greater than those before; steps may be left out.
        :param pixels: tensor (1, 3, side, side).
        :param remember: False for a look that no later frame is to know of.
        """
        found = self._model(
            inference_session=self._session, frame=pixels, frame_idx=frame,
            run_mem_encoder=remember)
        self._prune(frame)
        return (found.pred_masks[0, 0].float().cpu().numpy(),
                float(found.object_score_logits.float().sigmoid()))

    def _prune(self, frame: int) -> None:
        """Drop what no frame after this one reads."""
        session, index = self._session, self._index
        for kept in (session.processed_frames, session.point_inputs_per_obj[index],
                     session.mask_inputs_per_obj[index], session.frames_tracked_per_obj[index]):
            kept.clear()
        outputs = session.output_dict_per_obj[index]
        prompted, tracked = outputs['cond_frame_outputs'], outputs['non_cond_frame_outputs']
        for number, output in prompted.items():
            prompted[number] = _only(output, _MEMORY)
        remembered = self._model.num_maskmem
        pointed = self._model.config.max_object_pointers_in_encoder
        for number in list(tracked):
            age = frame + 1 - number
            if age >= max(remembered, pointed):
                del tracked[number]
            else:
                tracked[number] = _only(
                    tracked[number], _MEMORY if age < remembered else _POINTER)


def _only(output: dict, names: tuple[str, ...]) -> dict:
    """Return the named parts of a frame's output."""
    return {name: output[name] for name in names if name in output}
