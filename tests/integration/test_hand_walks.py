"""R69, R70, R72, R80 as a user meets them: the walks of docs/hands-and-messages.md, everything a process of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from fsm.core.model.records import State
from fsm.proofs.testkit.scripted_market import jump, quiet
from store import queries
from tests.effort import sampled
from tests.integration.messenger_server import CHAT, TOKEN, messenger_server
from tests.integration.walking import BTC, HOUR_MS, SYMBOL, TOP, Walk, walk
from web import documents

AGAIN = {SYMBOL: [jump(BTC), *quiet(TOP, 1), jump(TOP), *quiet(TOP * 1.01, 3)]}
"""A signal, and another two hours later."""

ONE = "version: 1\nsymbols: {BTCUSDT: {enabled: true}}\n"
SECRET = "a-token-that-nobody-guesses-7Q"
WRONG = "b-token-that-nobody-guesses-7Q"
NO_RIGHTS = {"ok": False, "error_code": 400, "description": "Bad Request: not enough rights to send text messages"}
NO_TEXT = {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities"}
FAILS_ONCE = """
import sys
from fsm.live.operator.reload import Reload
look = Reload.look
async def fails(self):
    Reload.look = look
    raise RuntimeError("a fault of ours")
Reload.look = fails
from fsm.cli.app import app
sys.argv[0] = "fsm"
app()
"""
"""The bot, with one fault put into it: the task that watches the files raises the first time that it looks."""


async def by_hand(walking: Walk, side: str, quantity: str, name: str) -> None:
    """An order of the user's own, in the app of the exchange."""
    order = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": quantity, "newClientOrderId": name}
    await walking.bot.simulation.act(action="order", params=order)


async def says(walking: Walk, *words: str, code: int = 0) -> str:
    """What a command prints that ends with this code."""
    found, text = await walking.type(*words)
    assert found == code, text
    return text


async def held(walking: Walk) -> tuple[str, bool]:
    """What the exchange itself shows: the quantity that is open, and whether a stop rests."""
    shown = await walking.bot.simulation.shown()
    return str(shown.held().get(SYMBOL, 0)), SYMBOL in shown.stops()


def is_in_trade(walking: Walk) -> bool:
    return walking.bot.records()[SYMBOL].trade is not None


# --- what config says after a close by hand ---------------------------------------------------
@pytest.mark.parametrize(
    ("after", "then", "why"),
    sampled(
        [
            ("rest", "No entries here before 2024-01-11 15:00 UTC.", "COOLDOWN until 2024-01-11 15:00 UTC"),
            ("quarantine", "No entries here until `resume BTCUSDT`.", "EXTERNAL_CLOSE"),
            ("continue", "USDT).", ""),
        ],
        often=1,
    ),
)
def test_r70_after_you_close_by_hand_the_symbol_does_what_config_says(
    tmp_path: Path, after: str, then: str, why: str
) -> None:
    """The bot entered again minutes after its user had closed."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await walking.bot.simulation.act(action="close", symbol=SYMBOL)
        await walking.bot.until(lambda: not is_in_trade(walking), "book the close")
        told = await walking.hears("LONG 0.064 is closed, 60612.2 to 60587.8", then)
        assert "because somebody else closed the position: -5.44 USDT net (-0.11 R, fees 3.88 USDT)." in told
        await walking.hour()
        await walking.hour()
        if not why:
            await walking.bot.until(lambda: walking.bot.records()[SYMBOL].state is State.PROTECTED, "enter again")
            return
        assert not is_in_trade(walking)
        assert why in await says(walking, "why", SYMBOL)
        resumed = await says(walking, "resume", SYMBOL)
        assert ("rests until 2024-01-11 15:00 UTC" in resumed) is (after == "rest"), "resume ends no rest, and says so"
        assert "quarantine EXTERNAL_CLOSE" not in await says(walking, "status")

    walk(tmp_path, story, hours=AGAIN, config=f"{ONE}protection: {{after_external_close: {after}}}\n")


# --- quarantine, and its ways out -------------------------------------------------------------
@pytest.mark.parametrize("cancel_stop", sampled([False, True], often=1))
@pytest.mark.slow
def test_r80_what_a_hand_added_is_told_kept_out_of_and_released(tmp_path: Path, cancel_stop: bool) -> None:
    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await by_hand(walking, "BUY", "0.020", "web_1")
        told = await walking.hears("is not this bot's", "a stop at 59940.0 covers it")
        assert "LONG 0.02 (about 1,2" in told
        assert await held(walking) == ("0.020", True)
        assert "FOREIGN_POSITION" in await says(walking, "resume", SYMBOL, code=3)
        assert "close it at the exchange" in await says(walking, "flatten", SYMBOL, code=3)
        assert "not this bot's" in await says(walking, "positions")
        assert "BTCUSDT LONG 0.02, not this bot's" in await says(walking, "status")
        await says(walking, "release", SYMBOL, *(["--cancel-stop"] if cancel_stop else []))
        await walking.hears("yours now", "is cancelled" if cancel_stop else "stays")
        assert "BTCUSDT LONG 0.02, yours by release" in await says(walking, "status")
        await says(walking, "resume", SYMBOL)
        await walking.hour()
        await walking.hour()
        assert await held(walking) == ("0.020", not cancel_stop)
        assert "RELEASED" in await says(walking, "why", SYMBOL)
        await by_hand(walking, "SELL", "0.020", "web_2")
        await walking.hears("what was open beside this bot is closed; the bot may enter again")
        assert await held(walking) == ("0", False)

    walk(tmp_path, story, hours=AGAIN, config=ONE)


def test_r80_a_position_that_a_hand_turned_is_told_to_have_no_stop_and_left_alone(tmp_path: Path) -> None:
    """The remainder stood there without a stop, and no alert said so."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await by_hand(walking, "SELL", "0.084", "web_1")
        told = await walking.hears("SHORT 0.02 (about 1,2", "is open that is not this bot's; NO STOP covers it")
        assert "`release BTCUSDT` leaves it to you" in told
        await walking.hears("BTCUSDT: LONG 0.064 is closed, 60612.2 to 60587.8, because somebody else closed")
        assert "0.064" in await says(walking, "trades")
        assert "BTCUSDT SHORT 0.02, not this bot's" in await says(walking, "status")
        assert "FOREIGN_POSITION" in await says(walking, "resume", SYMBOL, code=3)
        assert "close it at the exchange" in await says(walking, "flatten", code=3)
        await walking.hour()
        assert await held(walking) == ("-0.020", False)

    walk(tmp_path, story, hours=AGAIN, config=ONE)


@pytest.mark.parametrize("cancel_stop", sampled([False, True], often=1))
def test_a_position_of_the_bot_that_is_released_is_never_adopted_again(tmp_path: Path, cancel_stop: bool) -> None:
    async def story(walking: Walk) -> None:
        await walking.to_trade()
        await says(walking, "release", SYMBOL, *(["--cancel-stop"] if cancel_stop else []))
        rests = "NO STOP of ours rests" if cancel_stop else "its stop at 59940.0 stays"
        await walking.hears("LONG 0.064 (about 3,8", f"is yours now; {rests}.")
        await walking.stop()
        await walking.start()
        await walking.hears("The bot has started", "LONG 0.064 (about 3,8", "of BTCUSDT, yours by `release`")
        await walking.hour()
        await walking.hour()
        assert await held(walking) == ("0.064", not cancel_stop)
        assert not is_in_trade(walking)
        assert "RELEASED" in await says(walking, "why", SYMBOL)
        assert "close it at the exchange" in await says(walking, "flatten", SYMBOL, code=3)
        assert (await held(walking))[0] == "0.064"

    walk(tmp_path, story, hours=AGAIN, config=ONE)


# --- one supervisor ---------------------------------------------------------------------------
def test_r72_a_task_that_raises_comes_back_and_a_deleted_file_is_told(tmp_path: Path) -> None:
    """Hot edits were a bare future: one fault ended them for good, without a line."""

    async def story(walking: Walk) -> None:
        bot = walking.bot
        bot._command[1:3] = ["-c", FAILS_ONCE]
        assert bot._command[0] == sys.executable
        await walking.to_noon()
        await walking.hears("reload failed (RuntimeError: a fault of ours); the task starts again in 1 s")
        await walking.bot.until(lambda: "reload" in failed_tasks(walking), "leave word of it")
        told = r"task reload +failed once since the start \(RuntimeError: a fault of ours\); at work again"
        assert re.search(told, await says(walking, "status"))
        async with web(walking) as client:
            assert (await client.get("/api/health")).json()["task_failures"] == {"reload": 1}
            metrics = (await client.get("/metrics")).text
            assert 'fsm_task_failures{task="reload"} 1.0' in metrics
            assert "fsm_files_looked_age_seconds" in metrics
        walking.config.unlink()
        await walking.hears("config.yaml was not taken up, and what was accepted last stays in force", "No such file")

    walk(tmp_path, story, options=("--port", "0", "--log", "text"), environment={"DASHBOARD_TOKEN": SECRET})


def failed_tasks(walking: Walk) -> set[str]:
    found = queries.document(walking.bot.store, "health")
    tasks: dict[str, Any] = {} if found is None else msgspec.json.decode(found.body_json)["tasks"]
    return {name for name, task in tasks.items() if task["failures"] and task["is_working"]}


def web(walking: Walk, token: str = SECRET, **more: Any) -> httpx.AsyncClient:
    """The dashboard's API as the running bot printed its address."""
    found = re.findall(r"dashboard is at (http://\S+)", walking.bot.log.read_text())
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=found[-1], headers=headers, timeout=30, trust_env=False, **more)


# --- chat and records -------------------------------------------------------------------------
@pytest.mark.slow
def test_r69_what_somebody_can_mend_drops_no_alert_and_failures_are_counted(tmp_path: Path) -> None:
    """A 400 about rights threw the alert away for good; 86 failures left one row; two of three symbols had metrics."""
    with messenger_server() as chat:
        for method_answer in (NO_TEXT, NO_RIGHTS):
            chat.answer_once("sendMessage", 400, method_answer)

        async def story(walking: Walk) -> None:
            bot = walking.bot
            walking.fault(match={"path": "/fapi/v1/klines", "every": 1}, times=9, effect="internal_500")
            await walking.to_trade()
            await bot.until(lambda: "not enough rights" in tried(walking), "be refused for its rights")
            await bot.until(lambda: bool(documents.telegram(bot.store).undelivered), "leave word of it for readers")
            status = await says(walking, "status")
            assert "messages wait: BadRequest: Not enough rights" in status
            (row,) = [row for row in queries.alerts(bot.store) if row.text.startswith("BTCUSDT: LONG")]
            assert row.sent_ms is None, "it waits"
            await bot.until(
                lambda: any(
                    row.component == "telegram" and "rights" in row.error
                    for row in queries.errors(bot.store, limit=100)
                ),
                "write down that Telegram refused",
            )
            await bot.until(lambda: counted(walking) >= 2, "keep one row for calls that fail alike, with their count")
            async with web(walking) as client:
                metrics = (await client.get("/metrics")).text
            for symbol in ("BTCUSDT", "ETHUSDT"):
                assert f'fsm_symbol_quarantined{{symbol="{symbol}"}} 0.0' in metrics
            shown = await says(walking, "config", "show")
            assert re.search(r"environment.rest_url +http://127.0.0.1:\d+", shown)
            await walking.stop()
            await walking.start()
            await bot.until(lambda: any("BTCUSDT: LONG 0.064 at 60612.2" in text for text in chat.texts), "come")
            assert not any("The bot has started with BTCUSDT, ETHUSDT. Nothing is open." in text for text in chat.texts)

        given = {"TG_BOT_TOKEN": TOKEN, "TG_CHAT_ID": CHAT, "TG_BASE_URL": chat.url, "DASHBOARD_TOKEN": SECRET}
        walk(tmp_path, story, options=("--port", "0", "--log", "text"), environment=given)


def tried(walking: Walk) -> str:
    return " ".join(row.last_error or "" for row in queries.alerts(walking.bot.store)).lower()


def counted(walking: Walk) -> int:
    """The largest count that a row among the errors has for failed calls of the exchange."""
    rows = [row for row in queries.errors(walking.bot.store, limit=100) if row.component == "exchange"]
    return max(
        (int(count) for row in rows for count in re.findall(r'"count":(\d+)', row.details_json or "")), default=0
    )


# --- starting, and the token ------------------------------------------------------------------
def test_a_start_after_a_kill_in_mid_setup_waits_for_nothing(tmp_path: Path) -> None:
    """30 s for a setup that holds nothing."""

    async def story(walking: Walk) -> None:
        bot = walking.bot
        await walking.to_noon()
        calm_s = walking.start_s
        walking.fault(match={"path": "/fapi/v1/leverage"}, when="before", effect={"latency_ms": 60_000})
        walking.fault(match={"path": "/fapi/v1/marginType"}, when="before", effect={"latency_ms": 60_000})
        await bot.simulation.advance(HOUR_MS)
        await bot.until(lambda: SYMBOL in bot.records(), "have a signal")
        assert bot.records()[SYMBOL].state is State.SIGNALLED
        bot.kill()
        walking.mend()
        await walking.start()
        assert walking.start_s < calm_s + 20, "no longer than a start takes on this machine"
        assert not is_in_trade(walking)

    walk(tmp_path, story, config=ONE, hours=AGAIN)


def test_the_right_token_always_passes(tmp_path: Path) -> None:
    """Ten wrong ones locked `flatten` out."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        async with web(walking, WRONG) as guesser:
            codes = [(await guesser.post("/api/bot/flatten", json={})).status_code for _ in range(12)]
        assert codes == [401] * 10 + [429] * 2
        async with web(walking) as client:
            answer = await client.post("/api/bot/flatten", json={})
        assert answer.status_code == 202
        await walking.bot.until(lambda: not is_in_trade(walking), "close")

    walk(
        tmp_path,
        story,
        config=ONE,
        hours=AGAIN,
        options=("--port", "0", "--log", "text"),
        environment={"DASHBOARD_TOKEN": SECRET},
    )


# --- what a stop of the bot leaves ------------------------------------------------------------
def test_a_bot_that_is_stopped_says_what_stays_open_and_with_which_stop(tmp_path: Path) -> None:
    """Before, the last words were the number of trades, as if nothing was open."""

    async def story(walking: Walk) -> None:
        await walking.to_trade()
        (row,) = queries.positions(walking.bot.store)
        await walking.stop()
        last_words = walking.bot.log.read_text().rpartition("\nStopped\n")[2]
        stays = f"BTCUSDT {row.side} {row.size:f}, its stop at {row.stop_price:f} rests at the exchange"
        assert stays in last_words, last_words
        assert "Until the bot runs again only its stop and targets close it" in " ".join(last_words.split())
        _, resting = await held(walking)
        assert resting

    walk(tmp_path, story, options=("--no-web", "--log", "text"))
