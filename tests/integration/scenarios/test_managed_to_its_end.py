"""R61 to R68: a trade of ours is managed to its end, whatever the files, the exchange's lists or the account become."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from exchange.errors import Refusal, Unreachable
from exchange.events import AccountChanged, PositionChange, Resync
from exchange.refusals import RefusalReason
from exchange.sim.port_faults import Call, Fault, Lost
from exchange.types import AccountModes, MarginType, Side
from fsm.core.model.records import State
from fsm.journal.replay import replay
from fsm.live.preflight.meeting import StartRefused
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.verify import verify
from tests.effort import sampled
from tests.integration.scenarios.acting import (
    BTC,
    CALM,
    ETH,
    TOP,
    Make,
    Once,
    answer,
    by_hand,
    latest_reason,
    no_fault,
    post,
    record,
    resting_stops,
    stop,
    to_trade,
    trades,
)

FALLS = [jump(BTC), *quiet(TOP, 2), (TOP, TOP, TOP * 0.996, TOP * 0.996), *quiet(TOP * 0.996, 4)]
"""The third hour of the trade falls by 0.4 %, on which the rules end it; its stop lies far below."""

BTCUSDT = "BTCUSDT"


def disabled(r: InProcessBot, symbol: str) -> None:
    """As in config.yaml before the next start."""
    settings = r.config.settings
    symbols = {**settings.symbols, symbol: replace(settings.symbols[symbol], enabled=False)}
    r.config = dataclasses.replace(r.config, settings=replace(settings, symbols=symbols))


def without(symbol: str) -> Callable[[Call], Fault | None]:
    """exchangeInfo tells nothing of it any more."""
    gone = Fault(alter=lambda filters: {name: found for name, found in filters.items() if name != symbol})
    return lambda call: gone if call.method == "filters" else None


def alerts(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.text for row in queries.alerts(store)]


def check(r: InProcessBot) -> None:
    """The journal is as it was written, and decides again as it did."""
    assert verify(r.db).fine
    assert replay(r.db).differences == ()


class TestASymbolWithATrade:
    def test_r63_is_decided_on_to_its_end_when_config_has_disabled_it(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=FALLS, ETHUSDT=ETH)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            assert record(r).state is State.PROTECTED
            await r.kill()
            disabled(r, BTCUSDT)
            await r.start()
            await r.hours(4)
            assert record(r).state is State.IDLE, "its rules end it at the close of the hour that fell"
            assert latest_reason(r) == ("BLOCKED", "SYMBOL_DISABLED")

        r.run(script)
        assert [trade.exit_reason for trade in trades(r) if trade.symbol == BTCUSDT] == ["EXIT_WHEN"]
        assert sum("BTCUSDT" in text and "not among the enabled symbols" in text for text in alerts(r)) == 1
        check(r)

    @pytest.mark.parametrize("how", ["gone", "brackets"])
    def test_r63_is_covered_decided_on_and_closed_when_the_exchange_tells_no_rules_of_it(
        self, rehearse: Make, how: str
    ) -> None:
        """What was known last serves: its stop is placed again, `flatten` closes it, nothing is entered."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)
        refuse = Fault(refuse=-1121)
        faults = {"gone": without(BTCUSDT), "brackets": lambda call: refuse if _is_brackets(call) else None}[how]

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.kill()
            for algo in r.venue.open_algos(BTCUSDT):
                r.venue.cancel_algo(algo_id=algo.algo_id)
            r.venue.drain()
            r.faults = faults
            await r.start()
            assert len(resting_stops(r)) == 1, "the stop that had vanished is there again"
            await r.hours(1)
            assert latest_reason(r)[0] == "IN_TRADE"
            asked = post(r, "flatten", None)
            await r.seconds(90)
            assert answer(r, asked)[0] == "done"
            assert r.venue.positions() == []
            post(r, "resume", None)
            await r.seconds(2)
            await r.hours(1)
            assert latest_reason(r) == ("BLOCKED", {"gone": "SYMBOL_UNKNOWN", "brackets": "BRACKETS_UNKNOWN"}[how])
            r.faults = no_fault
            await r.hours(1)
            await r.seconds(60)
            await r.hours(1)
            assert latest_reason(r)[1] not in ("SYMBOL_UNKNOWN", "BRACKETS_UNKNOWN"), "it is told again"

        r.run(script)
        check(r)

    def test_r63_one_failed_reading_costs_minutes_and_not_an_hour(self, rehearse: Make) -> None:
        """A network that failed once at the start had kept a symbol from trading for an hour."""
        r = rehearse(BTCUSDT=CALM)
        answers = [None, None, Fault(refuse=-1000)]
        asked: list[int] = []

        def once(call: Any) -> Fault | None:
            if not _is_brackets(call):
                return None
            asked.append(r.venue.now_ms)
            return answers.pop() if answers else None

        async def script(r: InProcessBot) -> None:
            r.faults = once
            await r.start()
            assert r.running.live.blocks.of(BTCUSDT) == "BRACKETS_UNKNOWN"
            for _ in range(4):
                await r.hours(0.01)
                await r.seconds(36)
            assert r.running.live.blocks.of(BTCUSDT) == ""
            assert len(asked) == 2

        r.run(script)

    def test_r63_that_no_run_ever_knew_rules_of_is_closed_by_its_own_size(self, rehearse: Make) -> None:
        """A database that lost its rows, an exchange that tells nothing: a close needs no filter."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.kill()
            r.faults = without(BTCUSDT)
            store = r.opened()
            store.connection.execute("DROP TRIGGER IF EXISTS system_events_append_only_delete")
            rules = [row[0] for row in store.connection.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]
            for name in rules:
                store.connection.execute(f"DROP TRIGGER {name}")
            store.connection.execute("UPDATE system_events SET facts_json='{}' WHERE kind='START'")
            store.close()
            r.lock.release()
            await r.start()
            asked = post(r, "flatten", None)
            await r.seconds(90)
            assert answer(r, asked)[0] == "done"
            assert r.venue.positions() == []

        r.run(script)

    def test_r64_one_symbols_candles_do_not_keep_the_others_from_starting_or_deciding(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)
        refused = Fault(refuse=-1121)

        async def script(r: InProcessBot) -> None:
            r.faults = lambda call: refused if call.method == "candles" and call.symbol == "ETHUSDT" else None
            await to_trade(r)
            assert record(r).state is State.PROTECTED
            assert r.clock.monotonic() < 60, "and no close waited for what was refused"
            assert sum("ETHUSDT" in text and "no candles" in text for text in alerts(r)) == 1
            r.faults = no_fault
            await r.hours(2)
            assert latest_reason(r, "ETHUSDT")[0] != ""

        r.run(script)
        check(r)


def _is_brackets(call: Call) -> bool:
    return call.method == "brackets" and call.symbol == BTCUSDT


class TestAnAccountThatIsNotSupported:
    @pytest.mark.parametrize(
        ("modes", "name"),
        [
            (AccountModes(hedge=True), "hedge mode"),
            (AccountModes(multi_assets=True), "multi-assets mode"),
            (AccountModes(credits=True), "credits trading mode"),
            (AccountModes(portfolio_margin=True), "portfolio margin"),
        ],
    )
    def test_r67_is_refused_by_name_when_flat_and_managed_when_not(
        self, rehearse: Make, modes: AccountModes, name: str
    ) -> None:
        r = rehearse(BTCUSDT=FALLS, ETHUSDT=[ETH[0], *ETH[1:]])

        async def script(r: InProcessBot) -> None:
            r.port.modes = modes
            with pytest.raises(StartRefused, match=name.split(" ")[0]):
                await r.start()
            await r.kill()
            r.port.modes = AccountModes()
            await to_trade(r)
            await r.kill()
            r.port.modes = modes
            await r.start()
            assert len(resting_stops(r)) == 1
            await r.hours(4)
            assert record(r).state is State.IDLE
            assert latest_reason(r)[1].startswith("UNSUPPORTED_ACCOUNT")

        r.run(script)
        assert sum(name in text and "Nothing is entered until that is mended" in text for text in alerts(r)) == 1
        check(r)

    def test_r67_symbols_that_are_not_margined_in_usdt_are_refused_by_name(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM)
        usdc = Fault(alter=lambda filters: {n: replace(f, margin_asset="USDC") for n, f in filters.items()})

        async def script(r: InProcessBot) -> None:
            r.faults = lambda call: usdc if call.method == "filters" else None
            with pytest.raises(StartRefused, match=r"BTCUSDT \(USDC\)"):
                await r.start()

        r.run(script)


class TestRulesOfASymbolThatChange:
    def test_r65_a_stop_that_is_refused_for_its_tick_is_rounded_anew_within_the_deadline(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL - 0.5)
            refused = Once(stop, Fault(refuse=-4014))

            def faults(call: Call) -> Fault | None:
                if stop(call):
                    set_rules(r, tick_size=Decimal(50), price_min=Decimal(0))
                return refused(call)

            r.faults = faults
            await r.hours(1)
            assert record(r).state is State.PROTECTED
            (algo,) = [a for a in r.venue.open_algos(BTCUSDT) if a.type == "STOP_MARKET"]
            assert algo.trigger_price == Decimal(59_900), "59,940 rounded away from the entry"

        r.run(script)
        assert "reprotect STOP_ROUNDED_ANEW -4014" in triggers(r)
        assert r.times.late == 0
        assert any("changed its rules" in text for text in alerts(r))
        check(r)

    def test_r65_a_tick_above_the_price_lets_no_stop_rest_and_the_position_is_closed(self, rehearse: Make) -> None:
        """No price below 100,000 is on such a tick: nothing protects, so nothing may be held."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL - 0.5)

            def faults(call: Call) -> Fault | None:
                if stop(call) and record(r).trade is not None:
                    set_rules(r, tick_size=Decimal(100_000), price_min=Decimal(0))
                return None

            r.faults = faults
            await r.hours(1)
            assert r.venue.state.holding(BTCUSDT).quantity == 0
            assert record(r).trade is None

        r.run(script)
        assert any("flatten" in text for text in triggers(r))
        assert any(fill.price > 0 for fill in r.venue.fills(BTCUSDT))
        check(r)

    def test_r65_rules_that_are_still_being_read_are_read_no_more_once_the_bot_has_ended(self, rehearse: Make) -> None:
        """Found by torture: that task went on by itself, and wrote into a database that was closed."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            before = asyncio.all_tasks()
            await r.start()
            refused, slow = Once(stop, Fault(refuse=-4014)), Fault(answer_delay_s=60.0)
            r.faults = lambda call: slow if call.method == "filters" and refused.met else refused(call)
            await r.hours(TO_SIGNAL + 0.5)
            assert refused.met
            await r.kill()
            assert asyncio.all_tasks() == before

        r.run(script)

    def test_r65_a_stop_that_is_refused_for_its_decimals_goes_coarser_where_the_rules_cannot_be_read(
        self, rehearse: Make
    ) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL - 0.5)
            refused = Once(stop, Fault(refuse=-1111))
            silent = Fault(delay_s=60.0)
            r.faults = lambda call: silent if call.method == "filters" and refused.met else refused(call)
            await r.hours(1)
            await r.seconds(5)
            assert record(r).state is State.PROTECTED
            assert len(resting_stops(r)) == 1

        r.run(script)
        assert r.times.late == 0

    def test_r65_an_entry_planned_with_other_rules_is_dropped_and_the_next_one_is_planned_with_the_new(
        self, rehearse: Make
    ) -> None:
        r = rehearse(BTCUSDT=[jump(BTC), *quiet(TOP, 2), jump(TOP), *quiet(TOP * 1.01, 3)])

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL - 0.5)
            set_rules(r, step_size=Decimal("0.01"), market_step_size=Decimal("0.01"))
            await r.hours(1)
            assert record(r).state is State.IDLE
            await r.hours(3)
            assert record(r).state is State.PROTECTED
            (position,) = r.venue.positions()
            assert position.quantity % Decimal("0.01") == 0

        r.run(script)
        assert "drop SYMBOL_RULES_CHANGED" in triggers(r)
        check(r)

    def test_r65_whatever_symbol_is_read_for_an_entry_the_rules_of_all_are_taken(self, rehearse: Make) -> None:
        """They come in one answer; a close of another symbol would leave in a size that we were told is wrong."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)

        async def script(r: InProcessBot) -> None:
            await r.start()
            set_rules(r, step_size=Decimal("0.01"), market_step_size=Decimal("0.01"))
            await r.hours(1.1)
            assert await r.running.live.symbols.before_entry("ETHUSDT") == ""
            assert r.running.live.active.filters[BTCUSDT].step_size == Decimal("0.01")
            assert r.running.live.active.filters[BTCUSDT].tick_size == r.venue.state.filters[BTCUSDT].tick_size

        r.run(script)
        check(r)

    def test_r65_a_symbol_that_stops_trading_is_not_entered_and_says_so(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await r.start()
            set_rules(r, status="SETTLING")
            r.running.live.symbols._asked_ms.clear()
            await r.seconds(60)
            await r.hours(TO_SIGNAL + 0.5)
            assert latest_reason(r) == ("BLOCKED", "SYMBOL_NOT_TRADING SETTLING")

        r.run(script)
        assert r.venue.positions() == []
        check(r)


def set_rules(r: InProcessBot, **changed: Any) -> None:
    """The exchange's own rules of the symbol, from now on."""
    filters = r.venue.state.filters
    filters[BTCUSDT] = replace(filters[BTCUSDT], **changed)


class TestARefusalThatPasses:
    @pytest.mark.parametrize("code", sampled([-1003, -1015, -1021, 403, 503, -4045, -4087], often=3))
    def test_r61_in_the_self_test_is_tried_again_and_told_once(self, rehearse: Make, code: int) -> None:
        r = rehearse(BTCUSDT=CALM)
        refused = Once(lambda call: call.method == "place_algo", Fault(refuse=code), times=6)

        async def script(r: InProcessBot) -> None:
            r.faults = refused
            await r.start()
            assert account_halt(r) is None
            await r.hours(1.5)
            assert latest_reason(r) == ("BLOCKED", "STOPS_UNPROVED")
            await r.seconds(700)
            await r.hours(TO_SIGNAL - 1)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert refused.met > 6
        assert sum("A stop could not be placed on trial" in text for text in alerts(r)) == 1
        check(r)

    @pytest.mark.parametrize("code", [-4210, -4211, -4013])
    def test_r61_a_trial_stop_that_is_too_far_away_is_placed_nearer(self, rehearse: Make, code: int) -> None:
        """An exchange may bound how far from the mark a trigger lies; stops of trades are nearer than the trial."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            r.faults = Once(lambda call: call.method == "place_algo", Fault(refuse=code), times=2)
            await r.start()
            mark = r.venue.state.quotes[BTCUSDT].mark
            trial = next(iter(r.venue.state.algos)).as_algo()
            assert mark * Decimal("0.96") < trial.trigger_price < mark
            await r.hours(TO_SIGNAL + 0.5)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert not any("on trial" in text for text in alerts(r))
        check(r)

    def test_r61_a_trial_stop_never_lies_beside_a_position(self, rehearse: Make) -> None:
        """Seen by torture: one stayed open after it was cancelled, beside a position of the operator's. Had it fired it
        would have taken a part of that."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)
        tried: list[str] = []

        def note(call: Call) -> None:
            if call.method == "place_algo":
                tried.append(call.symbol)

        async def script(r: InProcessBot) -> None:
            for symbol in ("BTCUSDT", "ETHUSDT"):
                by_hand(r, Side.BUY, Decimal("0.05"), symbol)
            r.faults = note
            await r.start()
            await r.seconds(60)
            assert tried == [], "nothing is flat"
            by_hand(r, Side.SELL, Decimal("0.05"), "ETHUSDT", "by-hand-2")
            await r.seconds(130)
            assert set(tried) == {"ETHUSDT"}

        r.run(script)

    def test_r61_a_trial_stop_whose_answer_says_nothing_is_proved_by_what_is_found(self, rehearse: Make) -> None:
        """Seen: answers to placing that hold the ids alone; nothing was ever entered, although every stop rested."""
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            r.faults = lambda call: Fault(lost=Lost.ANSWER) if call.method == "place_algo" else None
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert not any("on trial" in text for text in alerts(r))
        check(r)

    def test_r61_a_trial_stop_that_is_shown_seconds_late_is_waited_for(self, rehearse: Make) -> None:
        """Seen: each new order was found 2.5 s late; the trial gave up at once, each time, and nothing was entered."""
        r = rehearse(BTCUSDT=CALM)
        asked: dict[str, int] = {}

        def late(call: Call) -> Fault | None:
            if call.method == "open_algos":
                return Fault(alter=lambda listed: [])
            if call.method != "algo":
                return None
            asked[call.client_id] = asked.get(call.client_id, 0) + 1
            return Fault(alter=lambda found: None) if asked[call.client_id] <= 4 else None

        async def script(r: InProcessBot) -> None:
            r.faults = late
            await r.start()
            r.faults = lambda call: None
            await r.hours(TO_SIGNAL + 0.5)
            assert record(r).state is State.PROTECTED

        r.run(script)
        assert max(asked.values()) > 4
        assert not any("on trial" in text for text in alerts(r))
        check(r)

    def test_r61_a_trial_stop_that_cannot_be_asked_for_is_cancelled_and_proved_by_the_list(
        self, rehearse: Make
    ) -> None:
        """Seen: nine trial stops were left resting where single conditional orders cannot be asked for."""
        r = rehearse(BTCUSDT=CALM)
        refused = Refusal(404, "GET /fapi/v1/algoOrder", RefusalReason.OTHER)

        async def script(r: InProcessBot) -> None:
            r.faults = lambda call: Fault(error=refused) if call.method == "algo" else None
            await r.start()
            assert not [algo for algo in r.venue.state.algos if algo.as_algo().status.is_open]

        r.run(script)

    def test_r64_a_stop_is_seen_also_where_fills_are_not_told(self, rehearse: Make) -> None:
        """Seen: positions were closed at the deadline, with their stops resting, because userTrades failed."""
        r = rehearse(BTCUSDT=CALM)
        silent = Unreachable("GET /fapi/v1/userTrades: HTTP 502")

        async def script(r: InProcessBot) -> None:
            await r.start()
            r.faults = lambda call: Fault(error=silent) if call.method == "fills" else None
            await r.hours(TO_SIGNAL + 0.5)
            await r.seconds(30)
            assert record(r).state is State.PROTECTED

        r.run(script)
        check(r)

    def test_r45_a_stream_that_chatters_does_not_use_up_the_requests(self, rehearse: Make) -> None:
        """Seen: news of the account at every price, fifty a second, and as many looks as could be made."""
        r = rehearse(BTCUSDT=CALM)
        looks: list[Call] = []

        def counted(call: Call) -> None:
            looks.extend([call] if call.method == "look" else [])

        async def script(r: InProcessBot) -> None:
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            assert record(r).state is State.PROTECTED
            assert r.daemon is not None
            listener = r.daemon.listener
            r.faults = counted
            news = AccountChanged(
                reason="ORDER",
                balances=(),
                positions=(
                    PositionChange(symbol=BTCUSDT, position_side="BOTH", quantity=Decimal(1), entry_price=Decimal(1)),
                ),
                symbol="",
                time_ms=0,
            )
            for event in (news, Resync(stream="user", reason="not JSON")):
                looks.clear()
                for _ in range(500):
                    listener.hear(event)
                    await r.seconds(0.02)
                assert 10 <= len(looks) <= 30

        r.run(script)
        check(r)

    def test_r64_an_exchange_without_a_ledger_does_not_make_equity_stale(self, rehearse: Make) -> None:
        """The wallet changes with the first fee; fills explain it, where no row ever does."""
        r = rehearse(BTCUSDT=CALM)
        missing = Refusal(404, "GET /fapi/v1/income", RefusalReason.OTHER)

        async def script(r: InProcessBot) -> None:
            r.faults = lambda call: Fault(error=missing) if call.method == "income" else None
            await r.start()
            await r.hours(TO_SIGNAL + 0.5)
            assert record(r).state is State.PROTECTED
            await r.seconds(200)
            await r.hours(1)

        r.run(script)
        assert not [text for text in alerts(r) if "equity" in text.lower()]

    @pytest.mark.parametrize("code", [-4120, -1102, -1022, -1002, -2014, -2015, 451])
    def test_r61_only_what_is_lasting_by_its_nature_halts(self, rehearse: Make, code: int) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            r.faults = Once(lambda call: call.method == "place_algo", Fault(refuse=code))
            await r.start()
            assert account_halt(r) == "PERMISSION"

        r.run(script)


class TestFlattenOfAll:
    def test_r63_names_what_is_left_and_is_not_done(self, rehearse: Make) -> None:
        """A position that is not ours is not touched; that it is there is said."""
        r = rehearse(BTCUSDT=CALM, ETHUSDT=quiet(3_000.0, 6))

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            by_hand(r, Side.BUY, Decimal("0.5"), "ETHUSDT")
            asked = post(r, "flatten", None)
            await r.seconds(60)
            assert answer(r, asked) == ("refused", "LEFT_OPEN")
            assert [position.symbol for position in r.venue.positions()] == ["ETHUSDT"]

        r.run(script)


class TestAnAccountThatIsSwitchedInMidTrade:
    @pytest.mark.parametrize("name", ["hedge mode", "multi-assets mode"])
    def test_r81_is_named_once_within_a_minute_and_entries_wait(self, rehearse: Make, name: str) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            r.port.modes = AccountModes(hedge=name == "hedge mode", multi_assets=name != "hedge mode")
            await r.seconds(60)
            assert sum(name in text for text in alerts(r)) == 1
            await r.seconds(120)
            assert sum(name in text for text in alerts(r)) == 1
            assert record(r).state is State.PROTECTED
            assert r.running.live.blocks.of(BTCUSDT) == f"UNSUPPORTED_ACCOUNT {name}"
            r.port.modes = AccountModes()
            await r.seconds(60)
            assert r.running.live.blocks.of(BTCUSDT) == ""

        r.run(script)
        check(r)

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"leverage": 20}, "leverage from 2 to 20"),
            ({"margin_type": MarginType.CROSSED}, "from ISOLATED to CROSSED"),
        ],
    )
    def test_r81_leverage_and_margin_mode_are_compared_with_what_the_trade_was_opened_with(
        self, rehearse: Make, changed: dict[str, Any], said: str
    ) -> None:
        r = rehearse(BTCUSDT=CALM)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            await r.seconds(60)
            other = Fault(alter=lambda config: replace(config, **changed))
            r.faults = lambda call: other if call.method == "symbol_config" else None
            await r.seconds(60)
            assert sum(said in text for text in alerts(r)) == 1
            await r.seconds(120)
            assert sum(said in text for text in alerts(r)) == 1

        r.run(script)


class TestAListWithARowThatNobodyCanRead:
    def test_r64_costs_its_symbol_one_alert_and_no_other_anything(self, rehearse: Make) -> None:
        r = rehearse(BTCUSDT=CALM, ETHUSDT=ETH)

        async def script(r: InProcessBot) -> None:
            await to_trade(r)
            for _ in range(3):
                r.running.unreadable("ETHUSDT", "a row of positionRisk")
            await r.seconds(5)
            assert sum("cannot be read" in text for text in alerts(r)) == 1
            assert record(r).state is State.PROTECTED

        r.run(script)


def account_halt(r: InProcessBot) -> str | None:
    halt = r.running.live.engine.account.halt
    return None if halt is None else halt.cause


def test_what_blocks_entries_is_named_once_until_it_is_over() -> None:
    from fsm.live.context.entry_blocks import ALL, EntryBlocks

    blocks = EntryBlocks()
    assert blocks.of("A") == ""
    assert blocks.set("A", "SYMBOL_UNKNOWN")
    assert not blocks.set("A", "SYMBOL_UNKNOWN")
    assert blocks.set(ALL, "STOPS_UNPROVED")
    assert (blocks.of("A"), blocks.of("B")) == ("STOPS_UNPROVED", "STOPS_UNPROVED")
    assert blocks.clear(ALL, "STOPS_UNPROVED")
    assert (blocks.of("A"), blocks.of("B")) == ("SYMBOL_UNKNOWN", "")
    assert msgspec.to_builtins(blocks.all()) == {"A": ["SYMBOL_UNKNOWN"]}
