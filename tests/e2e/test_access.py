# SPDX-License-Identifier: Apache-2.0
"""Who may ask the agent: root all, one group to read, a token over loopback, nobody else."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import agents, places
from tests.e2e.agents import COMMAND, Agent
from tests.e2e.conftest import new_name
from tests.e2e.servers import free_port

TOKEN = "a-token-of-enough-characters"


def as_user(group: int | None) -> list[str]:
    """The command as somebody without rights, in a group or none; but for reading the interpreter
    wherever it was installed."""
    gid = 65534 if group is None else group
    return [
        "setpriv", "--reuid=65534", f"--regid={gid}", "--clear-groups",
        "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", *COMMAND,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def group() -> Iterator[tuple[str, int]]:
    """A group of this host, and its number."""
    name = new_name()
    subprocess.run(["groupadd", name], check=True)
    entry = subprocess.run(["getent", "group", name], capture_output=True, text=True, check=True)
    yield name, int(entry.stdout.split(":")[2])
    subprocess.run(["groupdel", name], check=True)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def shared(group: tuple[str, int], port: int) -> Iterator[Agent]:
    """An agent that answers the group, and loopback TCP."""
    name = new_name()
    with places.scope(name) as scope:
        token = scope.files / "token"
        token.touch(mode=0o600)
        token.write_text(TOKEN + "\n")
        api = {"group": group[0], "listen": f"127.0.0.1:{port}", "token_file": str(token)}
        with agents.agent(instance=name, scope=scope, settings={"api": api}) as made:
            made.directory.chmod(0o755)
            made.up()
            yield made


@pytest.mark.parametrize("view", ["status", "top --once", "flows", "tap", "drops", "workloads"])
def test_the_group_may_read(shared: Agent, group: tuple[str, int], view: str) -> None:
    shared.call(*view.split(), "--json", command=as_user(group[1]))


def test_the_group_may_not_write(shared: Agent, group: tuple[str, int]) -> None:
    done = shared.call("run", "--", "true", code=1, command=as_user(group[1]))
    assert "may only read" in done.stderr


def test_others_may_nothing(shared: Agent) -> None:
    done = shared.call("status", code=3, command=as_user(None))
    assert "may not open it" in done.stderr and "sudo" in done.stderr
    assert shared.socket.stat().st_mode & 0o777 == 0o660


def test_a_token_over_tcp(shared: Agent, port: int) -> None:
    address = ["--address", f"127.0.0.1:{port}"]
    token = ["--token-file", str(Path(shared.scope.files) / "token")]
    assert shared.json("status", *address, *token)["pid"] == shared.pid
    wrong = Path(shared.scope.files) / "wrong"
    wrong.write_text("another-token-of-that-length")
    done = shared.call("status", *address, "--token-file", str(wrong), code=1)
    assert "token" in done.stderr.lower() and TOKEN not in done.stderr
    assert "wants a token" in shared.call("status", *address, code=2).stderr


def test_the_api_says_what_it_is(shared: Agent, port: int) -> None:
    """As any HTTP client sees it: versions in every answer, problems as RFC 9457 has them."""
    url = f"http://127.0.0.1:{port}/v1/"
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with urllib.request.urlopen(urllib.request.Request(url + "status", headers=bearer)) as answer:
        assert answer.headers["Undermesh-Schema"] == "1" and answer.headers["Undermesh-Version"]
        assert json.loads(answer.read())["schema"] == 1
    for path, headers, status in (
        ("status", {}, 401),
        ("nothing-here", bearer, 404),
        ("edges?window=soon", bearer, 400),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(url + path, headers=headers))
        with refused.value as answer:
            assert answer.status == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Undermesh-Schema"] == "1"
            assert {"type", "title", "status", "detail"} <= set(json.loads(answer.read()))


def test_a_token_is_never_shown(shared: Agent) -> None:
    assert TOKEN not in shared.call("status", "--config").stdout
    assert TOKEN not in shared.log()
