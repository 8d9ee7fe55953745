"""Live = backtest: one daemon on a simulator over HTTP and WebSocket, one backtest, and their transitions side by side.

Everything is the real thing (daemon, client, stream, simulator as a process of its own) except time: the simulator's
clock is stepped, and what runs on real time without being told to stands still.
"""

from __future__ import annotations

import dataclasses
import time
from decimal import localcontext
from pathlib import Path

import msgspec

from exchange.sim.server.launch import Launched, launched
from fsm.backtest.ground import Progress
from fsm.backtest.history import step_of
from fsm.backtest.run import BacktestError, run_backtest
from fsm.backtest.run import Request as BacktestRequest
from fsm.bootstrap import Run
from fsm.config import Config
from fsm.core.model.money import MONEY
from fsm.live.process.embedded import account_options
from fsm.proofs.parity.comparison import Difference, compare
from fsm.proofs.parity.explained import Explained, explained
from fsm.proofs.parity.stepped import stepped_daemon
from fsm.proofs.testkit.virtual_time import run_patiently
from indicators.candle import Timeframe
from rules.load import Ruleset
from store import queries
from store.database import Store, open_store
from store.lock import ProcessLock

NEVER_MS = 10**12
DEADLINE_MS = 60_000
POLL_MS = 250
"""Without a stream the daemon looks so often where it holds something: a stepped market waits for each of its looks."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run twice. Databases are written as ``daemon.sqlite`` and ``backtest.sqlite`` into ``folder``.
    ``simulator``: further options of its command line."""

    config: Config
    rules: Ruleset
    data: tuple[Path, ...]
    symbols: tuple[str, ...]
    from_ms: int
    to_ms: int
    folder: Path
    stream: bool = True
    simulator: tuple[str, ...] = ()

    @property
    def entry(self) -> Timeframe:
        return self.rules.for_symbol("").entry_timeframe


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the comparison. ``causes``: why, of each trade that differs."""

    symbols: list[str]
    stream: bool
    hours: int
    compared: int
    trades: int
    differences: list[Difference]
    causes: list[Explained]
    seconds: dict[str, float]


def run_parity(request: Request, *, progress: Progress) -> Report:
    """Run both and compare. Raises BacktestError, LaunchError and NotAnswered."""
    live, lab = request.folder / "daemon.sqlite", request.folder / "backtest.sqlite"
    for path in (live, lab):
        if path.exists():
            raise BacktestError(f"{path} exists already: name another folder or remove it")
    request.folder.mkdir(parents=True, exist_ok=True)
    config = stepped(request.config, request.symbols, stream=request.stream)
    began_s = time.perf_counter()
    with localcontext(MONEY), ProcessLock(live).acquire(), launched(*_options(request)) as simulator:
        run_patiently(_live(request, config, live, simulator, progress))
    lived_s = time.perf_counter()
    with open_store(live, mode="read") as store:
        anchors = _anchors(store)
    result = run_backtest(
        BacktestRequest(
            config=config,
            rules=request.rules,
            data=request.data,
            symbols=request.symbols,
            from_ms=request.from_ms,
            to_ms=request.to_ms,
            db=lab,
            anchors=anchors,
            are_rules_held=True,
        ),
        progress=progress,
    )
    with open_store(live, mode="read") as ours, open_store(lab, mode="read") as theirs:
        compared, differences = compare(ours, theirs, before_ms=result.to_ms)
        causes = explained(ours, theirs, before_ms=result.to_ms)
    return Report(
        symbols=list(request.symbols),
        stream=request.stream,
        hours=(result.to_ms - result.from_ms) // Timeframe.H1.ms,
        compared=compared,
        trades=len(result.trades),
        differences=differences,
        causes=causes,
        seconds={
            "daemon": round(lived_s - began_s, 1),
            "backtest": round(time.perf_counter() - lived_s, 1),
        },
    )


def stepped(config: Config, symbols: tuple[str, ...], *, stream: bool = True) -> Config:
    """The same config for these symbols, with a real time that stands still while the market does.

    Equity is read at each close and never in between, and never stale. Where nothing is told, looks go on by interval.
    How fast this machine places a stop is not what is compared, so the deadline for it is far.
    """
    settings = config.settings.with_symbols(symbols)
    loops = {
        "reconcile_interval_ms": NEVER_MS if stream else POLL_MS,
        "lists_interval_ms": NEVER_MS,
        "equity_interval_ms": NEVER_MS,
    }
    settings = msgspec.structs.replace(
        settings,
        loops=msgspec.structs.replace(settings.loops, **loops),
        limits=msgspec.structs.replace(settings.limits, equity_age_ms_max=NEVER_MS),
        protection=msgspec.structs.replace(settings.protection, deadline_ms=DEADLINE_MS),
    )
    return dataclasses.replace(config, settings=settings)


def _options(request: Request) -> list[str]:
    simulation = request.config.settings.simulation
    folders = [text for folder in request.data for text in ("--data", str(folder))]
    span = [
        "--start",
        str(request.from_ms),
        "--speed",
        "0",
        "--clock-slack-ms",
        "-1",
        "--symbols",
        ",".join(dict.fromkeys((*request.symbols, *request.rules.other_symbols))),
        "--step",
        step_of(request.entry).value,
    ]
    return [*folders, *span, *account_options(simulation), *request.simulator]


def _anchors(store: Store) -> dict[str, dict[Timeframe, int]]:
    """Where the daemon's candles of each symbol and timeframe began."""
    found: dict[str, dict[Timeframe, int]] = {}
    for row in queries.anchors(store):
        found.setdefault(row.symbol, {})[Timeframe(row.timeframe)] = row.first_ms
    return found


async def _live(request: Request, config: Config, db: Path, simulator: Launched, progress: Progress) -> None:
    run = Run(config=config, rules=request.rules, db=db, on_step=lambda step: None, stream=request.stream)
    closes = range(request.from_ms + request.entry.ms, request.to_ms, request.entry.ms)
    async with stepped_daemon(run, simulator) as stepper:
        for done, close_ms in enumerate(closes):
            progress("daemon", done, len(closes))
            await stepper.close(close_ms)
        await stepper.until(request.to_ms)
    progress("daemon", len(closes), len(closes))
