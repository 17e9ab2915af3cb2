# SPDX-License-Identifier: Apache-2.0
import pytest

from undermesh.model.edge import HOST, UNKNOWN, WORLD, End, EndKind
from undermesh.model.workload import NodeId, Number, Workload
from undermesh.telemetry.names import Binding, Names, Source
from undermesh.testing import arrays

ADDRESS = bytes(arrays.address("192.0.2.1"))


class Answers:
    def __init__(self):
        self.names = {}

    def name(self, asker, address):
        return self.names.get((asker, address))


def workload(number, name):
    return Workload(
        node=NodeId("n1"),
        number=Number(number),
        namespace="default",
        name=name,
        kind="unit",
        exe=name,
        cgroup="/",
        cgroup_id=1,
        started_ns=0,
    )


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def there():
    return {300: workload(300, "web"), 301: workload(301, "cart")}


@pytest.fixture
def names(answers, there):
    names = Names(vocabulary=arrays.vocabulary(), workloads=there.get, answers=answers, kept=100)
    names.peers_met({400: ADDRESS})
    return names


def external(name):
    return End(EndKind.EXTERNAL, "", name)


def test_reserved_numbers_and_workloads(names):
    assert names.end(1) == WORLD
    assert names.end(2) == HOST
    assert names.end(0) == UNKNOWN
    assert names.end(300) == End(EndKind.WORKLOAD, "default", "web")
    assert names.party(300).exe == "web"
    assert names.end(999) == UNKNOWN


def test_an_address_nobody_named_is_the_world(names):
    assert names.server(300, 400) == WORLD


def test_the_name_the_client_asked_for_stays(names, answers):
    answers.names[300, ADDRESS] = "a.example"
    assert names.server(300, 400) == external("a.example")
    answers.names[300, ADDRESS] = "b.example"
    assert names.server(300, 400) == external("a.example")


def test_what_somebody_asked_for_is_better_than_nothing_and_worse_than_the_clients_own(
    names, answers
):
    answers.names[0, ADDRESS] = "any.example"
    assert names.server(300, 400) == external("any.example")
    answers.names[300, ADDRESS] = "own.example"
    names.bind_answers([(300, ADDRESS)])
    assert names.server(300, 400) == external("own.example")
    assert names.server(301, 400) == external("any.example")


def test_a_name_from_tls_is_used_where_dns_told_nothing(names, answers):
    names.bind_tls(300, 400, "sni.example")
    assert names.server(300, 400) == external("sni.example")
    assert names.server(301, 400) == WORLD
    answers.names[300, ADDRESS] = "dns.example"
    assert names.server(300, 400) == external("dns.example")


def test_workloads_are_not_renamed_by_tls(names):
    names.bind_tls(300, 301, "sni.example")
    assert names.server(300, 301) == End(EndKind.WORKLOAD, "default", "cart")


def test_bindings_are_handed_out_once_and_taken_back(names, answers, there):
    answers.names[300, ADDRESS] = "a.example"
    names.server(300, 400)
    written = names.take_fresh()
    assert written == [Binding(client=300, number=400, name="a.example", source=Source.CLIENT)]
    assert names.take_fresh() == []
    after = Names(vocabulary=arrays.vocabulary(), workloads=there.get, answers=Answers(), kept=9)
    after.peers_met({400: ADDRESS})
    after.restore(written)
    assert after.server(300, 400) == external("a.example")


def test_who_is_gone_can_still_be_named(names, answers, there):
    answers.names[300, ADDRESS] = "a.example"
    names.server(300, 400)
    assert names.retire([300, 400]) == [(300, 400)]
    del there[300]
    names.peers_left([400])
    assert names.end(300).name == "web"
    assert names.server(300, 400) == external("a.example")


def test_memory_of_the_gone_is_bounded(answers):
    there: dict[int, Workload] = {}
    names = Names(vocabulary=arrays.vocabulary(), workloads=there.get, answers=answers, kept=10)
    for number in range(300, 340):
        there[number] = workload(number, f"job-{number}")
        names.retire([number])
        del there[number]
    assert names.end(339).name == "job-339"
    assert names.end(300) == UNKNOWN
