"""Each test of the contract runs twice: on the matching core in this process, and over HTTP through our client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exchange.sim.server.launch import Launched, launched
from tests.contract.grounds import START_MS, Ground, InProcess, cleared, write_candles


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of flat candles."""
    return write_candles(tmp_path_factory.mktemp("candles"))


@pytest.fixture(scope="session")
def simulator(candles: Path) -> Iterator[Launched]:
    """A simulator process for all tests of this worker."""
    with launched("--data", str(candles), "--speed", "0", "--balance", "100000", "--start", str(START_MS)) as ready:
        yield ready


@pytest.fixture(params=["in-process", "http"])
async def ground(request: pytest.FixtureRequest, candles: Path) -> AsyncIterator[Ground]:
    if request.param == "in-process":
        yield InProcess(candles)
        return
    async with cleared(request.getfixturevalue("simulator")) as over_http:
        yield over_http
