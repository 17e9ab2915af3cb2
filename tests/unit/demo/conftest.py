# SPDX-License-Identifier: Apache-2.0
"""Coroutine tests run to their end in an event loop of their own, and every connection that was
opened meanwhile is closed: the services keep theirs for as long as they live."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_to_the_end(pyfuncitem.obj(**arguments)))
    return True


async def _to_the_end(test: Any) -> None:
    opened: list[asyncio.StreamWriter] = []
    original = asyncio.open_connection
    patch = pytest.MonkeyPatch()

    async def remembered(*arguments: Any) -> Any:
        streams = await original(*arguments)
        opened.append(streams[1])
        return streams

    patch.setattr(asyncio, "open_connection", remembered)
    try:
        await asyncio.wait_for(test, 30)
    finally:
        patch.undo()
        for writer in opened:
            writer.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=1) if others else None
