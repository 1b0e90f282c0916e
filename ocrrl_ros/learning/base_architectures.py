# SPDX-License-Identifier: Apache-2.0
"""The architectures of the base policy by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ocrrl_ros.core.configuration import from_mapping, read_yaml
from ocrrl_ros.core.errors import UnknownNameError
from ocrrl_ros.data.base_samples import BaseSamples
from ocrrl_ros.learning.base_network import BaseNetwork, ChunkNetwork
from ocrrl_ros.learning.behaviour_cloning import (
    action_errors, Batch, BehaviourCloningConfig, cloning_loss, CloningConfig, predict)
from ocrrl_ros.learning.flow_matching import (
    flow_loss, FlowMatchingConfig, sample_errors, sample_plans)
from ocrrl_ros.learning.flow_network import FlowNetwork
import torch

Loss = tuple[torch.Tensor, dict[str, float]]


@dataclass(frozen=True)
class Architecture:
    """
    What training asks of an architecture.

    :param config: class of its settings.
    :param network: builds the network that settings describe.
    :param loss: returns loss and parts (mm) of a batch; the generator draws what is random.
    :param plans: returns plans of samples without augmentation, frames first.
    :param errors: returns the action errors of such plans against chunks (F, 16, 10).
    """

    name: str
    config: type[CloningConfig]
    network: Callable[[Any], ChunkNetwork]
    loss: Callable[[Any, Batch, Any, torch.Generator], Loss]
    plans: Callable[[Any, BaseSamples, Any], np.ndarray]
    errors: Callable[[np.ndarray, np.ndarray], dict[str, Any]]


_ARCHITECTURES = (
    Architecture(
        'regression', BehaviourCloningConfig, lambda config: BaseNetwork(config.network),
        lambda network, batch, config, generator: cloning_loss(network, batch, config),
        lambda network, samples, config: predict(network, samples), action_errors),
    Architecture(
        'flow', FlowMatchingConfig,
        lambda config: FlowNetwork(
            config.network, config.components, config.integration_steps),
        flow_loss, sample_plans, sample_errors))


def architecture_of(config: CloningConfig) -> Architecture:
    """Return the architecture that settings are for."""
    return next(one for one in _ARCHITECTURES if one.config is type(config))


def load_cloning_config(path: Path | str) -> CloningConfig:
    """
    Read the settings of a training; ``architecture`` chooses their class, regression by default.

    :raises UnknownNameError: no such architecture, or a key that it does not know.
    :raises ConfigError: the file cannot be read, or a value cannot train.
    """
    content = read_yaml(path)
    name = content.pop('architecture', 'regression')
    for architecture in _ARCHITECTURES:
        if architecture.name == name:
            return from_mapping(architecture.config, content, str(path))
    raise UnknownNameError(
        'architecture', name, [known.name for known in _ARCHITECTURES], str(path))
