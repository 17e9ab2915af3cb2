# SPDX-License-Identifier: Apache-2.0
"""One state for every endpoint, whatever is learned in whatever order."""

import asyncio
from datetime import timedelta
from ipaddress import ip_address

import numpy as np
import pytest

from undermesh.app.health import Healths
from undermesh.app.service_health import NO_VERDICTS, watched
from undermesh.health import Prober
from undermesh.model.health import Standing, Target, Verdict
from undermesh.model.protocol import Transport
from undermesh.model.service import (
    Check,
    Ejection,
    Endpoint,
    EndpointSet,
    Service,
    ServiceName,
    ServicePort,
    TcpCheck,
)
from undermesh.traffic.states import CheckFailed, Ejected, EndpointKey

CART = ServiceName("shop", "cart")
CHECK = Check(probe=TcpCheck())
LOAD = np.dtype(
    [(n, "<u8") for n in ("connects", "failures", "requests", "errors", "duration_ns", "ewma_ns")]
)
SECOND = 1_000_000_000


def key(number: int, port: int = 8080) -> EndpointKey:
    return EndpointKey(ip_address(f"10.0.0.{number}"), port)


def endpoint(number: int, **more) -> Endpoint:
    return Endpoint(address=ip_address(f"10.0.0.{number}"), ports={"": 8080}, **more)


def service(*endpoints, name=CART, ports=None, **more):
    ports = ports or (ServicePort(port=80, target=8080),)
    made = Service(name=name, ports=ports, **more)
    return watched(made, [EndpointSet(service=name, source="s", endpoints=tuple(endpoints))])


class Noted:
    """Takes note of what it is to check."""

    def __init__(self) -> None:
        self.targets: dict[Target, Check] = {}
        self.presumed: frozenset[Target] = frozenset()
        self.told = 0

    def set_targets(self, targets, *, presumed=()) -> None:
        self.targets, self.presumed = dict(targets), frozenset(presumed)
        self.told += 1


class Mesh:
    """Healths, and everything that is told to it."""

    def __init__(self, *services, in_use=None) -> None:
        self.prober = Noted()
        self.woken = 0
        self.now_ns = SECOND
        self.healths = Healths(checks=self.prober, in_use=in_use or {}, wake=self.wake)
        self.loads = np.zeros(64, LOAD)
        self.watch(*services)
        self.count()

    def wake(self) -> None:
        self.woken += 1

    def watch(self, *services) -> None:
        self.now_ns += SECOND
        self.healths.watch({one.name: one for one in services}, now_ns=self.now_ns)

    def found(self, number, healthy, reason="as it is", port=8080, name=CART) -> None:
        self.now_ns += SECOND
        self.healths.found(
            Verdict(
                target=Target(name, key(number).address, port),
                healthy=healthy,
                since_ns=self.now_ns,
                reason=reason,
                latency_ns=1,
            )
        )

    def count(self, **grown) -> None:
        """A second later, with this growth: `b1=dict(failures=3)`; backend n is endpoint n."""
        self.now_ns += SECOND
        self.loads = self.loads.copy()
        for name, growth in grown.items():
            for column, more in growth.items():
                self.loads[column][int(name[1:])] += more
        owners = {number: (CART, key(number)) for number in range(1, 10)}
        self.healths.counted(self.loads, owners, now_ns=self.now_ns)

    def one(self, number, port=8080, name=CART):
        return self.healths.of(name)[key(number, port)]

    @property
    def verdicts(self):
        return self.healths.verdicts(CART)


def test_nobody_checks_it_so_it_is_taken_at_its_manifests_word() -> None:
    mesh = Mesh(service(endpoint(1), endpoint(2, ready=False), endpoint(3, draining=True)))
    assert mesh.one(1).usable
    assert mesh.one(1).standing == Standing.UNCHECKED
    assert (mesh.one(2).usable, mesh.one(2).standing) == (False, Standing.NOT_READY)
    assert (mesh.one(3).usable, mesh.one(3).standing) == (False, Standing.DRAINING)
    assert mesh.verdicts == {}
    assert mesh.prober.told == 0


def test_a_new_endpoint_waits_for_its_first_check() -> None:
    mesh = Mesh(service(endpoint(1), check=CHECK))
    assert mesh.prober.targets == {Target(CART, key(1).address, 8080): CHECK}
    assert (mesh.one(1).usable, mesh.one(1).standing) == (False, Standing.WAITING)
    assert mesh.verdicts == {key(1): CheckFailed("not checked yet")}
    mesh.found(1, True, "accepts connections")
    assert (mesh.one(1).usable, mesh.one(1).reason) == (True, "accepts connections")
    assert mesh.one(1).since_ns == mesh.now_ns
    assert mesh.verdicts is NO_VERDICTS


def test_after_a_restart_who_is_in_use_stays_until_checks_speak_against_it() -> None:
    mesh = Mesh(service(endpoint(1), endpoint(2), check=CHECK), in_use={CART: [key(1)]})
    assert (mesh.one(1).usable, mesh.one(1).standing) == (True, Standing.WAITING)
    assert not mesh.one(2).usable
    assert mesh.prober.presumed == {Target(CART, key(1).address, 8080)}
    mesh.found(1, False, "refused")
    assert mesh.verdicts[key(1)] == CheckFailed("refused")


def test_a_check_that_is_new_takes_nobody_away() -> None:
    mesh = Mesh(service(endpoint(1)))
    mesh.watch(service(endpoint(1), check=CHECK))
    assert mesh.one(1).usable
    assert mesh.prober.presumed
    mesh.found(1, True)
    mesh.watch(service(endpoint(1), endpoint(2), check=CHECK))
    assert mesh.one(1).standing == Standing.HEALTHY
    assert mesh.one(2).standing == Standing.WAITING


def test_one_that_was_unhealthy_is_not_in_use_when_its_check_changes() -> None:
    mesh = Mesh(service(endpoint(1), check=CHECK))
    mesh.found(1, False, "refused")
    mesh.watch(service(endpoint(1), check=Check(probe=TcpCheck(), port=9)))
    assert not mesh.one(1).usable
    assert not mesh.prober.presumed


def test_a_reason_that_becomes_another_changes_no_time_and_a_turn_does() -> None:
    mesh = Mesh(service(endpoint(1), check=CHECK))
    mesh.found(1, False, "refused")
    since = mesh.one(1).since_ns
    mesh.found(1, False, "no connection within 2 s")
    assert (mesh.one(1).since_ns, mesh.one(1).reason) == (since, "no connection within 2 s")
    mesh.found(1, True)
    assert mesh.one(1).since_ns == mesh.now_ns


def test_the_manifest_has_the_last_word() -> None:
    mesh = Mesh(service(endpoint(1, ready=False), endpoint(2, draining=True), check=CHECK))
    assert mesh.prober.targets.keys() == {Target(CART, key(1).address, 8080)}
    mesh.found(1, True)
    assert mesh.one(1).standing == Standing.NOT_READY
    mesh.watch(service(endpoint(1), check=CHECK))
    assert mesh.one(1).standing == Standing.HEALTHY


def test_endpoints_not_ready_are_used_where_the_service_says_so() -> None:
    mesh = Mesh(service(endpoint(1, ready=False), publish_unready=True))
    assert mesh.one(1).usable


def test_what_is_to_be_compiled_is_the_same_object_until_it_changes() -> None:
    mesh = Mesh(service(endpoint(1), endpoint(2), check=CHECK))
    assert mesh.healths.take_changed() == {CART}
    mesh.found(1, False, "refused")
    verdicts, woken = mesh.verdicts, mesh.woken
    mesh.healths.take_changed()
    mesh.watch(service(endpoint(1), endpoint(2), check=CHECK))
    mesh.found(1, False, "refused")
    assert mesh.verdicts is verdicts
    assert mesh.woken == woken
    assert mesh.healths.take_changed() == frozenset()
    mesh.found(2, True)
    assert mesh.healths.take_changed() == {CART}
    mesh.found(2, True, "1 of 3 checks in a row failed: refused")
    assert mesh.healths.take_changed() == frozenset()


def test_the_same_again_tells_the_prober_nothing() -> None:
    mesh = Mesh(service(endpoint(1), check=CHECK))
    told = mesh.prober.told
    mesh.watch(service(endpoint(1), check=CHECK))
    assert mesh.prober.told == told
    mesh.watch()
    assert mesh.prober.targets == {}
    assert mesh.healths.of(CART) == {}


def test_one_check_of_a_port_of_its_own_speaks_for_all_ports() -> None:
    ports = (
        ServicePort(name="a", port=80, target="a"),
        ServicePort(name="b", port=53, target="b", transport=Transport.UDP),
    )
    both = Endpoint(address=key(1).address, ports={"a": 8080, "b": 5353})
    mesh = Mesh(service(both, ports=ports, check=Check(probe=TcpCheck(), port=9)))
    assert len(mesh.prober.targets) == 1
    mesh.found(1, False, port=9)
    assert not mesh.one(1).usable
    assert not mesh.one(1, 5353).usable


def test_an_endpoint_of_a_udp_port_is_checked_at_a_port_of_the_checks_only() -> None:
    ports = (ServicePort(port=53, target=5353, transport=Transport.UDP),)
    one = Endpoint(address=key(1).address, ports={"": 5353})
    mesh = Mesh(service(one, ports=ports, check=CHECK))
    assert mesh.prober.targets == {}
    assert mesh.one(1, 5353).standing == Standing.UNCHECKED


def test_verdicts_of_who_is_no_target_are_nothing() -> None:
    mesh = Mesh(service(endpoint(1), check=CHECK))
    mesh.found(7, False)
    mesh.found(1, False, name=ServiceName("shop", "gone"))
    assert mesh.one(1).standing == Standing.WAITING
    assert mesh.healths.of(ServiceName("shop", "gone")) == {}


def test_counters_eject_and_let_back() -> None:
    mesh = Mesh(service(endpoint(1), endpoint(2), endpoint(3), ejection=Ejection()))
    mesh.count(b2={"connects": 5})
    mesh.count(b1={"failures": 3})
    assert (mesh.one(1).usable, mesh.one(1).standing) == (False, Standing.EJECTED)
    assert mesh.one(1).reason == "3 connects in a row failed"
    assert mesh.verdicts == {key(1): Ejected("3 connects in a row failed")}
    for _ in range(11):
        mesh.count()
    assert mesh.one(1).usable
    assert mesh.one(1).since_ns > SECOND
    assert mesh.verdicts == {}


def test_the_share_is_of_those_who_could_be_used() -> None:
    """Of four endpoints two are down by their checks: of the other two one may be ejected."""
    four = [endpoint(number) for number in range(1, 5)]
    mesh = Mesh(service(*four, check=CHECK, ejection=Ejection(share=0.5)))
    for number in (1, 2, 3, 4):
        mesh.found(number, number <= 2)
    mesh.count(b1={"failures": 5}, b2={"failures": 5})
    assert [mesh.one(number).standing for number in (1, 2)] == [Standing.EJECTED, Standing.HEALTHY]
    assert "not ejected, since only 1" in mesh.one(2).reason


def test_a_service_without_ejection_ejects_nobody() -> None:
    mesh = Mesh(service(endpoint(1), endpoint(2)))
    for _ in range(10):
        mesh.count(b1={"failures": 10})
    assert mesh.one(1).usable
    mesh.watch(service(endpoint(1), endpoint(2), ejection=Ejection()))
    mesh.count()
    assert mesh.one(1).usable
    mesh.count(b1={"failures": 3})
    assert not mesh.one(1).usable
    mesh.watch(service(endpoint(1), endpoint(2)))
    assert mesh.one(1).usable
    assert mesh.verdicts == {}


@pytest.mark.timeout(30)
def test_with_the_real_prober_a_backend_that_dies_is_out() -> None:
    async def course() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        quick = Check(
            probe=TcpCheck(), interval=timedelta(milliseconds=20), timeout=timedelta(seconds=1)
        )
        changed = asyncio.Event()

        def report(verdict: Verdict) -> None:
            healths.found(verdict)

        prober = Prober(report)
        healths = Healths(checks=prober, wake=changed.set)
        task = asyncio.create_task(prober.run())
        local = Endpoint(address=ip_address("127.0.0.1"), ports={"": port})
        watched_ = service(local, ports=(ServicePort(port=80, target=port),), check=quick)
        healths.watch({CART: watched_}, now_ns=0)
        at = EndpointKey(local.address, port)
        while not healths.of(CART)[at].usable:
            changed.clear()
            await changed.wait()
        server.close()
        while healths.of(CART)[at].usable:
            changed.clear()
            await changed.wait()
        assert healths.of(CART)[at].reason.endswith("connection refused")
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(course())
