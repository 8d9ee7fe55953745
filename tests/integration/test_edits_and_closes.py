"""No decision mixes versions of rules: what is decided by a version is decided on what that version reads, whenever
edits come, as long as a trade keeps its own, and however many shadows run beside."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.symbols import shipped_folder
from exchange.sim.port_faults import Call, Fault
from fsm.backtest.comparing.matching import differing
from fsm.backtest.history import build_history, read_market
from fsm.backtest.run import Request, run_backtest
from fsm.backtest.shadows import ShadowFolder
from fsm.core.engine import Engine
from fsm.journal.replay import replay
from fsm.live.operator.reload import Reload
from fsm.live.operator.shadow_rounds import ShadowRounds
from fsm.proofs.testkit.in_process_bot import HOUR_MS, InProcessBot
from indicators.candle import Timeframe
from rules.facts import Facts, FactTable
from rules.load import Ruleset, parse_rules
from rules.moment_words import PREMIUM
from store import queries
from store.database import open_store
from store.trade_rows import TradeRow
from store.verify import verify
from tests.integration.test_timeframes import anchors_of, config_of

START_MS = 1_717_286_400_000  # 2024-06-02
SYMBOL = "BTCUSDT"
VARIANTS = {
    "plain": ("close, timeframe: 1h", "close_1h > 0"),
    "longer": ("close, timeframe: 2h", "line > 0"),
    "another": ("low, timeframe: 1h", "ETHUSDT.close_1h < ETHUSDT.open_1h"),
    "funding": ("high, timeframe: 1h", "funding_rate < 0.05"),
    "premium": ("open, timeframe: 1h", "mark_premium < 5"),
}
"""What the feature ``line`` is in each of them, and what else they read."""

Made = tuple[str, int, Facts]
"""One decision: the version that it was taken by, its candle, and what it was taken on."""


def version(number: int, variant: str) -> str:
    """Rules that are told from every other version by a number in them."""
    line, when = VARIANTS[variant]
    return f"""\
version: 1
timeframes: {{entry: 1h}}
features:
  close_1h: {{indicator: close, timeframe: 1h}}
  open_1h: {{indicator: open, timeframe: 1h}}
  line: {{indicator: {line}}}
strategies:
  fade:
    long:
      setup: [{{id: falls, when: "close_1h < open_1h * {0.9995 - number / 10_000_000} and {when}"}}]
      stop: close_1h * 0.97
      exit_when: [{{id: rises, when: line > open_1h * 1.002}}]
    manage: {{exit_after_candles: 4}}
"""


def rules_of(number: int, variant: str) -> Ruleset:
    return parse_rules(version(number, variant), "rules.yaml")


def bot_of(folder: Path, rules: Ruleset, *, latency_s: float = 0.0) -> InProcessBot:
    folders = CandleFolders((shipped_folder(),))
    feeds = {name: SymbolFeed.read(folders, name, Timeframe.H1) for name in ("ETHUSDT", SYMBOL)}
    config, db = config_of(folder, "1h", "2h", symbols=(SYMBOL,)), folder / "live.sqlite"
    return InProcessBot(config=config, rules=rules, feeds=feeds, db=db, start_ms=START_MS, latency_s=latency_s)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Made]:
    """Every decision at a close."""
    found, close_candle = list[Made](), Engine.close_candle

    def seen(engine: Engine, event: Any, **named: Any) -> Any:
        found.append((engine.context(event.symbol).rules_hash, event.candle_ms, event.facts))
        return close_candle(engine, event, **named)

    monkeypatch.setattr(Engine, "close_candle", seen)
    return found


@cache
def over_all_candles(name: str) -> FactTable:
    rules = rules_of(0, name)
    market = read_market(CandleFolders((shipped_folder(),)), SYMBOL, rules.for_symbol(SYMBOL))
    return build_history(market, rules, 200).table


def mixed(made: Sequence[Made], variants: dict[str, str]) -> list[str]:
    """Decisions that were not taken on what their version reads, as it is over all recorded candles."""
    wrong = list[str]()
    for rules_hash, candle_ms, facts in made:
        name = variants[rules_hash]
        table = over_all_candles(name)
        wanted = table.facts_at(int(np.searchsorted(table.candle_ms, candle_ms)))
        if {**facts, PREMIUM: None} != {**wanted, PREMIUM: None} or (PREMIUM in facts) != (PREMIUM in wanted):
            wrong.append(f"{name} at {candle_ms}: {facts}, and not {wanted}")
    return wrong


def write(path: Path, rules: Ruleset) -> None:
    path.write_text(rules.text)


async def taken_up(reload: Reload) -> None:
    await reload.look()
    await reload.look()


@pytest.mark.parametrize("name", ["longer", "another", "funding"])
def test_an_edit_in_the_midst_of_a_close_has_everything_that_it_reads(
    tmp_path: Path, made: list[Made], name: str
) -> None:
    old, new = rules_of(1, "plain"), rules_of(2, name)
    r, path = bot_of(tmp_path, old), tmp_path / "rules.yaml"
    write(path, old)

    def late(call: Call) -> Fault | None:
        return Fault(answer_delay_s=8.0) if call.method == "account" else None

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=path)
        await r.hours(2)
        r.faults = late
        closing = asyncio.create_task(r.until(START_MS + 4 * HOUR_MS))
        await r.clock.sleep(2)
        write(path, new)
        await taken_up(reload)
        assert not closing.done()
        await closing

    r.run(script)
    assert made[-1][0] == new.hash
    assert mixed(made, {old.hash: "plain", new.hash: name}) == []
    assert replay(r.db).different == 0


@pytest.mark.parametrize(("name", "restarts"), [("plain", False), ("another", True), ("funding", False)])
def test_a_trade_is_managed_on_what_its_own_rules_read(
    tmp_path: Path, made: list[Made], name: str, restarts: bool
) -> None:
    """An edit that gave a feature another meaning, or left it out, changed the exits of what was open."""
    old, new = rules_of(1, "longer"), rules_of(2, name)
    r, path, held = bot_of(tmp_path, old), tmp_path / "rules.yaml", list[str]()
    write(path, old)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=path)
        await r.hours(1.5)
        while r.running.live.engine.record(SYMBOL).trade is None:
            await r.hours(1)
        write(path, new)
        await taken_up(reload)
        if restarts:
            r.rules = new
            await r.restart()
        while (trade := r.running.live.engine.record(SYMBOL).trade) is not None:
            held.append(trade.rules_hash)
            await r.hours(1)
        await r.hours(3)

    r.run(script)
    assert set(held) == {old.hash}
    assert len(held) > 2
    assert made[-1][0] == new.hash
    assert mixed(made, {old.hash: "longer", new.hash: name}) == []
    assert replay(r.db).different == 0


async def edited(r: InProcessBot, path: Path, chance: Random, count: int) -> dict[str, str]:
    """Edit after edit, each as soon as the one before is in force; gives what each version is."""
    names, found = list(VARIANTS), {r.rules.hash: "plain"}
    for number in range(1, count + 1):
        name = chance.choice(names)
        rules = rules_of(number, name)
        found[rules.hash] = name
        write(path, rules)
        while r.running.live.active.rules.hash != rules.hash:
            await r.clock.sleep(0.1)
    return found


async def played(
    r: InProcessBot, *, hours: int, edits: int, ask: Callable[[Sequence[str]], Any], shadows: dict[str, Ruleset]
) -> dict[str, str]:
    """A market that goes on from close to close while somebody edits, at random moments of both."""
    chance, path = Random(20261130), r.db.parent / "rules.yaml"
    write(path, r.rules)
    await r.start()
    await r.hours(1.5)
    folder = ShadowFolder(r.db)
    for name, rules in shadows.items():
        folder.add(name, r.db.parent / f"{name}.yaml", rules, r.config.text, Decimal(5_000))
    reload = Reload(r.running, config=r.config, config_path=None, rules_path=path)

    async def asked(args: Sequence[str]) -> Any:
        return ask(args)

    rounds = ShadowRounds(r.running, r.db, asked)
    beside = [asyncio.create_task(work()) for work in (reload.run, rounds.run)]
    editing = asyncio.create_task(edited(r, path, chance, edits))
    for _ in range(hours):
        await r.hours(1)
        await r.clock.sleep(chance.uniform(0, 10))
    for task in beside:
        task.cancel()
    return await editing


def trades(path: Path) -> list[TradeRow]:
    with open_store(path, mode="read") as store:
        return queries.trades(store, limit=10_000)[::-1]


def check_shadow(r: InProcessBot, name: str, rules: Ruleset, scratch: Path) -> int:
    """Its trades are those of a backtest of its file, from its own book, over the recorded candles."""
    found = ShadowFolder(r.db).refresh(name, (shipped_folder(),))
    assert found.problem == ""
    simulation = msgspec.structs.replace(r.config.settings.simulation, balance_usdt=Decimal(5_000))
    config = dataclasses.replace(r.config, settings=msgspec.structs.replace(r.config.settings, simulation=simulation))
    request = Request(config=config, rules=rules, data=(shipped_folder(),), symbols=(SYMBOL,), db=scratch)
    anchors = anchors_of(r.db, rules, (SYMBOL,))
    run_backtest(dataclasses.replace(request, from_ms=found.began_ms, to_ms=found.to_ms, anchors=anchors))
    own, wanted = trades(Path(found.database)), trades(scratch)
    assert len(own) == len(wanted)
    assert [differing(mine, theirs) for mine, theirs in zip(own, wanted, strict=True)] == [{}] * len(own)
    return len(own)


def check_month(r: InProcessBot, made: list[Made], variants: dict[str, str], shadows: dict[str, Ruleset]) -> None:
    assert mixed(made, variants) == []
    assert len({rules_hash for rules_hash, _, _ in made}) >= len(made) // 8
    assert verify(r.db).fine
    assert replay(r.db).different == 0
    counts = [check_shadow(r, name, rules, r.db.parent / f"{name}.lab.sqlite") for name, rules in shadows.items()]
    assert min(counts) > 0


def test_edits_at_any_moment_beside_two_shadows(tmp_path: Path, made: list[Made]) -> None:
    r = bot_of(tmp_path, rules_of(0, "plain"), latency_s=0.3)
    shadows = {"one": rules_of(0, "funding"), "two": rules_of(0, "premium")}
    variants = r.run(lambda r: played(r, hours=30, edits=30, ask=lambda args: {"shadows": []}, shadows=shadows))
    assert len(variants) == 31
    check_month(r, made, variants, shadows)


@pytest.mark.slow
def test_a_thousand_edits_in_a_month_beside_two_shadows(tmp_path: Path, made: list[Made]) -> None:
    """Each shadow in a process of its own, a few times on the way."""
    r, asked = bot_of(tmp_path, rules_of(0, "plain"), latency_s=0.3), list[str]()
    shadows = {"one": rules_of(0, "funding"), "two": rules_of(0, "premium")}

    def ask(args: Sequence[str]) -> Any:
        asked.append(" ".join(args))
        if len(asked) % 40 > 2:
            return {"shadows": []}
        command = [sys.executable, "-m", "fsm", *args, "--json", "--db", str(r.db), "--data", str(shipped_folder())]
        ended = subprocess.run(command, capture_output=True, check=True, text=True)
        return json.loads(ended.stdout)

    variants = r.run(lambda r: played(r, hours=720, edits=1_000, ask=ask, shadows=shadows))
    assert len(variants) == 1_001
    check_month(r, made, variants, shadows)
