"""Takes the operator's messages: answers questions, hands wishes to the inbox, asks twice before it closes anything.

Only messages of the configured chat count. What was written long ago is not carried out: after a restart, or an hour
without network, an old /flatten would come as a surprise. What became of a wish is told by an alert once it has.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import msgspec
import structlog

from fsm.config import AlertLevel
from fsm.journal.writer import JournalWriter
from fsm.live.context.clock import Clock
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.answers import HELP, Answers, Unanswerable
from fsm.live.operator.messenger import Message, Messenger, NotDelivered, NotHeard, Tally
from fsm.live.operator.news import conflict_news, stranger_news
from fsm.live.operator.pictures import NothingToDraw, Picture
from store import queries
from store.errors import StoreError
from store.hand_wishes import HAND_KINDS, hand_wish
from store.inbox import Inbox

log = structlog.get_logger("fsm.chat")

DOCUMENT = "telegram"
WISHES = ("pause", "resume", "flatten", "halt", "release", "ack")
CONFIRMED_WISHES = {
    "flatten": "closes at the market, and halts",
    "halt": "stops entries, and halts once flat",
    "release": "leaves the position to you: its stop stays, and the bot does nothing there until it is flat",
    "reduce": "closes so much at the market, once; the rest keeps its stop",
    "move-stop": "moves its stop there: the new one rests before the old one goes",
    "move-target": "moves that target; the stop stays",
}
"""What each means, as it is asked back."""

HAND_SHAPES = {
    "reduce": "Write /reduce SYMBOL AMOUNT, with a quantity or a share: 25%",
    "move-stop": "Write /move_stop SYMBOL PRICE, and to move it away from safety also: looser, and why",
    "move-target": "Write /move_target SYMBOL PRICE, and the target's number where there are several",
}

DAY_MS = 86_400_000
CODE_S = 60.0
CODE_TRIES = 3
AGE_MS_MAX = 300_000
"""Older messages are not carried out. Telegram keeps what a bot has not fetched for a day."""

MESSAGES_KEPT = 200
"""Messages whose own ids are remembered; a server that repeats older ones has numbers that are older as well."""

RETRY_S = (2, 5, 15, 30, 60)
CONFLICT_S = 60.0
POLL_S = 0.2
STRANGERS_S = 3_600.0
ANSWER_S_MAX = 20.0
OFFSET_MS_MAX = 5 * 86_400_000
"""After a week without messages Telegram numbers them anew: an older number of ours means nothing (Update, 2026-11)."""


class _Left(msgspec.Struct, frozen=True):
    """What this bot left in the database for its next start."""

    heard: int | None = None
    wall_ms: int = 0
    messages: tuple[tuple[int, int], ...] = ()
    day: int | None = None


@dataclass(slots=True)
class _Asked:
    """A wish that waits for its code."""

    kind: str
    symbol: str | None
    code: str
    until_s: float
    tries: int = CODE_TRIES


def _key(message: Message) -> tuple[int, int] | None:
    return None if message.message_id is None else (message.message_id, message.sent_ms)


class Chat:
    """Nothing here waits for trading, and trading never waits for it.

    ``clock`` is the exchange's, ``wall`` that of this machine.
    """

    def __init__(
        self,
        *,
        messenger: Messenger,
        answers: Answers,
        journal: JournalWriter,
        alerts: Alerts,
        clock: Clock,
        wall: Clock,
        tally: Tally,
        banner: str = "",
    ) -> None:
        self._messenger = messenger
        self._answers = answers
        self._journal = journal
        self._alerts = alerts
        self._clock = clock
        self._wall = wall
        self._tally = tally
        self._banner = banner
        self._inbox = Inbox(journal.store)
        self._heard, self._heard_ms = self._left()
        self._asked: _Asked | None = None
        self._failures_in_row = 0
        self._in_conflict = False
        self._strangers_told_s = float("-inf")

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            await self._wall.sleep(await self.round())

    async def round(self) -> float:
        """Fetch and take what was written; gives the seconds until the next time."""
        try:
            pause_s = await self._listen()
            await self._tell_day()
            self._remember()
        except StoreError as error:
            log.warning("chat_failed", reason="STORE", error=str(error))
            return RETRY_S[-1]
        except Exception:
            # Whatever it is, it must not end the bot: this is only about messages.
            self._tally.failures += 1
            log.exception("chat_failed", reason="UNEXPECTED")
            return RETRY_S[-1]
        return pause_s

    async def _listen(self) -> float:
        try:
            messages = await self._messenger.hear(self._after())
        except NotHeard as error:
            return self._deaf(error)
        self._failures_in_row, self._in_conflict = 0, False
        for message in messages:
            if self._is_repeated(message):
                log.warning("chat_repeated", reason="REPEATED", number=message.number, message_id=message.message_id)
                continue
            self._hear_no_more(message.number, message)
            await self._take(message)
        return POLL_S

    # --- what was heard -----------------------------------------------------------------------
    def _left(self) -> tuple[int | None, int]:
        row = queries.document(self._journal.store, DOCUMENT)
        try:
            found = msgspec.json.decode(row.body_json, type=_Left) if row else _Left()
        except msgspec.DecodeError:
            found = _Left()
        self._messages = deque(found.messages, MESSAGES_KEPT)
        self._day = found.day
        return found.heard, found.wall_ms

    def _after(self) -> int | None:
        return self._heard if self._wall.now_ms() - self._heard_ms <= OFFSET_MS_MAX else None

    def _is_repeated(self, message: Message) -> bool:
        """What was taken once is not taken again: not under its number, nor under another one (R82)."""
        known = self._after()
        return (known is not None and message.number <= known) or _key(message) in self._messages

    def _hear_no_more(self, number: int, message: Message | None = None) -> None:
        """Written down before anything is done about the message: a crash between must not do it twice."""
        self._heard, self._heard_ms = number, self._wall.now_ms()
        if message is not None and (key := _key(message)) is not None:
            self._messages.append(key)
        self._remember()

    def _remember(self) -> None:
        left = {"heard": self._heard, "wall_ms": self._heard_ms, "messages": list(self._messages), "day": self._day}
        body = {**left, **asdict(self._tally)}
        self._journal.document(DOCUMENT, self._clock.now_ms(), body)

    def _deaf(self, error: NotHeard) -> float:
        """Nothing can be heard: say so where it can be read, and be patient."""
        self._tally.failures += 1
        pause_s: float = max(error.retry_after_s, RETRY_S[min(self._failures_in_row, len(RETRY_S) - 1)])
        self._failures_in_row += 1
        if error.conflict:
            self._tally.conflicts += 1
            self._tell_conflict(str(error))
            pause_s = max(pause_s, CONFLICT_S)
        elif error.unreadable and self._after() is not None and self._failures_in_row > len(RETRY_S):
            assert self._heard is not None
            self._hear_no_more(self._heard + 1)
        log.warning("chat_deaf", reason="CONFLICT" if error.conflict else "TELEGRAM", error=str(error), retry_s=pause_s)
        return pause_s

    def _tell_conflict(self, error: str) -> None:
        if self._in_conflict:
            return
        self._in_conflict = True
        self._journal.error(self._clock.now_ms(), DOCUMENT, error)
        self._alarm(conflict_news(error), "conflict")

    def _alarm(self, text: str, key: str) -> None:
        at_ms = self._clock.now_ms()
        row = self._alerts.row(at_ms, "telegram", text, key=f"{key} {self._wall.now_ms()}")
        self._journal.alert(*([row] if row else []))

    # --- what is done about it ----------------------------------------------------------------
    async def _take(self, message: Message) -> None:
        if not message.is_ours:
            self._stranger(message)
            return
        words = message.text.split()
        if not words or not words[0].startswith("/"):
            return
        command = words[0][1:].partition("@")[0].lower()
        self._tally.commands += 1
        log.info("chat_command", reason="CHAT", command=command[:20])
        age_ms = self._wall.now_ms() - message.sent_ms
        if age_ms > AGE_MS_MAX:
            await self._say(f"/{command[:20]} was ignored: it was sent {age_ms // 60_000} minutes ago. Send it again.")
            return
        try:
            if command == "chart":
                await self._show(await self._drawn(self._answers.chart, tuple(words[1:])))
                return
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._answer(command, tuple(words[1:]))
        except Unanswerable as error:
            answer = str(error)
        except (StoreError, TimeoutError) as error:
            log.warning("chat_unanswered", reason=type(error).__name__, command=command[:20], error=str(error))
            answer = f"/{command[:20]} could not be answered: {str(error) or 'it took too long'}"
        if answer:
            await self._say(answer)

    async def _drawn(self, draw: Callable[..., Picture], *given: object) -> Picture:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await asyncio.to_thread(draw, *given)

    async def _tell_day(self) -> None:
        """The exchange's day is over: a picture of how it went, if config wants one. It is not worth keeping."""
        day, level = self._clock.now_ms() // DAY_MS, self._alerts.level("daily")
        before, self._day = self._day, day
        if level is AlertLevel.OFF or before is None or before >= day:
            return
        try:
            await self._show(await self._drawn(self._answers.day), silent=level is not AlertLevel.ON)
        except (NothingToDraw, StoreError, TimeoutError) as error:
            log.warning("chat_no_picture", reason=type(error).__name__, error=str(error))

    async def _answer(self, command: str, words: tuple[str, ...]) -> str:
        if self._answers.knows(command):
            return await asyncio.to_thread(self._answers.answer, command, words)
        if command in ("help", "start"):
            return HELP
        if command == "confirm":
            return self._confirm(words)
        if command.replace("_", "-") in HAND_KINDS:
            return await self._ask_by_hand(command.replace("_", "-"), words)
        if command not in WISHES:
            raise Unanswerable(f"there is no /{command[:20]}; /help lists what there is")
        symbol = words[0].upper()[:24] if words else None
        if command == "release" and symbol is None:
            raise Unanswerable("which one? Write /release SYMBOL")
        if command in CONFIRMED_WISHES:
            return await self._ask_again(command, symbol)
        self._inbox.post(command, symbol, "telegram", self._clock.wall_ms())
        return ""

    async def _ask_again(self, kind: str, symbol: str | None) -> str:
        at_stake = await asyncio.to_thread(self._answers.at_stake, symbol)
        code = f"{secrets.randbelow(10_000):04d}"
        self._asked = _Asked(kind, symbol, code, self._wall.monotonic() + CODE_S)
        meaning = CONFIRMED_WISHES[kind.partition(" ")[0]]
        what = f"{kind} of {symbol or 'all symbols'} {meaning}"
        return f"{what}:\n{at_stake}\n/confirm {code}  within {CODE_S:.0f} s"

    async def _ask_by_hand(self, kind: str, words: tuple[str, ...]) -> str:
        """A part to close, or a stop or target to move: said back with what is open."""
        said, more = words[:2], words[2:]
        if len(said) < 2:
            raise Unanswerable(f"how much, or where to? {HAND_SHAPES[kind]}")
        number, looser, why = None, False, ""
        if kind == "move-stop" and more:
            looser, why = more[0].lower() == "looser", " ".join(more[1:])
        elif kind == "move-target" and len(more) == 1 and more[0].isascii() and more[0].isdigit():
            number = int(more[0][:4])
        if more and number is None and not looser:
            raise Unanswerable(f"{' '.join(more)[:40]!r} is not understood. {HAND_SHAPES[kind]}")
        try:
            line = hand_wish(kind, said[1][:44], number=number, looser=looser, why=why).words()
        except ValueError as error:
            raise Unanswerable(str(error)) from error
        return await self._ask_again(line, said[0].upper()[:24])

    def _confirm(self, words: tuple[str, ...]) -> str:
        asked = self._asked
        if asked is None or self._wall.monotonic() > asked.until_s:
            self._asked = None
            return f"there is nothing to confirm; a code holds for {CODE_S:.0f} s and once"
        if not words or not secrets.compare_digest(words[0].encode(), asked.code.encode()):
            asked.tries -= 1
            if asked.tries <= 0:
                self._asked = None
                return f"that was not the code; {asked.kind} was dropped"
            return f"that is not the code; {asked.tries} more tries"
        self._asked = None
        self._inbox.post(asked.kind, asked.symbol, "telegram", self._clock.wall_ms())
        return f"{asked.kind} of {asked.symbol or 'all symbols'} was handed over; what comes of it follows"

    def _stranger(self, message: Message) -> None:
        """Ignored, and told at most once an hour."""
        self._tally.strangers += 1
        log.warning("chat_stranger", reason="STRANGER", chat=message.chat_id)
        if self._wall.monotonic() - self._strangers_told_s < STRANGERS_S:
            return
        self._strangers_told_s = self._wall.monotonic()
        self._alarm(stranger_news(message.chat_id), "stranger")

    async def _say(self, text: str) -> None:
        """An answer is not worth keeping: who asked can ask again."""
        await self._sent(self._messenger.send(f"{self._banner}{text}", silent=False))

    async def _show(self, picture: Picture, *, silent: bool = False) -> None:
        await self._sent(self._messenger.show(picture.png, f"{self._banner}{picture.caption}", silent=silent))

    async def _sent(self, sending: Awaitable[object]) -> None:
        try:
            await sending
        except NotDelivered as error:
            self._tally.failures += 1
            log.warning("chat_unanswered", reason="TELEGRAM", error=str(error))
        else:
            self._tally.sent += 1
