"""A client of Binance's demo exchange, where the environment has keys for it; otherwise these tests are skipped."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from exchange import environment
from exchange.binance.client import BinanceClient
from exchange.environment import Network, UnusableEnvironment
from fsm.live.context.clock import MachineClock

HOW = (
    "set BINANCE_ENV=testnet, BINANCE_API_KEY and BINANCE_API_SECRET (keys of demo.binance.com),"
    " and run pytest -m testnet"
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def demo() -> AsyncIterator[BinanceClient]:
    """Never mainnet: any other environment is a skip, whatever keys there are."""
    named = os.environ.get("BINANCE_ENV", "")
    if named != Network.TESTNET.value:
        pytest.skip(f"not run: BINANCE_ENV is {named or 'not set'}; {HOW}")
    try:
        credentials = environment.credentials(os.environ)
    except UnusableEnvironment as error:
        pytest.skip(f"not run: {error}; {HOW}")
    found = environment.resolve({"BINANCE_ENV": Network.TESTNET.value})
    assert found.rest_url is not None
    client = BinanceClient(base_url=found.rest_url, clock=MachineClock(), credentials=credentials, steady=True)
    await client.filters()
    try:
        yield client
    finally:
        await client.aclose()
