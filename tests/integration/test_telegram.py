"""The bot and the operator's phone: alerts that arrive, commands that are obeyed, and everything Telegram can do to us.

Telegram is a real server on loopback; time is told by the test, so that an hour without network takes no time.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.secrets import Secret
from exchange.sim.playback.symbols import shipped_brackets, shipped_filters
from fsm.config import AlertLevel, Secrets, Settings, load_config
from fsm.live.context.active_settings import ActiveSettings
from fsm.live.context.clock import MachineClock
from fsm.live.operator.accepted import Accepted
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.delivery import Delivery
from fsm.live.operator.messenger import TEXT_MAX, NotDelivered, Tally, fitted
from fsm.live.operator.telegram import Telegram
from rules.load import load_rules
from store import queries
from store.alerts import AlertBox
from store.database import Store, open_store
from store.rows import AlertRow
from tests.integration.messenger_server import CHAT, TOKEN, MessengerServer, messenger_server

ROOT = Path(__file__).parents[2]
API_SECRET = "the-secret-of-the-exchange-123"
SECRETS = Secrets(tg_bot_token=Secret(TOKEN), tg_chat_id=Secret(CHAT), api_secret=Secret(API_SECRET))
NOW_MS = 1_764_000_000_000
MINUTE_S = 60.0


class ToldClock(MachineClock):
    """The clock of this machine as the test tells it; to wait is to move it on."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now_ms(self) -> int:
        return NOW_MS + int(self.passed_s * 1000)

    def wall_ms(self) -> int:
        return self.now_ms()

    def monotonic(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds
        await asyncio.sleep(0)


@pytest.fixture
def server() -> Iterator[MessengerServer]:
    with messenger_server() as running:
        running.now_s = NOW_MS // 1000
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "x.sqlite", mode="write", at_ms=0) as opened:
        yield opened


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@cache
def in_force() -> ActiveSettings:
    config, rules = load_config(ROOT / "config.yaml", None, {}), load_rules(ROOT / "rules.yaml")
    return ActiveSettings(
        database_id="5eed0001",
        settings=config.settings,
        rules=rules,
        accepted=Accepted(text=config.text, settings=config.settings, rules=rules),
        filters=shipped_filters(),
        brackets=shipped_brackets(),
    )


def telegram(url: str, clock: ToldClock, *, token: str = TOKEN, chat: str = CHAT) -> Telegram:
    return Telegram(url, token=Secret(token), chat=Secret(chat), secrets=SECRETS, clock=clock)


TOO_LONG = "Bad Request: message is too long"


def alert(number: int = 1, *, kind: str = "kill_switch", text: str = "LIMIT_DAY was hit") -> AlertRow:
    return AlertRow(at_ms=NOW_MS, kind=kind, severity="critical", text=text, dedupe_key=f"{kind} {number}", due_ms=0)


def rounds(store: Store, url: str, clock: ToldClock, *, for_s: float = 1.0, tally: Tally | None = None) -> float:
    """Let the outbox be emptied for so long; gives the pause that it asked for last."""

    async def go() -> float:
        messenger = telegram(url, clock)
        delivery = Delivery(AlertBox(store), messenger, in_force(), clock, tally or Tally())
        until_s, pause_s = clock.passed_s + for_s, 0.0
        while clock.passed_s < until_s:
            pause_s = await delivery.round()
            await clock.sleep(pause_s)
        await messenger.aclose()
        return pause_s

    return asyncio.run(go())


class TestDelivery:
    """R51: late, retried, survived, each once."""

    def test_a_message_is_delivered_once_and_as_plain_text(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        """R51: each once."""
        AlertBox(store).add(alert(text="BTCUSDT <b>1 & 2</b> > 0"))
        AlertBox(store).add(alert(text="BTCUSDT <b>1 & 2</b> > 0"))
        rounds(store, server.url, clock, for_s=10)
        (sent,) = server.sent
        assert sent["chat_id"] == CHAT
        assert sent["text"] == "BTCUSDT <b>1 & 2</b> > 0 (2 times)"
        assert "parse_mode" not in sent, "nothing in a message is markup, so nothing needs to be escaped"
        assert sent["disable_notification"] == "false"
        assert queries.alerts(store)[0].state == "SENT"

    def test_one_incident_is_one_message_that_is_edited_while_it_goes_on(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        box, tally = AlertBox(store), Tally()

        async def go() -> None:
            messenger = telegram(server.url, clock)
            delivery = Delivery(box, messenger, in_force(), clock, tally)

            async def seconds(count: int) -> None:
                for _ in range(count):
                    await clock.sleep(await delivery.round())

            box.add(alert(text="BTCUSDT: its stop is missing"))
            await seconds(2)
            (sent,) = server.sent
            number = str(sent["message_id_given"])
            for _ in range(3):
                box.add(alert(text="BTCUSDT: its stop is missing"))
            await seconds(60)
            (edit,) = server.edits
            assert (edit["message_id"], edit["chat_id"]) == (number, CHAT)
            assert edit["text"].startswith("BTCUSDT: its stop is missing (4 times, last 16:0")
            box.add(alert(2, text="BTCUSDT: its stop is still missing, and it got worse"))
            await seconds(2)
            assert server.texts[1:] == ["BTCUSDT: its stop is still missing, and it got worse"]

            box.add(alert())
            server.answer_once(
                "editMessageText", 429, {"ok": False, "error_code": 429, "parameters": {"retry_after": 7}}
            )
            await seconds(60)
            assert [each["text"].partition(",")[0] for each in server.edits][1:] == [
                "BTCUSDT: its stop is missing (5 times"
            ]
            box.add(alert())
            gone = {"ok": False, "error_code": 400, "description": "Bad Request: message to edit not found"}
            server.answer_once("editMessageText", 400, gone)
            await seconds(60)
            box.add(alert())
            await seconds(60)
            assert len(server.edits) == 2, "what was deleted in the chat is not asked for again"
            assert len(server.sent) == 2
            await messenger.aclose()

        asyncio.run(go())

    def test_what_config_calls_silent_makes_no_sound(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        AlertBox(store).add(alert(kind="lifecycle"))
        rounds(store, server.url, clock)
        assert server.sent[0]["disable_notification"] == "true"

    def test_an_outage_of_an_hour_loses_nothing_and_keeps_the_order(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        """R51: messages wait through an outage, and come in order."""
        server.down = True
        tally = Tally()
        for minute in range(0, 60, 4):
            AlertBox(store).add(alert(minute, text=f"message {minute:02d}"))
            rounds(store, server.url, clock, for_s=4 * MINUTE_S, tally=tally)
        assert server.sent == []
        tries = len(server.asked)
        assert 60 <= tries <= 200, "it does not hammer, and it does not forget"
        assert tally.failures == tries
        server.down = False
        rounds(store, server.url, clock, for_s=5 * MINUTE_S)
        told = re.findall(r"message (\d\d)", "\n".join(server.texts))
        assert told == [f"{minute:02d}" for minute in range(0, 60, 4)]
        assert len(server.sent) < 5, "what has waited comes together"
        assert "UTC  message 00" in server.texts[0], "with its time"
        assert {row.state for row in queries.alerts(store)} == {"SENT"}

    def test_a_connection_that_is_refused_is_an_outage_too(self, store: Store, clock: ToldClock) -> None:
        AlertBox(store).add(alert())
        rounds(store, "http://127.0.0.1:9", clock, for_s=MINUTE_S)
        (row,) = queries.alerts(store)
        assert row.state == "PENDING"
        assert row.attempts >= 2
        assert TOKEN not in (row.last_error or "")

    def test_a_429_is_given_the_time_it_asks_for(self, store: Store, server: MessengerServer, clock: ToldClock) -> None:
        slow_down = {"ok": False, "error_code": 429, "description": "slow", "parameters": {"retry_after": 30}}
        server.answer_once("sendMessage", 429, slow_down)
        AlertBox(store).add(alert(1))
        AlertBox(store).add(alert(2))
        assert rounds(store, server.url, clock, for_s=0.5) == 30
        assert len(server.asked) == 1, "the message behind waits too"
        rounds(store, server.url, clock, for_s=31)
        assert len(server.sent) == 2

    def test_what_telegram_will_never_take_is_dropped_and_the_next_one_comes(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        server.answer_once("sendMessage", 400, {"ok": False, "error_code": 400, "description": TOO_LONG})
        AlertBox(store).add(alert(1, text="first"))
        AlertBox(store).add(alert(2, text="second"))
        rounds(store, server.url, clock)
        assert server.texts == ["second"]
        assert [row.state for row in queries.alerts(store)] == ["SENT", "DROPPED"]

    def test_a_bundle_that_is_not_taken_is_tried_one_by_one(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        for number in range(8):
            AlertBox(store).add(alert(number, text=f"message {number}"))
        for _ in range(2):  # the bundle, and the first one of it
            server.answer_once("sendMessage", 400, {"ok": False, "error_code": 400, "description": TOO_LONG})
        rounds(store, server.url, clock, for_s=10)
        assert [row.state for row in queries.alerts(store)][::-1] == ["DROPPED"] + ["SENT"] * 7

    @pytest.mark.parametrize(
        "description",
        [
            "Bad Request: not enough rights to send text messages to the chat",
            "Bad Request: message thread not found",
            "Bad Request: TOPIC_CLOSED",
            "Bad Request: have no rights to send a message",
            "Bad Request: group chat was deactivated",
            "Bad Request: something nobody has heard of",
        ],
    )
    def test_what_somebody_can_mend_is_waited_for_and_counted(
        self, store: Store, server: MessengerServer, clock: ToldClock, description: str
    ) -> None:
        """R69: only faults of the text itself are final; the others dropped every alert for good."""
        server.answer_once("sendMessage", 400, {"ok": False, "error_code": 400, "description": description})
        AlertBox(store).add(alert(1, text="first"))
        rounds(store, server.url, clock, for_s=5)
        (row,) = queries.alerts(store)
        assert (row.state, row.attempts) == ("PENDING", 1)
        rounds(store, server.url, clock, for_s=1_000)
        assert server.texts[0].endswith("first")

    def test_a_wrong_chat_is_waited_for_and_not_thrown_away(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        not_found = {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}
        server.answer_once("sendMessage", 400, not_found)
        AlertBox(store).add(alert())
        assert rounds(store, server.url, clock, for_s=0.5) >= 600
        assert queries.alerts(store)[0].state == "PENDING"

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, "<html>login</html>"),
            (200, "[]"),
            (200, "null"),
            (200, '{"ok": true}'),
            (200, '{"ok": true, "result": 7}'),
            (500, ""),
            (503, "{"),
            (302, ""),
            (429, "{}"),
            (403, {"ok": False, "description": "blocked by the user"}),
        ],
    )
    def test_an_answer_that_makes_no_sense_is_a_failure_like_any_other(
        self, status: int, body: object, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        server.answer_once("sendMessage", status, body)
        AlertBox(store).add(alert())
        rounds(store, server.url, clock, for_s=1000)
        assert queries.alerts(store)[0].state == "SENT"

    def test_a_long_message_is_cut_where_telegram_counts(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        AlertBox(store).add(alert(text="€🚀" * 5_000))
        rounds(store, server.url, clock)
        (text,) = server.texts
        assert text.endswith("…")
        assert TEXT_MAX - 2 <= len(text.encode("utf-16-le")) // 2 <= TEXT_MAX

    def test_what_fits_is_left_alone(self) -> None:
        assert fitted("x" * TEXT_MAX) == "x" * TEXT_MAX
        assert fitted("🚀" * (TEXT_MAX // 2)) == "🚀" * (TEXT_MAX // 2)

    def test_no_secret_is_ever_sent_or_told(self, store: Store, server: MessengerServer, clock: ToldClock) -> None:
        AlertBox(store).add(alert(text=f"the exchange said {API_SECRET}, and {TOKEN}"))
        rounds(store, server.url, clock)
        assert server.texts == ["the exchange said ***, and ***"]
        server.answer_once("sendMessage", 403, {"ok": False, "description": f"bot {TOKEN} was blocked"})

        async def send() -> None:
            await telegram(server.url, clock).send("x", silent=False)

        with pytest.raises(NotDelivered) as raised:
            asyncio.run(send())
        assert TOKEN not in str(raised.value)

    def test_no_log_of_any_library_shows_the_token(
        self, store: Store, server: MessengerServer, clock: ToldClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        AlertBox(store).add(alert())
        with caplog.at_level(logging.DEBUG):
            rounds(store, server.url, clock)
        assert {record.name.partition(".")[0] for record in caplog.records} >= {"httpx", "httpcore"}
        assert f"{server.url}/bot***/sendMessage" in caplog.text
        assert TOKEN not in caplog.text

    def test_what_is_older_than_three_days_is_not_sent_when_telegram_is_set_up(
        self, store: Store, server: MessengerServer, clock: ToldClock
    ) -> None:
        AlertBox(store).add(replace(alert(1), at_ms=NOW_MS - 1))
        AlertBox(store).add(alert(2, text="new"))
        AlertBox(store).expire(NOW_MS, "old")
        rounds(store, server.url, clock)
        assert server.texts == ["new"]
        assert [row.last_error for row in queries.alerts(store)] == [None, "old"]


class TestLevels:
    @staticmethod
    def alerts_with(level: AlertLevel, banner: str = "") -> Alerts:
        settings: Settings = load_config(ROOT / "config.yaml", None, {}).settings
        changed = replace(settings, alerts={**settings.alerts, "command": level})
        return Alerts(lambda: changed, "run", banner)

    def test_off_keeps_a_kind_out_of_the_outbox_unless_somebody_waits_for_it(self) -> None:
        alerts = self.alerts_with(AlertLevel.OFF)
        assert alerts.row(1, "command", "pause: done", key="1") is None
        assert alerts.row(1, "command", "pause: done", key="1", asked=True) is not None

    def test_real_money_is_marked_in_every_message(self) -> None:
        row = self.alerts_with(AlertLevel.ON, "MAINNET ").row(1, "command", "pause: done", key="1")
        assert row is not None
        assert row.text == "MAINNET pause: done"
