# SPDX-License-Identifier: Apache-2.0
"""Commands find the socket where the agent puts it, and fast."""

import subprocess
import sys
from pathlib import Path

import pytest

from undermesh import config

CASES = [
    ({}, {}, ""),
    ({"instance": "t1"}, {}, ""),
    ({}, {"UNDERMESH_INSTANCE": "env"}, '[agent]\ninstance = "file"'),
    ({}, {}, '[agent]\ninstance = "file"\nruntime_dir = "/tmp/r"'),
    ({}, {"UNDERMESH_RUNTIME_DIR": "/tmp/e"}, '[agent]\nruntime_dir = "/tmp/r"'),
    ({}, {}, '[api]\nsocket = "/tmp/s"'),
    ({}, {"UNDERMESH_SOCKET": "/tmp/e"}, '[api]\nsocket = "/tmp/s"'),
    ({"instance": "t1"}, {}, '[api]\nsocket = "/tmp/s"'),
    ({"instance": "t1"}, {"UNDERMESH_SOCKET": "/tmp/e"}, ""),
    ({}, {"UNDERMESH_INSTANCE": "t1"}, '[api]\nsocket = "/tmp/s"'),
    ({}, {"UNDERMESH_INSTANCE": "t1", "UNDERMESH_SOCKET": "/tmp/e"}, ""),
]


@pytest.mark.parametrize(("given", "environ", "text"), CASES)
def test_it_is_where_the_agent_listens(tmp_path, given, environ, text):
    path = tmp_path / "undermesh.toml"
    path.write_text(text)
    flags = {"agent.instance": given.get("instance")}
    agent = config.load(file=path, environ=environ, flags=flags)
    assert config.find_socket(file=path, environ=environ, **given) == agent.socket


def test_a_socket_that_is_named_is_the_one(tmp_path):
    named = Path("/tmp/x.sock")
    assert config.find_socket(socket=named, environ={"UNDERMESH_SOCKET": "/y"}) == named


def test_an_instance_that_is_named_beats_a_socket_set_for_all():
    environ = {"UNDERMESH_SOCKET": "/tmp/default.sock"}
    assert config.find_socket(instance="t1", environ=environ).name == "t1.sock"


def test_a_wrong_file_is_no_obstacle(tmp_path):
    path = tmp_path / "undermesh.toml"
    path.write_text("[agent\n")
    assert config.find_socket(file=path, environ={}).name == "default.sock"


def test_finding_it_loads_nothing_heavy():
    program = (
        "import sys; from undermesh.config import find_socket; find_socket(environ={}); "
        "print(*(m for m in ('dataclasses', 'tomllib', 'numpy') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
    )  # fmt: skip
    assert done.stdout.split() == (
        [] if not Path("/etc/undermesh/undermesh.toml").exists() else ["tomllib"]
    )
