"""Symbols by a rule: a list a day, made of stored answers alone; what enters warms up, what leaves keeps its trade."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from exchange.day_volumes import DayVolumes
from exchange.errors import MalformedReply, RateLimited, Unreachable
from exchange.sim.playback.symbols import shipped_filters
from exchange.sim.port_faults import Call, Fault
from exchange.types import Side
from fsm.cli.app import app
from fsm.config import load_config
from fsm.core.model.policy import ListRule
from fsm.core.model.records import State
from fsm.core.symbol_list import candidates
from fsm.journal import symbol_lists
from fsm.journal.replay import replay
from fsm.journal.symbol_lists import KIND, SymbolList
from fsm.live.process.embedded import embedded_command
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import jump, quiet
from store import queries
from store.batch import Batch
from store.database import open_store
from store.journal import Journal
from store.rows import SystemEventRow
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import BTC, TOP, Make, by_hand, latest_reason, record, resting_stops, trades
from web import documents
from web.bot_database import BotDatabase
from web.endpoint import Context, NoQuery
from web.routes.machine import machine

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOURS = 80
FLAT = quiet(3_000.0, HOURS)
FALLING = [jump(BTC), *quiet(TOP, 14), (TOP, TOP, TOP * 0.996, TOP * 0.996), *quiet(TOP * 0.996, HOURS - 16)]
"""A trade begins on January 10th at 15:00, and the rules end it on the 11th at 06:00."""

ROOT = Path(__file__).parents[3]
SPAN = ("--from", "2024-10-01", "--to", "2024-10-03")
TO_MIDNIGHT = 6.2
"""Hours from the start, at 18:00, until a new list is due."""


class Told:
    """What the exchange tells of the day: volumes that a test sets, or an answer that goes wrong."""

    def __init__(self, **volumes: int) -> None:
        self.volumes: dict[str, int] = volumes
        self.fault: Fault | None = None
        self.asked = 0

    def __call__(self, call: Call) -> Fault | None:
        if call.method != "day_volumes":
            return None
        self.asked += 1
        if self.fault is not None:
            return self.fault
        told = DayVolumes({name: Decimal(volume) for name, volume in self.volumes.items()})
        return Fault(alter=lambda answer: told)


def listing(r: InProcessBot, told: Told, *, n: int, exclude: tuple[str, ...] = ()) -> None:
    """As in config.yaml before the next start."""
    settings = replace(r.config.settings, symbols={}, symbol_list=ListRule(n=n, exclude=exclude))
    r.config = dataclasses.replace(r.config, settings=settings)
    r.faults = told


def lists(r: InProcessBot) -> list[SymbolList]:
    with open_store(r.db, mode="read") as store:
        rows = queries.system_events(store, kind=KIND)
    return [symbol_lists.read(row.facts_json) for row in reversed(rows)]


def alerts(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store)]


def decided(r: InProcessBot, symbol: str) -> int | None:
    """The newest candle that was decided on."""
    with open_store(r.db, mode="read") as store:
        return next((row.last_ms for row in queries.latest_decisions(store) if row.symbol == symbol), None)


def check(r: InProcessBot) -> None:
    assert verify(r.db).fine
    report = replay(r.db)
    assert report.differences == ()
    assert report.symbol_lists == len(lists(r)) > 0


def market(rehearse: Make, **hours: Any) -> InProcessBot:
    return rehearse(**{"BTCUSDT": FLAT, "ETHUSDT": FLAT, "SOLUSDT": FLAT, **hours})


async def midnight(r: InProcessBot, hours: float = TO_MIDNIGHT) -> None:
    await r.hours(hours)
    await r.seconds(20)


class TestADay:
    def test_a_first_start_asks_once_and_trades_what_is_listed_alone(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(2)
            assert sorted(r.running.markets) == ["BTCUSDT", "ETHUSDT"]

        r.run(script)
        (found,) = lists(r)
        assert (found.listed, found.entered, found.left) == (("BTCUSDT", "ETHUSDT"), ("BTCUSDT", "ETHUSDT"), ())
        assert [(each.symbol, each.volume) for each in found.told] == [("BTCUSDT", 3), ("ETHUSDT", 2), ("SOLUSDT", 1)]
        assert told.asked == 1
        assert decided(r, "SOLUSDT") is None
        check(r)

    def test_a_new_list_brings_symbols_in_and_lets_others_go_without_a_restart(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(5)
            told.volumes = {"BTCUSDT": 3, "ETHUSDT": 1, "SOLUSDT": 2}
            assert decided(r, "SOLUSDT") is None
            await midnight(r, TO_MIDNIGHT - 5)
            await r.hours(3)
            assert sorted(r.running.markets) == ["BTCUSDT", "SOLUSDT"]
            assert decided(r, "SOLUSDT") == decided(r, "BTCUSDT"), "it decides with the others"
            before = decided(r, "ETHUSDT")
            await r.hours(2)
            assert decided(r, "ETHUSDT") == before, "it decides no more"
            assert r.running.live.blocks.of("ETHUSDT") == "SYMBOL_NOT_LISTED"
            told.volumes = {"BTCUSDT": 1, "ETHUSDT": 4, "SOLUSDT": 2}
            await midnight(r, 24)
            await r.hours(2)
            assert sorted(r.running.markets) == ["ETHUSDT", "SOLUSDT"], "and may come back"
            assert decided(r, "ETHUSDT") == decided(r, "SOLUSDT")
            assert r.running.live.blocks.of("ETHUSDT") == ""

        r.run(script)
        assert [(each.listed, each.entered, each.left) for each in lists(r)[1:]] == [
            (("BTCUSDT", "SOLUSDT"), ("SOLUSDT",), ("ETHUSDT",)),
            (("ETHUSDT", "SOLUSDT"), ("ETHUSDT",), ("BTCUSDT",)),
        ]
        assert (
            sum("A new list of 2 symbols is in force (in: SOLUSDT; out: ETHUSDT)." in text for text in alerts(r)) == 1
        )
        check(r)

    def test_a_symbol_that_enters_has_too_few_candles_at_first_and_says_so(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)
        r.config = dataclasses.replace(
            r.config,
            settings=replace(r.config.settings, market_data=replace(r.config.settings.market_data, candles_min=1_000)),
        )

        async def script(r: InProcessBot) -> None:
            await r.start()
            told.volumes["SOLUSDT"] = 9
            await midnight(r)
            await r.hours(2)
            assert latest_reason(r, "SOLUSDT")[1].startswith("WARMING_UP")

        r.run(script)
        check(r)

    def test_what_a_stranger_holds_in_a_symbol_that_enters_is_seen_before_it_may_trade(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            by_hand(r, Side.BUY, Decimal(1), "SOLUSDT")
            told.volumes["SOLUSDT"] = 9
            await midnight(r)
            assert record(r, "SOLUSDT").quarantine is not None

        r.run(script)
        check(r)


class TestAnOpenTrade:
    def test_is_managed_to_its_end_by_its_rules_when_its_symbol_leaves(self, rehearse: Make) -> None:
        r, told = market(rehearse, BTCUSDT=FALLING), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(21.5)
            assert record(r).state is State.PROTECTED
            stops = resting_stops(r)
            told.volumes["BTCUSDT"] = 0
            await midnight(r, 8.7)
            assert lists(r)[-1].left == ("BTCUSDT",)
            assert resting_stops(r) == stops, "nobody touched it"
            assert r.running.live.blocks.of("BTCUSDT") == "SYMBOL_NOT_LISTED"
            await r.hours(3)
            assert latest_reason(r)[0] == "IN_TRADE"
            await r.restart()
            assert (record(r).state, resting_stops(r)) == (State.PROTECTED, stops), "nor does a restart"
            await r.hours(4)
            assert record(r).state is State.IDLE
            assert "BTCUSDT" not in r.running.markets

        r.run(script)
        assert [(trade.symbol, trade.exit_reason) for trade in trades(r)] == [("BTCUSDT", "EXIT_WHEN")]
        assert any("What is open in BTCUSDT is managed to its end" in text for text in alerts(r))
        check(r)

    def test_an_entry_that_was_decided_before_its_symbol_left_is_dropped(self, rehearse: Make) -> None:
        r, told = market(rehearse, BTCUSDT=FALLING), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(20.5)

            def faults(call: Call) -> Fault | None:
                if call.method == "symbol_config" or call.method.startswith("ensure"):
                    r.running.live.active.listed = ("ETHUSDT", "SOLUSDT")
                    r.running.live.symbols.relisted()
                return told(call)

            r.faults = faults
            await r.hours(1)
            assert record(r).state is State.IDLE

        r.run(script)
        assert r.venue.fills("BTCUSDT") == []
        check(r)


GOES_WRONG = {
    "no answer": Fault(error=Unreachable("no answer")),
    "refused": Fault(refuse=-1003),
    "banned": Fault(error=RateLimited("banned", retry_after_ms=1_000, banned=True)),
    "malformed": Fault(error=MalformedReply("not a list")),
    "unread": Fault(alter=lambda told: DayVolumes({"BTCUSDT": Decimal(1), "SOLUSDT": Decimal(2)}, ("ETHUSDT",))),
    "cut off": Fault(alter=lambda told: DayVolumes({"SOLUSDT": Decimal(2)})),
    "empty": Fault(alter=lambda told: DayVolumes({})),
}


class TestAnAnswerOfNoUse:
    @pytest.mark.parametrize("how", sampled(GOES_WRONG, often=3))
    def test_leaves_the_list_before_in_force_and_is_told_once(self, rehearse: Make, how: str) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            told.fault, told.volumes["SOLUSDT"] = GOES_WRONG[how], 9
            await midnight(r)
            for _ in range(4):
                await r.seconds(900)
            assert 4 <= told.asked <= 8, "it is asked again, and not all the time"
            assert r.running.live.active.listed == ("BTCUSDT", "ETHUSDT")
            await r.hours(1)
            assert decided(r, "ETHUSDT") == decided(r, "BTCUSDT")
            await r.restart()
            await r.seconds(20)
            told.fault = None
            await r.seconds(700)
            assert r.running.live.active.listed == ("BTCUSDT", "SOLUSDT")

        r.run(script)
        assert sum("No new list of symbols could be made" in text for text in alerts(r)) == 1
        assert len(lists(r)) == 2
        check(r)

    def test_a_first_start_waits_for_an_answer_that_can_be_used(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)
        told.fault = GOES_WRONG["malformed"]

        async def script(r: InProcessBot) -> None:
            starting = asyncio.create_task(r.start())
            await r.clock.sleep(100)
            assert r.daemon is None
            told.fault = None
            await starting
            assert r.running.live.active.listed == ("BTCUSDT", "ETHUSDT")

        r.run(script)


class TestANewStart:
    def test_goes_on_with_the_list_that_was_made_last(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            told.volumes["SOLUSDT"] = 9
            await r.restart()
            assert r.running.live.active.listed == ("BTCUSDT", "ETHUSDT")
            await r.kill()
            await r.hours(TO_MIDNIGHT)
            told.fault = GOES_WRONG["no answer"]
            await r.start()
            assert r.running.live.active.listed == ("BTCUSDT", "ETHUSDT"), "yesterday's, until there is another"
            told.fault = None
            await r.seconds(700)
            assert r.running.live.active.listed == ("BTCUSDT", "SOLUSDT")

        r.run(script)
        check(r)

    def test_with_another_rule_makes_the_list_anew_of_the_answers_that_it_has(self, rehearse: Make) -> None:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            asked = told.asked
            await r.kill()
            listing(r, told, n=2, exclude=("BTCUSDT",))
            await r.start()
            assert r.running.live.active.listed == ("ETHUSDT", "SOLUSDT")
            assert told.asked == asked

        r.run(script)
        assert [each.rule.exclude for each in lists(r)] == [(), ("BTCUSDT",)]
        check(r)

    def test_from_named_symbols_keeps_the_trade_of_one_that_is_not_listed(self, rehearse: Make) -> None:
        r, told = market(rehearse, BTCUSDT=FALLING), Told(BTCUSDT=0, ETHUSDT=2, SOLUSDT=1)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(21.5)
            stops = resting_stops(r)
            await r.kill()
            listing(r, told, n=2)
            told.fault = replace(GOES_WRONG["no answer"], delay_s=300.0)
            began_s = r.clock.monotonic()
            await r.start()
            assert r.clock.monotonic() - began_s < 1, "nor for an answer that does not come"
            assert resting_stops(r) == stops
            assert sorted(r.running.markets) == ["BTCUSDT"], "the trade does not wait for a list"
            told.fault = None
            await r.seconds(1_000)
            await r.hours(2)
            assert sorted(r.running.markets) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
            assert latest_reason(r)[0] == "IN_TRADE"

        r.run(script)
        check(r)


BREAKS_OFF: dict[str, Callable[[Call], bool]] = {
    "before the exchange has told the day": lambda call: call.method == "day_volumes",
    "before the rules of what enters are read": lambda call: (call.method, call.symbol) == ("brackets", "SOLUSDT"),
    "before the candles of what enters are read": lambda call: (call.method, call.symbol) == ("candles", "SOLUSDT"),
}


@pytest.mark.parametrize("where", BREAKS_OFF)
def test_a_death_on_the_way_to_a_new_list_ends_as_if_there_had_been_none(rehearse: Make, where: str) -> None:
    """The trade that is open in what leaves is covered throughout."""
    r, told = market(rehearse, BTCUSDT=FALLING), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
    listing(r, told, n=2)
    hangs, breaks_off = Fault(delay_s=600.0), BREAKS_OFF[where]
    met = 0

    def faults(call: Call) -> Fault | None:
        nonlocal met
        if breaks_off(call):
            met += 1
            return hangs
        return told(call)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(21.5)
        stops = resting_stops(r)
        assert len(stops) == 1
        told.volumes["BTCUSDT"] = 0
        r.faults = faults
        await midnight(r, 8.7)
        assert met == 1
        assert "SOLUSDT" not in r.running.markets
        await r.kill()
        r.faults = told
        await r.start()
        assert resting_stops(r) == stops
        await r.seconds(120)
        await r.hours(2)
        assert sorted(r.running.markets) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "BTCUSDT is managed to its end"
        assert decided(r, "SOLUSDT") == decided(r, "ETHUSDT")
        assert latest_reason(r)[0] == "IN_TRADE"
        assert resting_stops(r) == stops

    r.run(script)
    changed = [(each.entered, each.left) for each in lists(r)[1:] if each.entered or each.left]
    assert changed == [(("SOLUSDT",), ("BTCUSDT",))]
    check(r)


class TestWhatReadersAreShown:
    """A day with BTCUSDT and ETHUSDT on the list, and SOLUSDT not."""

    @pytest.fixture
    def bot(self, rehearse: Make) -> InProcessBot:
        r, told = market(rehearse), Told(BTCUSDT=3, ETHUSDT=2, SOLUSDT=1)
        listing(r, told, n=2)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(2)
            told.volumes = {"BTCUSDT": 3, "ETHUSDT": 1, "SOLUSDT": 2}
            await midnight(r, TO_MIDNIGHT - 2)

        r.run(script)
        return r

    @pytest.fixture
    def fsm(self, bot: InProcessBot, tmp_path: Path) -> Callable[..., Any]:
        text = "version: 1\nsymbols: {top_by: quote_volume, n: 2}\n"
        (tmp_path / "config.yaml").write_text(text, "utf-8")
        shutil.copy(ROOT / "rules.yaml", tmp_path)
        files = ("--config", tmp_path / "config.yaml", "--rules", tmp_path / "rules.yaml", "--db", bot.db)

        def call(*args: str) -> Any:
            return CliRunner().invoke(app, [*map(str, files), *args], env={"BINANCE_ENV": "sim"})

        return call

    def test_the_dashboards_states_say_who_is_listed_and_until_when(self, bot: InProcessBot) -> None:
        until_ms, here = lists(bot)[-1].until_ms, Context(database=BotDatabase(bot.db), wall_ms=lambda: 0)
        with open_store(bot.db, mode="read") as store:
            seen = {view.symbol: (view.listed, view.list_until_ms) for view in machine(store, NoQuery(), here).symbols}
            assert documents.symbols(store) == documents.enabled_symbols(store) == {"BTCUSDT", "SOLUSDT"}
        assert seen == dict.fromkeys(("BTCUSDT", "SOLUSDT"), (True, until_ms))

    def test_status_says_it_of_each_symbol(self, fsm: Callable[..., Any]) -> None:
        found = json.loads(fsm("--json", "status").stdout)
        assert found["symbol_list"]["listed"] == ["BTCUSDT", "SOLUSDT"]
        seen = {row["symbol"]: row["listed"] for row in found["symbols"]}
        assert seen == {"BTCUSDT": True, "ETHUSDT": False, "SOLUSDT": True}
        text = fsm("status").stdout
        assert "2 symbols, made 2024-01-10 00:1" in text
        assert "until 2024-01-11 00:05" in text

    @pytest.mark.parametrize(
        ("symbol", "told"),
        [
            ("BTCUSDT", "on it until 2024-01-11 00:05 UTC at least"),
            ("ETHUSDT", "number 3 of those that may be listed, and the list has 2"),
            ("DOGEUSDT", "the exchange does not list it"),
        ],
    )
    def test_why_says_how_a_symbol_stands(self, fsm: Callable[..., Any], symbol: str, told: str) -> None:
        ended = fsm("why", symbol)
        assert told in ended.stdout + ended.stderr

    def test_why_says_how_it_stood_then(self, fsm: Callable[..., Any]) -> None:
        assert "on it until 2024-01-10 00:05" in fsm("why", "ETHUSDT", "--at", "2024-01-09T20:00Z").stdout

    def test_check_and_config_show_tell_the_list(self, fsm: Callable[..., Any]) -> None:
        assert "the 2 with the most quote_volume: BTCUSDT, SOLUSDT; made 2024-01-10" in fsm("check").stdout
        assert json.loads(fsm("--json", "check").stdout)["symbols"] == ["BTCUSDT", "SOLUSDT"]
        assert json.loads(fsm("--json", "config", "show").stdout)["symbol_list"]["listed"] == ["BTCUSDT", "SOLUSDT"]

    @pytest.mark.parametrize("command", [["backtest"], ["data", "download"], ["parity", *SPAN]])
    def test_what_runs_on_the_past_refuses_a_rule(self, fsm: Callable[..., Any], command: list[str]) -> None:
        ended = fsm(*command)
        assert ended.exit_code != 0
        assert "chooses symbols by a rule" in ended.stderr
        assert "--symbols" in ended.stderr


def days(chance: random.Random, names: list[str]) -> list[DayVolumes]:
    """Volumes of a year that wander, with ties, and some that are not told on some days."""
    volume = {name: chance.randrange(1, 2_000) for name in names}
    found = []
    for _ in range(365):
        volume = {name: max(1, each + chance.randrange(-40, 41)) for name, each in volume.items()}
        found.append(DayVolumes({name: Decimal(each) for name, each in volume.items() if chance.random() > 0.01}))
    return found


def test_a_year_of_lists_is_made_again_of_what_is_stored(tmp_path: Path) -> None:
    chance = random.Random(31)
    names = [f"{chr(65 + n // 26)}{chr(65 + n % 26)}AUSDT" for n in range(400)]
    any_filters = shipped_filters()["BTCUSDT"]
    filters = {name: replace(any_filters, symbol=name) for name in names}
    rule, before = ListRule(n=30, exclude=(names[7],)), None
    with open_store(tmp_path / "year.sqlite", mode="write", at_ms=0) as store:
        store.bind(environment="sim", account=None, at_ms=0, database_id="5eed0001")
        journal = Journal(store, "run")
        for day, volumes in enumerate(days(chance, names)):
            halted = {name: replace(filters[name], status="SETTLING") for name in chance.sample(names, 5)}
            told = candidates(volumes, {**filters, **halted})
            now_ms = day * DAY_MS + symbol_lists.NEW_LIST_MS + 1
            found = symbol_lists.new_list(rule, told, now_ms, before)
            assert found.told == told, "as it was told, from what is stored"
            assert not {names[7], *halted} & {*found.listed}
            assert (found.day_ms, len(found.listed)) == (day * DAY_MS, 30)
            facts = msgspec.json.encode(found).decode()
            assert len(facts) < 10_000, "a year takes a few megabytes"
            journal.commit(
                Batch(system_events=[SystemEventRow(at_ms=now_ms, kind=KIND, reason="DAILY", facts_json=facts)])
            )
            before = found
        changed = sum(len(symbol_lists.read(row.facts_json).left) for row in queries.system_events(store, limit=400))
    assert changed > 300, "the lists do change"
    report = replay(tmp_path / "year.sqlite")
    assert (report.symbol_lists, report.differences) == (365, ())
    assert verify(tmp_path / "year.sqlite").fine


@pytest.mark.parametrize("part", ["listed", "entered", "left"])
def test_replay_names_a_list_that_its_answers_do_not_give(tmp_path: Path, part: str) -> None:
    any_filters = shipped_filters()["BTCUSDT"]
    told = candidates(DayVolumes({"BTCUSDT": Decimal(1)}), {"BTCUSDT": any_filters})
    found = symbol_lists.new_list(ListRule(n=1), told, DAY_MS, None)
    wrong = replace(found, **{part: ("ETHUSDT",)})
    with open_store(tmp_path / "one.sqlite", mode="write", at_ms=0) as store:
        facts = msgspec.json.encode(wrong).decode()
        Journal(store, "run").commit(
            Batch(system_events=[SystemEventRow(at_ms=0, kind=KIND, reason="DAILY", facts_json=facts)])
        )
    (difference,) = replay(tmp_path / "one.sqlite").differences
    assert (difference.table, difference.what) == ("system_events", part)


def test_on_paper_time_goes_on_before_a_rule_has_chosen_symbols(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("version: 1\nsymbols: {top_by: quote_volume, n: 2}\n", "utf-8")
    config = load_config(tmp_path / "config.yaml", None, {"BINANCE_ENV": "paper"})
    options = embedded_command(config, tmp_path / "state").options
    assert options[options.index("--symbols") + 1] == "BTCUSDT"
