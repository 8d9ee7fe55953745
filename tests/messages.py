"""What the operator is told, kind by kind, made by the code itself; ``python -m tests.messages`` writes the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from exchange.types import AlgoStatus, Pause, Position, Side
from fsm.config import AlertLevel, alert_kinds
from fsm.config.settings import Settings, SymbolSettings
from fsm.core.limits import Budget
from fsm.core.model.intents import ClosePosition, PlaceStop
from fsm.core.model.policy import AfterExternalClose, LimitAction
from fsm.core.model.records import HaltCause
from fsm.live.context.symbol_catalog import SENTENCES
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.held_up import told_held_up
from fsm.live.operator.live_results import SEE_EXECUTION, drift_news, unexplained_news
from fsm.live.operator.news import (
    VERIFICATION_NEWS,
    blocked_at_start_news,
    books_differ_news,
    conflict_news,
    copy_news,
    ended_news,
    failures_news,
    fault_news,
    holding,
    hole_news,
    in_vain_news,
    left_news,
    limit_news,
    new_rules_news,
    new_settings_news,
    no_candles_news,
    not_ours_news,
    refused_file_news,
    started_news,
    stranger_news,
    unacknowledged_news,
    unreadable_news,
)
from fsm.live.operator.pictures import day_in_words
from fsm.live.operator.waiting_edits import Waiting
from fsm.live.process.timekeeping import SENTENCES as CLOCKS
from indicators.candle import Timeframe
from indicators.holes import Hole
from store.errors import JournalGone
from store.queries.execution_figures import SlippageAssumption, slippage_warning
from store.views import PnlSummary
from tests.unit.fsm.core.parts import FILTERS, SYMBOL, T0
from tests.unit.fsm.core.stage import Stage

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "messages.md"
SETTINGS = Settings(version=1, symbols={SYMBOL: SymbolSettings()}, alerts=dict.fromkeys(alert_kinds(), AlertLevel.ON))
CODE_WORD = re.compile(r"\b[A-Z]{2,}_[A-Z_]+\b(?!=)")
"""A word of the machine's, which means nothing to a trader."""

HEAD = """\
# Messages

Every kind of message with examples, made by the code itself (`python -m tests.messages`; a test compares). They go to
Telegram, to the dashboard and into the database (`alerts`); which kinds come, and with which sound, is said by the
section `alerts` of `config.yaml` ([telegram.md](telegram.md)). On mainnet each begins with `MAINNET`.
"""

Told = tuple[str, str, str]
"""Kind, when, and what is said."""


def page() -> str:
    parts = [HEAD]
    told = list(examples())
    for name, kind in alert_kinds().items():
        parts.append(f"\n## {name}\n\n{kind.description} Severity {kind.severity}; shipped `{kind.default}`.\n")
        parts += [f"\n{when}:\n\n> {text}\n" for which, when, text in told if which == name]
    return "".join(parts)


def examples() -> Iterator[Told]:
    yield from _of_trades()
    yield from _of_hands()
    yield from _of_protection()
    yield from _of_limits()
    yield from _of_the_exchange()
    yield from _of_the_account()


def told(stage: Stage, *, since: int = 0) -> Iterator[tuple[str, str]]:
    """Kind and text of every message that the rows of this stage are worth; the same incident once."""
    alerts = Alerts(lambda: SETTINGS, "run1", tick_of=lambda symbol: FILTERS.tick_size)
    seen = set()
    for number, (before, decision, event) in list(enumerate(stage.ledger.rows))[since:]:
        for row in alerts.of_transition(number, before, decision, event):
            if row.dedupe_key not in seen:
                seen.add(row.dedupe_key)
                yield row.kind, row.text


def _last(stage: Stage, kind: str, when: str, *, part: str = "") -> Told:
    found = [text for which, text in told(stage) if which == kind and part in text]
    assert found, (kind, part, list(told(stage)))
    return kind, when, found[-1]


def _of_trades() -> Iterator[Told]:
    stage = Stage().protected()
    yield _last(stage, "trade_opened", "A position is open and its stop confirmed")
    stage.exchange.trigger(stage.trade.stop.client_id)  # type: ignore[union-attr]
    stage.settle()
    yield _last(stage, "stop_hit", "The stop has ended it")
    yield _last(stage, "trade_closed", "A trade is over")
    stage = Stage().protected()
    stage.exchange.trigger(stage.trade.targets[0].client_id)
    stage.settle()
    yield _last(stage, "target_hit", "A target was hit")
    stage.command("flatten")
    stage.settle()
    yield _last(stage, "command", "You have typed `flatten`", part="is being closed")
    yield "command", "Commands waited for a start", left_news("pause all (1), flatten BTCUSDT (3)")


def _of_hands() -> Iterator[Told]:
    for after, when in (
        (AfterExternalClose.REST, "You have closed it by hand (`after_external_close: rest`)"),
        (AfterExternalClose.QUARANTINE, "The same with `after_external_close: quarantine`"),
    ):
        stage = Stage(after_external_close=after).protected()
        stage.exchange.by_hand(Side.SELL, "0.069")
        stage.settle()
        if after is AfterExternalClose.REST:
            yield _last(stage, "reconciliation_anomaly", "It is gone, and the bot has not closed it")
        yield _last(stage, "trade_closed", when)
    stage = Stage().protected()
    stage.exchange.by_hand(Side.BUY, "0.020")
    stage.settle()
    yield _last(stage, "quarantine", "You have added to it by hand", part="is not this bot's")
    stage.command("release")
    yield _last(stage, "command", "You have released what you added", part="yours now")
    stage.exchange.by_hand(Side.SELL, "0.020")
    stage.settle()
    yield _last(stage, "command", "What was open beside the bot is closed", part="beside this bot")
    stage = Stage().protected()
    stage.command("release")
    yield _last(stage, "command", "You have released a position of the bot", part="yours now")


def _of_protection() -> Iterator[Told]:
    stage = Stage()
    stage.fate = lambda intent: "lost" if isinstance(intent, PlaceStop) else "ok"
    stage.signal()
    stage.wait(6_000).deadline()
    yield _last(stage, "protection_late", "No stop could be placed in time")
    stage = Stage().protected()
    stage.exchange.end_algo(stage.trade.stop.client_id, AlgoStatus.CANCELED)  # type: ignore[union-attr]
    fates = ["-1008", "-1008"]
    stage.fate = lambda intent: fates.pop() if isinstance(intent, PlaceStop) and fates else "ok"
    for _ in range(30):
        stage.patient_look(500)
    yield _last(stage, "reconciliation_anomaly", "A stop has vanished", part="cancelled its stop")
    yield _last(stage, "reconciliation_anomaly", "It rests again", part="rests at the exchange again")
    stage.fate = lambda intent: "-2022" if isinstance(intent, ClosePosition) else "ok"
    stage.command("exit")
    for _ in range(8):
        stage.wait(250).look()
    yield _last(stage, "reconciliation_anomaly", "A close is refused", part="did not get through")
    pause = Pause(cause="429 (too many requests)", left_s=90.0, orders_only=False)
    naked = [replace(Stage().protected().trade, protected_ms=None)]
    yield "protection_late", "The exchange asks everybody to wait", told_held_up(naked, pause, T0)


def _of_limits() -> Iterator[Told]:
    def budget(cause: HaltCause) -> Budget:
        return Budget(
            cause=cause, period="x", allowed=Decimal(200), used_realized=Decimal("203.417"), used_equity=Decimal(12)
        )

    def limit(what: str, about: str, settings: Settings = SETTINGS) -> str:
        causes = [cause for cause in HaltCause if cause.value == about and about.startswith("LIMIT")]
        return limit_news(what, about, settings, [budget(cause) for cause in causes], T0 + 50_000_000)

    flatten = replace(SETTINGS, limits=replace(SETTINGS.limits, action=LimitAction.FLATTEN))
    yield "kill_switch", "A loss limit was hit", limit("hit", "LIMIT_DAY")
    yield "kill_switch", "The same with `limits.action: FLATTEN`", limit("hit", "LIMIT_WEEK", flatten)
    yield "kill_switch", "The drawdown limit was hit", limit("hit", "LIMIT_DRAWDOWN")
    yield "kill_switch", "Its period has ended", limit("ended", "LIMIT_DAY")
    yield "kill_switch", "It was hit by a transfer", limit("undone", "LIMIT_DAY")
    yield "kill_switch", "Equity cannot be read", limit("stale", "EQUITY_STALE")
    yield "kill_switch", "For so long that `FLATTEN` acts", limit("hit", "EQUITY_STALE", flatten)
    yield "kill_switch", "Money is gone, and nothing explains it yet", limit("doubt", "120.00 USDT")
    yield "kill_switch", "It is explained", limit("explained", "120.00 USDT")
    yield "kill_switch", "Nothing has explained it", limit("written off", "120.00 USDT")


def _of_the_exchange() -> Iterator[Told]:
    hole = Hole(timeframe=Timeframe.H1, first_ms=T0, count=3)
    yield "no_entries", "Candles are missing", hole_news(SYMBOL, hole, T0 + 24 * 3_600_000)
    words = (
        "trend_pullback no longer does what its backtest promised: 32 trades up to BTCUSDT-61 made -0.31 R each, "
        "+0.18 promised by 210. A strategy that has not changed is called so about once in 10 years."
    )
    drifted = {"strategy": "trend_pullback", "words": words}
    results = "live_results"
    yield results, "A strategy no longer does what its backtest promised", drift_news(drifted, rests=False)
    yield results, "The same with `drift.pause: true`", drift_news(drifted, rests=True)
    cause = {"told": "its fills paid 1.24 USDT of fees, its books say 2.48", "source": "UNEXPLAINED"}
    difference = {"symbol": SYMBOL, "side": "LONG", "signal_candle_ms": T0, "cause": cause}
    yield results, "A trade is not as it should be, and nothing explains it", unexplained_news(difference)
    slipped = SlippageAssumption(at="entry", assumed_bp=5, fills=42, mean_bp=9.31, at_least_bp=6.12, holds=False)
    yield results, "Fills are worse than sizing assumes", f"{slippage_warning(slipped)}{SEE_EXECUTION}"
    yield "no_entries", "Signals lead to nothing", in_vain_news(20, "NOTIONAL_MIN")
    anomaly = "reconciliation_anomaly"
    yield anomaly, "A symbol's candles are refused", no_candles_news(SYMBOL, ValueError("-1121: Invalid symbol."))
    yield anomaly, "A row cannot be read", unreadable_news(SYMBOL, "positionAmt is missing")
    position = Position(
        symbol="DOGEUSDT",
        quantity=Decimal(-1200),
        entry_price=Decimal("0.1"),
        mark_price=Decimal("0.1033"),
        unrealized_pnl=Decimal(0),
        liquidation_price=None,
        isolated_wallet=Decimal(0),
        update_time_ms=T0,
    )
    yield anomaly, "Something is open in a symbol that is not traded here", not_ours_news("DOGEUSDT", position)
    yield anomaly, "A second copy of the bot trades", copy_news(SYMBOL, "f0123abcd-000000-7-E")
    details = {"SYMBOL_NOT_TRADING": "SETTLING", "MARGIN_ASSET": "USDC"}
    for reason, sentence in SENTENCES.items():
        yield anomaly, f"`{reason}` blocks entries", f"{SYMBOL}: {sentence.format(detail=details.get(reason, ''))}"
    where = {"TIME_CORRECTED": "later", "CLOCK_WRONG": "behind", "SUSPENDED": "", "CLOCK_STEPPED": "forward"}
    for name, sentence in CLOCKS.items():
        yield anomaly, f"`{name}` of the clocks", sentence.format(span="2 min 5 s", where=where[name])


def _of_the_account() -> Iterator[Told]:
    first = "BTCUSDT: no entries until `resume BTCUSDT`, because of a fault of the bot. Nothing of ours is open in it."
    yield "escalation", "Nobody has acknowledged it", unacknowledged_news(2, first, 900_000)
    detail = "The account is in hedge mode, which is not supported."
    yield "reconciliation_anomaly", "Entries need something at the start", blocked_at_start_news(detail, [SYMBOL])
    yield "reconciliation_anomaly", "The journal was changed", VERIFICATION_NEWS
    stage = Stage().protected()
    yield "api_errors", "Calls fail", failures_news(5, "HTTP 503 on POST /fapi/v1/order")
    told = "BTCUSDT-7: -5.44 USDT here, -5.94 USDT there"
    yield "bookkeeping_mismatch", "A day's books differ", books_differ_news("2026-01-01", told)
    yield (
        "telegram",
        "Somebody else reads the bot's messages",
        conflict_news("Conflict: terminated by other getUpdates"),
    )
    yield "telegram", "Somebody else writes to it", stranger_news(700_099_999)
    fault = "RuntimeError: a fault of ours"
    yield "quarantine", "A task beside trading has failed", fault_news("reload", fault, None, 1.0)
    yield "quarantine", "A handler has failed", fault_news("market", fault, SYMBOL, None)
    rules = "rules_changed"
    yield rules, "A file was not taken up", refused_file_news("rules.yaml", "rules.yaml:7:3: there is no indicator rsj")
    yield rules, "New rules", new_rules_news("8dce9477", "01234567", ["threshold adx_trend: 25 → 27"])
    risk, port = "risk.risk_per_trade_pct 0.5 → 0.4", "web.port 8080 → 8081"
    yield rules, "New settings", new_settings_news(risk, port)
    looser = Waiting(file="config.yaml", digest="0a1b2c3d", changes=("risk.risk_per_trade_pct 0.5 → 1",), since_ms=T0)
    yield rules, "An edit that allows more", looser.told
    yield "lifecycle", "The bot has started", started_news(stage.engine, [SYMBOL])
    money = {"pnl": Decimal("14.3"), "fees": Decimal(2), "funding": Decimal(0), "net_pnl": Decimal("12.3")}
    won = PnlSummary(since_ms=T0, until_ms=T0, trades=3, wins=2, losses=1, days=(), **money)
    day = day_in_words(T0, won, Decimal("10012.3"), 1)
    yield "daily", "A day is over (in Telegram, below its picture)", day
    yield "heartbeat", "It lives", f"The bot is alive. {holding(stage.engine)}."
    gone = JournalGone("var/sim.sqlite was removed while the bot had it open", "restore it: docs/restoring.md")
    yield "lifecycle", "It has lost its journal, and has ended", ended_news(gone)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
