# SPDX-License-Identifier: Apache-2.0
"""Looking only at what is related finds what looking at everything finds."""

import random

import pytest

from undermesh import manifests
from undermesh.app.related import Related
from undermesh.manifests.written import written


def service(name, rng):
    spec: dict[str, object] = {
        "ports": [{"port": rng.choice([80, 81]), "targetPort": rng.choice([8080, "web"])}]
    }
    kind = rng.random()
    if kind < 0.2:
        spec = {"type": "ExternalName", "externalName": f"s{rng.randrange(6)}.a.svc.mesh"}
    elif kind < 0.7:
        spec["selector"] = {"app": rng.choice("xyz")}
    if rng.random() < 0.3 and "ports" in spec:
        spec["clusterIP"] = f"198.18.0.{rng.randrange(1, 4)}"
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def endpoints(name, rng):
    port = {"port": 8080, **({"name": "web"} if rng.random() < 0.5 else {})}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/service-name": f"s{rng.randrange(8)}"},
        },
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [{"addresses": [f"10.0.0.{rng.randrange(1, 9)}"]}],
    }


def workload(name, rng):
    return {
        "apiVersion": "undermesh.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "labels": {"app": rng.choice("xyz")}},
        "spec": {"match": {"unit": f"{name}.service"}, "ports": {"web": 8080}},
    }


def some(rng, count):
    makers = (("s", service), ("e", endpoints), ("w", workload))
    made = []
    for _ in range(count):
        letter, make = rng.choice(makers)
        made.append(make(f"{letter}{rng.randrange(8)}", rng))
    return made


def read(documents, file):
    text = "\n---\n".join(written(one) for one in documents)
    result = manifests.read([manifests.Source(file, text, namespace="a")])
    assert not result.errors, [str(one) for one in result.errors]
    return {one.key: one for one in result.objects}


@pytest.mark.parametrize("seed", range(60))
def test_no_error_is_missed_and_none_is_made_up(seed):
    rng = random.Random(seed)
    stored = read(some(rng, 25), "stored.yaml")
    given = read(some(rng, 3), "given.yaml")
    related = Related()
    for one in stored.values():
        related.put(one)
    beside = {one.key: one for one in related.to(given.values())}

    def new(among):
        before = set(manifests.check(among.values()))
        after = manifests.check({**among, **given}.values())
        return {str(one) for one in after if one.file == "given.yaml" or one not in before}

    assert new(beside) == new(stored)


def test_what_is_taken_out_is_related_to_nothing():
    rng = random.Random(1)
    stored = read(some(rng, 25), "stored.yaml")
    related = Related()
    for one in (*stored.values(), *stored.values()):
        related.put(one)
    for key in stored:
        related.remove(key)
        related.remove(key)
    assert related.to(stored.values()) == ()
    assert not related._topics
