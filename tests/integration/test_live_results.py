"""The daily look of a running bot: what is told, once, and a strategy that rests until the operator lets it go on."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from fsm.backtest.drift.promise import Live, LiveTrade
from fsm.backtest.drift.sequential import Promise
from fsm.backtest.drift.verdicts import verdicts
from fsm.cli.app import app
from fsm.journal.replay import replay
from fsm.live.context.clock import DrivenClock
from fsm.live.operator.live_results import APART_S, DailyLook
from fsm.live.process.own_commands import LOWEST_PRIORITY, NoAnswer, OwnCommands, give_way
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet
from store import queries
from store.database import open_store
from store.inbox import Inbox
from tests.recorded import recorded

Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
PROMISE = Promise(strategy="jump", r=(2.0, -1.0, 2.0, -1.0) * 10, trades_a_year=100)
BAD = [LiveTrade(id=f"BTCUSDT-{n}", strategy="jump", closed_ms=n, r=-1.0) for n in range(1, 31)]


def drift_document() -> Any:
    """Of a strategy that loses every trade, as the command prints it."""
    found = verdicts({"jump": PROMISE}, Live(trades={"jump": BAD}, left_out={}, is_of_same_rules=True), 0.1)
    return {"strategies": msgspec.to_builtins(found)}


def answered(bot: InProcessBot, asked: list[str]) -> Callable[[Sequence[str]], Any]:
    """The real commands, but for drift, which has thirty lost trades to tell of."""

    async def ask(args: Sequence[str]) -> Any:
        asked.append(args[0])
        if args[0] == "drift":
            return drift_document()
        ended = CliRunner().invoke(app, [*args, "--json", "--db", str(bot.db)])
        if ended.exit_code not in (0, 4):
            raise NoAnswer(ended.stderr)
        return json.loads(ended.stdout)

    return ask


def messages(bot: InProcessBot) -> list[str]:
    with open_store(bot.db, mode="read") as store:
        return [row.text for row in queries.alerts(store, limit=1_000)[::-1] if row.kind == "live_results"]


def test_what_is_not_as_planned_is_told_once_also_after_a_restart(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=quiet(BTC, 60))
    asked: list[str] = []

    async def script(bot: InProcessBot) -> None:
        for _ in range(2):
            daemon = await bot.start()
            look = DailyLook(daemon.live, daemon.say, answered(bot, asked), daemon.started)
            task = asyncio.create_task(look.run())
            await bot.hours(30)
            await bot.seconds(2 * APART_S)
            task.cancel()
            await bot.kill()

    bot.run(script)
    assert asked == ["execution", "drift", "compare"] * 2
    (text,) = messages(bot)
    assert "jump no longer does what its backtest promised" in text
    assert "`pause --strategy jump` lets it rest" in text
    with open_store(bot.db, mode="read") as store:
        noted = queries.system_events(store, kind="LIVE_RESULTS")
    assert [event.reason for event in noted] == ["NOT_AS_PLANNED"] * 2


class Hasty(DrivenClock):
    """As of a simulation at 600 times the speed of real time."""

    @property
    def speed(self) -> float:
        return 600.0


def test_a_simulation_in_haste_is_compared_only_when_somebody_asks(rehearse: Make) -> None:
    """In a second of 600 the price moves between a close and its decision; that was told as a fault of the bot."""
    bot, asked = rehearse(BTCUSDT=quiet(BTC, 60)), list[str]()
    bot.clock = Hasty(lambda: bot.venue.now_ms)

    async def script(bot: InProcessBot) -> None:
        daemon = await bot.start()
        await bot.hours(2)
        await DailyLook(daemon.live, daemon.say, answered(bot, asked), daemon.started).look()

    bot.run(script)
    assert asked == ["execution", "drift"]


def test_a_strategy_that_rests_enters_nothing_until_the_operator_lets_it_go_on(rehearse: Make) -> None:
    """Also after a restart; what is journalled is decided again the same way."""
    jumps = [jump(BTC), *quiet(TOP, 3), (TOP, TOP, 60_300.0, 60_300.0), (60_300.0, 60_300.0, BTC, BTC)]
    bot = rehearse(BTCUSDT=jumps * 3)
    bot.config = _with_pause(bot)

    async def script(bot: InProcessBot) -> None:
        daemon = await bot.start()
        await DailyLook(daemon.live, daemon.say, answered(bot, []), daemon.started).look()
        await bot.hours(TO_SIGNAL + 0.5)
        await bot.restart()
        await bot.hours(6)
        assert not [step for step in bot.steps if step.trigger == "signal"]
        assert bot.store is not None
        Inbox(bot.store).post("strategy resume jump", None, "cli", bot.venue.now_ms)
        await bot.hours(6)

    bot.run(script)
    assert [step.trigger for step in bot.steps if step.trigger == "signal"] == ["signal"]
    assert "It rests until `resume --strategy jump`" in messages(bot)[0]
    with open_store(bot.db, mode="read") as store:
        blocked = [row for row in queries.decisions(store, limit=1_000) if row.reason == "STRATEGY_RESTS"]
        (command,) = Inbox(store).recent()
    assert len(blocked) == 2
    assert command.state == "done"
    assert command.detail == "jump may enter again; its test of drift begins anew"
    assert replay(bot.db).different == 0
    found = CliRunner().invoke(app, ["limits", "--json", "--db", str(bot.db)])
    assert json.loads(found.stdout)["resting"] == {}


def _with_pause(bot: InProcessBot) -> Any:
    settings = bot.config.settings
    drift = msgspec.structs.replace(settings.drift, pause=True)
    return dataclasses.replace(bot.config, settings=msgspec.structs.replace(settings, drift=drift))


def test_a_strategy_can_be_paused_by_hand_and_a_name_that_is_none_is_refused(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=quiet(BTC, 4))

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        assert bot.store is not None
        inbox = Inbox(bot.store)
        for kind in ("strategy pause jump", "strategy pause jump", "strategy pause nobody"):
            inbox.post(kind, None, "cli", bot.venue.now_ms)
        await bot.seconds(2)

    bot.run(script)
    with open_store(bot.db, mode="read") as store:
        refused, again, first = Inbox(store).recent()
    assert (first.state, again.state, refused.state) == ("done", "done", "refused")
    assert refused.guard == "STRATEGY"
    assert refused.detail == "there is no strategy nobody; there are jump"
    text = CliRunner().invoke(app, ["limits", "--db", str(bot.db)]).stdout
    assert "jump rests since" in text
    assert "`resume --strategy jump`" in text


def test_slippage_above_what_sizing_assumes_is_told(rehearse: Make) -> None:
    bot = rehearse(
        BTCUSDT=[hour for _ in range(12) for hour in (jump(BTC), (TOP, TOP, BTC * 0.98, BTC), *quiet(BTC, 3))],
        simulation={"slippage_pct": Decimal("0.1")},
        limits={"daily_loss_pct": Decimal(90), "weekly_loss_pct": Decimal(90), "monthly_loss_pct": Decimal(90)},
    )

    async def script(bot: InProcessBot) -> None:
        daemon = await bot.start()
        await bot.hours(TO_SIGNAL + 62)
        daemon._leave_documents()
        await DailyLook(daemon.live, daemon.say, answered(bot, []), daemon.started).look()

    bot.run(script)
    entries = [text for text in messages(bot) if text.startswith("Entries fill 10.")]
    assert len(entries) == 1
    assert "sizing assumes 5.0 bp" in entries[0]


def test_a_command_of_ours_answers_from_a_process_of_its_own(journal_of_a_run: Any) -> None:
    async def ask() -> Any:
        return await OwnCommands(journal_of_a_run).ask(("execution",))

    assert asyncio.run(ask())["report"]["total"]["trades"] > 0


def test_one_that_cannot_answer_says_why(tmp_path: Any) -> None:
    async def ask() -> Any:
        return await OwnCommands(tmp_path / "nothing.sqlite").ask(("execution",))

    with pytest.raises(NoAnswer, match=r"ended with 2: "):
        asyncio.run(ask())


@pytest.fixture(scope="module")
def journal_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("own") / "backtest.sqlite"
    return recorded(path, from_ms=1_722_470_400_000, to_ms=1_727_740_800_000)


def test_what_it_starts_gives_way_to_the_loop_that_trades() -> None:
    """A low priority alone says nothing where the system shares processors between sessions first."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        give_way(process.pid)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == LOWEST_PRIORITY
        group = Path(f"/proc/{process.pid}/autogroup")
        assert not group.exists() or group.read_text("ascii").endswith(f"nice {LOWEST_PRIORITY}\n")
    finally:
        process.kill()
        process.wait()
