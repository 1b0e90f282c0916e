# SPDX-License-Identifier: Apache-2.0
"""
A SAM 2 video model of transformers with few, random weights, and what a session of it holds.

All parts and the 7 memory slots of the real one are there; the picture has a side of 64 px.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SIDE = 64
_HIDDEN = 128


def save_tiny_model(folder: Path, object_score: float = 8.0) -> Path:
    """
    Write a model as transformers does; torch is imported here.

    :param object_score: logit about which the object scores lie.
    """
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Sam2VideoModel(Sam2VideoConfig(
        image_size=SIDE, vision_config=_vision(), prompt_encoder_config={
            'hidden_size': _HIDDEN, 'image_size': SIDE, 'patch_size': 16,
            'mask_input_channels': 8},
        mask_decoder_config={
            'hidden_size': _HIDDEN, 'mlp_dim': 32, 'num_hidden_layers': 1,
            'num_attention_heads': 2, 'iou_head_hidden_dim': 16},
        memory_attention_hidden_size=_HIDDEN, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[SIDE // 16] * 2, memory_encoder_hidden_size=_HIDDEN,
        mask_downsampler_embed_dim=_HIDDEN, memory_fuser_embed_dim=_HIDDEN,
        memory_fuser_intermediate_dim=32))
    # As initialised, nearly nothing reaches the mask; memories must tell, if one is missing.
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() > 1 and 'layer_norm' not in name:
                weights.normal_(0.0, 1.5 / max(weights[0].numel(), 9) ** 0.5)
        model.object_pointer_proj.proj_out.weight.mul_(20.0)
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(object_score)
    model.save_pretrained(folder)
    return folder


def _vision() -> dict:
    """Return the settings of an image encoder with five blocks."""
    return {
        'backbone_config': {
            'model_type': 'sam2_hiera_det_model', 'hidden_size': 8, 'image_size': [SIDE, SIDE],
            'blocks_per_stage': [1, 1, 2, 1], 'embed_dim_per_stage': [8, 16, 32, 64],
            'num_attention_heads_per_stage': [1, 1, 2, 2], 'window_size_per_stage': [8, 4, 4, 2],
            'global_attention_blocks': [3],
            'window_positional_embedding_background_size': [4, 4]},
        'backbone_channel_list': [64, 32, 16, 8],
        'backbone_feature_sizes': [[SIDE // step] * 2 for step in (4, 8, 16)],
        'fpn_hidden_size': _HIDDEN}


def held(part: object, seen: set[int] | None = None) -> Iterator[int]:
    """Yield the bytes of each tensor that an object holds, each storage once; 0 for entries."""
    import torch
    seen = set() if seen is None else seen
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, torch.Tensor):
        storage = part.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            yield storage.nbytes()
        return
    if isinstance(part, dict):
        children = list(part.values())
    elif isinstance(part, (list, tuple)):
        children = list(part)
    else:
        children = list(vars(part).values()) if hasattr(part, '__dict__') else []
    for child in children:
        yield 0
        yield from held(child, seen)
