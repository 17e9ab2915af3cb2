# SPDX-License-Identifier: Apache-2.0
"""Desired state becomes what the kernel holds, and goes on doing so whenever the agent dies."""

import itertools

import pytest

from tests.unit.app.steered import Mesh, Stopped
from undermesh.app.explaining import UnknownName, explain
from undermesh.model.health import Target, Verdict
from undermesh.model.service import ServiceName

CART = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: {port}, targetPort: 8080}}]
---
apiVersion: v1
kind: Endpoints
metadata: {{name: {name}}}
subsets:
- addresses: [{addresses}]
  ports: [{{port: 8080}}]
"""


def manifest(*endpoints, name="cart", port=80):
    addresses = ", ".join(f"{{ip: 10.0.0.{one}}}" for one in endpoints)
    return CART.format(name=name, port=port, addresses=addresses)


def ends(mesh, port=80):
    found = mesh.kernel.reaches(port)
    assert len(found) <= 1
    return {address[3] for one in found.values() for address, _ in one}


@pytest.fixture(params=[False, True], ids=["all", "touched"])
def mesh(request):
    """With everything looked at in every round, and with what was touched only."""
    mesh = Mesh()
    mesh.said.tells = request.param
    return mesh


def test_a_service_reaches_its_endpoints(mesh):
    mesh.said.say(manifest(1, 2))
    mesh.round()
    assert ends(mesh) == {1, 2}
    assert [str(one.service) for one in mesh.answered] == ["cart"]


def test_nothing_changed_is_nothing_done(mesh):
    mesh.said.say(manifest(1))
    mesh.round()
    assert mesh.round() is None


def test_a_changed_endpoint_is_in_force_after_one_round(mesh):
    mesh.said.say(manifest(1, 2))
    mesh.round()
    mesh.said.say(manifest(2, 3))
    mesh.round()
    assert ends(mesh) == {2, 3}


def test_addresses_and_numbers_outlive_the_agent(mesh):
    mesh.said.say(manifest(1))
    mesh.round()
    before = mesh.given.kept[ServiceName("default", "cart")]
    mesh.restart()
    mesh.said.say(manifest(1) + "---" + manifest(2, name="auth", port=81))
    mesh.round()
    assert mesh.given.kept[ServiceName("default", "cart")] == before
    assert len({number for number, _ in mesh.given.kept.values()}) == 2


def test_a_service_that_comes_back_has_its_address_again(mesh):
    mesh.said.say(manifest(1))
    mesh.round()
    before = mesh.given.kept[ServiceName("default", "cart")]
    mesh.said.say(manifest(1, name="auth", port=81))
    mesh.round()
    assert ends(mesh) == set()
    mesh.said.say(manifest(1))
    mesh.round()
    assert mesh.given.kept[ServiceName("default", "cart")] == before
    assert ends(mesh) == {1}


def test_the_agent_may_die_between_any_two_writes():
    for steps in itertools.count():
        mesh = Mesh()
        mesh.said.say(manifest(1, 2))
        mesh.round()
        mesh.said.say(manifest(2, 3))
        mesh.kernel.done, mesh.kernel.dies_before = 0, steps
        try:
            mesh.round()
        except Stopped:
            died = True
        else:
            died = False
        mesh.kernel.dies_before = None
        assert ends(mesh) in ({1, 2}, {2, 3})
        mesh.restart()
        mesh.round()
        assert ends(mesh) == {2, 3}
        if not died:
            assert steps > 1
            return


def test_a_round_that_failed_is_made_up_for(mesh):
    mesh.said.say(manifest(1))
    mesh.kernel.dies_before = 0
    with pytest.raises(Stopped):
        mesh.round()
    mesh.kernel.dies_before = None
    mesh.round(after=2)
    assert ends(mesh) == {1}


CHECKED = """
apiVersion: undermesh.io/v1alpha1
kind: Service
metadata: {name: cart}
spec:
  ports: [{port: 80, targetPort: 8080}]
  endpoints: [{address: 10.0.0.1, port: 8080}, {address: 10.0.0.2, port: 8080}]
  check: {tcp: {}, interval: 1s}
"""


def verdict(target, healthy, reason="connect: refused (3 times)"):
    return Verdict(target=target, healthy=healthy, since_ns=1, reason=reason, latency_ns=1)


def target_of(mesh, end):
    return next(one for one in mesh.checked if str(one.address).endswith(f".{end}"))


def test_who_fails_its_check_is_left_out_and_explain_says_so(mesh):
    mesh.said.say(CHECKED)
    mesh.round()
    for end in (1, 2):
        mesh.steering.healths.found(verdict(target_of(mesh, end), True, "well"))
    mesh.round()
    assert ends(mesh) == {1, 2}
    mesh.steering.healths.found(verdict(target_of(mesh, 1), False))
    assert mesh.woken
    mesh.round()
    assert ends(mesh) == {2}
    states = {str(b.address): b.state for b in explain(mesh.steering, "cart").ports[0].backends}
    assert "refused" in states["10.0.0.1"]
    assert states["10.0.0.2"] == "ready"


def test_nobody_left_is_refused_and_explain_says_why(mesh):
    mesh.said.say(manifest())
    mesh.round()
    found = explain(mesh.steering, "cart.default.svc.mesh")
    assert not found.answers
    assert found.ports[0].refused


def test_a_name_nobody_has_is_answered_with_those_like_it(mesh):
    mesh.said.say(manifest(1))
    mesh.round()
    with pytest.raises(UnknownName) as caught:
        explain(mesh.steering, "carts")
    assert "cart" in caught.value.near


def test_an_address_is_explained_too(mesh):
    mesh.said.say(manifest(1))
    mesh.round()
    address = explain(mesh.steering, "cart").addresses[0]
    assert explain(mesh.steering, str(address)).service == ServiceName("default", "cart")


def test_targets_are_those_of_the_check(mesh):
    mesh.said.say(CHECKED)
    mesh.round()
    assert all(isinstance(one, Target) and one.port == 8080 for one in mesh.checked)
    assert len(mesh.checked) == 2
