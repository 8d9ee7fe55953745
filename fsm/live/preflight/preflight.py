"""Joins what `doctor` looks at: this machine, then the exchange, which it reaches as the bot would."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import localcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from exchange.environment import resolve
from exchange.errors import ExchangeError
from exchange.secrets import Credentials, Secret
from exchange.sim.server import launch
from exchange.sim.server.launch import LaunchError
from fsm.bootstrap import Run, Where, account_of, reach
from fsm.core.model.money import MONEY
from fsm.live.preflight import host_checks
from fsm.live.preflight.exchange_checks import ExchangeChecks
from fsm.live.preflight.findings import Finding, fail, skip
from fsm.live.preflight.meeting import StartRefused
from fsm.live.preflight.ownership import knows_our_orders
from fsm.live.process.embedded import embedded_command
from store.database import open_store
from store.lock import holder


def examine(run: Run) -> list[Finding]:
    """What `doctor` looks at: this machine, then the exchange. A running bot, and its exchange, are not disturbed."""
    there = resolve(run.config.environment.addresses)
    network = there.network
    mine = [host_checks.sqlite(), host_checks.disk(run.db), host_checks.instance(run.db)]
    in_use = holder(run.db) is not None
    found, stored = host_checks.database(run.db, network)
    mine.append(found)
    if there.prices is not None:
        mine += host_checks.paper(there.prices.rest_url)
    with localcontext(MONEY), ExitStack() as stack:
        try:
            where = stack.enter_context(_exchange_to_examine(run, in_use))
        except StartRefused as error:
            theirs = [skip("exchange", str(error))]
        except LaunchError as error:
            advice = (
                "the exchange whose prices it takes must answer" if there.prices else "move its .exchange file away"
            )
            theirs = [fail("exchange", str(error), advice)]
        else:
            whose = account_of(where.credentials)
            is_same = host_checks.has_another_key(stored, whose) and asyncio.run(_is_same_account(run, where))
            mine.append(host_checks.account(stored, whose, is_same=is_same))
            theirs = asyncio.run(_examine(run, where, stored, in_use))
    environment = run.config.environment
    spoken = asyncio.run(host_checks.telegram(environment.tg_base_url, environment.secrets))
    outside = (host_checks.second_channel(environment.secrets), host_checks.ping(environment.secrets))
    return [*mine, *theirs, spoken, *outside]


@contextmanager
def _exchange_to_examine(run: Run, in_use: bool) -> Iterator[Where]:
    """The running one; or the embedded one on a copy of its account, which keeps nothing of what is done to it."""
    found, given = resolve(run.config.environment.addresses), run.config.environment.secrets
    if found.rest_url is not None:
        keys = Credentials(api_key=given.api_key or Secret(""), api_secret=given.api_secret or Secret(""))
        yield Where(network=found.network, rest_url=found.rest_url, ws_urls=found.ws_urls, credentials=keys)
        return
    if in_use:
        raise StartRefused("the embedded exchange is busy with the bot that runs", "ask `status` instead")
    with TemporaryDirectory() as scratch:
        kept, copy = run.db.with_suffix(".exchange"), Path(scratch) / "exchange"
        if kept.exists():
            shutil.copy(kept, copy)
        command = embedded_command(run.config, copy)
        with launch.launched(*command.options, module=command.module) as ready:
            yield Where(
                network=found.network,
                rest_url=ready.rest,
                ws_urls=(ready.ws,),
                credentials=Credentials(api_key=Secret(ready.api_key), api_secret=Secret(ready.api_secret)),
                data_end_ms=ready.data_end if found.prices is None else None,
            )


async def _is_same_account(run: Run, where: Where) -> bool:
    async with reach(where, where.credentials) as reached:
        try:
            with open_store(run.db, mode="read") as store:
                return await knows_our_orders(reached.client, store)
        except ExchangeError:
            return False


async def _examine(run: Run, where: Where, stored: host_checks.Stored, in_use: bool) -> list[Finding]:
    keys = where.credentials if where.credentials.api_key.reveal() else None
    try:
        async with reach(where, keys) as reached:
            return await ExchangeChecks(
                reached.client,
                settings=run.config.settings,
                clock=reached.clock,
                speed=reached.clock.speed,
                stored=stored,
                in_use=in_use,
            ).run()
    except ExchangeError as error:
        return [fail("reachable", str(error), "is the emulator at SIM_REST_URL running?")]
