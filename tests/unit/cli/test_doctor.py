# SPDX-License-Identifier: Apache-2.0
"""`doctor`: what is missing, what it costs, and whether that decides."""

from __future__ import annotations

import json

import pytest

from undermesh.cli import kernel_facts, main
from undermesh.host import doctor
from undermesh.host.doctor import Check
from undermesh.kernel.probes import Answer

FINE = Check(name="BTF", ok="yes", found="/sys/kernel/btf/vmlinux")
LESS = Check(
    name="tp_btf/kfree_skb",
    ok="no",
    found="not available",
    cost_if_missing="drops are not seen",
    remedy="a newer kernel",
    needed=False,
)
MISSING = Check(
    name="cgroup v2",
    ok="no",
    found="not mounted",
    cost_if_missing="there is nothing to attach to",
    remedy="mount -t cgroup2 none /sys/fs/cgroup/unified",
)


def examined(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(kernel_facts, "features", tuple)
    monkeypatch.setattr(kernel_facts, "foreign_programs", tuple)
    monkeypatch.setattr(doctor, "run", lambda **asked: checks)


def test_fit_host_is_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, FINE, LESS)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "without  tp_btf/kfree_skb" in said
    assert "drops are not seen" in said
    assert said.rstrip().endswith("This host is fit for undermesh.")


def test_needed_piece_missing_is_one_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, FINE, MISSING)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "MISSING  cgroup v2" in said
    assert "→ mount -t cgroup2" in said
    assert "not fit for undermesh: cgroup v2 missing" in said


def test_json_has_every_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examined(monkeypatch, FINE, MISSING)
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["fit"] is False
    assert [check["name"] for check in document["checks"]] == ["BTF", "cgroup v2"]
    assert document["checks"][1]["needed"] is True


def test_real_host_gives_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever runs the tests: without rights the answers are unsure, never a crash."""
    assert main(["doctor", "--json"]) in (0, 1)
    names = {check["name"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {"kernel", "BTF", "cgroup v2", "capabilities"} <= names


def test_without_root_a_refusal_to_try_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    feature = kernel_facts._feature("sockops", Answer.NO, cost="nothing is seen", needed=True)
    assert (feature.ok, feature.detail) == ("unknown", "could not tell: run as root")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert kernel_facts._feature("sockops", Answer.NO, cost="nothing is seen").ok == "no"
