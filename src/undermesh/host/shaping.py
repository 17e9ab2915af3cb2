# SPDX-License-Identifier: Apache-2.0
"""Traffic control: our HTB on the devices that Priorities name, over netlink.

By level: what a device has is read (RTM_GETQDISC, RTM_GETTCLASS, RTM_GETTFILTER), compared with
what it should have, and only the difference is made. Only handle 756d: is ever touched. What the
kernel gives a device by itself (handle 0: pfifo_fast, mq, noqueue) is replaced, and is back when
ours is removed; a qdisc that somebody has put there is not, that device is reported instead.

pyroute2 runs an event loop of its own: call from a thread that runs none.
"""

import contextlib
import errno as errnos
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, assert_never

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from undermesh.host import devices, htb
from undermesh.host.devices import Link
from undermesh.host.errors import DeviceMissing, QdiscTaken, ShapingRefused
from undermesh.host.htb import HtbClass, Scheduled
from undermesh.model.priority import MAJOR, Shape

Problem: TypeAlias = DeviceMissing | QdiscTaken | ShapingRefused

LEAVES = ("fq_codel", "sfq", "pfifo")
"""Queues for a class, the best first: the first keeps flows apart and short, the last is in every
kernel that has HTB."""

_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What went through a class: bytes, packets, and packets dropped for want of room."""

    bytes: int
    packets: int
    drops: int


class Shaper:
    """The devices of the network namespace the calling thread is in.

    Keeps nothing between calls: what it did is read back from the kernel.
    """

    def apply(self, shapes: Sequence[Shape]) -> Mapping[str, Problem]:
        """Brings the devices to these shapes, and those that have none any more to what they were.

        Returns what went wrong by device; the others are as they should be.
        """
        problems: dict[str, Problem] = {}
        with self._open() as ip:
            links = devices.links(ip)
            for shape in shapes:
                link = links.get(shape.device)
                try:
                    if link is None:
                        raise DeviceMissing(shape.device, sorted(links))
                    self._shape(ip, link, shape)
                except (DeviceMissing, QdiscTaken, ShapingRefused) as problem:
                    problems[shape.device] = problem
            kept = {shape.device for shape in shapes}
            problems |= self._remove(ip, [link for link in links.values() if link.name not in kept])
        return problems

    def remove(self) -> Mapping[str, Problem]:
        """Takes our qdiscs off every device, which the kernel gives its default back."""
        with self._open() as ip:
            return self._remove(ip, list(devices.links(ip).values()))

    def scheduled(self, device: str) -> Scheduled:
        """What of ours is on a device. Raises DeviceMissing, QdiscTaken, ShapingRefused."""
        with self._open() as ip:
            return _scheduled(ip, self._link(ip, device))

    def passed(self, device: str) -> Mapping[int, Passed]:
        """What went through each of our classes so far. Raises DeviceMissing, ShapingRefused."""
        with self._open() as ip:
            link = self._link(ip, device)
            with _doing("reading the classes", device):
                return {int(one["handle"]): _passed(one) for one in _classes(ip, link)}

    @staticmethod
    @contextlib.contextmanager
    def _open() -> Iterator[Any]:
        with IPRoute() as ip:
            yield ip

    @staticmethod
    def _link(ip: Any, device: str) -> Link:
        links = devices.links(ip)
        if device not in links:
            raise DeviceMissing(device, sorted(links))
        return links[device]

    @staticmethod
    def _shape(ip: Any, link: Link, shape: Shape) -> None:
        to = htb.wanted(shape.classes, speed=devices.speed(link))
        for step in htb.steps(to, _scheduled(ip, link)):
            _perform(ip, link, step)

    @staticmethod
    def _remove(ip: Any, links: Sequence[Link]) -> dict[str, Problem]:
        problems: dict[str, Problem] = {}
        for link in links:
            if link.root != htb.ROOT:
                continue
            try:
                with _doing("removing the qdisc", link.name):
                    ip.tc("del", index=link.index, parent=devices.TC_H_ROOT)
                    if htb.is_ours(link.burst):
                        _perform(ip, link, htb.PutBurst(htb.USUAL_BURST))
            except ShapingRefused as problem:
                problems[link.name] = problem
        return problems


def congestion_controls() -> frozenset[str]:
    """The congestion controls this kernel has without loading a module."""
    path = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    return frozenset(path.read_text(encoding="ascii").split())


def _scheduled(ip: Any, link: Link) -> Scheduled:
    if link.root not in (0, htb.ROOT) or (link.root and link.root_kind != "htb"):
        raise QdiscTaken(link.name, kind=link.root_kind, major=link.root >> 16)
    if not link.root:
        return Scheduled(root=False, burst=link.burst)
    with _doing("reading the qdiscs", link.name):
        classes = {int(one["handle"]): _class(one) for one in _classes(ip, link)}
        leaves = {
            int(q["parent"]): str(q.get_attr("TCA_KIND"))
            for q in ip.get_qdiscs(index=link.index)
            if q["parent"] >> 16 == MAJOR
        }
        filters = dict(filter(None, map(_filter, ip.get_filters(link.index, parent=htb.ROOT))))
    return Scheduled(root=True, burst=link.burst, classes=classes, leaves=leaves, filters=filters)


def _classes(ip: Any, link: Link) -> list[Any]:
    """Messages of our classes; leaf qdiscs may have classes of their own."""
    return [c for c in ip.get_classes(index=link.index) if c["handle"] >> 16 == MAJOR]


def _class(message: Any) -> HtbClass:
    options = message.get_attr("TCA_OPTIONS")
    known = options.get_attr("TCA_HTB_PARMS")
    rate = options.get_attr("TCA_HTB_RATE64") or known["rate"]
    ceiling = options.get_attr("TCA_HTB_CEIL64") or known["ceil"]
    parent = int(message["parent"])
    return HtbClass(
        parent=htb.ROOT if parent == devices.TC_H_ROOT else parent,
        prio=int(known["prio"]),
        rate=int(rate) * 8,
        ceiling=int(ceiling) * 8,
        quantum=int(known["quantum"]),
    )


def _filter(message: Any) -> tuple[htb.Match, int] | None:
    """Ours carry the DSCP in their preference, see _preference."""
    options = message.get_attr("TCA_OPTIONS")
    target = None if options is None else options.get_attr("TCA_U32_CLASSID")
    if target is None:
        return None
    info = int(message["info"])
    protocol = (info & 0xFF) << 8 | info >> 8 & 0xFF
    return (protocol, (info >> 16) - _preference(protocol, 0) >> 1), int(target)


def _passed(message: Any) -> Passed:
    stats = message.get_attr("TCA_STATS2")
    basic, queue = stats.get_attr("TCA_STATS_BASIC"), stats.get_attr("TCA_STATS_QUEUE")
    return Passed(
        bytes=int(basic["bytes"]), packets=int(basic["packets"]), drops=int(queue["drops"])
    )


def _perform(ip: Any, link: Link, step: htb.Step) -> None:
    match step:
        case htb.AddRoot():
            with _doing("adding HTB", link.name):
                minor = htb.DEFAULT & 0xFFFF
                ip.tc("add", "htb", link.index, htb.ROOT, default=minor)
        case htb.PutBurst(bytes=most):
            with _doing(f"limiting bursts to {most} bytes", link.name):
                ip.link("set", index=link.index, gso_max_size=most)
        case htb.PutClass(id=number, to=to):
            with _doing(f"setting class {_shown(number)}", link.name):
                ip.tc("replace-class", "htb", link.index, number, **_options(to))
        case htb.PutLeaf(parent=parent):
            _put_leaf(ip, link, parent)
        case htb.PutFilter(match=(protocol, dscp), to=number):
            with _doing(f"sending DSCP {dscp} to class {_shown(number)}", link.name):
                _drop_filter(ip, link, (protocol, dscp))
                ip.tc(
                    "add-filter", "u32", link.index, parent=htb.ROOT, protocol=protocol,
                    prio=_preference(protocol, dscp), target=number, keys=[_key(protocol, dscp)],
                )  # fmt: skip
        case htb.DropFilter(match=(protocol, dscp)):
            with _doing(f"no longer choosing by DSCP {dscp}", link.name):
                _drop_filter(ip, link, (protocol, dscp))
        case htb.DropClass(id=number):
            with _doing(f"removing class {_shown(number)}", link.name):
                ip.tc("del-class", index=link.index, handle=number, parent=htb.WHOLE)
        case _:
            assert_never(step)


def _options(to: HtbClass) -> dict[str, int]:
    """As pyroute2 wants them: rates are bytes per second."""
    return {
        "parent": to.parent, "prio": to.prio, "quantum": to.quantum,
        "rate": to.rate // 8, "ceil": to.ceiling // 8,
        "burst": to.burst, "cburst": to.ceiling_burst,
    }  # fmt: skip


def _put_leaf(ip: Any, link: Link, parent: int) -> None:
    for kind in LEAVES:
        with _doing(f"giving class {_shown(parent)} a queue", link.name):
            try:
                options = {"limit": _LIMIT} if kind == "pfifo" else {}
                ip.tc("replace", kind, link.index, 0, parent=parent, **options)
            except NetlinkError as error:
                if error.code != errnos.ENOENT or kind == LEAVES[-1]:
                    raise
            else:
                return


def _drop_filter(ip: Any, link: Link, match: htb.Match) -> None:
    protocol, dscp = match
    with contextlib.suppress(NetlinkError):  # there is none yet
        ip.tc(
            "del-filter", index=link.index, parent=htb.ROOT, protocol=protocol,
            info=_preference(protocol, dscp) << 16 | (protocol & 0xFF) << 8 | protocol >> 8,
        )  # fmt: skip


def _preference(protocol: int, dscp: int) -> int:
    """One u32 list for each {protocol, DSCP}: the kernel keeps one protocol to a preference."""
    return 256 + 2 * dscp + (protocol == htb.IPV6)


def _key(protocol: int, dscp: int) -> str:
    """value/mask+offset: the DS field is byte 1 of an IPv4 header (RFC 2474), and in IPv6 the bits
    4 to 9 (RFC 8200)."""
    if protocol == htb.IPV4:
        return f"{dscp << 2:#04x}/0xfc+1"
    return f"{dscp << 6:#06x}/0x0fc0+0"


def _shown(number: int) -> str:
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


@contextlib.contextmanager
def _doing(what: str, device: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise ShapingRefused(what, device, error.code) from error
