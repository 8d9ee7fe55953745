"""The only place that names concrete classes: builds the parts of a run from config and rules, and joins them."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import localcontext
from pathlib import Path

from exchange.binance.client import BinanceClient
from exchange.binance.event_queue import EventQueue
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.signing import Credentials, Secret
from exchange.binance.user_stream import UserStream
from exchange.environment import Network, resolve
from exchange.sim.remote import RemoteSimulation
from exchange.sim.server import launch
from exchange.sim.symbols import shipped_folder
from fsm.config import Config
from fsm.core.arithmetic import MONEY
from fsm.core.move import Step
from fsm.lab.backtest import Request, Result, run_backtest
from fsm.live.assembly import StartRefused, assemble
from fsm.live.clock import Clock, PacedClock, WallClock
from fsm.live.daemon import Background, Daemon, block_entries, database_verifier
from fsm.live.delivery import Delivery
from fsm.live.listening import Listening
from fsm.live.reload import Reload
from fsm.live.shared import Shared
from fsm.live.telegram import Telegram
from rules.load import Ruleset
from store.alerts import AlertBox
from store.database import Store, open_store
from store.lock import ProcessLock
from store.verify import verify

CHILD_END_S = 10.0
HISTORY_MS = 220 * 86_400_000
"""What the slowest indicators of the shipped rules need before they say anything: 200 daily candles, and some."""

LEAD_MS = 2 * 3_600_000
HOLD_MS_MAX = 12 * 3_600_000
"""The embedded exchange begins so long before a trade that is over so soon: a newcomer sees a whole one at once."""


def run_shipped(config: Config, rules: Ruleset, db: Path, *, on_step: Callable[[Step], None]) -> Result:
    """Run the engine over the shipped candles with config's enabled symbols, and keep the journal at ``db``.

    Raises BacktestError when ``db`` exists or a symbol is not shipped.
    """
    request = Request(
        config=config, rules=rules, data=(shipped_folder(),), symbols=config.settings.enabled_symbols, db=db
    )
    return run_backtest(request, on_step=on_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a daemon is started with. ``on_ready`` is told the network and the address when it takes decisions.

    ``config_path`` and ``rules_path`` are watched for edits; None watches nothing. ``further`` are tasks that live as
    long as the daemon, such as the dashboard.
    """

    config: Config
    rules: Ruleset
    db: Path
    on_step: Callable[[Step], None]
    config_path: Path | None = None
    rules_path: Path | None = None
    on_ready: Callable[[str, str], None] = lambda network, address: None
    further: Sequence[Background] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A reachable exchange: its addresses, who we are there, and where its recorded data ends (if it is recorded)."""

    network: Network
    rest_url: str
    ws_urls: tuple[str, ...]
    credentials: Credentials
    data_end_ms: int | None = None


def run_daemon(run: Run) -> bool:
    """Trade until SIGTERM, SIGINT or the end of recorded data; True when the data ended.

    Raises StartRefused, StoreError (LockHeld, WrongDatabase, …) and LaunchError.
    """
    with localcontext(MONEY), ProcessLock(run.db).acquire(), _exchange_of(run) as where:
        try:
            return asyncio.run(_trade(run, where))
        except BaseExceptionGroup as group:
            raise _first_of(group) from group


def _first_of(group: BaseExceptionGroup) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


# --- the exchange -----------------------------------------------------------------------------
@contextmanager
def _exchange_of(run: Run) -> Iterator[Where]:
    environment = run.config.environment
    found = resolve(environment.addresses)
    if found.rest_url is not None:
        given = environment.secrets
        if given.api_key is None or given.api_secret is None:
            raise StartRefused("there are no API keys", "set BINANCE_API_KEY and BINANCE_API_SECRET")
        keys = Credentials(api_key=given.api_key, api_secret=given.api_secret)
        yield Where(network=found.network, rest_url=found.rest_url, ws_urls=found.ws_urls, credentials=keys)
        return
    process = launch.start(*_embedded_options(run))
    try:
        ready = launch.ready(process)
        yield Where(
            network=found.network,
            rest_url=ready.rest,
            ws_urls=(ready.ws,),
            credentials=Credentials(api_key=Secret(ready.api_key), api_secret=Secret(ready.api_secret)),
            data_end_ms=ready.data_end,
        )
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """It saves its account and clock when it is asked to end."""
    process.terminate()
    try:
        process.wait(CHILD_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _embedded_options(run: Run) -> list[str]:
    simulation = run.config.settings.simulation
    state = run.db.with_suffix(".exchange")
    options = ["--data", str(shipped_folder()), "--speed", str(simulation.speed), "--seed", str(simulation.seed)]
    options += ["--balance", str(simulation.balance_usdt), "--state", str(state)]
    start_ms = None if state.exists() else _worth_seeing(run)
    return options if start_ms is None else [*options, "--start", str(start_ms)]


def _worth_seeing(run: Run) -> int | None:
    """A moment shortly before the shipped candles bring a trade that is soon over; None if the rules have none."""
    symbols = run.config.settings.enabled_symbols
    result = run_backtest(Request(config=run.config, rules=run.rules, data=(shipped_folder(),), symbols=symbols))
    for trade in result.trades:
        closed_ms, protected = trade.closed_ms or 0, trade.protected_ms is not None
        brief = closed_ms - trade.opened_ms <= HOLD_MS_MAX
        if protected and brief and trade.opened_ms - result.from_ms >= HISTORY_MS:
            return trade.opened_ms - LEAD_MS
    return None


@asynccontextmanager
async def _clock_of(run: Run, where: Where) -> AsyncIterator[tuple[Clock, Sequence[Background]]]:
    """Time as this exchange counts it, and what keeps it right."""
    if where.network is not Network.SIM:
        yield WallClock(), ()
        return
    simulation = RemoteSimulation(where.rest_url)
    clock = PacedClock(simulation.clock, end_ms=where.data_end_ms)

    try:
        await clock.synchronise()
        yield clock, (clock.keep_right,)
    finally:
        await simulation.aclose()


# --- the daemon -------------------------------------------------------------------------------
async def _trade(run: Run, where: Where) -> bool:
    async with _clock_of(run, where) as (clock, keepers):
        client = BinanceClient(base_url=where.rest_url, clock=clock, credentials=where.credentials)
        try:
            with _open(run, where, clock) as store:
                return await _live(run, where, store, client, clock, keepers)
        finally:
            await client.aclose()


@contextmanager
def _open(run: Run, where: Where, clock: Clock) -> Iterator[Store]:
    """The database, made if need be, and bound to this exchange and account for good."""
    with open_store(run.db, mode="write", at_ms=clock.now_ms()) as store:
        account = hashlib.sha256(where.credentials.api_key.reveal().encode()).hexdigest()[:12]
        store.bind(environment=where.network.value, account=account, at_ms=clock.now_ms())
        yield store


async def _live(
    run: Run, where: Where, store: Store, client: BinanceClient, clock: Clock, keepers: Sequence[Background]
) -> bool:
    queue = EventQueue()
    stream = UserStream(keys=ListenKeys(client.http), base_urls=where.ws_urls, clock=clock, sink=queue.put)
    tail = verify(run.db, tail_only=True)
    hearers: list[Listening] = []

    def background(shared: Shared) -> list[Background]:
        telegram = Telegram(run.config.environment.tg_base_url, run.config.environment.secrets)
        delivery = Delivery(AlertBox(store), telegram, shared.in_force, WallClock())
        hearers.append(Listening(queue, shared))
        streams: list[Background] = [stream.run] if where.ws_urls else []
        shared.pulse.hears = (lambda: stream.is_open) if where.ws_urls else None
        return [*streams, hearers[0].run, delivery.run, *run.further]

    daemon = await assemble(
        config=run.config,
        rules=run.rules,
        store=store,
        run_id=secrets.token_hex(4),
        exchange=client,
        clock=clock,
        on_step=run.on_step,
        banner="MAINNET " if where.network is Network.MAINNET else "",
        data_end_ms=where.data_end_ms,
        verify=database_verifier(run.db),
        background=background,
        on_accepted=stream.expect,
    )
    hearers[0].lanes = daemon.lanes
    if not tail.fine:
        block_entries(daemon.shared, tail)
    return await _until_ended(run, where, daemon, keepers)


async def _until_ended(run: Run, where: Where, daemon: Daemon, keepers: Sequence[Background]) -> bool:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.stop)
    reload = Reload(daemon, config=run.config, config_path=run.config_path, rules_path=run.rules_path)
    beside = [asyncio.ensure_future(keeper()) for keeper in (*keepers, reload.run)]
    beside.append(asyncio.ensure_future(_announce(run, where, daemon)))
    try:
        await daemon.run()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    return daemon.schedule.ended.is_set()


async def _announce(run: Run, where: Where, daemon: Daemon) -> None:
    await daemon.started.wait()
    run.on_ready(where.network.value, where.rest_url)
