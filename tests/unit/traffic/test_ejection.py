# SPDX-License-Identifier: Apache-2.0
"""Passive ejection: who goes out, for how long, never too many, and never without a reason."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undermesh.model.service import Ejection
from undermesh.traffic.ejection import ServiceState, judge, met
from undermesh.traffic.outliers import Reading
from undermesh.traffic.states import EndpointKey

SECOND = 1_000_000_000
MS = 1_000_000
TERMS = Ejection()


def key(number: int) -> EndpointKey:
    return EndpointKey(ip_address(f"10.0.0.{number}"), 80)


@dataclass
class Service:
    """A service whose counters grow as the test says, read once a second."""

    members: int
    terms: Ejection = TERMS
    now_ns: int = 100 * SECOND
    state: ServiceState = field(default_factory=ServiceState)
    readings: dict = field(default_factory=dict)
    log: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = [key(number) for number in range(1, self.members + 1)]
        self.readings = dict.fromkeys(self.keys, Reading())
        self.state = met(self.state, self.readings, now_ns=self.now_ns)

    def second(self, *, only_moved: bool = False, **grown) -> None:
        """One second with this growth: `b1=dict(failures=3)`."""
        self.now_ns += SECOND
        moved = {}
        for name, growth in grown.items():
            at = key(int(name[1:]))
            before = self.readings[at]
            more = {k: getattr(before, k) + v for k, v in growth.items() if k != "ewma_ns"}
            moved[at] = self.readings[at] = replace(before, **{**growth, **more})
        judged = judge(
            self.terms,
            self.state,
            moved if only_moved else self.readings,
            members=frozenset(self.keys),
            now_ns=self.now_ns,
        )
        self.state = judged.state
        self.log += [("out", at) for at in judged.ejected] + [("in", at) for at in judged.returned]

    def seconds(self, count: int, **grown) -> None:
        for _ in range(count):
            self.second(**grown)

    @property
    def out(self):
        return self.state.out


GOOD = {"connects": 10, "requests": 10, "duration_ns": 10 * MS}


def test_connects_that_fail_in_a_row_eject_at_once() -> None:
    service = Service(3)
    service.second(b1={"failures": 2}, b2=GOOD)
    assert not service.out
    service.second(b1={"failures": 1}, b2=GOOD)
    assert service.out[key(1)].reason == "3 connects in a row failed"
    assert service.out[key(1)].until_ns == service.now_ns + 10 * SECOND


def test_a_success_ends_the_row() -> None:
    service = Service(3)
    for _ in range(10):
        service.second(b1={"failures": 2})
        service.second(b1={"connects": 1})
    assert not service.out


def test_requests_that_fail_are_judged_over_an_interval() -> None:
    service = Service(4)
    service.seconds(4, b1={"requests": 10, "errors": 6}, b2=GOOD)
    assert not service.out
    service.second(b1={"requests": 10, "errors": 6}, b2=GOOD)
    assert service.out[key(1)].reason == "30 of 50 requests failed in 5 s"


def test_too_few_requests_say_nothing() -> None:
    service = Service(4)
    service.seconds(5, b1={"requests": 3, "errors": 3})
    assert not service.out


def test_exactly_the_share_is_allowed() -> None:
    service = Service(4)
    service.seconds(5, b1={"requests": 10, "errors": 5})
    assert not service.out


def test_connects_that_fail_now_and_then_are_judged_by_their_share() -> None:
    service = Service(4)
    service.seconds(5, b1={"connects": 2, "failures": 4})
    assert service.out[key(1)].reason == "20 of 30 connects failed in 5 s"


def test_a_slow_one_is_out_when_that_was_asked_for() -> None:
    slow = {"requests": 10, "duration_ns": 900 * MS}
    fast = {"requests": 10, "duration_ns": 100 * MS}
    service = Service(4, replace(TERMS, slowness=3.0))
    service.seconds(5, b1=slow, b2=fast, b3=fast, b4=fast)
    assert service.out.keys() == {key(1)}
    assert service.out[key(1)].reason == "mean latency 90 ms, 9.0 times the median of 10 ms in 5 s"
    unasked = Service(4)
    unasked.seconds(5, b1=slow, b2=fast, b3=fast, b4=fast)
    assert not unasked.out


def test_of_two_the_slower_one() -> None:
    service = Service(2, replace(TERMS, slowness=3.0))
    service.seconds(
        5, b1={"requests": 10, "duration_ns": 900 * MS}, b2={"requests": 10, "duration_ns": 90 * MS}
    )
    assert service.out.keys() == {key(1)}


def test_microseconds_are_nobodys_fault() -> None:
    service = Service(2, replace(TERMS, slowness=3.0))
    service.seconds(
        5, b1={"requests": 10, "duration_ns": 9 * MS}, b2={"requests": 10, "duration_ns": MS // 10}
    )
    assert not service.out


def test_where_no_request_is_read_connect_times_are_compared() -> None:
    service = Service(3, replace(TERMS, slowness=3.0))
    service.seconds(
        5,
        b1={"connects": 10, "ewma_ns": 80 * MS},
        b2={"connects": 10, "ewma_ns": 2 * MS},
        b3={"connects": 10, "ewma_ns": 2 * MS},
    )
    assert service.out[key(1)].reason == "connect time 80 ms, 40.0 times the median of 2 ms in 5 s"


def test_it_stays_out_twice_as_long_each_time_up_to_the_most() -> None:
    service = Service(3)
    lasted = []
    for _ in range(8):
        service.second(b1={"failures": 3})
        out = service.out[key(1)]
        lasted.append((out.until_ns - out.since_ns) // SECOND)
        while service.out:
            service.second()
    assert lasted == [10, 20, 40, 80, 160, 300, 300, 300]


def test_good_traffic_makes_it_shorter_again_and_time_alone_does_not() -> None:
    service = Service(3)
    for _ in range(3):
        service.second(b1={"failures": 3})
        while service.out:
            service.second()
    assert service.state.backends[key(1)].times == 3
    service.seconds(60)
    assert service.state.backends[key(1)].times == 3
    service.seconds(10, b1=GOOD)
    assert service.state.backends[key(1)].times <= 2
    service.seconds(30, b1=GOOD)
    assert service.state.backends[key(1)].times == 0


def test_what_was_begun_before_is_not_held_against_one_who_is_back() -> None:
    service = Service(3)
    service.second(b1={"failures": 3})
    while service.out:
        service.second(b1={"failures": 5, "requests": 50, "errors": 50})
    service.seconds(10)
    assert not service.out


def test_the_cap_is_the_share_rounded_down_and_who_is_spared_is_told() -> None:
    service = Service(5)
    failing = {"failures": 3}
    service.second(b1=failing, b2=failing, b3=failing)
    assert len(service.out) == 2
    (spared,) = [b.spared for b in service.state.backends.values() if b.spared]
    assert spared == (
        "3 connects in a row failed; not ejected, since only 2 of its service may be at once"
    )
    alone = Service(1)
    alone.seconds(20, b1=failing)
    assert not alone.out


def test_one_who_is_spared_goes_when_there_is_room() -> None:
    service = Service(2)
    service.second(b1={"failures": 3}, b2={"failures": 4})
    first = set(service.out)
    while set(service.out) == first:
        service.second(b2={"failures": 1}, b1={"failures": 1})
    assert len(service.out) == 1


def test_a_cap_that_shrinks_lets_back_who_was_next_anyway() -> None:
    service = Service(4)
    service.second(b1={"failures": 3})
    service.second(b2={"failures": 3})
    assert len(service.out) == 2
    service.keys = service.keys[:2]
    service.second()
    assert service.out.keys() == {key(2)}
    assert service.log[-1] == ("in", key(1))


def test_who_is_no_member_is_forgotten() -> None:
    service = Service(3)
    service.second(b1={"failures": 3})
    gone, service.keys = service.keys, service.keys[1:]
    service.second()
    service.keys = gone
    service.second()
    assert not service.out


@pytest.mark.parametrize("number", [0, 7])
def test_a_number_used_again_is_somebody_new(number) -> None:
    """Counters that went backwards: what they say now is counted from zero."""
    service = Service(3)
    service.second(b1={"connects": 100, "failures": 2})
    service.second(b1={"failures": 3})
    assert service.out
    service.readings[key(1)] = Reading(backend=number, connects=1)
    service.second()
    assert not service.out
    service.readings[key(1)] = Reading(backend=number, connects=1, failures=3)
    service.second()
    assert service.out.keys() == {key(1)}


def test_what_was_counted_before_anybody_looked_is_not_held_against_it() -> None:
    old = {key(1): Reading(failures=1000, connects=1), key(2): Reading()}
    judged = judge(TERMS, ServiceState(), old, members=frozenset(old), now_ns=SECOND)
    assert not judged.ejected


def test_who_stands_still_is_not_kept() -> None:
    service = Service(50)
    service.seconds(20, b1=GOOD)
    assert service.state.backends.keys() <= {key(1)} | set(service.keys)
    service.second(only_moved=True, b1=GOOD)
    for _ in range(12):
        service.second(only_moved=True, b1=GOOD)
    assert service.state.backends.keys() == {key(1)}


GROWTH = st.fixed_dictionaries(
    {
        "connects": st.integers(0, 30),
        "failures": st.integers(0, 10),
        "requests": st.integers(0, 100),
        "errors": st.integers(0, 60),
        "duration_ns": st.integers(0, 10**10),
    }
)
ANY_TERMS = st.builds(
    Ejection,
    interval=st.integers(1, 8).map(lambda s: timedelta(seconds=s)),
    failures=st.integers(0, 5),
    requests=st.integers(0, 50),
    errors=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    slowness=st.sampled_from([0.0, 1.5, 3.0]),
    base=st.integers(1, 20).map(lambda s: timedelta(seconds=s)),
    most=st.integers(1, 60).map(lambda s: timedelta(seconds=s)),
    share=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]),
)
COURSE = st.lists(
    st.tuples(st.dictionaries(st.integers(1, 6), GROWTH, max_size=6), st.integers(1, 6)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(terms=ANY_TERMS, course=COURSE)
def test_whatever_happens(terms, course) -> None:
    """Never more than the share, however members come and go; nobody without a reason that has a
    figure, nor beyond the longest time; and everybody returns."""
    service = Service(6, terms)
    everybody = list(service.keys)
    longest = max(terms.most, terms.base).total_seconds() * SECOND
    for growth, members in course:
        service.keys = everybody[:members]
        service.second(**{f"b{number}": grown for number, grown in growth.items()})
        assert len(service.out) <= terms.share * members + 1e-9
        assert service.out.keys() <= set(service.keys)
        for out in service.out.values():
            assert any(letter.isdigit() for letter in out.reason)
            assert 0 < out.until_ns - out.since_ns <= longest
    # Who was spared has its turn, one after the other where the share is small.
    service.seconds(int(terms.interval.total_seconds() + 7 * (longest // SECOND + 1)))
    assert not service.out


@settings(max_examples=200, deadline=None)
@given(
    terms=ANY_TERMS,
    good=st.integers(1, 4),
    course=st.lists(st.tuples(st.integers(0, 100), GROWTH), min_size=1, max_size=30),
)
def test_a_good_one_is_never_ejected(terms, good, course) -> None:
    """No failure, no error, and as fast as the fastest: whatever becomes of the others."""
    service = Service(4, terms)
    for requests, grown in course:
        well = {"connects": requests, "requests": requests, "duration_ns": 0}
        every = {f"b{n}": grown for n in range(1, 5)} | {f"b{good}": well}
        service.second(**every)
        assert key(good) not in service.out
