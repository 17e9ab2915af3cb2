# SPDX-License-Identifier: Apache-2.0
"""What is answered to those who ask for a service by name."""

from dataclasses import dataclass

from undermesh.model.service import Address, Endpoint, ServiceName, ServicePort


@dataclass(frozen=True, slots=True, kw_only=True)
class NameEntry:
    """One service as DNS knows it.

    `addresses` are its virtual ones; with none it is headless and answered with `endpoints`: those
    that are to be answered, a check's verdict and readiness applied already. An endpoint bound to a
    network namespace is answered in that namespace only. `external` is the name it stands for
    (ExternalName); nothing else is looked at then.
    """

    service: ServiceName
    addresses: tuple[Address, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    external: str = ""
