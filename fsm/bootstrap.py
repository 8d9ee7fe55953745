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
from functools import partial
from pathlib import Path

import structlog

from exchange.binance.client import BinanceClient
from exchange.binance.codec_orders import stated_at_first, stated_origin
from exchange.binance.leverage_tables import leverage_tables as leverage_tables
from exchange.binance.listen_keys import ListenKeys
from exchange.binance.public_history import public_history as public_history
from exchange.binance.refusals import reason_of
from exchange.binance.user_stream import UserStream
from exchange.environment import Network, resolve
from exchange.errors import ExchangeError
from exchange.events import Sink
from exchange.port import EventStream, Exchange
from exchange.recorded_words import RecordedWords
from exchange.secrets import Credentials, Secret
from exchange.sim.server import launch
from exchange.sim.server.remote import RemoteSimulation
from fsm.config import Config
from fsm.core.model.decision import Step
from fsm.core.model.money import MONEY
from fsm.live.context.clock import Clock, ExchangeClock, MachineClock, PacedClock
from fsm.live.context.observer import Observer
from fsm.live.preflight.meeting import StartRefused
from fsm.live.preflight.ownership import knows_our_orders
from fsm.live.process.assembly import assemble
from fsm.live.process.daemon import Daemon
from fsm.live.process.embedded import start_command
from fsm.live.process.gc_tuning import set_aside
from fsm.live.process.loop_lag import Losses
from fsm.live.process.outside import outside
from fsm.live.process.own_audit import block_entries, database_verifier
from fsm.live.process.own_commands import Ask, OwnCommands
from fsm.live.process.starting import Starting
from fsm.live.process.supervisor import Background
from fsm.live.process.timekeeping import first_measured
from fsm.live.trading.lifeline import watched_by_a_thread
from fsm.live.trading.protection_timer import ProtectionTimes
from rules.load import Ruleset
from store.database import Store, open_store
from store.files import OpenFiles
from store.lock import ProcessLock
from store.verify import verify

log = structlog.get_logger("fsm.start")

RECORDED_WORDS = RecordedWords(reason_of=reason_of, origin_of=stated_origin, origin_at_first=stated_at_first)
"""Of journals of 0.1.0, which traded on Binance alone."""

CHILD_END_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a daemon is started with. ``on_ready`` is told network, address and what blocks entries when it decides.

    Without ``stream`` nothing is heard from the exchange: every change is found by looking.
    ``unusable`` says what is wrong with the files where ``config`` and ``rules`` are the versions accepted last.
    ``config_path`` and ``rules_path`` are watched for edits; None watches nothing. ``further`` are tasks that live as
    long as the daemon, such as the dashboard.
    """

    config: Config
    rules: Ruleset
    db: Path
    on_step: Callable[[Step], None]
    observer: Observer | None = None
    config_path: Path | None = None
    rules_path: Path | None = None
    on_ready: Callable[[str, str, Sequence[str]], None] = lambda network, address, blocked: None
    further: Sequence[Background] = ()
    stream: bool = True
    unusable: str = ""
    times: ProtectionTimes | None = None
    losses: Callable[[], Losses] = dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """A reachable exchange: its addresses, who we are there, and where its recorded data ends (if it is recorded)."""

    network: Network
    rest_url: str
    ws_urls: tuple[str, ...]
    credentials: Credentials
    data_end_ms: int | None = None
    may_hurry: bool = False  # its time is ours


def run_daemon(run: Run) -> bool:
    """Trade until SIGTERM, SIGINT or the end of recorded data; True when the data ended.

    Raises StartRefused, StoreError (LockHeld, WrongDatabase, …) and LaunchError.
    """
    with localcontext(MONEY), ProcessLock(run.db).acquire() as lock:
        if run.db.exists() and run.db.stat().st_size:
            open_store(run.db, mode="read").close()  # what must not be written to is refused before anything is started
        with exchange_of(run) as where:
            try:
                return asyncio.run(_trade(run, where, lock))
            except BaseExceptionGroup as group:
                raise _first_of(group) from group


def _first_of(group: BaseExceptionGroup) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


# --- the exchange -----------------------------------------------------------------------------
@contextmanager
def exchange_of(run: Run) -> Iterator[Where]:
    """Where this run trades; the embedded exchange lives as long as the block. Raises StartRefused and LaunchError."""
    environment = run.config.environment
    found = resolve(environment.addresses)
    if found.rest_url is not None:
        given = environment.secrets
        if given.api_key is None or given.api_secret is None:
            raise StartRefused("there are no API keys", "set BINANCE_API_KEY and BINANCE_API_SECRET")
        keys = Credentials(api_key=given.api_key, api_secret=given.api_secret)
        yield Where(network=found.network, rest_url=found.rest_url, ws_urls=found.ws_urls, credentials=keys)
        return
    command, is_recorded = start_command(run.config, run.rules, run.db), found.prices is None
    process = launch.start(*command.options, module=command.module)
    try:
        ready = launch.ready(process)
        yield Where(
            network=found.network,
            rest_url=ready.rest,
            ws_urls=(ready.ws,),
            credentials=Credentials(api_key=Secret(ready.api_key), api_secret=Secret(ready.api_secret)),
            data_end_ms=ready.data_end if is_recorded else None,
            may_hurry=is_recorded,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """An exchange that can be asked, time as it counts it, and what keeps that right."""

    client: BinanceClient
    clock: Clock
    keepers: Sequence[Background] = ()


@asynccontextmanager
async def reach(where: Where, credentials: Credentials | None) -> AsyncIterator[Reached]:
    """A client of this exchange, which signs by the same clock that decisions are taken by."""
    if where.network is not Network.SIM:
        machine = MachineClock()
        client = BinanceClient(base_url=where.rest_url, clock=machine, credentials=credentials, steady=True)
        try:
            yield Reached(client=client, clock=ExchangeClock(machine, client.http.time))
        finally:
            await client.aclose()
        return
    simulation = RemoteSimulation(where.rest_url)
    paced = PacedClock(simulation.clock, end_ms=where.data_end_ms)
    client = BinanceClient(base_url=where.rest_url, clock=paced, credentials=credentials)
    try:
        await paced.synchronise()
        yield Reached(client=client, clock=paced, keepers=(paced.keep_right,))
    finally:
        await client.aclose()
        await simulation.aclose()


def account_of(credentials: Credentials) -> str:
    """What a database remembers of the account: nothing that the key could be guessed from."""
    return hashlib.sha256(credentials.api_key.reveal().encode()).hexdigest()[:12]


# --- the daemon -------------------------------------------------------------------------------
async def _trade(run: Run, where: Where, lock: ProcessLock) -> bool:
    starting = Starting(lock)
    starting.go_on()
    async with reach(where, where.credentials) as reached:
        if isinstance(reached.clock, ExchangeClock):
            await first_measured(reached.clock)
        async with open_bound(run, where, reached.clock, reached.client) as store:
            if store.identity is not None:  # a copy of this database, with the same ids of orders, has another file
                lock.claim(f"{where.rest_url} {account_of(where.credentials)} {store.identity.database_id}")
            return await _live(run, where, store, reached, OpenFiles(run.db, lock), starting)


@asynccontextmanager
async def open_bound(run: Run, where: Where, clock: Clock, exchange: Exchange) -> AsyncIterator[Store]:
    """The database, made if need be, and bound to this exchange and account for good. Another key is taken for the
    same account's only if that account knows an order of this database."""
    with open_store(run.db, mode="write", at_ms=clock.now_ms()) as store:
        account, known = account_of(where.credentials), store.identity
        if known is not None and known.account not in (None, account) and known.environment == where.network.value:
            try:
                is_same = await knows_our_orders(exchange, store)
            except ExchangeError as error:
                told = f"{run.db} was made with another API key, and whose account this one is cannot be asked: {error}"
                raise StartRefused(told, "start again when the exchange answers, or put the old key back") from error
            if is_same:
                store.change_key(account)
                log.warning("key_changed", reason="SAME_ACCOUNT")
        store.bind(environment=where.network.value, account=account, at_ms=clock.now_ms())
        yield store


async def _live(run: Run, where: Where, store: Store, reached: Reached, files: OpenFiles, starting: Starting) -> bool:
    ask = OwnCommands(run.db).ask
    daemon = await make_daemon(run, where, store, reached.client, reached.clock, check_files=files.check, ask=ask)
    starting.is_over = daemon.started.is_set
    lifeline = daemon.live.lifeline

    def is_allowed() -> bool:
        pause = reached.client.pause()
        return pause is None or pause.left_s is None

    async with outside(run.config.environment, store, run.db, daemon) as speaking:
        with watched_by_a_thread(lifeline, lambda: _own_client(where, reached.clock), is_allowed):
            keepers = [*reached.keepers, *speaking, lifeline.keep_beating]
            return await _until_ended(run, where, daemon, keepers)


@asynccontextmanager
async def _own_client(where: Where, clock: Clock) -> AsyncIterator[Exchange]:
    """Of a thread of its own: nothing of the first one's connections can be used there."""
    client = BinanceClient(base_url=where.rest_url, clock=clock, credentials=where.credentials)
    try:
        yield client
    finally:
        await client.aclose()


async def make_daemon(
    run: Run,
    where: Where,
    store: Store,
    client: BinanceClient,
    clock: Clock,
    *,
    check_files: Callable[[], None] = lambda: None,
    ask: Ask | None = None,
) -> Daemon:
    """Everything joined. Raises StartRefused and StoreError."""

    def listen(sink: Sink) -> EventStream:
        return UserStream(keys=ListenKeys(client.http), base_urls=where.ws_urls, clock=clock, sink=sink)

    tail = verify(run.db, tail_only=True)
    daemon = await assemble(
        config=run.config,
        rules=run.rules,
        store=store,
        run_id=secrets.token_hex(4),
        exchange=client,
        clock=clock,
        on_step=run.on_step,
        listen=listen if run.stream and where.ws_urls else None,
        config_path=run.config_path,
        rules_path=run.rules_path,
        ask=ask,
        observer=run.observer,
        banner="MAINNET " if where.network is Network.MAINNET else "",
        data_end_ms=where.data_end_ms,
        verify=database_verifier(run.db),
        background=lambda live: run.further,
        times=run.times,
        unusable=run.unusable,
        check_files=check_files,
    )
    daemon.live.loop_lag.losses = run.losses
    if not tail.fine:
        block_entries(daemon.live, tail)
    return daemon


async def _until_ended(run: Run, where: Where, daemon: Daemon, keepers: Sequence[Background]) -> bool:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # nohup: the bot outlives its terminal
        asyncio.get_running_loop().add_signal_handler(number, daemon.stop)
    daemon.beside += [*keepers, partial(daemon.live.loop_lag.feel, daemon.live.clock)]
    daemon.beside += [partial(set_aside, daemon.started, MachineClock()), partial(_announce, run, where, daemon)]
    if where.may_hurry:
        daemon.beside.append(partial(_hurry, run, where, daemon))
    await daemon.run()
    return daemon.schedule.ended.is_set()


async def _hurry(run: Run, where: Where, daemon: Daemon) -> None:
    """Let the embedded exchange's time run as fast as config says, now that the bot is there."""
    await daemon.started.wait()
    simulation = RemoteSimulation(where.rest_url)
    try:
        await simulation.set_speed(float(run.config.settings.simulation.speed))
        if isinstance(daemon.live.clock, PacedClock):
            await daemon.live.clock.try_synchronise()
    finally:
        await simulation.aclose()


async def _announce(run: Run, where: Where, daemon: Daemon) -> None:
    await daemon.started.wait()
    run.on_ready(where.network.value, where.rest_url, daemon.live.blocks.told())
