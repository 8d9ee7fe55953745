"""Tells what a running bot does: in prices and words on a terminal, as one JSON object a line for programs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import click
import msgspec

from fsm.cli import output
from fsm.cli.layout import folded
from fsm.core.model.intents import ClosePosition, PlaceEntry, PlaceStop, PlaceTarget
from fsm.core.model.transition_table import Trigger
from fsm.live.operator.alerts import RESULT_FOLLOWS
from fsm.live.operator.wording import because
from fsm.live.process.own_audit import HEAD_KEY

if TYPE_CHECKING:
    from fsm.core.model.decision import Step
    from fsm.live.context.observer import Close, News

_COLORS = {"warning": "yellow", "critical": "red"}
_SYMBOL_WIDTH = 10
_INDENT = " " * (len("00:00:00  ") + _SYMBOL_WIDTH + 2)
_CLEAR = "\r\x1b[K"
_IN_SHORT = {"NO_SETUP": "no setup", "NO_TRADE_REGIME": "regime not traded"}
"""Where one line has room for all symbols."""

_KEYS_REMEMBERED = 1_000


class Observing(Protocol):
    """What the command `run` needs of whoever tells of the bot."""

    def started(self, environment: str, address: str, database: str) -> None: ...
    def dashboard(self, address: str) -> None: ...
    def warned(self, text: str) -> None: ...
    def step(self, step: Step) -> None: ...
    def told(self, news: News) -> None: ...
    def closed(self, close: Close) -> None: ...
    def protected(self, symbol: str, took_ms: float) -> None: ...
    def ended(self) -> None: ...


class Teller:
    """One line for everything worth a look, and on a terminal one below it that says how things stand.

    ``mark`` stands before each line where mistakes cost real money.
    """

    def __init__(self, mark: str = "", *, width: int | None = None) -> None:
        self._mark = f"{click.style(mark, fg='white', bg='red', bold=True)} " if mark else ""
        self._width = (width or output.width()) - (len(mark) + 1 if mark else 0)
        self._is_live = output.is_terminal()
        self._latest_ms = 0
        self._date = ""
        self._status = ""
        self._seen: deque[str] = deque(maxlen=_KEYS_REMEMBERED)
        self._signals: dict[str, str] = {}
        self._stops: dict[str, Decimal] = {}
        self._result_follows: News | None = None
        self._stood = ""

    def started(self, environment: str, address: str, database: str) -> None:
        output.line(f"Trading on {environment} ({address}); the journal is {database}.")
        output.line("Ctrl-C ends the bot; positions keep their stops at the exchange.")

    def dashboard(self, address: str) -> None:
        self._above(f"The dashboard is at {address}")

    def warned(self, text: str) -> None:
        self._above(f"warning: {text}")

    def step(self, step: Step) -> None:
        """What no message tells: orders that leave, and stops that move."""
        self._latest_ms = step.at_ms
        if step.trigger is Trigger.SIGNAL:
            self._signals[step.symbol] = step.reason
        for told in dict.fromkeys(_of_step(step, self._signals.get(step.symbol), self._stops.get(step.symbol))):
            self._line(step.at_ms, step.symbol, told)
        for _, intent in step.intents:
            if isinstance(intent, PlaceStop) and intent.request.trigger_price is not None:
                self._stops[step.symbol] = intent.request.trigger_price

    def told(self, news: News) -> None:
        """A message to the operator; the same one again is not repeated, and that all is well is no news here, nor a
        hash that is kept elsewhere."""
        if news.kind == "heartbeat" or news.key.startswith(HEAD_KEY) or news.key in self._seen:
            return
        self._seen.append(news.key)
        self._latest_ms = news.at_ms
        if self._is_live and news.text.endswith(RESULT_FOLLOWS):
            self._say_what_is_awaited()
            self._result_follows, self._stood = news, self._status
            self._stand_with(f"{_time(news.at_ms):%H:%M:%S}  {news.text}")
            return
        awaited = self._result_follows
        if awaited is not None and (news.kind, news.symbol) == ("trade_closed", awaited.symbol):
            self._result_follows = None  # its line says all of it
            self._stand_with(self._stood)
        self._tell(news)

    def _tell(self, news: News) -> None:
        text = news.text.removeprefix(f"{news.symbol}: ").removeprefix(f"{news.symbol} ")
        self._line(news.at_ms, news.symbol or "", text, fg=_color(news))

    def closed(self, close: Close) -> None:
        """New regimes, candles that did not come, and the line that says how things stand."""
        self._latest_ms = close.at_ms
        for change in close.regimes:
            told = f"regime {change.before} → {change.after} (confidence {change.confidence:.2f})"
            self._line(close.at_ms, change.symbol, told, fg="magenta")
        for symbol in close.missing:
            self._line(close.at_ms, symbol, "its candle did not come: nothing is decided there", fg="yellow")
        self._stand(close)

    def protected(self, symbol: str, took_ms: float) -> None:
        told = f"stop confirmed at the exchange {took_ms:,.0f} ms after the fill was seen"
        self._line(self._latest_ms, symbol, told, fg="green")

    def ended(self) -> None:
        """Nothing more is told: what stands there stays."""
        self._say_what_is_awaited()
        if self._status:
            output.line()
            self._status = ""

    # --- writing ------------------------------------------------------------------------------
    def _say_what_is_awaited(self) -> None:
        """That a position was closed is a line of its own where its result does not come at once."""
        awaited, self._result_follows = self._result_follows, None
        if awaited is not None:
            self._stand_with(self._stood)
            self._tell(awaited)

    def _stand(self, close: Close) -> None:
        """How things stand after a close: on a terminal in the place of what stood there, elsewhere not at all."""
        if not self._is_live:
            return
        held = [symbol for symbol, verdict in close.verdicts.items() if verdict.outcome == "IN_TRADE"]
        idle = Counter(
            _IN_SHORT.get(verdict.reason) or because(verdict.reason)
            for verdict in close.verdicts.values()
            if verdict.outcome not in ("SIGNAL", "IN_TRADE")
        )
        parts = [f"in a trade: {', '.join(held)}" if held else "no trade is open"]
        parts += [f"{reason}: {count}" for reason, count in idle.most_common()]
        self._stand_with(f"{_time(close.at_ms):%Y-%m-%d %H:%M} UTC  {' · '.join(parts)}")

    def _stand_with(self, text: str) -> None:
        """In one line: what has no room is left away, part by part."""
        while len(text) >= self._width and " · " in text:
            text = f"{text.rpartition(' · ')[0]} …"
        self._status = text if len(text) < self._width else f"{text[: self._width - 2]}…"
        output.raw(f"{_CLEAR}{self._mark}{click.style(self._status, dim=True)}")

    def _line(self, at_ms: int, symbol: str, text: str, fg: str | None = None) -> None:
        self._say_what_is_awaited()
        when = _time(at_ms)
        if (date := f"{when:%Y-%m-%d}") != self._date:
            self._date = date
            self._above(click.style(f"{date} (UTC)", bold=True))
        first = f"{when:%H:%M:%S}  {symbol.ljust(_SYMBOL_WIDTH)}  "
        head, *rest = folded(text, self._width - len(first))
        self._above(f"{self._mark}{first}{click.style(head, fg=fg)}")
        for line in rest:
            indent = "" if len(_INDENT) + len(line) > self._width else _INDENT  # a hash stays whole, to be copied
            self._above(f"{self._mark}{indent}{click.style(line, fg=fg)}")

    def _above(self, text: str) -> None:
        """A line above the one that says how things stand."""
        output.verbatim(f"{_CLEAR if self._status else ''}{text}")
        if self._status:
            output.raw(f"{self._mark}{click.style(self._status, dim=True)}")


class JsonTeller:
    """One JSON object a line: `event`, `at_ms` by the exchange's clock where it has a time, and what it is about."""

    def __init__(self) -> None:
        self._latest_ms = 0

    def started(self, environment: str, address: str, database: str) -> None:
        _say("started", environment=environment, address=address, database=database)

    def dashboard(self, address: str) -> None:
        _say("dashboard", address=address)

    def warned(self, text: str) -> None:
        _say("warning", text=text)

    def step(self, step: Step) -> None:
        self._latest_ms = step.at_ms
        booked = step.booked
        result = {"net_pnl": booked.net_pnl, "r": booked.r} if booked is not None else {}
        _say(
            "transition",
            at_ms=step.at_ms,
            symbol=step.symbol,
            trade_id=step.trade_id,
            trigger=step.trigger.value,
            source=step.source.value,
            dest=step.dest.value,
            reason=step.reason,
            transition_id=step.transition_id,
            **result,
        )

    def told(self, news: News) -> None:
        _say("message", at_ms=news.at_ms, symbol=news.symbol, kind=news.kind, severity=news.severity, text=news.text)

    def closed(self, close: Close) -> None:
        self._latest_ms = close.at_ms
        verdicts = {name: {"outcome": found.outcome, "reason": found.reason} for name, found in close.verdicts.items()}
        _say("close", at_ms=close.at_ms, symbols=verdicts, missing=close.missing)
        for change in close.regimes:
            _say(
                "regime",
                at_ms=close.at_ms,
                symbol=change.symbol,
                before=change.before,
                after=change.after,
                confidence=change.confidence,
            )

    def protected(self, symbol: str, took_ms: float) -> None:
        _say("protected", at_ms=self._latest_ms, symbol=symbol, took_ms=round(took_ms, 3))

    def ended(self) -> None:
        pass


class Silent:
    """For `--json`, whose one document comes at the end."""

    def started(self, environment: str, address: str, database: str) -> None:
        pass

    def dashboard(self, address: str) -> None:
        pass

    def warned(self, text: str) -> None:
        pass

    def step(self, step: Step) -> None:
        pass

    def told(self, news: News) -> None:
        pass

    def closed(self, close: Close) -> None:
        pass

    def protected(self, symbol: str, took_ms: float) -> None:
        pass

    def ended(self) -> None:
        pass


def _say(event: str, **fields: Any) -> None:
    output.verbatim(msgspec.json.encode({"event": event, **fields}).decode())


def _of_step(step: Step, signal: str | None, stop: Decimal | None) -> Iterator[str]:
    """What a transition does that is no message; ``signal`` names the strategy and side whose conditions hold, and
    ``stop`` is where the stop was before."""
    match step.trigger:
        case Trigger.ENTER:
            for _, intent in step.intents:
                if isinstance(intent, PlaceEntry):
                    asked = intent.request
                    at = f"limit {_plain(asked.price)}" if asked.price is not None else "at the market"
                    why = f": all conditions of {signal} hold (`why {step.symbol}` lists them)" if signal else ""
                    yield f"sends {asked.side.value} {_plain(asked.quantity)} {at}{why}"
        case Trigger.DROP | Trigger.ABANDON:
            yield f"no position came of it: {because(step.reason)}"
        case Trigger.RESTOP:
            for _, intent in step.intents:
                if isinstance(intent, PlaceStop) and intent.request.trigger_price is not None:
                    yield f"its stop moves {_from(stop)}to {_plain(intent.request.trigger_price)}"
                elif isinstance(intent, PlaceTarget):
                    yield f"its target moves to {_plain(intent.request.trigger_price)}"
        case Trigger.REDUCE if step.reason == "REDUCE_ASKED":
            yield from (
                f"closes {_plain(intent.request.quantity)} of it by hand"
                for _, intent in step.intents
                if isinstance(intent, ClosePosition)
            )


def _from(price: Decimal | None) -> str:
    return "" if price is None else f"from {_plain(price)} "


def _plain(number: Decimal | None) -> str:
    return "" if number is None else f"{number:f}"


def _color(news: News) -> str | None:
    if news.kind == "trade_closed":
        return "red" if ": -" in news.text else "green"
    return _COLORS.get(news.severity)


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC)
