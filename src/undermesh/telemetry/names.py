# SPDX-License-Identifier: Apache-2.0
"""Numbers of the kernel → ends with names.

A number is a workload's or an external address's. Workloads are named by the host; an address by
the name its client asked DNS for, else by the name any client asked for, else by the server name
seen in a TLS ClientHello. The first name of the best of these sources stays with the pair of
client and address for as long as its counters stay in the kernel: content networks give many names
one address, and a total that moved from row to row with every lookup would be nobody's.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from undermesh.model.edge import HOST, UNKNOWN, WORLD, End, EndKind
from undermesh.model.workload import Workload
from undermesh.telemetry.answers import ANYBODY, AnswerTable
from undermesh.telemetry.vocabulary import Vocabulary

WorkloadLookup = Callable[[int], Workload | None]


class Source(IntEnum):
    """Where an external name came from; the greater is believed more."""

    TLS = 1
    SOMEBODY = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The name a client's traffic to one external number goes by."""

    client: int
    number: int
    name: str
    source: Source


@dataclass(frozen=True, slots=True)
class Party:
    """An end, and the executable behind it where there is one."""

    end: End
    exe: str


class Names:
    """Who is who. Fed with what the kernel and DNS told; asked per row shown."""

    def __init__(
        self, *, vocabulary: Vocabulary, workloads: WorkloadLookup, answers: AnswerTable, kept: int
    ) -> None:
        self.answers = answers
        self._workloads = workloads
        self._kept = kept
        self._reserved = {vocabulary.world: WORLD, vocabulary.host: HOST}
        self._addresses: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._bindings: dict[tuple[int, int], Binding] = {}
        self._fresh: list[Binding] = []
        self._retired: OrderedDict[int, Party] = OrderedDict()

    def peers_met(self, addresses: Mapping[int, bytes]) -> None:
        """External numbers that are new, with their 16-byte addresses."""
        self._addresses.update(addresses)
        self._numbers.update({address: number for number, address in addresses.items()})

    def peers_left(self, numbers: Iterable[int]) -> None:
        """External numbers the kernel no longer gives to anybody."""
        for number in numbers:
            address = self._addresses.pop(number, None)
            if address is not None and self._numbers.get(address) == number:
                del self._numbers[address]

    def is_peer(self, number: int) -> bool:
        """Whether it is an external address's number."""
        return number in self._addresses

    def party(self, number: int) -> Party:
        """Who has `number`; an external address is World here, see `server`."""
        reserved = self._reserved.get(number)
        if reserved is not None:
            return Party(reserved, "")
        workload = self._workloads(number)
        if workload is not None:
            return Party(End(EndKind.WORKLOAD, workload.namespace, workload.name), workload.exe)
        if number in self._addresses:
            return Party(WORLD, "")
        return self._retired.get(number) or Party(UNKNOWN, "")

    def end(self, number: int) -> End:
        """The end that has `number`."""
        return self.party(number).end

    def server(self, client: int, number: int) -> End:
        """The server end, as this client knows it."""
        address = self._addresses.get(number)
        if address is None:
            return self.end(number)
        bound = self._bindings.get((client, number))
        if bound is None or bound.source is not Source.CLIENT:
            bound = self._ask(client, number, address) or bound
        return WORLD if bound is None else End(EndKind.EXTERNAL, "", bound.name)

    def bind_pairs(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Names pairs of client and server numbers met for the first time."""
        for client, number in pairs:
            self.server(client, number)

    def bind_answers(self, named: Iterable[tuple[int, bytes]]) -> None:
        """Names the traffic that answers just read belong to, where it is under way already."""
        for client, address in named:
            number = self._numbers.get(address)
            if number is not None and (client, number) in self._bindings:
                self.server(client, number)

    def bind_tls(self, client: int, number: int, name: str) -> None:
        """The server name a client sent in the clear; believed where DNS told nothing."""
        if number in self._addresses and (client, number) not in self._bindings and name:
            self._bind(Binding(client=client, number=number, name=name, source=Source.TLS))

    def restore(self, bindings: Iterable[Binding]) -> None:
        """Bindings an earlier agent wrote down for the same kernel maps."""
        for binding in bindings:
            self._bindings[binding.client, binding.number] = binding

    def take_fresh(self) -> list[Binding]:
        """Bindings made since the last call, for writing down."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def retire(self, numbers: Iterable[int]) -> list[tuple[int, int]]:
        """Numbers the kernel holds nothing for any more. Slices and flows may still name them, so
        a bounded number is remembered. Answers the bindings that end with them."""
        gone = set(numbers)
        for number in gone:
            party = self.party(number)
            if party.end.kind is not EndKind.UNKNOWN:
                self._retired[number] = party
        ended = [pair for pair in self._bindings if pair[0] in gone or pair[1] in gone]
        for pair in ended:
            binding = self._bindings.pop(pair)
            if binding.number in gone:
                end = End(EndKind.EXTERNAL, "", binding.name)
                self._retired[binding.number] = Party(end, "")
        while len(self._retired) > self._kept:
            self._retired.popitem(last=False)
        return ended

    def _ask(self, client: int, number: int, address: bytes) -> Binding | None:
        """A better binding than the one held, if DNS has it."""
        held = self._bindings.get((client, number))
        name, source = self.answers.name(client, address), Source.CLIENT
        if name is None and (held is None or held.source < Source.SOMEBODY):
            name, source = self.answers.name(ANYBODY, address), Source.SOMEBODY
        if name is None:
            return None
        return self._bind(Binding(client=client, number=number, name=name, source=source))

    def _bind(self, binding: Binding) -> Binding:
        self._bindings[binding.client, binding.number] = binding
        self._fresh.append(binding)
        return binding
