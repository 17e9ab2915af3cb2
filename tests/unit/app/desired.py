# SPDX-License-Identifier: Apache-2.0
"""Desired state for tests: over both stores there are, with a dialect of one line an object.

NAME [PORT]        a service of namespace "shop"
!MESSAGE           an error
?MESSAGE           a warning
"""

import json
from contextlib import contextmanager
from ipaddress import IPv4Address

from undermesh.agent.desired import DesiredStore
from undermesh.app.desired import DesiredState
from undermesh.app.objects import Objects
from undermesh.manifests.source import Read, Source
from undermesh.model.objects import Diagnostic, Object, ObjectKey
from undermesh.model.service import Service, ServiceName, ServicePort
from undermesh.store import Database, KeyStore
from undermesh.testing.desired import MemoryStore


class Dialect:
    """Reads lines, and its own documents when they come back from the store; counts both."""

    def __init__(self):
        self.read_lines = 0
        self.read_back = 0
        self.checks = 0
        self.forbidden = set()

    def read(self, sources):
        objects, diagnostics = [], []
        for source in sources:
            if source.text.startswith("{"):
                self.read_back += 1
                document = json.loads(source.text)
                origin = source.origin or f"{source.name}:1"
                objects.append(service(document["name"], document["port"], origin))
                continue
            for number, line in enumerate(source.text.splitlines(), 1):
                self.read_lines += 1
                if line[0] in "!?":
                    severity = "error" if line[0] == "!" else "warning"
                    diagnostics.append(diagnostic(source.name, number, line[1:], severity))
                else:
                    name, _, port = line.partition(" ")
                    objects.append(service(name, int(port or 80), f"{source.name}:{number}"))
        return Read(objects=tuple(objects), diagnostics=tuple(diagnostics))

    def check(self, objects):
        """No two services may have one port (and so one address), and none a forbidden one."""
        self.checks += 1
        found = []
        ports: dict[int, Object] = {}
        for one in objects:
            port = one.specs[0].ports[0].port
            file, _, line = one.origin.rpartition(":")
            other = ports.setdefault(port, one)
            if other is not one:
                message = f"port {port} is {other.key.name}'s"
                found.append(diagnostic(file, int(line), message, "error"))
            if port in self.forbidden:
                found.append(diagnostic(file, int(line), f"port {port} is forbidden", "error"))
        return tuple(found)


def diagnostic(file, line, message, severity):
    return Diagnostic(file=file, line=line, column=1, field="", message=message, severity=severity)


def service(name, port, origin):
    return Object(
        key=ObjectKey("Service", "shop", name),
        specs=(
            Service(
                name=ServiceName("shop", name),
                ports=(ServicePort(port=port, target=port),),
                addresses=(IPv4Address(0xC6120000 + port),),
                origin=origin,
            ),
        ),
        document=json.dumps({"name": name, "port": port}, sort_keys=True, separators=(",", ":")),
        origin=origin,
    )


@contextmanager
def opened(kind, directory):
    """A store of one of the two kinds."""
    if kind == "memory":
        yield MemoryStore()
        return
    with Database.open(directory) as database:
        yield DesiredStore(KeyStore(database))


def objects_of(store, dialect=None):
    """The use cases as an agent that just started has them."""
    dialect = dialect or Dialect()
    state = DesiredState(store, read=dialect.read)
    return Objects(state, read=dialect.read, check=dialect.check)


def text(*lines, name="shop.txt"):
    return Source(name, "\n".join(lines))
