# SPDX-License-Identifier: Apache-2.0
"""Fields of every result of `evaluate` and `demo`: design.md section 4, protocol.md section 6."""

RESULT_FIELDS = {
    'task', 'domain', 'policy', 'poses', 'seed', 'episodes', 'successes', 'rate', 'wilson95',
    'mean_episode_s', 'wall_s', 'bundle_sha256', 'git', 'outcomes', 'init_sha256',
    'failure_modes', 'train_seed', 'eval_seed', 'base_sha256', 'domain_sha256',
    'success_version', 'protocol_version', 'git_dirty'}
