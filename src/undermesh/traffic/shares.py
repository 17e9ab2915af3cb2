# SPDX-License-Identifier: Apache-2.0
"""How much of a service's traffic each endpoint gets: splits, then locality, then weights.

All of it in whole numbers: a canary of 10 % is a tenth, not what was left after rounding.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import gcd, lcm

from undermesh.model.service import Locality, Service
from undermesh.model.workload import NodeId
from undermesh.traffic.endpoints import Resolved, split_of
from undermesh.traffic.states import Draining, ElsewhereOnly, NoSuchPort

OVERPROVISIONING = Fraction(14, 10)
"""The nearest endpoints keep everything while at least 1/1.4 (71 %) of them, by weight, are well;
below that they keep 1.4 times the share that is, and the next nearest take the rest by the same
rule (Envoy's priority levels and their default factor)."""


def weights(
    service: Service, endpoints: Sequence[Resolved], *, node: NodeId, zone: str
) -> list[int]:
    """The weight of each endpoint, 0 for those that get nothing; a chance is weight / sum.

    Within a split the nearest endpoints are preferred as the service's locality says; within equal
    nearness endpoints share by their own weights. A split none of whose endpoints can be used gives
    its share to the others. All zero: nobody can be used.
    """
    own = [one.endpoint.weight if one.usable else 0 for one in endpoints]
    if service.splits:
        shares = _split(service, endpoints, own, node, zone)
    elif service.locality is Locality.ANY:
        shares = own
    else:
        shares = _whole(_near(service, list(range(len(own))), endpoints, own, node, zone))
    return reduced(shares)


def stays(service: Service, endpoints: Sequence[Resolved], node: NodeId) -> list[Resolved]:
    """For a node-only service: endpoints of other nodes said to be out of reach."""
    if service.locality is not Locality.NODE_ONLY:
        return list(endpoints)
    return [
        one._replace(state=ElsewhereOnly(one.endpoint.node))
        if one.usable and one.endpoint.node != node
        else one
        for one in endpoints
    ]


def reduced(numbers: Sequence[int]) -> list[int]:
    """The same proportions in the smallest whole numbers."""
    common = gcd(*numbers)
    return [number // common for number in numbers] if common > 1 else list(numbers)


def _split(
    service: Service, endpoints: Sequence[Resolved], own: Sequence[int], node: NodeId, zone: str
) -> list[int]:
    groups: list[list[int]] = [[] for _ in service.splits]
    for position, one in enumerate(endpoints):
        group = split_of(service.splits, one.endpoint)
        if group >= 0:
            groups[group].append(position)
    result = [Fraction(0)] * len(own)
    for split, members in zip(service.splits, groups, strict=True):
        near = _near(service, members, endpoints, own, node, zone)
        total = sum(near, Fraction(0))
        for position, weight in zip(members, near, strict=True):
            if total:
                result[position] = max(split.weight, 0) * weight / total
    return _whole(result)


def _near(
    service: Service,
    members: Sequence[int],
    endpoints: Sequence[Resolved],
    own: Sequence[int],
    node: NodeId,
    zone: str,
) -> list[Fraction]:
    """The weight of each member once the nearest have taken what they can."""
    if service.locality is Locality.ANY:
        return [Fraction(own[position]) for position in members]
    distance = _distance(service.locality, node, zone)
    levels = [distance(endpoints[position]) for position in members]
    well = [0] * 3
    listed = [0] * 3
    for position, level in zip(members, levels, strict=True):
        well[level] += own[position]
        listed[level] += _counted(endpoints[position])
    taken = spill(well, listed)
    if service.locality is Locality.NODE_ONLY:
        taken = [Fraction(1), Fraction(0), Fraction(0)]
    return [
        taken[level] * Fraction(own[position], well[level]) if well[level] else Fraction(0)
        for position, level in zip(members, levels, strict=True)
    ]


def spill(well: Sequence[int], listed: Sequence[int]) -> list[Fraction]:
    """The share each level takes, nearest first. What all together cannot take by the rule is
    shared in proportion to what each can."""
    can = [
        min(Fraction(1), OVERPROVISIONING * Fraction(good, total)) if total else Fraction(0)
        for good, total in zip(well, listed, strict=True)
    ]
    whole = min(Fraction(1), sum(can, Fraction(0)))
    left = whole
    taken = []
    for share in can:
        taken.append(min(share, left))
        left -= taken[-1]
    return [share / whole for share in taken] if whole else taken


def _counted(one: Resolved) -> int:
    """What an endpoint counts for in its level's whole: one that is leaving no longer does."""
    if isinstance(one.state, Draining | NoSuchPort):
        return 0
    return max(one.endpoint.weight, 0)


def _distance(locality: Locality, node: NodeId, zone: str) -> Callable[[Resolved], int]:
    """0: preferred, 1: next, 2: the rest."""

    def of(one: Resolved) -> int:
        if locality is not Locality.ZONE and node and one.endpoint.node == node:
            return 0
        if locality is Locality.ZONE and zone and one.endpoint.zone == zone:
            return 0
        return 1 if zone and one.endpoint.zone == zone else 2

    return of


def _whole(shares: Sequence[Fraction]) -> list[int]:
    common = lcm(*(share.denominator for share in shares)) if shares else 1
    return [int(share * common) for share in shares]
