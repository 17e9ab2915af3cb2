# SPDX-License-Identifier: Apache-2.0
"""Many services with endpoints, as manifests and as what the kernel must make of them."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

PER_FILE = 100
_ENDPOINTS = int(IPv4Address("10.64.0.1"))
PORT, TARGET = 80, 8080


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`services` times `endpoints`, each endpoint with an address of its own."""

    services: int
    endpoints: int

    def manifest(self, number: int, *, changed: int | None = None) -> str:
        """One Service with its endpoints; `changed`: the first one has another port."""
        first = TARGET if changed is None else changed
        ports = [first, *[TARGET] * (self.endpoints - 1)]
        listed = "".join(
            f"    - address: {address}\n      ports:\n        http: {port}\n"
            for address, port in zip(self._addresses(number), ports, strict=True)
        )
        return (
            "apiVersion: undermesh.io/v1alpha1\nkind: Service\n"
            f"metadata:\n  name: svc-{number}\n  namespace: team-{number % 50}\n"
            "spec:\n"
            f"  ports:\n    - name: http\n      port: {PORT}\n"
            f"  endpoints:\n{listed}"
        )

    def name(self, number: int) -> str:
        """As people ask for it."""
        return f"svc-{number}.team-{number % 50}"

    def backends(self, number: int, *, changed: int | None = None) -> set[tuple[str, int]]:
        """Where connections to it must go."""
        first, *others = self._addresses(number)
        moved = TARGET if changed is None else changed
        return {(first, moved), *((one, TARGET) for one in others)}

    def write(self, directory: Path) -> int:
        """All of it as YAML files; answers their bytes."""
        size = 0
        for start in range(0, self.services, PER_FILE):
            numbers = range(start, min(start + PER_FILE, self.services))
            text = "---\n".join(self.manifest(number) for number in numbers)
            (directory / f"services-{start:06}.yaml").write_text(text)
            size += len(text)
        return size

    def _addresses(self, number: int) -> list[str]:
        start = _ENDPOINTS + number * self.endpoints
        return [str(IPv4Address(start + i)) for i in range(self.endpoints)]
