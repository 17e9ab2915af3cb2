# SPDX-License-Identifier: Apache-2.0
"""Resetting the open sockets of backends: of those that are dead, and of those that had time to go.

The kernel lists sockets by network namespace, that of the thread which asks: a thread of its own
goes from one to the next.
"""

import importlib.resources
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from undermesh.kernel import errors, iterators, libbpf
from undermesh.kernel.libbpf import libc
from undermesh.kernel.maps import Map
from undermesh.kernel.objects import Configuration, Opened
from undermesh.kernel.programs import Program
from undermesh.kernel.steering import Numbers, Steering

CLONE_NEWNET = 0x40000000
OBJECT = "cut"
TCP, UDP = "cut_tcp", "cut_udp"


class Cutting:
    """The programs that do it, loaded beside a plane's. Owns their descriptors."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs

    @classmethod
    def load(cls, maps: Mapping[str, Map]) -> Self:
        """Loads them over a plane's `maps`.

        Raises FeatureMissing where the kernel cannot end a socket from outside (before 6.5).
        """
        file = importlib.resources.files("undermesh") / "bpf_objects" / f"{OBJECT}.bpf.o"
        reuse = {name: owned.fd for name, owned in maps.items()}
        try:
            opened = Opened(file.read_bytes(), name=OBJECT)
            loaded = opened.configure(Configuration(reuse=reuse)).load()
        except errors.NotPermitted:
            raise
        except errors.KernelError as error:
            raise errors.FeatureMissing(
                "loading what resets the sockets of a backend",
                answer=error.answer,
                advice="it takes Linux 6.5; until then open connections of a backend that has "
                "left end when their owners end them",
            ) from error
        for owned in loaded.maps.values():
            owned.close()  # programs hold what they use
        return cls(loaded.programs)

    def cut(
        self,
        steering: Steering,
        numbers: Numbers,
        *,
        namespaces: Iterable[int],
        udp_only: bool = False,
    ) -> None:
        """Ends every socket that is open with these backends in these network namespaces.

        `namespaces` are descriptors of them (/proc/PID/ns/net). The owner of a socket gets
        ECONNABORTED, the peer of a TCP socket a reset. Raises NotPermitted, CallRefused; what was
        not reached by then is open still.
        """
        names = (UDP,) if udp_only else (TCP, UDP)
        steering.mark_cut(numbers, True)
        try:
            _in_a_thread(lambda: self._run(names, namespaces))
        finally:
            steering.mark_cut(numbers, False)

    def close(self) -> None:
        """Gives every descriptor back."""
        for program in self._programs.values():
            program.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, names: Iterable[str], namespaces: Iterable[int]) -> None:
        links: dict[str, int] = {}
        try:
            for name in names:
                links[name] = iterators.attach(program_fd=self._programs[name].fd, name=name)
            for namespace in namespaces:
                if int(libc().setns(namespace, CLONE_NEWNET)):
                    raise errors.refused("entering a network namespace", libbpf.ffi.errno)
                for name, link in links.items():
                    iterators.run(link_fd=link, name=name)
        finally:
            for link in links.values():
                libbpf.close(link)


def _in_a_thread(work: Callable[[], None]) -> None:
    """Runs it in a thread that ends with it: its network namespace is that thread's alone."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="cutting sockets")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
