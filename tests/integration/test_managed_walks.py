"""R61 to R68 as a user meets them: the walks of docs/managed-to-its-end.md, everything a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fsm.core.model.records import StopLeg
from fsm.proofs.testkit.scripted_market import RULES
from tests.effort import sampled
from tests.integration.walking import CONFIG, SYMBOL, Walk, walk

HALF_MINUTE_MS = 31_000
FAILING = """\
version: 1
tests:
  - name: two in a hundred are no jump
    facts: {close_1h: 102, open_1h: 100, low_1h: 99}
    strategy: jump
    expect: {silence: NO_SETUP}
"""


async def _disable(walking: Walk) -> None:
    walking.config.write_text(CONFIG.replace("BTCUSDT: {enabled: true}", "BTCUSDT: {enabled: false}"))


async def _lose_config(walking: Walk) -> None:
    walking.config.unlink()


async def _break_rules(walking: Walk) -> None:
    walking.rules.write_text(RULES.replace("version: 1", "version: one"))


async def _lose_rules(walking: Walk) -> None:
    walking.rules.unlink()


async def _fail_a_test(walking: Walk) -> None:
    walking.rules.with_name("rules.tests.yaml").write_text(FAILING)


async def _unreadable(walking: Walk) -> None:
    await walking.bot.simulation.act(action="listing", symbol=SYMBOL, how="unreadable")


async def _unbracketed(walking: Walk) -> None:
    await walking.bot.simulation.act(action="listing", symbol=SYMBOL, how="unbracketed")


async def _multi_assets(walking: Walk) -> None:
    await walking.bot.simulation.act(action="modes", modes={"multi_assets": True})


@pytest.mark.parametrize(
    ("deed", "reason", "said"),
    sampled(
        [
            (_disable, "SYMBOL_DISABLED", "not among the enabled symbols"),
            (_unreadable, "SYMBOL_UNKNOWN", "does not list its rules"),
            (_unbracketed, "BRACKETS_UNKNOWN", "leverage table"),
            (_lose_config, "FILES_UNUSABLE", "cannot be used"),
            (_break_rules, "FILES_UNUSABLE", "cannot be used"),
            (_lose_rules, "FILES_UNUSABLE", "cannot be used"),
            (_fail_a_test, "FILES_UNUSABLE", "cannot be used"),
            (_multi_assets, "UNSUPPORTED_ACCOUNT", "multi-assets mode"),
        ],
        often=2,
    ),
    ids=[
        "disabled",
        "row unreadable",
        "no brackets",
        "config gone",
        "rules broken",
        "rules gone",
        "a test fails",
        "multi-assets",
    ],
)
def test_a_trade_is_managed_after_a_start_that_finds_the_world_changed(
    tmp_path: Path, deed: Callable[[Walk], Awaitable[None]], reason: str, said: str
) -> None:
    """R63, R67: covered, decided on, closed by `flatten`, and nothing entered, with a reason and one alert."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.stop()
        await deed(walking)
        await walking.start()
        assert SYMBOL in (await walking.bot.simulation.shown()).stops()
        await walking.hour()
        await walking.hears(said)
        assert walking.alerts(said) == 1
        code, text = await walking.type("flatten")
        assert (code, "done" in text) == (0, True), text
        assert (await walking.bot.simulation.shown()).held() == {}
        await walking.type("resume")
        await walking.hour()
        code, text = await walking.type("why", SYMBOL)
        assert reason in text

    walk(tmp_path, story)


@pytest.mark.slow
def test_a_symbol_that_is_gone_keeps_its_trade_and_flatten_names_it(tmp_path: Path) -> None:
    """R63: position left, no way to close it: `flatten` of all said "done" with exit 0."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.stop()
        await walking.bot.simulation.act(action="listing", symbol=SYMBOL, how="gone")
        await walking.start()
        assert walking.bot.records()[SYMBOL].trade is not None
        code, text = await walking.type("flatten")
        assert code == 3
        assert SYMBOL in text
        unknown = ("no entries until", "the exchange does not know this symbol any more")
        await walking.hears(*unknown)
        assert walking.alerts(*unknown) == 1
        await walking.bot.simulation.act(action="listing", symbol=SYMBOL, how="listed")
        await walking.bot.until(lambda: walking.bot.is_flat, "close it once the symbol is there again")
        assert (await walking.bot.simulation.shown()).held() == {}

    walk(tmp_path, story)


def test_a_liquidation_while_the_bot_closes_is_booked_as_one(tmp_path: Path) -> None:
    """R68: it was booked under the reason for which the bot was closing."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        walking.fault(match={"path": "/fapi/v1/order", "method": "POST"}, effect="unavailable_503")
        code, text = await walking.type("flatten", "--wait", "1")
        assert code != 0, text
        await walking.bot.simulation.act(action="liquidate", symbol=SYMBOL)
        walking.mend()
        await walking.bot.until(lambda: walking.bot.is_flat, "book it")
        code, text = await walking.type("trades")
        assert (code, "the exchange liquidated a position" in text) == (0, True), text
        await walking.hears("is closed", "because the exchange liquidated a position")

    walk(tmp_path, story)


@pytest.mark.parametrize("answer", sampled([(400, -4045), (503, 0)], often=1, single=True))
def test_a_stop_that_cannot_be_placed_on_trial_for_now_blocks_entries_until_one_can(
    tmp_path: Path, answer: tuple[int, int]
) -> None:
    """R61: one such answer halted the account for good as PERMISSION."""
    status, error = answer
    refusal = {"status": status, "body": {"code": error, "msg": "not now"} if error else "Service Unavailable"}

    async def story(walking: Walk) -> None:
        walking.fault(match={"path": "/fapi/v1/algoOrder", "method": "POST"}, effect=refusal)
        await walking.to_noon()
        _, text = await walking.type("why", SYMBOL)
        assert "STOPS_UNPROVED" in text
        _, text = await walking.type("status")
        assert "PERMISSION" not in text
        assert walking.alerts("A stop could not be placed on trial") == 1
        walking.mend()
        await walking.bot.simulation.advance(HALF_MINUTE_MS)
        await walking.bot.until(lambda: walking.alerts("Stops can be placed") == 1, "prove it")
        await walking.hour()
        await walking.bot.until(lambda: not walking.bot.is_flat, "enter")

    walk(tmp_path, story)


def test_a_symbol_that_is_settled_is_booked_as_settled(tmp_path: Path) -> None:
    """R68: it was booked as a liquidation."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.bot.simulation.act(action="settle", symbol=SYMBOL)
        await walking.bot.until(lambda: walking.bot.is_flat, "book it")
        code, text = await walking.type("trades")
        assert code == 0
        assert "the exchange settled the contract" in text
        assert walking.bot.records()[SYMBOL].halt is None

    walk(tmp_path, story)


def test_an_account_that_is_not_supported_is_refused_by_name_when_flat(tmp_path: Path) -> None:
    """R67."""

    async def story(walking: Walk) -> None:
        await walking.bot.simulation.act(action="modes", modes={"multi_assets": True})
        code, text = await walking.type("run", "--no-web")
        assert code == 3
        assert "multi-assets mode" in text
        await walking.bot.simulation.act(action="modes", modes={})
        await walking.to_trade()

    walk(tmp_path, story)


@pytest.mark.slow
def test_hedge_mode_in_mid_trade_is_named_once_and_flatten_closes_in_its_form(tmp_path: Path) -> None:
    """R81: eleven alerts in half a minute, none of which said "hedge", and -4061 for ever."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.bot.simulation.act(action="modes", modes={"hedge": True})
        code, text = await walking.type("flatten")
        assert (code, "done" in text) == (0, True), text
        assert (await walking.bot.simulation.shown()).held() == {}
        await walking.hears("hedge mode")
        assert walking.alerts("hedge mode") == 1

    walk(tmp_path, story)


@pytest.mark.slow
def test_leverage_changed_in_mid_trade_is_named_once_with_both_values(tmp_path: Path) -> None:
    """R81: the price of liquidation moves, and nobody said so."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.bot.simulation.advance(HALF_MINUTE_MS)
        await asyncio.to_thread(walking.elsewhere, "POST", "/fapi/v1/leverage", symbol=SYMBOL, leverage="5")
        await walking.bot.simulation.advance(HALF_MINUTE_MS)
        told = await walking.hears("somebody changed leverage from 2 to 5", SYMBOL)
        assert "see that it still lies before that price" in told
        assert SYMBOL in (await walking.bot.simulation.shown()).stops()
        await walking.hour()
        assert walking.alerts("somebody changed") == 1
        code, text = await walking.type("flatten")
        assert (code, "done" in text) == (0, True), text

    walk(tmp_path, story)


def stop_of(walking: Walk) -> StopLeg:
    """The one that the trade wants to rest."""
    trade = walking.bot.records()[SYMBOL].trade
    assert trade is not None
    assert trade.stop is not None
    return trade.stop


def test_rules_that_change_in_mid_trade_are_read_again(tmp_path: Path) -> None:
    """R65: another tick, and the stop vanishes: it is placed again, rounded anew."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        simulation = walking.bot.simulation
        tick = {"PRICE_FILTER": {"tickSize": "50", "minPrice": "0"}}
        await simulation.act(action="rules", symbol=SYMBOL, filters=tick, fundingIntervalHours=4)
        (stop,) = [algo for algo in (await simulation.shown()).algo_orders if algo.type == "STOP_MARKET"]
        await simulation.act(action="vanish", clientAlgoId=stop.client_id)
        await walking.bot.until(lambda: stop_of(walking).client_id != stop.client_id, "want another stop")
        (again,) = [algo for algo in (await walking.at_rest()).algo_orders if algo.type == "STOP_MARKET"]
        assert (again.client_id, stop_of(walking).trigger_price) == (stop_of(walking).client_id, 59_900)
        changed = ("changed its rules", "price step 50", "funding every 4 h")
        await walking.hears(*changed)
        assert walking.alerts(*changed) == 1

    walk(tmp_path, story)
