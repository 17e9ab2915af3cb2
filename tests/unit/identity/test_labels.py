# SPDX-License-Identifier: Apache-2.0
"""Which labels a workload is identified by."""

import pytest

from undermesh.identity import labels_of, parse_canonical
from undermesh.model.workload import NodeId, Number, Workload


def workload(**labels):
    return Workload(
        node=NodeId("n1"),
        number=Number(256),
        namespace="shop",
        name="cart",
        kind="container",
        labels=labels,
        exe="python3",
        cgroup="/docker/abc",
        cgroup_id=7,
        started_ns=1,
    )


def test_namespace_name_and_kind_are_always_part_of_it():
    assert labels_of(workload(tier="back")) == {
        "tier": "back",
        "undermesh.io/namespace": "shop",
        "undermesh.io/name": "cart",
        "undermesh.io/kind": "container",
    }


def test_labels_that_change_with_every_replica_are_left_out():
    noisy = {
        "pod-template-hash": "7d9f",
        "com.docker.compose.config-hash": "1",
        "io.kubernetes.container.hash": "2",
        "org.opencontainers.image.revision": "3",
    }
    assert labels_of(workload(**noisy)) == labels_of(workload())


def test_a_label_cannot_pose_as_the_name():
    posing = workload(**{"undermesh.io/name": "bank"})
    assert labels_of(posing)["undermesh.io/name"] == "cart"


@pytest.mark.parametrize("text", ["[]", "1", '{"a":1}', "{"])
def test_what_is_no_label_set_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        parse_canonical(text)
