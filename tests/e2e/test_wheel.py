# SPDX-License-Identifier: Apache-2.0
"""What `./run build` makes works where there is no compiler and nothing of this tree."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents import ROOT, Agent
from tests.e2e.places import Scope
from tests.e2e.servers import nginx

COMPILERS = ("clang", "llvm-strip", "gcc", "cc", "make")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nobody's dist/ is touched."""
    into = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [made] = into.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with every command of this machine but compilers."""
    directory = tmp_path_factory.mktemp("bin")
    for place in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for command in Path(place).iterdir():
            link = directory / command.name
            if not command.name.startswith(COMPILERS) and not link.exists():
                link.symlink_to(command)
    return str(directory)


@pytest.fixture(scope="module")
def installed(
    wheel: Path, bare_path: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A virtual environment with the wheel and what it asks for, by pip."""
    venv = tmp_path_factory.mktemp("venv") / "v"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    env = os.environ | {"PATH": bare_path}
    done = subprocess.run([*pip, str(wheel)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    yield venv
    shutil.rmtree(venv)


def test_it_sees_without_a_compiler(
    agent: Agent, scope: Scope, installed: Path, bare_path: str
) -> None:
    agent.command = [str(installed / "bin" / "undermesh")]
    agent.env["PATH"] = bare_path
    agent.up()
    status = agent.status()
    assert all(program["attached"] for program in status["programs"])
    server = nginx(scope)
    scope.run("visitor", ["curl", "-sf", server.url])
    assert agent.row("visitor", "nginx")["requests"] == 1
    agent.down()


def test_it_brings_its_unit_its_settings_and_its_completions(installed: Path) -> None:
    for name in (
        "lib/systemd/system/undermesh.service",
        "share/undermesh/undermesh.toml",
        "share/bash-completion/completions/undermesh",
        "share/zsh/site-functions/_undermesh",
        "share/fish/vendor_completions.d/undermesh.fish",
    ):
        assert (installed / name).stat().st_size > 0
    settings = ["--config", str(installed / "share/undermesh/undermesh.toml")]
    done = subprocess.run(
        [str(installed / "bin" / "undermesh"), *settings, "--instance", "none", "status"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
