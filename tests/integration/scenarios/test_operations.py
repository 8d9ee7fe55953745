"""Modes that survive, databases that grow old, faults of our own, and why nothing was traded (R50 to R55)."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from exchange.sim.port_faults import Fault
from exchange.types import OrderRequest, OrderType, Side
from fsm.cli.app import app
from fsm.core.model.records import State
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.verify import verify
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ROOT,
    STOPPED,
    TOP,
    Make,
    answer,
    broken,
    by_hand,
    post,
    record,
    resting_stops,
    to_trade,
)


class TestModesSurvive:
    def test_pause_survives_a_restart_and_resume_ends_it(self, rehearse: Make) -> None:
        """R50."""
        r = rehearse(BTCUSDT=STOPPED)

        async def script(r: InProcessBot) -> None:
            await r.start()
            number = post(r, "pause")
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            await r.restart()
            await r.hours(TO_SIGNAL + 0.5)
            assert triggers(r) == ["pause OPERATOR"]
            number = post(r, "resume")
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            assert not r.running.live.engine.account.paused

        r.run(script)


class TestFaultsOfOurOwn:
    def test_an_exception_in_a_handler_quarantines_its_symbol_and_the_others_go_on(self, rehearse: Make) -> None:
        """R53."""
        eth = [(3000.0, 3031.5, 2997.0, 3030.0), *quiet(3030.0, 6)]
        r = rehearse(BTCUSDT=CALM, ETHUSDT=eth)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.faults = lambda call: Fault(alter=broken) if (call.method, call.symbol) == ("look", "BTCUSDT") else None
            await r.seconds(30)
            assert record(r).quarantine.cause.startswith("EXCEPTION")
            assert resting_stops(r)
            assert record(r, "ETHUSDT").quarantine is None
            r.faults = lambda call: None
            await r.seconds(30)
            assert r.is_alive

        r.run(script)
        assert verify(r.db).fine


class TestAModeThatWasAskedFor:
    @pytest.mark.parametrize("symbol", [None, "BTCUSDT"], ids=["all", "one symbol"])
    @pytest.mark.parametrize("kind", ["pause", "halt", "flatten"])
    def test_is_there_after_being_killed_until_it_is_resumed(
        self, rehearse: Make, kind: str, symbol: str | None
    ) -> None:
        """R50: killed right after the answer; the next signal finds no entry, the one after `resume` does."""
        hours = [jump(BTC), *quiet(TOP, 2), jump(TOP), *quiet(TOP * 1.01, 2)]
        r = rehearse(BTCUSDT=hours)

        async def script(r: InProcessBot) -> None:
            await r.start()
            number = post(r, kind, symbol)
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            await r.restart()
            await r.hours(TO_SIGNAL + 0.5)
            assert r.venue.positions() == []
            await r.restart()
            number = post(r, "resume", symbol)
            await r.seconds(1)
            assert answer(r, number) == ("done", None)
            await r.hours(3)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert [row for row in triggers(r) if row.startswith("signal")] == ["signal jump LONG"]


class TestADatabaseOfANewerVersion:
    @pytest.mark.parametrize("command", ["run --no-web", "pause", "status", "why BTCUSDT", "audit", "db upgrade"])
    def test_is_refused_with_exit_code_3_and_left_as_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        """R52: an older program must not write to it; the message names both versions and what to do."""
        for name in ("config.yaml", "rules.yaml"):
            shutil.copy(ROOT / name, tmp_path / name)
        monkeypatch.chdir(tmp_path)
        open_store(tmp_path / "bot.sqlite", mode="write").close()
        connection = apsw.Connection("bot.sqlite")
        connection.execute("INSERT INTO schema_version VALUES (99, 'later', NULL)")
        connection.close()
        before = (tmp_path / "bot.sqlite").read_bytes()
        ended = CliRunner().invoke(app, [*command.split(), "--db", "bot.sqlite"], env={"BINANCE_ENV": "sim"})
        assert ended.exit_code == 3
        assert "schema 99" in ended.stderr
        assert "newer version" in ended.stderr
        assert (tmp_path / "bot.sqlite").read_bytes() == before


class TestWhyItWasNotTraded:
    def test_is_one_row_a_symbol_now_and_every_change_before(self, rehearse: Make) -> None:
        """R55: the level, and the edges; also from the command line."""
        quiet_eth, doge = quiet(3000.0, 6), [(0.1, 0.102, 0.0999, 0.1015), *quiet(0.1015, 5)]
        r = rehearse(BTCUSDT=CALM, ETHUSDT=quiet_eth, DOGEUSDT=doge)

        async def script(r: InProcessBot) -> None:
            await r.start()
            post(r, "pause", "DOGEUSDT")
            await r.hours(TO_SIGNAL + 1.5)

        r.run(script)
        with open_store(r.db, mode="read") as store:
            rows = queries.latest_decisions(store)
        assert [(row.symbol, row.outcome, row.reason) for row in rows] == [
            ("BTCUSDT", "IN_TRADE", rows[0].reason),
            ("DOGEUSDT", "BLOCKED", "PAUSED"),
            ("ETHUSDT", "NO_SIGNAL", rows[2].reason),
        ]
        assert triggers(r, "DOGEUSDT") == ["pause OPERATOR"]
        for symbol, told in (("DOGEUSDT", "PAUSED"), ("ETHUSDT", "jumps")):
            ended = CliRunner().invoke(app, ["why", symbol, "--json", "--db", str(r.db)])
            assert ended.exit_code == 0, ended.stderr
            assert told in ended.stdout
        ended = CliRunner().invoke(app, ["audit", "--symbol", "BTCUSDT", "--json", "--db", str(r.db)])
        assert "jump LONG" in {row["reason"] for row in json.loads(ended.stdout)["transitions"]}

    def test_changes_of_the_reason_are_rows_and_unchanged_hours_are_counted(self, rehearse: Make) -> None:
        """R55: nothing is written each hour that says the same as the hour before."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(8.5)
            post(r, "pause")
            await r.hours(3)

        r.run(script)
        with open_store(r.db, mode="read") as store:
            rows = list(queries.each_decision(store))
        assert [(row.outcome, row.count) for row in rows] == [("NO_SIGNAL", 8), ("BLOCKED", 3)]


class TestThatWhichIsNotOurs:
    def test_survives_a_start_a_flatten_and_a_halt(self, rehearse: Make) -> None:
        """R54: a position by hand beside ours, and an order of somebody else: only ours is closed."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=quiet(3000.0, 7))
        theirs = OrderRequest(
            symbol="ETHUSDT",
            side=Side.SELL,
            type=OrderType.LIMIT,
            quantity=Decimal("0.5"),
            price=Decimal(3300),
            client_id="theirs",
        )

        async def script(r: InProcessBot) -> None:
            by_hand(r, Side.BUY, Decimal("0.5"), "ETHUSDT")
            r.venue.place_order(theirs)
            r.venue.drain()
            await to_trade(r)
            post(r, "flatten")
            await r.seconds(30)
            await r.restart()
            await r.seconds(70)
            assert [(row.symbol, row.quantity) for row in r.venue.positions()] == [("ETHUSDT", Decimal("0.500"))]
            assert [order.client_id for order in r.venue.open_orders()] == ["theirs"]

        r.run(script)
