# SPDX-License-Identifier: Apache-2.0
"""Runs `async def` tests, within a bound, and offers endpoints of every kind on loopback."""

import asyncio
import inspect

import pytest

from tests.unit.health.endpoints import Endpoints


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(_within_bound(pyfuncitem.obj, arguments))
    return True


async def _within_bound(test, arguments) -> None:
    async with asyncio.timeout(30):
        try:
            await test(**arguments)
        finally:
            for value in arguments.values():
                if isinstance(value, Endpoints):
                    await value.close()


@pytest.fixture
def endpoints() -> Endpoints:
    """Starts endpoints; those of one test are gone when it ends."""
    return Endpoints()
