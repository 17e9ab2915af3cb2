# SPDX-License-Identifier: Apache-2.0
"""apply, diff, delete, get: what is asked of the agent, what is printed, how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.unit.client.fake_agent import FakeAgent
from undermesh.cli import main

ERROR = {
    "file": "a.yaml", "line": 3, "column": 5, "field": "spec.ports[0].port",
    "message": "is 70000", "allowed": ["1..65535"], "severity": "error",
}  # fmt: skip
WARNING = {**ERROR, "message": "selects nothing", "allowed": [], "severity": "warning"}
CART = {"kind": "Service", "namespace": "shop", "name": "cart"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    place = tmp_path / "m"
    (place / "below").mkdir(parents=True)
    (place / ".git").mkdir()
    for name in ("b.yaml", "a.yml", "below/c.json", "notes.txt", ".hidden.yaml", ".git/d.yaml"):
        (place / name).write_text(f"# {name}")
    return place


def asked(agent: FakeAgent) -> dict[str, object]:
    body = agent.asked[-1][3]
    assert isinstance(body, dict)
    return body


def put_changed(agent: FakeAgent, *changes: str, verb: str = "apply", **more: object) -> None:
    rows = [{**CART, "name": f"s{n}", "change": change} for n, change in enumerate(changes)]
    body = {"schema": 1, "revision": 7, "objects": rows, **more}
    agent.put(f"/v1/objects:{verb}", body, method="POST")


def put_refusal(agent: FakeAgent, verb: str, *diagnostics: object) -> None:
    body = {"title": "Not so", "status": 422, "detail": "no", "diagnostics": list(diagnostics)}
    agent.put(f"/v1/objects:{verb}", body, method="POST", status=422)


def test_directories_are_walked_and_each_file_is_sent_once(agent: FakeAgent, files: Path) -> None:
    put_changed(agent, "created")
    assert main(["apply", "-f", str(files / "b.yaml"), "-f", str(files)]) == 0
    sources = asked(agent)["sources"]
    assert isinstance(sources, list)
    assert [one["name"].removeprefix(f"{files}/") for one in sources] == [
        "b.yaml",
        "a.yml",
        "below/c.json",
    ]
    assert sources[0]["text"] == "# b.yaml"


def test_standard_input_and_options(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbftext"))
    monkeypatch.setattr("sys.stdin", stdin)
    put_changed(agent, "created", dry_run=True)
    assert main(["apply", "-f", "-", "-n", "stage", "--dry-run"]) == 0
    assert asked(agent) == {
        "sources": [{"name": "-", "text": "text"}],
        "dry_run": True,
        "namespace": "stage",
    }
    assert capsys.readouterr().out == "Service/shop/s0 created (dry run)\n"


def test_what_became_of_each_is_a_line(
    agent: FakeAgent, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_changed(agent, "created", "unchanged", "created", diagnostics=[WARNING] * 30)
    assert main(["apply", "-f", str(files)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(
        "Service/shop/s0 created\nService/shop/s1 unchanged\nService/shop/s2 created\n"
        "2 created, 1 unchanged in "
    )
    lines = said.err.splitlines()
    assert lines[0] == "warning: a.yaml:3:5: spec.ports[0].port: selects nothing"
    assert lines[20:] == ["warning: 10 more (--json has all)"]


def test_every_error_is_a_line_and_the_answer_is_no(
    agent: FakeAgent, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_refusal(agent, "apply", ERROR, {**ERROR, "file": "b.yaml", "line": 9}, WARNING)
    assert main(["apply", "-f", str(files)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "a.yaml:3:5: spec.ports[0].port: is 70000; 1..65535",
        "b.yaml:9:5: spec.ports[0].port: is 70000; 1..65535",
        "warning: a.yaml:3:5: spec.ports[0].port: selects nothing",
        "undermesh: 2 errors in 2 files; nothing was changed",
    ]
    assert main(["apply", "-f", str(files), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["diagnostics"]) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["apply"], "name manifests with -f"),
        (["diff"], "name manifests with -f"),
        (["apply", "-f", "/no/such", "-f", "/nor/this"], "/no/such: No such file"),
        (["apply", "-f", "/no/such", "-f", "/nor/this"], "/nor/this: No such file"),
        (["apply", "-f", "{empty}"], "no .yaml, .yml, .json file"),
        (["apply", "-f", "{latin}"], "byte 1 is not UTF-8"),
        (["apply", "-f", "{empty}", "--offline"], "goes with --dry-run"),
        (["delete"], "name objects (svc/cart)"),
        (["delete", "svc"], "which svc?"),
        (["delete", "svc/a/b", "-n", "c"], "not in namespace c"),
        (["get", "servise"], "did you mean service"),
        (["get", "svc//x"], "KIND/NAME"),
    ],
)
def test_wrong_use(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a\xe4")
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "latin": tmp_path / "latin.yaml"}
    assert main([one.format(**places) if "{" in one else one for one in arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_an_agent(no_agent: Path, files: Path) -> None:
    for arguments in (["apply", "-f", str(files)], ["get"], ["delete", "svc/a"]):
        assert main(arguments) == 3


def test_offline_needs_none(
    no_agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.yaml"
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {ports: [{port: %s}]}\n"
    manifest.write_text(text % 80)
    assert main(["apply", "--dry-run", "--offline", "-n", "a", "-f", str(manifest)]) == 0
    assert capsys.readouterr().out == "Service/a/cart valid\n"
    manifest.write_text(text % 70000)
    assert main(["apply", "--dry-run", "--offline", "-f", str(manifest)]) == 1
    assert capsys.readouterr().err.startswith(f"{manifest}:4:")


def test_diff_is_a_unified_diff_and_an_exit_code(
    agent: FakeAgent, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"kind": "Service", "apiVersion": "v1", "spec": {"ports": [{"port": 80}]}}
    after = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 81}]}}
    row = {**CART, "change": "configured", "origin": "a.yaml:1", "before": before, "after": after}
    new = {**row, "name": "new", "before": None}
    body = {"revision": 1, "objects": [row, new]}
    agent.put("/v1/objects:diff", body, method="POST")
    assert main(["diff", "-f", str(files)]) == 1
    assert capsys.readouterr().out == (
        "--- stored Service/shop/cart\n+++ a.yaml:1 Service/shop/cart\n@@ -2,4 +2,4 @@\n"
        " kind: Service\n spec:\n   ports:\n-    - port: 80\n+    - port: 81\n"
        "--- /dev/null\n+++ a.yaml:1 Service/shop/new\n@@ -0,0 +1,5 @@\n"
        "+apiVersion: v1\n+kind: Service\n+spec:\n+  ports:\n+    - port: 81\n"
    )
    agent.put("/v1/objects:diff", {"revision": 1, "objects": []}, method="POST")
    assert main(["diff", "-f", str(files)]) == 0
    put_refusal(agent, "diff", ERROR)
    assert main(["diff", "-f", str(files)]) == 2


def test_names_to_delete(agent: FakeAgent, files: Path) -> None:
    put_changed(agent, "deleted", verb="delete")
    assert main(["delete", "svc", "cart", "pay", "-n", "shop"]) == 0
    refs = [
        {"kind": "svc", "namespace": "shop", "name": "cart"},
        {"kind": "svc", "namespace": "shop", "name": "pay"},
    ]
    assert asked(agent) == {"objects": refs, "namespace": "shop"}
    assert main(["delete", "wl/web", "Service/a/b", "--ignore-not-found", "--dry-run"]) == 0
    assert asked(agent) == {
        "objects": [
            {"kind": "wl", "name": "web"},
            {"kind": "Service", "namespace": "a", "name": "b"},
        ],
        "ignore_not_found": True,
        "dry_run": True,
    }  # fmt: skip
    assert main(["delete", "-f", str(files / "b.yaml")]) == 0
    assert asked(agent) == {"sources": [{"name": str(files / "b.yaml"), "text": "# b.yaml"}]}


def put_objects(agent: FakeAgent, *names: str) -> None:
    rows = [
        {
            **CART, "name": name, "revision": 3, "created": "", "changed": "", "origin": "a.yaml:1",
            "summary": "80→8080", "object": {"metadata": {"name": name}, "kind": "Service"},
        }
        for name in names
    ]  # fmt: skip
    agent.put("/v1/objects", {"schema": 1, "revision": 9, "objects": rows})


def test_get_as_a_table_yaml_and_json(agent: FakeAgent, capsys: pytest.CaptureFixture[str]) -> None:
    put_objects(agent, "cart", "pay")
    assert main(["get", "svc", "-n", "shop"]) == 0
    assert agent.asked[-1][2] == {"kind": "svc", "namespace": "shop"}
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["KIND", "NAMESPACE", "NAME", "WHAT", "CHANGED", "ORIGIN"]
    assert table[1].split() == ["Service", "shop", "cart", "80→8080", "–", "a.yaml:1"]
    assert main(["get", "svc/cart", "-o", "yaml"]) == 0
    assert agent.asked[-1][2] == {"kind": "svc", "name": "cart"}
    text = capsys.readouterr().out
    assert text == (
        "kind: Service\nmetadata:\n  name: cart\n---\nkind: Service\nmetadata:\n  name: pay\n"
    )
    assert main(["get", "--json"]) == main(["get", "-o", "json"]) == 0
    one, other = capsys.readouterr().out.splitlines()
    assert one == other
    assert json.loads(one)["revision"] == 9


def test_what_is_not_there_is_a_no_and_nothing_at_all_is_a_hint(
    agent: FakeAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    put_objects(agent)
    assert main(["get", "svc/cart", "svc/pay"]) == 1
    assert "svc/cart, svc/pay are not stored" in capsys.readouterr().err
    assert main(["get"]) == 0
    assert "undermesh apply -f FILE" in capsys.readouterr().err


def test_kinds_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.shell_completion import ShellComplete

    from undermesh.cli.program import undermesh_command

    shell = ShellComplete(undermesh_command, {}, "undermesh", "_UNDERMESH_COMPLETE")
    found = [one.value for one in shell.get_completions(["get"], "wo")]
    assert found == ["workload", "workloads"]
    assert "apply" in [one.value for one in shell.get_completions([], "ap")]
