# SPDX-License-Identifier: Apache-2.0
"""`ocrrl security policy`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ocrrl_ros.interfaces.access_config import AccessConfig

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class SecurityPolicy:
    """
    Write the SROS2 policy of a configuration of the graph: who may say what to whom.

    `ros2 security generate_artifacts -k KEYSTORE -p FILE` makes keys and signed permissions of it.
    """

    out: Path = field(metadata={'description': 'XML file to write'})
    access: AccessConfig = AccessConfig()

    def run(self, console: Console) -> dict[str, Any]:
        """Write the file and list the enclaves."""
        from ocrrl_ros.interfaces.access import PROCESSES
        from ocrrl_ros.interfaces.access_policy import policy_text
        from ocrrl_ros.interfaces.security import enclave_path
        enclaves = [enclave_path(name, self.access.namespace) for name in PROCESSES]
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(policy_text(self.access), encoding='utf-8')
        console.print(
            f'wrote {self.out}: {", ".join(enclaves)}', highlight=False, soft_wrap=True)
        return {'policy': str(self.out), 'enclaves': enclaves}
