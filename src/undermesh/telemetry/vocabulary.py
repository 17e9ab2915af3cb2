# SPDX-License-Identifier: Apache-2.0
"""The kernel's enumerations as the model's. Their numbers come from BTF, none is written here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from undermesh.model.flow import FlowState
from undermesh.model.protocol import Failure, Protocol
from undermesh.model.sample import SampleKind

EnumReader = Callable[[str], Mapping[str, int]]
"""An enumeration's name in the kernel objects → its constants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What the small numbers in keys and records mean.

    `protocols` lacks the number of a connection that has not shown its protocol (`undecided`).
    """

    world: int
    host: int
    first: int
    client: int
    server: int
    shadow: int
    undecided: int
    protocols: Mapping[int, Protocol]
    methods: Mapping[int, str]
    failures: Mapping[int, Failure]
    states: Mapping[int, FlowState]
    kinds: Mapping[int, SampleKind]

    @classmethod
    def read(cls, enum: EnumReader) -> "Vocabulary":
        """Raises KeyError where the objects lack a constant the program relies on."""
        numbers, roles, l7 = enum("um_number"), enum("um_role"), enum("um_l7")
        states, kinds = enum("um_flow_state"), enum("um_sample_kind")
        return cls(
            world=numbers["UM_NUMBER_WORLD"],
            host=numbers["UM_NUMBER_HOST"],
            first=numbers["UM_NUMBER_FIRST"],
            client=roles["UM_ROLE_CLIENT"],
            server=roles["UM_ROLE_SERVER"],
            shadow=roles["UM_ROLE_SHADOW"],
            undecided=l7["UM_L7_UNDECIDED"],
            protocols=_protocols(l7),
            methods=_methods(enum("um_method")),
            failures=_failures(enum("um_failure")),
            states={
                states["UM_FLOW_OPEN"]: FlowState.OPEN,
                states["UM_FLOW_CLOSED"]: FlowState.CLOSED,
                states["UM_FLOW_FAILED"]: FlowState.FAILED,
            },
            kinds={kinds[f"UM_SAMPLE_{kind.name}"]: kind for kind in SampleKind},
        )

    def number_of(self, protocol: Protocol) -> int:
        """The kernel's number of a protocol."""
        return next(number for number, known in self.protocols.items() if known is protocol)


def _protocols(l7: Mapping[str, int]) -> dict[int, Protocol]:
    return {
        l7["UM_L7_TCP"]: Protocol.TCP,
        l7["UM_L7_UDP"]: Protocol.UDP,
        l7["UM_L7_HTTP1"]: Protocol.HTTP,
        l7["UM_L7_HTTP2"]: Protocol.HTTP2,
        l7["UM_L7_TLS"]: Protocol.TLS,
        l7["UM_L7_DNS"]: Protocol.DNS,
    }


def _methods(methods: Mapping[str, int]) -> dict[int, str]:
    prefix = "UM_METHOD_"
    return {number: name.removeprefix(prefix) for name, number in methods.items() if number}


def _failures(failures: Mapping[str, int]) -> dict[int, Failure]:
    """Constants this version has no word for are `other`; UM_FAILURES is a length, not a reason."""
    known = {f"UM_FAILURE_{failure.name}": failure for failure in Failure}
    return {
        number: known.get(name, Failure.OTHER)
        for name, number in failures.items()
        if number and name != "UM_FAILURES"
    }
