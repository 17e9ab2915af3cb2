# SPDX-License-Identifier: Apache-2.0
"""Messages say what was tried, on what, what answered, and what to do."""

import errno

import pytest

from undermesh.kernel import errors

LOG = """\
0: R1=ctx() R10=fp0
; __u32 zero = 0; @ sample.bpf.c:24
0: (b7) r7 = 0                        ; R7_w=0
1: (63) *(u32 *)(r10 -4) = r7
; *value = skb->len; @ sample.bpf.c:27
8: (61) r1 = *(u32 *)(r6 +0)
9: (7b) *(u64 *)(r0 +0) = r1
R0 invalid mem access 'map_value_or_null'
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
verification time 83 usec
stack depth 4
"""


def test_the_end_of_a_log_is_shown_without_statistics_and_with_the_source_line():
    shown = errors.last_useful_lines(LOG, limit=3)
    assert shown.splitlines()[0].strip() == "; *value = skb->len; @ sample.bpf.c:27"
    assert shown.splitlines()[-1].strip() == "R0 invalid mem access 'map_value_or_null'"
    assert "processed" not in shown
    assert "zero" not in shown


def test_the_source_line_is_found_when_it_is_far_up():
    log = "; far = away; @ x.bpf.c:1\n" + "".join(f"{i}: (bf) r1 = r2\n" for i in range(50))
    lines = errors.last_useful_lines(log, limit=4).splitlines()
    assert lines[0].strip().startswith("; far")
    assert len(lines) == 5


@pytest.mark.parametrize("log", ["", "\n\n", "processed 0 insns (limit 1000000)\n"])
def test_a_log_that_says_nothing_is_nothing(log):
    assert errors.last_useful_lines(log) == ""


def test_a_rejected_program_is_named_and_the_whole_log_kept():
    error = errors.VerifierRejected(
        "loading tap_ingress", program="tap_ingress", errno=errno.EACCES, log=LOG
    )
    assert isinstance(error, errors.OurFault)
    assert error.program == "tap_ingress"
    assert error.log == LOG
    assert str(error).startswith("loading tap_ingress: the verifier answered EACCES")


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, -errno.EPERM])
def test_a_refusal_for_want_of_permission_says_what_is_needed(monkeypatch, number):
    monkeypatch.setattr(errors, "missing_capabilities", lambda: ("CAP_BPF", "CAP_NET_ADMIN"))
    error = errors.refused("attaching tap to /sys/fs/cgroup", number)
    assert isinstance(error, errors.NotPermitted)
    assert "needs CAP_BPF, CAP_NET_ADMIN" in str(error)
    assert "run as root" in str(error)


def test_lockdown_is_blamed_when_capabilities_are_not(monkeypatch):
    monkeypatch.setattr(errors, "missing_capabilities", tuple)
    monkeypatch.setattr(errors, "lockdown", lambda: "confidentiality")
    assert "locked down" in str(errors.refused("loading x", errno.EPERM))


def test_what_the_library_printed_is_part_of_the_answer():
    error = errors.refused("loading object tap", errno.EINVAL, hints="map 'um_x': no such type")
    assert isinstance(error, errors.CallRefused)
    assert error.errno == errno.EINVAL
    assert "[map 'um_x': no such type]" in str(error)


def test_the_kernels_own_errno_has_a_name():
    assert "ENOTSUPP" in errors.name_of(errors.ENOTSUPP)
    assert errors.name_of(-errno.EBUSY).startswith("EBUSY")


def test_every_error_says_whose_turn_it_is():
    sides = (errors.OperatorError, errors.KernelLacks, errors.CallRefused, errors.OurFault)
    leaves = [error for side in sides for error in (side, *side.__subclasses__())]
    named = {name for name in vars(errors) if isinstance(vars(errors)[name], type)}
    assert {leaf.__name__ for leaf in leaves} | {"KernelError"} == named
