# SPDX-License-Identifier: Apache-2.0
"""The endpoints of a service as one caller sees them: what `explain` shows."""

from undermesh.compile.shards import family, resolve
from undermesh.compile.world import World
from undermesh.model.service import ANY_NETNS, Netns, ServiceName, ServicePort
from undermesh.traffic.endpoints import Resolved
from undermesh.traffic.states import WrongFamily, WrongNetns


def seen(
    world: World,
    name: ServiceName,
    port: ServicePort,
    *,
    version: int = 4,
    netns: Netns = ANY_NETNS,
) -> list[Resolved]:
    """Everybody who was said to answer for a port, in the state that counts for a caller of IP
    `version` in a network namespace. Ready: new connections of this caller may go there."""
    found = resolve(world, world.services[name], port)
    near = [one for one in found if one.endpoint.netns in (ANY_NETNS, netns)]
    answering = {one.key for one in family(near, version)}
    result = []
    for one in found:
        home = one.endpoint.netns
        if not one.usable or one.key in answering:
            result.append(one)
        elif home not in (ANY_NETNS, netns):
            result.append(one._replace(state=WrongNetns(home)))
        else:
            result.append(one._replace(state=WrongFamily()))
    return result
