# SPDX-License-Identifier: Apache-2.0
"""What the shop writes and looks up before it starts anything."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from undermesh.demo import ports, servers, shop


def test_missing_servers_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program, path: None)
    with pytest.raises(servers.Missing, match="nginx and redis-server") as error:
        servers.find()
    assert error.value.packages == ("nginx", "redis-server")


def test_nginx_serves_only_loopback_from_its_own_directory(tmp_path: Path) -> None:
    peers = {"catalog": 1001, "cart": 1002, "checkout": 1003, "recommend": 1004}
    command = servers.nginx_command("/usr/sbin/nginx", tmp_path, 8080, peers)
    written = (tmp_path / "nginx.conf").read_text()
    assert command[0] == "/usr/sbin/nginx"
    assert "listen 127.0.0.1:8080;" in written
    assert written.count("listen") == 1
    for name, port in peers.items():
        assert f"upstream {name} {{ server 127.0.0.1:{port};" in written
    assert "/var/" not in written


def test_redis_keeps_nothing_on_disk(tmp_path: Path) -> None:
    command = servers.redis_command("/usr/bin/redis-server", tmp_path, 7000)
    assert command[command.index("--save") + 1] == ""
    assert command[command.index("--bind") + 1] == "127.0.0.1"


def test_free_ports_are_all_different() -> None:
    found = ports.free([f"p{i}" for i in range(30)])
    assert len(set(found.values())) == 30


def test_listening_ports_come_from_the_kernel() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert port not in ports.listening()
        listener.listen()
        assert port in ports.listening()


def test_scope_is_removed_with_all_below(tmp_path: Path) -> None:
    scope = tmp_path / "scope"
    (scope / "a" / "b").mkdir(parents=True)
    (scope / "c").mkdir()
    shop._remove_scope(scope)
    assert not scope.exists()
    shop._remove_scope(scope)


def test_commands_forget_the_environment_s_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERMESH_SOCKET", "/somewhere/else.sock")
    mine = shop.Shop(instance="demo-1", caller=None, directory=tmp_path, scope=tmp_path)
    command = shop._undermesh(mine, "status")
    place = command.index(sys.executable)
    said = subprocess.check_output([*command[:place], "env"], text=True)
    assert "UNDERMESH_SOCKET" not in said
    assert "UNDERMESH_INSTANCE=demo-1" in said
    assert command[place:] == [sys.executable, "-m", "undermesh", "status"]
