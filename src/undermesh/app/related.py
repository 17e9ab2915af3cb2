# SPDX-License-Identifier: Apache-2.0
"""Which stored objects a check has to look at when a few of many change.

What holds between objects holds between those of one service: itself and whoever lists endpoints
for it; between services that claim one address; between services that are external names; and
between a service and the workloads of its namespace.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeAlias

from undermesh.model.objects import Object, ObjectKey, Spec
from undermesh.model.service import EndpointSet, Service, ServiceName, WorkloadSpec

Topic: TypeAlias = tuple[str, Hashable]

_EXTERNAL: Topic = ("external", "")


class Related:
    """Objects, found by what they concern."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, Object] = {}
        self._topics: defaultdict[Topic, set[ObjectKey]] = defaultdict(set)

    def put(self, object_: Object) -> None:
        """Takes an object in, in place of the one of its key."""
        self.remove(object_.key)
        self._objects[object_.key] = object_
        for topic in _topics(object_.specs):
            self._topics[topic].add(object_.key)

    def remove(self, key: ObjectKey) -> None:
        """Takes an object out, if it is there."""
        object_ = self._objects.pop(key, None)
        for topic in _topics(object_.specs) if object_ is not None else ():
            self._topics[topic].discard(key)
            if not self._topics[topic]:
                del self._topics[topic]

    def to(self, given: Iterable[Object]) -> tuple[Object, ...]:
        """Those that may be right or wrong because `given` take the place of what has their keys:
        what they replace, and all that concerns the same services."""
        changing = list(given)
        changing += [old for one in changing if (old := self._objects.get(one.key)) is not None]
        specs = [spec for one in changing for spec in one.specs]
        found = self._about(self._first(specs))
        services = [*specs, *self._specs(found)]
        found |= self._about(("service", name) for name in _names(services))
        selecting = [s for s in (*services, *self._specs(found)) if isinstance(s, Service)]
        found |= self._about(("workload", s.name.namespace) for s in selecting if s.selector)
        return tuple(self._objects[key] for key in found)

    def _first(self, specs: Iterable[Spec]) -> Iterator[Topic]:
        """What `specs` concern without a step between."""
        for spec in specs:
            if isinstance(spec, WorkloadSpec):
                for key in self._topics.get(("selecting", spec.namespace), ()):
                    for service in self._objects[key].specs:
                        if isinstance(service, Service) and _has(spec.labels, service.selector):
                            yield ("service", service.name)
            else:
                yield from (topic for topic in _topics((spec,)) if topic[0] != "selecting")

    def _about(self, topics: Iterable[Topic]) -> set[ObjectKey]:
        return {key for topic in set(topics) for key in self._topics.get(topic, ())}

    def _specs(self, keys: Iterable[ObjectKey]) -> Iterator[Spec]:
        return (spec for key in keys for spec in self._objects[key].specs)


def _topics(specs: Iterable[Spec]) -> Iterator[Topic]:
    for spec in specs:
        match spec:
            case Service():
                yield ("service", spec.name)
                yield from (("address", address) for address in spec.addresses)
                if spec.external is not None:
                    yield _EXTERNAL
                if spec.selector:
                    yield ("selecting", spec.name.namespace)
            case EndpointSet():
                yield ("service", spec.service)
            case WorkloadSpec():
                yield ("workload", spec.namespace)


def _names(specs: Iterable[Spec]) -> Iterator[ServiceName]:
    for spec in specs:
        if isinstance(spec, Service):
            yield spec.name
        elif isinstance(spec, EndpointSet):
            yield spec.service


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == text for name, text in wanted.items())
