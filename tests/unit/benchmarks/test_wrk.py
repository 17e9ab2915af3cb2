# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks import wrk
from benchmarks.processes import BenchError

SAID = """Running 3s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   281.25us  137.85us   6.70ms   95.29%
    Req/Sec   115.26k     4.91k  122.04k    93.55%
  355427 requests in 3.10s, 56.95MB read
{errors}Requests/sec: 114659.12
Transfer/sec:     18.37MB
"""


def test_a_report_is_read():
    assert wrk.parse(SAID.format(errors="")) == wrk.Said(requests=355427, seconds=3.1, errors=0)


def test_failed_sockets_are_counted_and_slow_answers_are_not():
    errors = "  Socket errors: connect 1, read 2, write 3, timeout 40\n"
    assert wrk.parse(SAID.format(errors=errors)).errors == 6


def test_silence_is_no_report():
    with pytest.raises(BenchError, match="it said nothing"):
        wrk.parse("")
