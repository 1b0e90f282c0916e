# SPDX-License-Identifier: Apache-2.0
"""Errors that name the bad value, what is allowed and where the value came from."""

from __future__ import annotations

from collections.abc import Iterable


class OcrrlError(Exception):
    """Root of every error that this package raises on purpose."""


class ConfigError(OcrrlError):
    """A setting is missing, unknown or outside its allowed range."""


class InputError(OcrrlError):
    """A run-time input (message, array, argument) cannot be used."""


class BundleError(OcrrlError):
    """A model bundle is missing, truncated, altered or does not match."""


class DatasetError(OcrrlError):
    """A dataset is missing, unreadable or does not hold what it says."""


class UnknownNameError(ConfigError):
    """A name (task, domain, key) is not one of the known ones."""

    def __init__(self, kind: str, name: object, allowed: Iterable[object], source: str = ''):
        """
        Compose the message from what was asked and what exists.

        :param kind: what the name stands for, such as ``task``.
        :param name: the unknown name.
        :param allowed: every known name.
        :param source: file, parameter or option that the name came from.
        """
        known = ', '.join(sorted(str(item) for item in allowed)) or '(none)'
        origin = f' (from {source})' if source else ''
        super().__init__(f'unknown {kind} {name!r}{origin}; known: {known}')
        self.kind = kind
        self.name = name


class MissingDependencyError(OcrrlError):
    """A library or system package is not installed; the message says how to get it."""

    def __init__(self, what: str, install: str):
        """
        Compose the message from the missing thing and its install command.

        :param what: what is missing and what needs it.
        :param install: the exact command that installs it.
        """
        super().__init__(f'{what} is missing; install it with: {install}')
        self.install = install
