# SPDX-License-Identifier: Apache-2.0
"""A fake agent where every command finds it, and no colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.client.fake_agent import FakeAgent, serving, shop


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    """Answers for a small shop."""
    monkeypatch.setenv("UNDERMESH_SOCKET", str(tmp_path / "a.sock"))
    with serving(FakeAgent(), socket=tmp_path / "a.sock") as agent:
        agent.put_edges(shop())
        agent.put_status()
        yield agent


@pytest.fixture
def no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A socket path where nobody is."""
    path = tmp_path / "none.sock"
    monkeypatch.setenv("UNDERMESH_SOCKET", str(path))
    return path
