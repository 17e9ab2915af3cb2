# SPDX-License-Identifier: Apache-2.0
"""Steps from what the kernel holds to what is desired, and what is left when they stop halfway."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh import compile as compiling
from undermesh.compile.desired import NOTHING, BackendFlag, ServiceFlag
from undermesh.model.service import (
    Balancing,
    Endpoint,
    EndpointSet,
    Service,
    ServiceId,
    ServiceName,
    ServicePort,
)
from undermesh.reconcile import NO_MEMORY, plan
from undermesh.reconcile.actual import keys
from undermesh.reconcile.steps import (
    CutBackends,
    DeleteServices,
    ForgetBackends,
    PutBackends,
    PutServices,
    PutSlots,
    RetireBackends,
)
from undermesh.testing.tables import Tables
from undermesh.traffic.states import CheckFailed, EndpointKey

Kind = TypeVar("Kind")


def endpoint(last, **more):
    return Endpoint(address=ip_address(f"10.0.0.{last}"), ports={"": 8080}, **more)


def world(services, *, vips=None, verdicts=None, **fields):
    """name → endpoints; ids and addresses follow from the name."""
    names = {text: ServiceName("default", text) for text in services}
    given_ = {
        name: Service(name=name, ports=(ServicePort(port=80, target=8080),), **fields.get(text, {}))
        for text, name in names.items()
    }
    vips = vips or {text: ord(text[0]) for text in services}
    return compiling.World(
        services=given_,
        ids={name: ServiceId(ord(text[0])) for text, name in names.items()},
        addresses={
            name: (ip_address(f"198.18.0.{vips[text]}"), ip_address(f"fd00::{vips[text]}"))
            for text, name in names.items()
        },
        endpoint_sets={
            names[text]: (EndpointSet(service=names[text], source="t", endpoints=tuple(endpoints)),)
            for text, endpoints in services.items()
        },
        verdicts={names[text]: found for text, found in (verdicts or {}).items()},
    )


def desired(services, **more):
    return compiling.services(world(services, **more))


def kinds(steps):
    return [type(step) for step in steps]


def only(made, kind: type[Kind]) -> Kind:
    """The step of a kind."""
    (found,) = [step for step in made.steps if isinstance(step, kind)]
    return found


def converge(tables, wanted):
    """One plan with nothing remembered, done whole."""
    made = plan(wanted, tables.actual())
    tables.perform(made.steps)
    assert tables.wrong() == []
    return made


def answers(tables):
    """(address and port, service) → chance of each backend's address and port."""
    found = {}
    for key, row in tables.services.items():
        at, length = int(row["slots_at"]), int(row["slots"])
        chances: dict[object, float] = {}
        if not row["flags"] & ServiceFlag.REFUSED:
            for slot in tables.slots[at : at + length]:
                first = int(slot["threshold"]) / 2**32
                for number, share in ((slot["backend"], first), (slot["other"], 1 - first)):
                    who = tables.backends[number]
                    home = (who["address"].tobytes(), int(who["port"]))
                    chances[home] = chances.get(home, 0.0) + share / length
        shown = {home: round(chance, 6) for home, chance in chances.items() if chance > 1e-6}
        found[key] = (int(row["id"]), int(row["flags"]), shown)
    return found


def test_from_nothing_targets_come_before_what_points_at_them():
    tables = Tables()
    made = converge(tables, desired({"a": [endpoint(1), endpoint(2)]}))
    assert kinds(made.steps) == [PutBackends, PutSlots, PutServices]
    rows = only(made, PutServices).rows
    assert len(rows) == 2 and set(rows["slots"]) == {2}
    assert len(set(rows["slots_at"])) == 1  # both addresses share one table


def test_applied_twice_is_no_steps():
    tables = Tables()
    wanted = desired({"a": [endpoint(1)], "b": [endpoint(2)], "c": []})
    first = converge(tables, wanted)
    assert plan(wanted, tables.actual()).steps == ()
    assert plan(wanted, tables.actual(), first.memory).steps == ()


def test_only_what_changed_is_written():
    tables = Tables()
    before = desired({"a": [endpoint(1), endpoint(2)], "b": [endpoint(3)]})
    first = converge(tables, before)
    after = compiling.services(world({"a": [endpoint(1), endpoint(4)], "b": [endpoint(3)]}), before)
    made = plan(after, tables.actual(), first.memory)
    assert kinds(made.steps) == [PutBackends, PutSlots, PutServices, RetireBackends]
    assert len(only(made, PutBackends).numbers) == len(only(made, RetireBackends).numbers) == 1
    assert set(only(made, PutServices).rows["id"]) == {ord("a")}
    tables.perform(made.steps)
    assert tables.wrong() == []


def test_a_span_let_go_of_rests_for_one_plan():
    tables = Tables(slots=5)
    memory = NO_MEMORY
    seen = []
    for last in (1, 2, 3, 4):
        made = plan(desired({"a": [endpoint(last), endpoint(9)]}), tables.actual(), memory)
        tables.perform(made.steps)
        memory = made.memory
        seen.append((int(tables.actual().services["slots_at"][0]), bool(made.refused)))
    # 0-1, then 2-3, then nothing free (0-1 rests), then 0-1 again.
    assert seen == [(0, False), (2, False), (2, True), (0, False)]


def test_a_number_is_forgotten_only_later_and_without_connections():
    tables = Tables()
    memory = converge(tables, desired({"a": [endpoint(1)], "b": [endpoint(2)]})).memory
    tables.open[1] = 3
    wanted = desired({"b": [endpoint(2)]})
    made = plan(wanted, tables.actual(), memory, now=100.0)
    assert kinds(made.steps) == [DeleteServices, RetireBackends]
    tables.perform(made.steps)
    made = plan(wanted, tables.actual(), made.memory, now=101.0)
    assert made.steps == () and made.again == pytest.approx(1.0)
    tables.open[1] = 0
    made = plan(wanted, tables.actual(), made.memory, now=102.0)
    assert kinds(made.steps) == [ForgetBackends]
    tables.perform(made.steps)
    assert tables.backends[1]["service"] == 0
    assert plan(wanted, tables.actual(), made.memory, now=103.0).again is None


def test_connections_are_cut_once_when_the_drain_is_over():
    tables = Tables()
    before = desired({"a": [endpoint(1)]}, a={"drain": timedelta(seconds=5)})
    memory = converge(tables, before).memory
    tables.open[1] = 1
    made = plan(NOTHING, tables.actual(), memory, now=100.0)
    tables.perform(made.steps)
    made = plan(NOTHING, tables.actual(), made.memory, now=104.0)
    assert made.steps == ()
    made = plan(NOTHING, tables.actual(), made.memory, now=105.0)
    assert kinds(made.steps) == [CutBackends] and not only(made, CutBackends).udp_only
    made = plan(NOTHING, tables.actual(), made.memory, now=106.0)
    assert made.steps == ()
    made = plan(NOTHING, tables.actual(), made.memory, now=166.0)
    assert kinds(made.steps) == [ForgetBackends]


def test_a_draining_endpoint_keeps_its_number_and_is_cut_in_time():
    tables = Tables()
    before = desired({"a": [endpoint(1), endpoint(2)]})
    memory = converge(tables, before).memory
    tables.open[1] = 1
    wanted = desired({"a": [endpoint(1, draining=True), endpoint(2)]})
    made = plan(wanted, tables.actual(), memory, now=0.0)
    assert kinds(made.steps) == [PutSlots, PutServices, RetireBackends]
    tables.perform(made.steps)
    assert tables.backends[1]["service"] == ord("a")
    made = plan(wanted, tables.actual(), made.memory, now=29.0)
    assert made.steps == ()
    made = plan(wanted, tables.actual(), made.memory, now=31.0)
    assert kinds(made.steps) == [CutBackends]


def test_udp_sockets_of_a_dead_backend_are_cut_at_once():
    tables = Tables()
    both = {"a": [endpoint(1), endpoint(2)]}
    memory = converge(tables, desired(both)).memory
    tables.open[1] = 1
    dead = {EndpointKey(ip_address("10.0.0.1"), 8080): CheckFailed("connect: refused")}
    wanted = desired(both, verdicts={"a": dead})
    made = plan(wanted, tables.actual(), memory)
    assert kinds(made.steps) == [PutSlots, PutServices, RetireBackends, CutBackends]
    cut = only(made, CutBackends)
    assert cut.udp_only and list(cut.numbers) == [1]
    tables.perform(made.steps)
    assert plan(wanted, tables.actual(), made.memory).steps == ()
    made = plan(desired(both), tables.actual(), made.memory)
    assert kinds(made.steps) == [PutBackends, PutSlots, PutServices]
    assert tables.backends[1]["service"] == ord("a")


def test_a_table_that_does_not_fit_is_refused_whole_and_the_old_one_stays():
    tables = Tables(slots=8)
    memory = converge(tables, desired({"a": [endpoint(1), endpoint(2)]})).memory
    was = answers(tables)
    maglev = {"balancing": Balancing.MAGLEV}
    wanted = desired({"a": [endpoint(1), endpoint(3)], "b": [endpoint(4)]}, a=maglev, b=maglev)
    made = plan(wanted, tables.actual(), memory)
    assert set(map(str, made.refused)) == {"a", "b"}
    assert "does not fit into um_slots" in str(made.refused)
    tables.perform(made.steps)
    assert tables.wrong() == []
    now = answers(tables)
    assert {key: now[key] for key in was} == was
    refused = [value for key, value in now.items() if key not in was]
    assert len(refused) == 2 and all(value[1] & ServiceFlag.REFUSED for value in refused)
    assert plan(wanted, tables.actual(), made.memory).steps == ()


def test_more_endpoints_than_numbers_leave_the_service_as_it_was():
    tables = Tables(backends=3)
    memory = converge(tables, desired({"a": [endpoint(1), endpoint(2)]})).memory
    was = answers(tables)
    made = plan(desired({"a": [endpoint(3)]}), tables.actual(), memory)
    assert "um_backends" in str(made.refused)
    tables.perform(made.steps)
    assert answers(tables) == was


def test_an_address_may_move_to_another_service():
    tables = Tables()
    memory = converge(tables, desired({"a": [endpoint(1)]}, vips={"a": 7})).memory
    wanted = desired({"a": [endpoint(1)], "b": [endpoint(2)]}, vips={"a": 8, "b": 7})
    made = plan(wanted, tables.actual(), memory)
    for writes in range(1, 12):
        died = Tables()
        converge(died, desired({"a": [endpoint(1)]}, vips={"a": 7}))
        died.perform(made.steps, writes=writes)
        assert died.wrong() == []
    tables.perform(made.steps)
    assert sorted(value[0] for value in answers(tables).values()) == [97, 97, 98, 98]


def test_entries_of_namespaces_come_before_the_one_that_points_at_them():
    tables = Tables()
    wanted = desired({"a": [endpoint(1), endpoint(2, netns=77)]})
    made = converge(tables, wanted)
    rows = only(made, PutServices).rows
    assert list(rows["netns"]) == [77, 77, 0, 0]
    assert all(rows["flags"][rows["netns"] == 0] & ServiceFlag.BY_NETNS)
    made = plan(NOTHING, tables.actual(), made.memory)
    assert list(only(made, DeleteServices).keys["netns"]) == [0, 0, 77, 77]


def test_the_services_after_steps_are_what_the_kernel_holds():
    tables = Tables()
    actual = tables.actual()
    first = plan(desired({"a": [endpoint(1)], "b": [endpoint(2)]}), actual)
    tables.perform(first.steps)
    second = plan(desired({"b": [endpoint(3)]}), tables.actual(), first.memory)
    tables.perform(second.steps)
    told = actual.after(first.steps).after(second.steps).services
    read = tables.actual().services
    assert sorted(told.tobytes()[i : i + 48] for i in range(0, told.nbytes, 48)) == sorted(
        read.tobytes()[i : i + 48] for i in range(0, read.nbytes, 48)
    )
    assert sorted(keys(told)) == sorted(keys(read))


ENDPOINTS = st.lists(
    st.builds(
        endpoint,
        st.integers(1, 6),
        ready=st.sampled_from([True, True, False]),
        draining=st.sampled_from([False, False, True]),
        weight=st.integers(0, 3),
        netns=st.sampled_from([0, 0, 5]),
    ),
    max_size=5,
    unique_by=lambda one: (one.address, one.netns),
)
WORLDS = st.dictionaries(st.sampled_from("abcd"), ENDPOINTS, max_size=4)


@settings(max_examples=60, deadline=None)
@given(WORLDS, WORLDS, st.integers(0, 60), st.data())
def test_dying_between_any_two_writes_leaves_every_service_whole(first, second, writes, data):
    tables = Tables(slots=64, backends=64)
    vips = data.draw(st.permutations([1, 2, 3, 4]))
    old, new = desired(first), desired(second, vips=dict(zip("abcd", vips, strict=True)))
    converge(tables, old)
    was = answers(tables)
    tables.open[:] = data.draw(st.sampled_from([0, 1]))
    if writes:
        tables.perform(plan(new, tables.actual()).steps, writes=writes)
    assert tables.wrong() == []
    fresh = Tables(slots=64, backends=64)
    converge(fresh, new)
    for key, found in answers(tables).items():
        assert found in (was.get(key), answers(fresh).get(key))
    made = converge(tables, new)
    assert answers(tables) == answers(fresh)
    again = plan(new, tables.actual(), made.memory)
    assert all(isinstance(step, ForgetBackends) for step in again.steps)
    tables.perform(again.steps)
    assert answers(tables) == answers(fresh)
    usable = tables.backends["flags"] & BackendFlag.USABLE
    assert int(usable.sum()) == int((fresh.backends["flags"] & BackendFlag.USABLE).sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(WORLDS, min_size=2, max_size=6))
def test_with_memory_the_kernel_comes_to_hold_the_same(worlds):
    tables, memory, before = Tables(slots=64, backends=64), NO_MEMORY, NOTHING
    for now, one in enumerate(worlds):
        before = compiling.services(world(one), before)
        made = plan(before, tables.actual(), memory, now=float(now))
        assert not made.refused
        tables.perform(made.steps)
        assert tables.wrong() == []
        memory = made.memory
    fresh = Tables(slots=64, backends=64)
    converge(fresh, compiling.services(world(worlds[-1])))
    assert answers(tables) == answers(fresh)
    steps = plan(before, tables.actual(), replace(memory, gone={})).steps
    assert steps == ()
    assert np.count_nonzero(tables.backends["service"]) < 40
