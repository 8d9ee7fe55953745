"""Once a day: is live trading what was planned? Where it is not, the operator is told, and a strategy may rest.

The answers come from commands that anybody can type (``execution``, ``drift``, ``compare --live``); nothing here
decides about a trade.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from fsm.core.candle_close import moment
from fsm.core.resting_strategies import rest
from fsm.live.context.live_context import LiveContext
from fsm.live.process.own_commands import Ask, NoAnswer
from store import queries

log = structlog.get_logger("fsm.live_results")

DAY_MS = 86_400_000
SETTLE_MS = 600_000
"""So long after midnight what the day brought is booked, on the exchange's clock."""

CHECK_S = 60.0
APART_S = 3_600.0
"""Where a simulation makes a day of minutes, it is asked no more often than once in an hour of this machine."""

CURSOR = "live_results"
KIND = "live_results"
VERDICTS = "live_verdicts"
"""The document in which the newest answers lie for the dashboard."""

DIFFERENCES_KEPT = 500
COMPARED_DAYS = 7
"""A trade may have begun days before it ends."""

HASTE_MAX = 1.0
"""On a faster clock prices move between a close and its decision as they never do in real time, which no backtest
repeats: there, trades are compared only when somebody asks."""

TOLD_MAX = 500
DRIFT = "DRIFT"

Say = Callable[..., None]
"""The daemon's: kind, text and, by name, the key of a message."""


class _Cursor(msgspec.Struct, frozen=True):
    """The first day that was not looked at, and what has been told, so that it is told once."""

    day_ms: int
    told: tuple[str, ...] = ()


class DailyLook:
    """Looks at each UTC day once it is over; of days that were missed, at the newest."""

    def __init__(self, live: LiveContext, say: Say, ask: Ask, started: asyncio.Event) -> None:
        self._live = live
        self._started = started
        self._say = say
        self._ask = ask
        self._asked_s: float | None = None
        self._cursor: _Cursor | None = None

    async def run(self) -> None:
        """Whatever keeps it from an answer is tried again with the next day."""
        await self._started.wait()
        self._known()
        if self._live.clock.speed != 1:  # a simulated day is minutes: not at once
            self._asked_s = self._live.clock.monotonic()
        while True:
            if self._is_due():
                await self.look()
            await self._live.clock.sleep(CHECK_S)

    def _is_due(self) -> bool:
        asked_s = self._asked_s
        if asked_s is not None and self._live.clock.monotonic() - asked_s < APART_S:
            return False
        return self._live.clock.now_ms() >= self._known().day_ms + DAY_MS + SETTLE_MS

    def _known(self) -> _Cursor:
        """What an earlier look left; the first one is of the day that the bot began in."""
        if self._cursor is None:
            found, now_ms = queries.document(self._live.journal.store, CURSOR), self._live.clock.now_ms()
            self._cursor = (
                _Cursor(now_ms - now_ms % DAY_MS)
                if found is None
                else msgspec.json.decode(found.body_json, type=_Cursor)
            )
            if found is None:
                self._live.journal.document(CURSOR, now_ms, self._cursor)
        return self._cursor

    async def look(self) -> None:
        """Ask everything once, write down what was found, and tell what is news."""
        now_ms = self._live.clock.now_ms()
        self._asked_s = self._live.clock.monotonic()
        found: dict[str, str] = {}
        answers: dict[str, Any] = {}
        asked = [(("execution",), _slipped), (("drift", "--kept-only"), self._drifted)]
        if self._live.clock.speed <= HASTE_MAX:
            asked.append((("compare", "--live", "--days", str(COMPARED_DAYS)), _unexplained))
        for args, read in asked:
            try:
                answers[args[0]] = await self._ask(args)
                found |= read(answers[args[0]])
            except NoAnswer as error:
                log.info("no_answer", reason="NO_ANSWER", about=args[0], error=str(error))
        self._tell(now_ms, found)
        self._live.journal.document(VERDICTS, now_ms, _verdicts(now_ms, answers))

    def _drifted(self, document: Mapping[str, Any]) -> dict[str, str]:
        settings, at_ms = self._live.active.settings.drift, self._live.clock.now_ms()
        told = {}
        for each in document["strategies"]:
            if each["standing"] != "DRIFTED":
                continue
            if settings.pause:
                rest(self._live.engine, at_ms, each["strategy"], DRIFT)
            rests = each["strategy"] in self._live.engine.account.resting
            told[f"drift {each['strategy']} {each['alarm']['trade_id']}"] = drift_news(each, rests=rests)
        return told

    def _tell(self, now_ms: int, found: Mapping[str, str]) -> None:
        day_ms = now_ms - now_ms % DAY_MS
        before = self._known()
        news = {key: text for key, text in found.items() if key not in before.told}
        for key, text in news.items():
            self._say(KIND, text, key=key)
        reason = "NOT_AS_PLANNED" if found else "AS_PLANNED"
        day = datetime.fromtimestamp((day_ms - DAY_MS) / 1000, tz=UTC).strftime("%Y-%m-%d")
        self._live.journal.note(now_ms, "LIVE_RESULTS", reason, day=day, found=list(found.values()))
        self._cursor = _Cursor(day_ms, (*before.told, *news)[-TOLD_MAX:])
        self._live.journal.document(CURSOR, now_ms, self._cursor)
        log.info("live_results", reason=reason, day=day, found=len(found), news=len(news))


def _verdicts(now_ms: int, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Of drift each strategy, of the comparison each trade that is not as in the backtest."""
    drift, compared = answers.get("drift"), answers.get("compare")
    told: dict[str, Any] = {"at_ms": now_ms, "drift": None if drift is None else drift["strategies"]}
    if compared is not None:
        differences = [
            {
                "symbol": each["symbol"],
                "signal_candle_ms": each["signal_candle_ms"],
                "kind": each["kind"],
                "source": each["cause"]["source"],
                "told": each["cause"]["told"],
            }
            for each in compared["differences"][-DIFFERENCES_KEPT:]
        ]
        told["compared"] = {"from_ms": compared["from_ms"], "to_ms": compared["to_ms"], "differences": differences}
    return told


def _slipped(document: Mapping[str, Any]) -> dict[str, str]:
    """Told anew where the mean has risen by another half of what is assumed."""
    report = document["report"]
    broken = [each for each in report["assumptions"] if not each["holds"]]
    return {
        f"slippage {each['at']} {int(2 * each['mean_bp'] // max(each['assumed_bp'], 0.5))}": f"{text}{SEE_EXECUTION}"
        for each, text in zip(broken, report["warnings"], strict=True)
    }


def _unexplained(document: Mapping[str, Any]) -> dict[str, str]:
    """Differences to a backtest of what the bot saw that nothing in its journal explains."""
    return {
        f"unexplained {each['symbol']} {each['signal_candle_ms']} {each['kind']}": unexplained_news(each)
        for each in document["differences"]
        if each["cause"]["source"] == "UNEXPLAINED"
    }


def unexplained_news(difference: Mapping[str, Any]) -> str:
    at = moment(difference["signal_candle_ms"])
    return (
        f"{difference['symbol']} {difference['side']} of {at} UTC is not as in a backtest of the bot's own candles, "
        f"rules and settings, and nothing explains it: {difference['cause']['told']}. `compare --live` shows it; "
        "report it with `bundle`."
    )


SEE_EXECUTION = " `execution` shows it order by order."


def drift_news(verdict: Mapping[str, Any], *, rests: bool) -> str:
    """A strategy that drifted, and what follows."""
    name = verdict["strategy"]
    then = (
        f"It rests until `resume --strategy {name}`; what is open of it stays managed."
        if rests
        else f"It goes on: `pause --strategy {name}` lets it rest."
    )
    return f"{verdict['words']} {then}"
