# SPDX-License-Identifier: Apache-2.0
"""
Object poses by the two FoundationPose networks, run by onnxruntime.

The algorithm is that of Wen et al., "FoundationPose: Unified 6D Pose Estimation and Tracking of
Novel Objects", CVPR 2024, as the facts on perception (sections 1.1 and 1.2) describe it: rotation
hypotheses about the depth under a mask, refined and scored by comparing a rendered crop with the
observed one. Renderer, crops and everything else here are our own; the weights are not.
"""
