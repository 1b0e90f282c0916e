# SPDX-License-Identifier: Apache-2.0
"""Write the table of access as a policy of SROS2, one enclave for each process."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ocrrl_ros.interfaces.access import process_access, PROCESSES
from ocrrl_ros.interfaces.access_config import AccessConfig, NodeAccess, with_common
from ocrrl_ros.interfaces.security import enclave_path

_VERSION = '0.2.0'
#: Element, attribute and item of each kind, in the order of SROS2's own files.
_ELEMENTS = {
    'subscribe': ('topics', 'topic'), 'publish': ('topics', 'topic'),
    'reply': ('services', 'service'), 'request': ('services', 'service'),
    'execute': ('actions', 'action'), 'call': ('actions', 'action')}
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!--
  SPDX-License-Identifier: Apache-2.0
  Who may say what to whom, written by `ocrrl security policy`. How it is used: docs/security.md.
-->
"""


def policy_text(config: AccessConfig) -> str:
    """Return the policy file for a configuration of the graph."""
    policy = ET.Element('policy', version=_VERSION)
    enclaves = ET.SubElement(policy, 'enclaves')
    for process in PROCESSES:
        enclave = ET.SubElement(
            enclaves, 'enclave', path=enclave_path(process, config.namespace))
        profiles = ET.SubElement(enclave, 'profiles')
        for access in process_access(process, config):
            _add_profile(profiles, with_common(access), config.namespace)
    ET.indent(policy)
    return _HEAD + ET.tostring(policy, encoding='unicode') + '\n'


def _add_profile(profiles: ET.Element, access: NodeAccess, namespace: str) -> None:
    """Add what one node may do."""
    profile = ET.SubElement(
        profiles, 'profile', ns='/' + namespace.strip('/'), node=access.node)
    for kind, (group, item) in _ELEMENTS.items():
        names = sorted(getattr(access, kind))
        if names:
            parent = ET.SubElement(profile, group, {kind: 'ALLOW'})
            for name in names:
                ET.SubElement(parent, item).text = name
