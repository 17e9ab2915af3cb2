# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.unit.app.watched import Node


@pytest.fixture
def node():
    """A node with two workloads, web (300) and db (301)."""
    node = Node()
    node.owner(300, "web")
    node.owner(301, "db", cgroup=8, path="/system.slice/db.service")
    return node


@pytest.fixture
def node_of():
    """Makes a node with limits of its own."""
    return Node
