# SPDX-License-Identifier: Apache-2.0
"""Read a policy of SROS2 back into sets of absolute names, for comparison."""

from __future__ import annotations

import xml.etree.ElementTree as ET

#: Kinds of access by element and attribute.
KINDS = {
    ('topics', 'publish'), ('topics', 'subscribe'), ('services', 'reply'),
    ('services', 'request'), ('actions', 'execute'), ('actions', 'call')}


def absolute(name: str, namespace: str, node: str) -> str:
    """Resolve a name as SROS2 does: absolute, private (~) or below the namespace."""
    prefix = namespace.rstrip('/') + '/'
    if name.startswith('/'):
        return name
    return prefix + (node + name[1:] if name.startswith('~') else name)


def read_policy(text: str) -> dict[str, dict[str, dict[str, set[str]]]]:
    """Return enclave -> node -> kind -> absolute names; a name given twice is an error."""
    root = ET.fromstring(text.encode())
    assert root.tag == 'policy' and root.get('version') == '0.2.0'
    found: dict[str, dict[str, dict[str, set[str]]]] = {}
    for enclave in root.findall('enclaves/enclave'):
        nodes = found[enclave.get('path')] = {}
        for profile in enclave.findall('profiles/profile'):
            kinds = nodes[profile.get('node')] = {kind: set() for _, kind in KINDS}
            for group in profile:
                (kind, rule), = group.items()
                assert (group.tag, kind) in KINDS and rule == 'ALLOW'
                names = [absolute(item.text, profile.get('ns'), profile.get('node'))
                         for item in group]
                assert len(names) == len(set(names))
                kinds[kind] |= set(names)
    return found
