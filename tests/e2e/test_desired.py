# SPDX-License-Identifier: Apache-2.0
"""Desired state through the installed command: all of it or nothing, and nothing lost."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import undermesh
from tests.e2e.agents import COMMAND, Agent
from undermesh.wire.objects import Source

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: shop
spec:
  selector: {{app: {name}}}
  ports:
    - port: {port}
      targetPort: 8080
"""
SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: shop
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports: [{{port: 8080}}]
endpoints:
  - addresses: [10.1.0.{last}]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory of three services, one of which has endpoints."""
    place = tmp_path / "manifests"
    (place / "below").mkdir(parents=True)
    cart = SERVICE.format(name="cart", port=80) + "---\n" + SLICE.format(name="cart", last=1)
    (place / "cart.yaml").write_text(cart)
    (place / "below" / "pay.yml").write_text(SERVICE.format(name="pay", port=81))
    consul = {"service": {"name": "web", "port": 9000, "address": "10.1.0.9"}}
    (place / "web.json").write_text(json.dumps(consul))
    (place / "README.md").write_text("not a manifest")
    return place


@pytest.fixture
def empty(running: Agent) -> Agent:
    """The module's agent, with nothing stored."""
    rows = running.json("get")["objects"]
    names = [f"{row['kind']}/{row['namespace']}/{row['name']}" for row in rows]
    if names:
        running.call("delete", *names)
    return running


def stored(agent: Agent) -> set[str]:
    rows = agent.json("get")["objects"]
    return {f"{row['kind']}/{row['namespace']}/{row['name']}" for row in rows}


ALL = {
    "Service/shop/cart",
    "EndpointSlice/shop/cart-1",
    "Service/shop/pay",
    "ConsulService/default/web",
}


def test_a_directory_is_applied_and_applied_again(empty: Agent, files: Path) -> None:
    done = empty.call("apply", "-f", str(files))
    assert "Service/shop/cart created" in done.stdout and "4 created" in done.stdout
    assert stored(empty) == ALL
    again = empty.json("apply", "-f", str(files))
    assert {one["change"] for one in again["objects"]} == {"unchanged"}


def test_every_error_is_told_and_nothing_is_applied(empty: Agent, files: Path) -> None:
    (files / "broken.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n"
        "  ports:\n    - port: 70000\n  sessionAfinity: None\n"
    )
    (files / "torn.yaml").write_text("kind: [unclosed\n")
    done = empty.call("apply", "-f", str(files), code=1)
    lines = done.stderr.splitlines()
    assert any(line.startswith(f"{files}/broken.yaml:7:") and "70000" in line for line in lines)
    assert any("sessionAfinity" in line and "sessionAffinity" in line for line in lines)
    assert any(line.startswith(f"{files}/torn.yaml:") for line in lines)
    assert "3 errors in 2 files; nothing was changed" in lines[-1]
    assert stored(empty) == set() and done.stdout == ""
    problem = json.loads(empty.call("apply", "-f", str(files), "--json", code=1).stdout)
    assert [one["severity"] for one in problem["diagnostics"]].count("error") == 3
    offline = empty.call("apply", "--dry-run", "--offline", "-f", str(files), code=1)
    assert "3 errors in 2 files" in offline.stderr


def test_diff_says_what_differs_by_its_exit_code(empty: Agent, files: Path) -> None:
    empty.call("apply", "-f", str(files))
    assert empty.call("diff", "-f", str(files), code=0).stdout == ""
    (files / "below" / "pay.yml").write_text(SERVICE.format(name="pay", port=82))
    done = empty.call("diff", "-f", str(files), code=1)
    assert "--- stored Service/shop/pay" in done.stdout
    assert "-    - port: 81" in done.stdout and "+    - port: 82" in done.stdout
    (files / "torn.yaml").write_text("kind: [unclosed\n")
    empty.call("diff", "-f", str(files), code=2)


def test_standard_input_a_dry_run_and_a_namespace(empty: Agent) -> None:
    text = SERVICE.format(name="cart", port=80).replace("  namespace: shop\n", "")
    for flags, left in ((["--dry-run"], set()), ([], {"Service/stage/cart"})):
        done = empty.call("apply", "-f", "-", "-n", "stage", *flags, input=text)
        assert "Service/stage/cart created" in done.stdout
        assert stored(empty) == left
    empty.call("delete", "-f", "-", "-n", "stage", input=text)
    assert stored(empty) == set()


def test_deleting(empty: Agent, files: Path) -> None:
    empty.call("apply", "-f", str(files))
    missing = empty.call("delete", "svc/cart", "svc/nope", "-n", "shop", code=1)
    assert "Service/shop/nope" in missing.stderr and stored(empty) == ALL
    elsewhere = empty.call("delete", "svc/cart", code=1)
    assert "there is Service/shop/cart" in elsewhere.stderr
    empty.call("delete", "svc/cart", "svc/nope", "-n", "shop", "--ignore-not-found")
    assert stored(empty) == ALL - {"Service/shop/cart"}
    empty.call("delete", "-f", str(files), code=1)
    empty.call("delete", "-f", str(files), "--ignore-not-found")
    assert stored(empty) == set()


def test_what_is_got_can_be_applied_again(empty: Agent, files: Path, tmp_path: Path) -> None:
    empty.call("apply", "-f", str(files))
    table = empty.call("get", "svc").stdout
    assert table.splitlines()[0].split()[:3] == ["KIND", "NAMESPACE", "NAME"]
    assert "cart" in table and "pay" in table and "EndpointSlice" not in table
    copy = tmp_path / "copy.yaml"
    copy.write_text(empty.call("get", "-o", "yaml").stdout)
    assert empty.call("diff", "-f", str(copy), code=0).stdout == ""
    assert "not stored" in empty.call("get", "svc/nope", code=1).stderr
    assert "did you mean" in empty.call("get", "servce", code=2).stderr


def test_changes_are_followed_while_others_apply(empty: Agent, files: Path) -> None:
    with undermesh.connect(socket=empty.socket) as agent:
        start = agent.desired.objects().revision
        rows = agent.desired.follow(after=start)
        empty.call("apply", "-f", str(files / "below"))
        row = next(rows)
        assert (row.change, row.kind, row.name) == ("stored", "Service", "pay")
        empty.call("delete", "-f", str(files / "below"))
        assert next(rows).change == "deleted"
        assert [one.change for one in agent.desired.changes(after=start).changes] == ["deleted"]


def test_wrong_use(absent: Agent, files: Path, tmp_path: Path) -> None:
    for arguments, said in (
        (["apply"], "-f"),
        (["apply", "-f", str(files), "--offline"], "--dry-run"),
        (["apply", "-f", "/no/such", "-f", "/nor/this"], "/nor/this"),
        (["apply", "-f", str(tmp_path / "manifests" / "below" / "..") + "/README"], "README"),
        (["delete"], "svc/cart"),
        (["delete", "svc"], "which svc?"),
        (["delete", "svc/a/b/c"], "KIND/NAME"),
    ):
        assert said in absent.call(*arguments, code=2).stderr
    absent.call("apply", "-f", str(files), code=3)
    assert "valid" in absent.call("apply", "-f", str(files), "--dry-run", "--offline").stdout


def test_kill_of_the_agent_loses_nothing(agent: Agent, files: Path) -> None:
    """Killed while it applies, it has all of that or nothing; what it said it stored, it has."""
    agent.up()
    agent.call("apply", "-f", str(files))
    many = "\n---\n".join(SERVICE.format(name=f"s{n}", port=80) for n in range(3000))
    names = {f"Service/shop/s{n}" for n in range(3000)}
    for delay in (0.15, 0.4, 0.8, 1.2):
        applying = subprocess.Popen(
            [*COMMAND, "apply", "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=agent.environment(),
            text=True,
        )
        assert applying.stdin is not None
        applying.stdin.write(many)
        applying.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            applying.wait(timeout=delay)
        agent.kill()
        code = applying.wait(timeout=60)
        agent.up()
        found = stored(agent)
        assert found >= ALL
        assert found - ALL in (set(), names)
        assert code != 0 or found - ALL == names
        if found - ALL:
            break
    agent.call("down")
    agent.up()
    assert stored(agent) >= ALL


def test_applying_is_said_to_take_a_while(empty: Agent, tmp_path: Path) -> None:
    """On a terminal, on stderr, and not on stdout."""
    text = "\n---\n".join(SERVICE.format(name=f"s{n}", port=80) for n in range(9000))
    (tmp_path / "many.yaml").write_text(text)
    leader, follower = pty.openpty()
    applying = subprocess.Popen(
        [*COMMAND, "apply", "-f", str(tmp_path / "many.yaml")],
        stdout=subprocess.PIPE,
        stderr=follower,
        env=empty.environment(),
    )
    out, _ = applying.communicate(timeout=60)
    os.close(follower)
    seen = os.read(leader, 65536)
    os.close(leader)
    assert applying.returncode == 0
    assert b"9000 created" in out
    assert b"applying 1 file" in seen


def test_library_use(empty: Agent) -> None:
    with undermesh.connect(socket=empty.socket) as agent:
        text = SERVICE.format(name="cart", port=80)
        answer = agent.desired.apply([Source(name="mine", text=text)])
        assert [one.change for one in answer.objects] == ["created"]
        with pytest.raises(undermesh.client.RequestRefused) as no:
            agent.desired.apply([Source(name="mine", text="kind: Nothing")])
        assert no.value.diagnostics[0].startswith("mine:1:")
    code = (
        "import undermesh, sys; undermesh.connect; import undermesh.cli.apply; print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "yaml", "undermesh.manifests"} & set(ran.stdout.split())
