"""Commands from the operator's phone: who is obeyed, what is asked twice, what is too old, and who is told of trouble.

Telegram is a real server on loopback; time is told by the test.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fsm.config import AlertLevel, load_config
from fsm.journal.writer import JournalWriter
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.answers import HELP, Answers
from fsm.live.operator.chat import AGE_MS_MAX, CODE_S, OFFSET_MS_MAX, STRANGERS_S, Chat
from fsm.live.operator.messenger import Tally
from fsm.proofs.testkit.virtual_time import run_virtually
from fsm.proofs.torture.failing_messenger import FailingMessenger
from store import queries
from store.batch import Batch
from store.database import Store, open_store
from store.inbox import Inbox
from store.journal import Journal
from store.rows import AnchorRow, CandleRow
from tests.effort import sampled
from tests.integration.messenger_server import CHAT, STRANGER, MessengerServer, messenger_server
from tests.integration.test_telegram import NOW_MS, ToldClock, telegram
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
FROM_MS, TO_MS = 1_725_148_800_000, 1_730_419_200_000


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two months of one symbol."""
    return recorded(tmp_path_factory.mktemp("chat") / "sim.sqlite", from_ms=FROM_MS, to_ms=TO_MS)


class Phone:
    """The operator's phone, and the bot that listens: ``bot()`` makes a new one, as a restart does."""

    def __init__(self, server: MessengerServer, store: Store, reads: Path) -> None:
        self.server = server
        self.store = store
        self.reads = reads
        self.clock = ToldClock()
        self.tally = Tally()
        self.banner = ""
        self.level = "off"
        self.chat = self.bot()

    def bot(self) -> Chat:
        settings = load_config(ROOT / "config.yaml", None, {}).settings
        settings = replace(settings, alerts={**settings.alerts, "daily": AlertLevel(self.level)})
        alerts = Alerts(lambda: settings, "run1", self.banner)
        journal = JournalWriter(
            self.store,
            Journal(self.store, "run1"),
            rules_hash="",
            config_hash="",
            alerts_of=alerts.of_transition,
        )
        self.chat = Chat(
            messenger=telegram(self.server.url, self.clock),
            answers=Answers(self.reads, lambda: TO_MS),
            journal=journal,
            alerts=alerts,
            clock=self.clock,
            wall=self.clock,
            tally=self.tally,
            banner=self.banner,
        )
        return self.chat

    def say(self, text: str, **given: Any) -> str:
        """Write, let the bot listen once, and give what it answered."""
        self.server.now_s = self.clock.now_ms() // 1000
        before = len(self.server.texts)
        self.server.write(text, **given)
        self.listen()
        return "\n".join(self.server.texts[before:])

    def listen(self) -> float:
        return asyncio.run(self._once())

    async def _once(self) -> float:
        # Each call has a loop of its own, and a connection lives on one loop only.
        self.chat._messenger = telegram(self.server.url, self.clock)
        return await self.chat.round()

    @property
    def posted(self) -> list[tuple[str, str | None, str]]:
        return [(row.kind, row.symbol, row.source) for row in Inbox(self.store).recent()][::-1]

    @property
    def alerts(self) -> list[str]:
        return [row.text for row in queries.alerts(self.store)][::-1]

    @staticmethod
    def code(answer: str) -> str:
        found = re.search(r"/confirm (\d{4})", answer)
        assert found is not None, answer
        return found.group(1)


@pytest.fixture
def phone(tmp_path: Path, traded: Path) -> Iterator[Phone]:
    with messenger_server() as server, open_store(tmp_path / "x.sqlite", mode="write", at_ms=0) as store:
        yield Phone(server, store, traded)


@pytest.mark.parametrize("turns", range(12))
def test_a_bot_that_is_told_to_end_ends_whatever_it_is_about_to_answer(phone: Phone, turns: int) -> None:
    """The word comes at every step between a message and its answer."""

    async def ended() -> bool:
        phone.chat._messenger = messenger = FailingMessenger("", phone.clock.now_ms)
        task = asyncio.create_task(phone.chat.run())
        messenger.write("/pause")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=60)
        return task in done

    assert run_virtually(ended())


class TestByHand:
    """A part to close, a stop or target to move: said back with what is open, carried out with the code."""

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("/reduce btcusdt 25%", "reduce 25%"),
            ("/reduce BTCUSDT 0.01", "reduce 0.01"),
            ("/move_stop BTCUSDT 59000.5", "move-stop 59000.5"),
            ("/move-stop BTCUSDT 59000", "move-stop 59000"),
            ("/move_stop BTCUSDT 58000 looser the low of  the week", "move-stop 58000 looser: the low of the week"),
            ("/move_target BTCUSDT 72000", "move-target 72000"),
            ("/move_target BTCUSDT 72000 2", "move-target 72000 2"),
        ],
    )
    def test_is_posted_with_its_code(self, phone: Phone, text: str, line: str) -> None:
        answer = phone.say(text)
        assert answer.startswith(f"{line} of BTCUSDT ")
        assert "no position is open there" in answer
        assert phone.posted == []
        assert "was handed over" in phone.say(f"/confirm {phone.code(answer)}")
        assert phone.posted == [(line, "BTCUSDT", "telegram")]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("/reduce", "Write /reduce SYMBOL AMOUNT"),
            ("/reduce BTCUSDT", "Write /reduce SYMBOL AMOUNT"),
            ("/reduce BTCUSDT half", "'half' is no number above 0"),
            ("/reduce BTCUSDT 120%", "more than all of it"),
            ("/reduce BTCUSDT 5% now", "'now' is not understood"),
            ("/move_stop BTCUSDT 59000 please", "'please' is not understood"),
            ("/move_stop BTCUSDT 59000 looser", "a looser stop takes a reason"),
            ("/move_stop BTCUSDT -5", "'-5' is no number above 0"),
            ("/move_target BTCUSDT 59000 first", "'first' is not understood"),
            ("/move_target BTCUSDT 1e5", "'1e5' is no number above 0"),
        ],
    )
    def test_what_is_not_understood_is_said_and_nothing_is_asked(self, phone: Phone, text: str, words: str) -> None:
        answer = phone.say(text)
        assert words in answer
        assert "/confirm" not in answer
        assert phone.posted == []


class TestPictures:
    def test_a_chart_arrives_with_what_is_open_below_it(self, phone: Phone, tmp_path: Path) -> None:
        phone.reads = tmp_path / "candles.sqlite"
        with open_store(phone.reads, mode="write", at_ms=0) as store:
            rows = [
                CandleRow(
                    symbol="BTCUSDT", timeframe="1h", open_time_ms=FROM_MS + hour * 3_600_000, volume="1", **PRICES
                )
                for hour in range(30)
            ]
            anchors = [AnchorRow(symbol="BTCUSDT", timeframe="1h", first_ms=FROM_MS)]
            Journal(store, "run1").commit(Batch(candles=rows, anchors=anchors))
        phone.bot()
        assert phone.say("/chart btcusdt") == ""
        (arrived,) = phone.server.pictures
        assert arrived["caption"] == "BTCUSDT 60500, nothing is open there"
        assert arrived["chat_id"] == CHAT
        assert arrived["photo"].startswith(b"\x89PNG")

    def test_without_a_symbol_or_candles_that_is_said(self, phone: Phone) -> None:
        assert phone.say("/chart") == "/chart needs a symbol, one of BTCUSDT"
        assert phone.say("/chart NOPEUSDT") == "there are no candles of NOPEUSDT yet"
        assert phone.server.pictures == []

    @pytest.mark.parametrize(
        ("level", "arrive", "silent"), sampled([("on", 1, "False"), ("silent", 1, "True"), ("off", 0, "")], often=1)
    )
    def test_a_day_that_ends_is_shown_once(self, phone: Phone, level: str, arrive: int, silent: str) -> None:
        """The bot that starts in the middle of one says nothing of the day before; a restart does not repeat it."""
        phone.level = level
        phone.bot()
        phone.listen()
        assert phone.server.pictures == []
        phone.clock.passed_s += 86_400
        for _ in range(2):
            phone.listen()
        phone.bot()
        phone.listen()
        assert len(phone.server.pictures) == arrive
        for picture in phone.server.pictures:
            assert "USDT, " in picture["caption"]
            assert picture["disable_notification"] in (silent, silent.lower())

    def test_a_picture_that_is_not_taken_is_dropped_and_the_chat_goes_on(self, phone: Phone) -> None:
        phone.level = "on"
        phone.bot()
        phone.listen()
        phone.clock.passed_s += 86_400
        phone.server.answer_once("sendPhoto", 429, {"ok": False, "error_code": 429, "parameters": {"retry_after": 5}})
        phone.listen()
        assert phone.tally.failures == 1
        phone.clock.passed_s += 10
        assert "equity" in phone.say("/status")


PRICES = {"open": "60000", "high": "60800", "low": "59500", "close": "60500"}


class TestQuestions:
    def test_help_names_every_command_that_is_understood(self, phone: Phone) -> None:
        assert phone.say("/help") == HELP
        assert phone.say("/start") == HELP
        for name in re.findall(r"(?m)^/(\w+)", HELP):
            assert "there is no" not in phone.say(f"/{name}"), name

    def test_status_says_how_the_account_stands(self, phone: Phone) -> None:
        answer = phone.say("/status@the_bot")
        assert answer.startswith("backtest, 2024-11-01 00:00 UTC\nequity ")
        assert "no position is open" in answer

    def test_why_says_the_reason(self, phone: Phone) -> None:
        assert re.match(r"BTCUSDT: [A-Z_]+, \S+\n.+\nat the close of 2024-10-31 \d\d:00 UTC", phone.say("/why btcusdt"))
        assert phone.say("/why") == "/why needs a symbol, one of BTCUSDT"
        assert phone.say("/why NOPEUSDT").startswith("nothing was decided about NOPEUSDT")

    def test_profit_and_daily_and_trades_agree_with_the_database(self, phone: Phone, traded: Path) -> None:
        with open_store(traded, mode="read") as store:
            everything = queries.pnl(store, since_ms=0, until_ms=TO_MS + 1)
            newest = queries.trades(store, limit=1)[0]
        assert f"all: {everything.net_pnl:+,.2f} USDT, {everything.trades} trades" in phone.say("/profit")
        days = phone.say("/daily 60").splitlines()
        assert len(days) == 60
        total = sum(float(line.split()[1].replace(",", "")) for line in days)
        assert total == pytest.approx(float(everything.net_pnl), abs=0.5)
        first = phone.say("/trades 3").splitlines()[0]
        assert f"{newest.symbol} {newest.side} {newest.strategy_used}: {newest.net_pnl:+,.2f} USDT" in first

    def test_regime_and_limits(self, phone: Phone) -> None:
        assert re.match(r"BTCUSDT [A-Z_]+ \(\d\.\d\d\): ", phone.say("/regime"))
        assert phone.say("/limits") == "the bot has not said yet", "a backtest leaves no documents"

    @pytest.mark.parametrize("text", ["/trades x", "/trades 0", "/daily 61", "/daily ٣", "/trades 9999999999999999"])
    def test_a_number_that_is_none_is_refused(self, text: str, phone: Phone) -> None:
        assert "a number from 1 to" in phone.say(text)

    def test_what_is_no_command_is_let_pass(self, phone: Phone) -> None:
        assert phone.say("good morning") == ""
        assert phone.say("/dance <b>now</b>") == "there is no /dance; /help lists what there is"

    def test_real_money_is_marked_in_every_answer(self, phone: Phone) -> None:
        phone.banner = "MAINNET "
        phone.bot()
        for text in ("/status", "/help", "/dance", "/flatten", "/confirm 1", "/trades x"):
            assert phone.say(text).startswith("MAINNET "), text

    def test_a_database_that_cannot_be_read_is_an_answer_too(self, phone: Phone, tmp_path: Path) -> None:
        phone.reads = tmp_path / "none.sqlite"
        phone.bot()
        assert "/status could not be answered" in phone.say("/status")


class TestWishes:
    def test_pause_and_resume_go_through_the_inbox(self, phone: Phone) -> None:
        assert phone.say("/pause") == "", "what came of it is told by an alert, once it has"
        assert phone.say("/resume btcusdt") == ""
        assert phone.posted == [("pause", None, "telegram"), ("resume", "BTCUSDT", "telegram")]

    @pytest.mark.parametrize("kind", ["flatten", "halt", "release"])
    def test_what_is_dangerous_needs_a_code(self, kind: str, phone: Phone) -> None:
        asked = phone.say(f"/{kind} BTCUSDT")
        assert phone.posted == []
        assert "was handed over" in phone.say(f"/confirm {phone.code(asked)}")
        assert phone.posted == [(kind, "BTCUSDT", "telegram")]

    def test_what_is_released_is_named(self, phone: Phone) -> None:
        """A position is handed over, never all of them; messages say `release SYMBOL`, and here it can be typed."""
        assert "/release SYMBOL" in phone.say("/release")
        asked = phone.say("/release btcusdt")
        assert "release of BTCUSDT leaves the position to you" in asked
        assert "its stop stays" in asked
        assert phone.posted == []

    def test_a_code_holds_once(self, phone: Phone) -> None:
        code = phone.code(phone.say("/flatten"))
        phone.say(f"/confirm {code}")
        assert "nothing to confirm" in phone.say(f"/confirm {code}")
        assert len(phone.posted) == 1

    def test_a_code_expires(self, phone: Phone) -> None:
        code = phone.code(phone.say("/flatten"))
        phone.clock.passed_s += CODE_S + 1
        assert "nothing to confirm" in phone.say(f"/confirm {code}")
        assert phone.posted == []

    def test_guessing_ends_after_three_tries(self, phone: Phone) -> None:
        code = phone.code(phone.say("/flatten"))
        wrong = f"{(int(code) + 1) % 10_000:04d}"
        for text in ("/confirm", f"/confirm {wrong}", f"/confirm {wrong}"):
            phone.say(text)
        assert "nothing to confirm" in phone.say(f"/confirm {code}")
        assert phone.posted == []

    def test_a_newer_wish_takes_the_place_of_an_older_one(self, phone: Phone) -> None:
        first = phone.code(phone.say("/flatten"))
        second = phone.code(phone.say("/halt ETHUSDT"))
        if first != second:
            phone.say(f"/confirm {first}")
            assert phone.posted == []
        phone.say(f"/confirm {second}")
        assert phone.posted == [("halt", "ETHUSDT", "telegram")]

    def test_a_code_does_not_survive_a_restart(self, phone: Phone) -> None:
        code = phone.code(phone.say("/flatten"))
        phone.bot()
        assert "nothing to confirm" in phone.say(f"/confirm {code}")


class TestOldMessages:
    def test_what_was_written_long_ago_is_not_carried_out_and_says_so(self, phone: Phone) -> None:
        long_ago_s = phone.clock.now_ms() // 1000 - AGE_MS_MAX // 1000 - 60
        answer = phone.say("/pause", sent_s=long_ago_s)
        assert answer == "/pause was ignored: it was sent 6 minutes ago. Send it again."
        assert phone.posted == []

    def test_a_restart_between_hearing_and_confirming_does_not_do_it_twice(self, phone: Phone) -> None:
        phone.say("/pause")
        assert phone.server.updates, "Telegram still holds it: the bot died before it asked for newer ones"
        phone.bot()
        phone.listen()
        assert phone.posted == [("pause", None, "telegram")]
        assert phone.server.updates == []

    def test_a_number_that_is_older_than_telegrams_memory_is_forgotten(self, phone: Phone) -> None:
        phone.say("/pause")
        phone.listen()
        phone.clock.passed_s += OFFSET_MS_MAX / 1000 + 1
        phone.bot()
        phone.server._numbers = 10
        phone.say("/resume")
        assert [kind for kind, _, _ in phone.posted] == ["pause", "resume"]


class TestStrangers:
    def test_another_chat_is_ignored_and_told_once_an_hour(self, phone: Phone) -> None:
        for text in ("/flatten", "/status", "/pause"):
            assert phone.say(text, chat=STRANGER) == ""
        assert phone.posted == []
        assert phone.alerts == [
            f"A message of another chat ({STRANGER}) was ignored. If that is you, set TG_CHAT_ID to it."
        ]
        phone.clock.passed_s += STRANGERS_S
        phone.say("/pause", chat=STRANGER)
        assert len(phone.alerts) == 2
        assert phone.tally.strangers == 4

    def test_a_stranger_cannot_confirm(self, phone: Phone) -> None:
        code = phone.code(phone.say("/flatten"))
        phone.say(f"/confirm {code}", chat=STRANGER)
        assert phone.posted == []

    def test_what_has_no_chat_or_no_text_is_passed_over(self, phone: Phone) -> None:
        phone.server.updates.append({"update_id": 9_000})
        phone.listen()
        assert phone.say("/pause") == ""
        assert phone.posted == []  # 5001 is below 9000: an older number is an older message


class TestDeafness:
    def test_a_second_reader_is_told_on_the_other_channels_and_waited_out(self, phone: Phone) -> None:
        """R51: 409 means that another program reads this bot's messages."""
        conflict = {"ok": False, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"}
        for _ in range(3):
            phone.server.answer_once("getUpdates", 409, conflict)
        pauses = [phone.listen() for _ in range(3)]
        assert min(pauses) >= 60
        (told,) = phone.alerts
        assert "Commands are not heard: another program reads this bot's messages" in told
        (error,) = queries.errors(phone.store)
        assert error.component == "telegram"
        assert phone.tally.conflicts == 3
        phone.say("/pause")
        assert phone.posted, "it goes on when the other one is gone"
        phone.clock.passed_s += 3_600
        phone.server.answer_once("getUpdates", 409, conflict)
        phone.listen()
        assert len(phone.alerts) == 2, "a new conflict is told anew"

    def test_a_429_is_given_the_time_it_asks_for(self, phone: Phone) -> None:
        body = {"ok": False, "error_code": 429, "description": "slow", "parameters": {"retry_after": 77}}
        phone.server.answer_once("getUpdates", 429, body)
        assert phone.listen() == 77

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, "<html>login</html>"),
            (200, "[]"),
            (200, "null"),
            (200, '{"ok": true, "result": 7}'),
            (200, '{"ok": true, "result": [7]}'),
            (200, '{"ok": true, "result": [{"update_id": 1, "message": {"text": "/flatten"}}]}'),
            (500, ""),
            (502, "<html>"),
            (401, '{"ok": false, "description": "Unauthorized"}'),
        ],
    )
    def test_answers_that_make_no_sense_are_failures_and_no_end(self, status: int, body: object, phone: Phone) -> None:
        phone.server.answer_once("getUpdates", status, body)
        assert phone.listen() >= 2
        assert phone.tally.failures == 1
        phone.say("/pause")
        assert phone.posted == [("pause", None, "telegram")]

    def test_a_message_that_can_never_be_read_is_stepped_over(self, phone: Phone) -> None:
        phone.say("/pause")
        number = phone.server.write("/flatten")
        phone.server.updates = [{"update_id": number, "message": {"text": "no chat, no date"}}]
        for _ in range(8):
            phone.listen()
        phone.say("/resume")
        assert [kind for kind, _, _ in phone.posted] == ["pause", "resume"]

    def test_an_answer_that_cannot_be_sent_is_counted_and_no_more(self, phone: Phone) -> None:
        phone.server.answer_once("sendMessage", 500, "")
        assert phone.say("/status") == ""
        assert phone.tally.failures == 1
        assert phone.say("/status")

    def test_the_tally_is_left_for_the_metrics(self, phone: Phone) -> None:
        phone.say("/status")
        row = queries.document(phone.store, "telegram")
        assert row is not None
        assert '"commands":1' in row.body_json
        assert f'"wall_ms":{NOW_MS}' in row.body_json


class TestOnce:
    """R82: the server delivered a message again, three to eighteen times."""

    def again(self, phone: Phone, **changed: int) -> None:
        """The server delivers the first message once more, whatever was confirmed."""
        self.first = getattr(self, "first", None) or phone.server.updates[-1]
        phone.server.answer_once("getUpdates", 200, {"ok": True, "result": [{**self.first, **changed}]})
        phone.listen()

    def test_r82_a_message_that_is_delivered_again_is_carried_out_once(self, phone: Phone) -> None:
        phone.say("/pause")
        for _ in range(3):
            self.again(phone)
        assert phone.posted == [("pause", None, "telegram")]

    def test_r82_nor_under_another_number_and_after_a_restart(self, phone: Phone) -> None:
        phone.say("/pause")
        for number in (1, 6_000, 7_000):
            self.again(phone, update_id=number)
        phone.bot()
        self.again(phone, update_id=8_000)
        assert phone.posted == [("pause", None, "telegram")]

    def test_r82_the_remembered_number_never_goes_back(self, phone: Phone) -> None:
        phone.say("/pause")
        self.again(phone, update_id=1)
        phone.listen()
        assert int(phone.server.asked[-1]["offset"]) > 5_000
        phone.say("/resume")
        assert phone.posted == [("pause", None, "telegram"), ("resume", None, "telegram")]
