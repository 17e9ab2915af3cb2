# SPDX-License-Identifier: Apache-2.0
from benchmarks import peers

BPFTRACE = """Attaching 2 probes...
@ticks: 1
@ticks: 2

@[HTTP/1.1 200]: 10766
@[HTTP/1.1 404]: 4
@[other]: 99
@ticks: 2
"""
TCPDUMP = """tcpdump: listening on lo, link-type EN10MB (Ethernet), snapshot length 96 bytes
20123 packets captured
40246 packets received by filter
0 packets dropped by kernel
"""


def test_bpftrace_counts_answers_of_every_status():
    assert peers.Bpftrace.read(BPFTRACE) == 10770


def test_bpftrace_that_never_counted_has_no_count():
    assert peers.Bpftrace.read("ERROR: unknown tracepoint") is None


def test_tcpdump_counts_what_it_captured():
    assert peers.Tcpdump.read(TCPDUMP) == 20123
    assert peers.Tcpdump.read("tcpdump: no permission") is None
