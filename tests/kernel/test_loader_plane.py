# SPDX-License-Identifier: Apache-2.0
"""The whole data plane in a cgroup of its own: start, adopt, replace, remove.

Traffic is HTTP between two sockets of one process inside the scope, so what must be counted is
known to the last request, connection and byte.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.kernel.conftest import ROOT, cgroup2
from tools import bpf_objects
from undermesh.kernel import errors, links, plane, roles
from undermesh.kernel.kinds import AttachType
from undermesh.kernel.objects import Configuration, Opened

REQUEST = b"GET /x HTTP/1.1\r\nHost: shop\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PER_CONNECTION = 10

TRAFFIC = f"""
import os, socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
server = socket.create_server(("127.0.0.1", 0))
connections = 0
print("ready", flush=True)
while connections < int(sys.argv[2]) or (sys.argv[2] == "-1" and not os.path.exists(sys.argv[3])):
    client = socket.create_connection(server.getsockname())
    accepted, _ = server.accept()
    for _ in range({PER_CONNECTION}):
        client.sendall({REQUEST!r})
        accepted.recv(4096)
        accepted.sendall({RESPONSE!r})
        client.recv(4096)
    client.close()
    accepted.close()
    connections += 1
print(connections, flush=True)
"""


def traffic(cgroup: Path, connections: int, *, until: Path | None = None) -> subprocess.Popen:
    """A process in the cgroup that makes so many connections; -1: until `until` is there."""
    arguments = [str(cgroup), str(connections), str(until or "")]
    process = subprocess.Popen(
        [sys.executable, "-c", TRAFFIC, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def made(process: subprocess.Popen) -> int:
    """How many connections a traffic process made, once it has ended well."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return int(out)


@pytest.fixture(scope="module")
def built() -> None:
    """The package's own objects, compiled."""
    bpf_objects.build_programs(root=ROOT)


@pytest.fixture(scope="module")
def later(tmp_path_factory) -> Path:
    """Objects of a later version: fields appended to what is counted, remembered and reported."""
    root = tmp_path_factory.mktemp("later")
    shutil.copytree(ROOT / "bpf", root / "bpf")
    for file, struct in (("edge.h", "um_edge"), ("owner.h", "um_owner"), ("flow.h", "um_flow")):
        path = root / "bpf" / "abi" / file
        text, count = re.subn(
            rf"(struct {struct} \{{.*?\n)(\}};)",
            r"\1\t__u64 appended;\n\2",
            path.read_text(),
            flags=re.S,
        )
        assert count == 1
        path.write_text(text)
    into = root / "objects"
    bpf_objects.build(sorted((root / "bpf" / "programs").glob("*.bpf.c")), into=into, root=root)
    return into


@pytest.fixture
def options(built, bpf_dir, cgroup, instance):
    yield plane.Options(cgroup_root=cgroup2(), scope=cgroup, bpffs=bpf_dir, instance=instance)
    plane.remove(bpffs=bpf_dir, instance=instance)


def seeded(cgroup: Path):
    """What the agent does before attaching: the cgroups there are."""

    def seed(tables):
        fresh = tables.insert("um_cgroups", os.stat(cgroup).st_ino, (0, 0, b"/test"), exist="new")
        assert fresh in (0, 1)

    return seed


def start(options: plane.Options) -> plane.Plane:
    return plane.Plane.start(options=options, seed=seeded(options.scope))


class Totals:
    """Everything counted so far, over maps in use and maps retired."""

    def __init__(self) -> None:
        self.requests = self.opened = self.closed = self.tx = self.flows = 0

    def add_edges(self, edges) -> None:
        self.opened += int(edges["opened"].sum())
        self.closed += int(edges["closed"].sum())
        self.tx += int(edges["tx_bytes"].sum())

    def add_retired(self, running: plane.Plane) -> None:
        if "um_edges" in running.retired:
            self.add_edges(running.retired["um_edges"][1])
        if "um_flows" in running.retired:
            self.flows += len(running.retired["um_flows"][1])
        running.forget_retired()

    def add_live(self, running: plane.Plane) -> None:
        running.sweep_sockets()
        self.add_edges(running.dump("um_edges")[1])
        self.requests += int(running.dump("um_series")[1]["requests"].sum())
        self.flows += len(running.drain("um_flows"))

    def check(self, connections: int) -> None:
        assert self.requests == connections * PER_CONNECTION
        assert (self.opened, self.closed) == (connections, connections)
        assert self.flows == connections
        assert self.tx == connections * PER_CONNECTION * len(REQUEST)


def test_every_program_loads_attaches_and_counts(options):
    with start(options) as running:
        assert not running.adopted
        for info in running.program_info():
            assert info.attached, f"{info.name}: {info.why}"
            assert info.verified_insns > 0
        connections = made(traffic(options.scope, 20))
        totals = Totals()
        totals.add_live(running)
        totals.check(connections)
        keys, values = running.dump("um_series")
        assert set(keys["status"]) == {200}
        assert int(values["bins"].sum()) == connections * PER_CONNECTION
        assert len(running.dump("um_owners")[0]) >= 1
        exits = running.enum("um_process_event_kind")["UM_PROCESS_EXIT"]
        assert exits in running.drain("um_processes")["kind"]
        assert running.unknown_records() == {"um_flows": 0, "um_processes": 0}
        lost = {name: n for name, n in running.stats().items() if not name.endswith("_limited")}
        assert not lost.get("series_full")


def test_maps_tell_their_fill_and_rings_have_a_dtype(options):
    with start(options) as running:
        infos = {info.name: info for info in running.map_info()}
        assert infos["um_numbers"].entries == 1
        assert infos["um_sockets"].entries is None
        assert sum(info.bytes for info in infos.values()) < 60 << 20
        for ring, struct in (("um_samples", "um_sample"), ("um_answers", "um_answer")):
            assert running.drain(ring).dtype == running.dtype(struct)
        with pytest.raises(errors.NotInObject):
            running.drain("um_nothing")


def test_a_closed_plane_goes_on_counting_and_is_adopted_untouched(options):
    with start(options) as first:
        ids = {name: link.facts() for name, link in first._running.links.items()}
        before = made(traffic(options.scope, 10))
    between = made(traffic(options.scope, 10))
    with start(options) as second:
        assert second.adopted
        assert not second.retired
        assert {name: link.facts() for name, link in second._running.links.items()} == ids
        totals = Totals()
        totals.add_live(second)
        totals.check(before + between)


def test_killing_the_agent_under_load_leaves_no_hole(options, tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from undermesh.kernel import plane\n"
        f"options = plane.Options(cgroup_root=Path({str(options.cgroup_root)!r}), "
        f"scope=Path({str(options.scope)!r}), bpffs=Path({str(options.bpffs)!r}), "
        f"instance={options.instance!r})\n"
        "running = plane.Plane.start(options=options); print('up', flush=True); time.sleep(60)"
    )
    agent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    assert agent.stdout.readline() == "up\n"
    stop = tmp_path / "stop"
    load = traffic(options.scope, -1, until=stop)
    agent.send_signal(signal.SIGKILL)
    agent.communicate()
    with start(options) as running:
        assert running.adopted
        stop.touch()
        connections = made(load)
        totals = Totals()
        totals.add_live(running)
        totals.check(connections)


def test_changed_options_replace_programs_in_place(options):
    with start(options) as first:
        ids = {name: link.facts().id for name, link in first._running.links.items()}
        before = made(traffic(options.scope, 5))
    with start(replace(options, keep_query=True)) as second:
        assert second.adopted
        assert all(info.attached for info in second.program_info())
        facts = second._running.links["tap_ingress"].facts()
        assert facts.id == ids["tap_ingress"]
        assert facts.program_id == second._running.programs["tap_ingress"].facts().id
        after = made(traffic(options.scope, 5))
        totals = Totals()
        totals.add_live(second)
        totals.check(before + after)


def test_a_resized_map_keeps_its_entries(options):
    with start(options) as first:
        made(traffic(options.scope, 5))
        owners, numbers = first.dump("um_owners")
        allocated = int(first.maps["um_numbers"].lookup(0))
    with start(replace(options, sizes={"um_owners": 100, "um_edges": 100})) as second:
        assert second.maps["um_owners"].spec.max_entries == 100
        again, same = second.dump("um_owners")
        assert sorted(again.tolist()) == sorted(owners.tolist())
        assert sorted(same.tolist()) == sorted(numbers.tolist())
        assert int(second.maps["um_numbers"].lookup(0)) == allocated
        assert set(second.retired) == {"um_owners", "um_edges"}
        assert int(second.retired["um_edges"][1]["opened"].sum()) == 5


def test_upgrade_and_back_under_load_lose_nothing(options, later, tmp_path):
    stop, totals = tmp_path / "stop", Totals()
    with start(options):
        load = traffic(options.scope, -1, until=stop)
    for version in (later, None, later, None):
        with start(replace(options, objects=version)) as running:
            assert running.adopted
            assert all(info.attached for info in running.program_info())
            assert ("appended" in running.dtype("um_edge").names) == (version is not None)
            assert {"um_edges", "um_owners", "um_flows"} <= set(running.retired)
            totals.add_retired(running)
            totals.flows += len(running.drain("um_flows"))
    with start(options) as running:
        assert not running.retired
        stop.touch()
        connections = made(load)
        totals.add_live(running)
    assert connections > 100
    totals.check(connections)


def test_what_an_agent_died_before_folding_is_read_again(options, later):
    with start(options):
        made(traffic(options.scope, 5))
    with start(replace(options, objects=later)) as second:
        assert int(second.retired["um_edges"][1]["opened"].sum()) == 5
    with start(replace(options, objects=later)) as third:
        assert int(third.retired["um_edges"][1]["opened"].sum()) == 5
        third.forget_retired()
    with start(replace(options, objects=later)) as fourth:
        assert not fourth.retired


def test_removing_leaves_the_host_as_it_was(options):
    fd = os.open(options.scope, os.O_RDONLY)
    running = start(options)
    with pytest.raises(errors.InstanceBusy):
        plane.remove(bpffs=options.bpffs, instance=options.instance)
    assert links.query(fd, AttachType.CGROUP_INET_INGRESS)[1]
    running.close()
    removed = plane.remove(bpffs=options.bpffs, instance=options.instance)
    assert "tap_ingress" in removed.links
    assert "um_series" in removed.maps
    assert not links.query(fd, AttachType.CGROUP_INET_INGRESS)[1]
    assert not (options.bpffs / "undermesh" / options.instance).exists()
    os.close(fd)


def test_a_link_somebody_detached_is_reported_and_made_again(options):
    with start(options) as running:
        link = running._running.links["tap_egress"]
        assert link.detach()
        info = {info.name: info for info in running.program_info()}["tap_egress"]
        assert not info.attached
        assert "detached" in info.why
    with start(options) as again:
        assert all(info.attached for info in again.program_info())


def test_a_cgroup_somebody_holds_for_himself_is_said_so_and_nothing_is_left(options, objects):
    loaded = Opened.read(objects / "sample.bpf.o").configure(Configuration()).load()
    fd = os.open(options.scope, os.O_RDONLY)
    egress, program = AttachType.CGROUP_INET_EGRESS, loaded.programs["out"]
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    assert libbpf.bpf_prog_attach(program.fd, fd, int(egress), 0) == 0  # no BPF_F_ALLOW_MULTI
    try:
        with pytest.raises(errors.HookTaken, match=r"program out \(id \d+\)"):
            start(options)
        assert links.query(fd, egress)[1] == (program.facts().id,)
        assert not links.query(fd, AttachType.CGROUP_INET_INGRESS)[1]
        assert not (options.bpffs / "undermesh" / options.instance).exists()
    finally:
        libbpf.bpf_prog_detach2(program.fd, fd, int(egress))
        loaded.close()
        os.close(fd)


def test_starts_and_stops_leak_no_descriptor(options):
    start(options).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with start(options) as running:
            running.drain("um_flows")
            running.sweep_sockets()
            running.backfill()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_scope_outside_the_hierarchy_is_refused(options):
    with pytest.raises(errors.OperatorError, match="not below"):
        start(replace(options, scope=Path("/tmp")))
    with pytest.raises(errors.OperatorError, match="um_nonsense"):
        start(replace(options, sizes={"um_nonsense": 1}))
    assert not (options.bpffs / "undermesh" / options.instance).exists()


def test_equal_programs_are_recognised_without_the_recorded_hashes(options):
    sized = replace(options, sizes={"um_udp": 1000, "um_flows": 1 << 20})
    with start(sized) as first:
        ids = {name: link.facts() for name, link in first._running.links.items()}
        maps = {name: owned.id() for name, owned in first.maps.items()}
        notes = first._running.pinned._meta
        keys, _ = notes.dump()
        recorded = [key for key in keys if key.startswith(b"object-")]
        assert notes.delete(recorded) == len(roles.OBJECTS)
    with start(sized) as second:
        assert {name: link.facts() for name, link in second._running.links.items()} == ids
        assert {name: owned.id() for name, owned in second.maps.items()} == maps
        assert not second.retired


def test_a_program_somebody_put_in_our_place_is_replaced(options, objects):
    with start(options) as first:
        ours = first._running.programs["tap_egress"].facts().tag
        with Opened.read(objects / "sample.bpf.o").configure(Configuration()).load() as other:
            first._running.links["tap_egress"].replace(other.programs["out"])
        info = {info.name: info for info in first.program_info()}["tap_egress"]
        assert not info.attached
    with start(options) as second:
        facts = second._running.links["tap_egress"].facts()
        assert facts.program_id == second._running.programs["tap_egress"].facts().id
        assert second._running.programs["tap_egress"].facts().tag == ours
        assert all(info.attached for info in second.program_info())


def test_what_a_later_version_left_is_taken_away(options, objects):
    """And so going back to an older version leaves none of the newer one's programs running."""
    fd = os.open(options.scope, os.O_RDONLY)
    egress = AttachType.CGROUP_INET_EGRESS
    with Opened.read(objects / "sample.bpf.o").configure(Configuration()).load() as future:
        with start(options) as first:
            pinned = first._running.pinned
            link = links.attach(future.programs["out"], cgroup_fd=fd)
            pinned.pin_link(link)
            pinned.pin_map(future.maps["entries"])
            link.close()
            assert len(links.query(fd, egress)[1]) == 2
        with start(options) as second:
            assert len(links.query(fd, egress)[1]) == 1
            assert "entries" not in second._running.pinned.maps()
            second.forget_retired()
            assert second._running.pinned.retired() == ()
    os.close(fd)


def test_another_layout_version_is_counted_and_then_removed(options):
    root = options.bpffs / "undermesh" / options.instance
    fd = os.open(options.scope, os.O_RDONLY)
    with start(options):
        made(traffic(options.scope, 5))
    (root / "v1").rename(root / "v7")
    with start(options) as running:
        assert not running.adopted
        assert len(links.query(fd, AttachType.CGROUP_INET_EGRESS)[1]) == 1
        assert int(running.retired["um_edges"][1]["opened"].sum()) == 5
        assert int(running.retired["um_series"][1]["requests"].sum()) == 5 * PER_CONNECTION
        assert len(running.retired["um_flows"][1]) == 5
        running.forget_retired()
        assert [path.name for path in root.iterdir()] == ["v1"]
        made(traffic(options.scope, 5))
        assert int(running.dump("um_edges")[1]["opened"].sum()) == 5
    os.close(fd)
