# SPDX-License-Identifier: Apache-2.0
"""A process that was a node for a while hears nothing of other nodes any more."""

import subprocess
import sys

PROGRAM = """
from pathlib import Path
from ocrrl_ros.interfaces.graph_client import GraphClient
from ocrrl_ros.interfaces.graph_process import own_node


def threads():
    names = {path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')}
    # The watchdog of shared memory serves the process and knows no other node.
    return sorted(name for name in names if name.startswith('dds.') and name != 'dds.shm.wdog')


with own_node('for_a_while') as node:
    client = GraphClient(node, lambda: None, ('block', 'bowl'))
    print('dds.ev.0' in threads())
print(threads())
"""


def test_no_thread_of_the_middleware_that_listens_outlives_the_node(ros_domain):
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], capture_output=True, text=True, timeout=60.0)
    assert (done.returncode, done.stdout.split()) == (0, ['True', '[]']), done.stderr
