# SPDX-License-Identifier: Apache-2.0
"""The client of the graph waits for the objects of its own task."""

from geometry_msgs.msg import PoseWithCovarianceStamped
from ocrrl_ros.core.errors import OcrrlError
from ocrrl_ros.interfaces import graph_client
from ocrrl_ros.interfaces.graph_client import GraphClient
from ocrrl_ros.interfaces.qos import DEEP_RELIABLE
from ocrrl_ros.policy.task_spec import known_task_specs, load_task_spec
import pytest


@pytest.fixture
def node(ros):
    """Give a node of the test's own."""
    found = ros.create_node('graph_client_test')
    yield found
    found.destroy_node()


def missing(client: GraphClient) -> str:
    """Return what the client says is missing."""
    with pytest.raises(OcrrlError, match='missing: ') as caught:
        client.wait_ready(0.0)
    return str(caught.value)


def test_who_waits_for_long_is_told_once_what_for(node, monkeypatch):
    monkeypatch.setattr(graph_client, '_PATIENCE_S', 0.1)
    told = []
    with pytest.raises(OcrrlError, match='not up after 0 s'):
        GraphClient(node, lambda: None, ('cube',)).wait_ready(0.4, told.append)
    text, = told
    assert 'still waiting for ' in text and 'objects/cube/pose' in text and 'compiles' in text


@pytest.mark.parametrize('task', known_task_specs())
def test_every_pose_of_the_task_is_waited_for_and_no_other(node, task: str):
    wanted = load_task_spec(task).object_ids
    text = missing(GraphClient(node, lambda: None, wanted))
    known = {name for other in known_task_specs() for name in load_task_spec(other).object_ids}
    assert {name for name in known if f'objects/{name}/pose' in text} == set(wanted)


def test_pose_that_somebody_publishes_is_not_missing(node):
    publisher = node.create_publisher(
        PoseWithCovarianceStamped, 'objects/block/pose', DEEP_RELIABLE)
    text = missing(GraphClient(node, lambda: None, ('block', 'bowl')))
    node.destroy_publisher(publisher)
    assert 'objects/bowl/pose' in text
    assert 'objects/block/pose' not in text
