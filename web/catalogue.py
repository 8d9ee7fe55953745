"""The closed catalogue of metrics; docs/metrics.md is drawn from it, docs/alert-rules.yml speaks of nothing else.

Every label has a closed or small set of values; none is ever a secret or an order.
"""

from __future__ import annotations

from typing import NamedTuple

STATES = ("IDLE", "SIGNALLED", "ENTERING", "PROTECTED", "EXITING", "FLATTEN", "HALT")


class Meter(NamedTuple):
    """One metric of the catalogue."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


CATALOGUE: dict[str, Meter] = {
    meter.name: meter
    for meter in (
        Meter("fsm_database_up", "gauge", "1 when the database could be read at this scrape."),
        Meter("fsm_info", "gauge", "Always 1; says whose database this is.", ("environment", "database_id")),
        Meter("fsm_daemon_running", "gauge", "1 while a process holds the writer's lock."),
        Meter("fsm_daemon_pulse_age_seconds", "gauge", "Real time since the daemon last wrote its pulse."),
        Meter(
            "fsm_loop_lag_seconds",
            "gauge",
            "The longest the daemon's event loop was late between its latest two pulses.",
        ),
        Meter(
            "fsm_clock_offset_seconds",
            "gauge",
            "How far the exchange's clock is ahead of this machine's. The bot goes by the exchange's; absent in `sim`.",
        ),
        Meter("fsm_clock_measured_age_seconds", "gauge", "Real time since the exchange's clock was last measured."),
        Meter("fsm_equity_age_seconds", "gauge", "Age of the equity that limits are judged by."),
        Meter("fsm_exchange_failures", "gauge", "Failed or refused calls of the exchange since the daemon started."),
        Meter(
            "fsm_task_failures",
            "gauge",
            "Failures of a task beside trading since the daemon started; it begins again after each.",
            ("task",),
        ),
        Meter(
            "fsm_output_lines_dropped",
            "gauge",
            "Lines that the daemon's terminal or log did not take since the daemon started.",
            ("stream",),
        ),
        Meter(
            "fsm_output_errors",
            "gauge",
            "Writes to the daemon's terminal or log that failed since the daemon started.",
            ("stream",),
        ),
        Meter("fsm_files_looked_age_seconds", "gauge", "Real time since both YAML files could be read last."),
        Meter("fsm_protection_late", "gauge", "Positions whose stop missed its deadline since the daemon started."),
        Meter("fsm_journal_time_seconds", "gauge", "Newest time in the journal, on the exchange's clock."),
        Meter("fsm_equity_usdt", "gauge", "Wallet balance and unrealised result."),
        Meter("fsm_balance_usdt", "gauge", "Wallet balance."),
        Meter("fsm_available_balance_usdt", "gauge", "Balance that is free for new positions."),
        Meter("fsm_equity_high_usdt", "gauge", "Highest equity, moved by transfers."),
        Meter("fsm_drawdown_ratio", "gauge", "Fall of equity from its highest, 0 to 1."),
        Meter("fsm_loss_budget_allowed_usdt", "gauge", "What a loss limit allows.", ("limit",)),
        Meter("fsm_loss_budget_used_usdt", "gauge", "What of a loss limit is used.", ("limit",)),
        Meter("fsm_account_halted", "gauge", "1 while the whole account may not enter because of a halt."),
        Meter("fsm_account_paused", "gauge", "1 while the operator has paused the whole account."),
        Meter("fsm_symbol_state", "gauge", "1 for the state a symbol's machine is in.", ("symbol", "state")),
        Meter("fsm_symbol_halted", "gauge", "1 while a symbol may not enter because of a halt.", ("symbol",)),
        Meter("fsm_symbol_quarantined", "gauge", "1 while something about a symbol is not understood.", ("symbol",)),
        Meter("fsm_symbol_paused", "gauge", "1 while the operator has paused a symbol.", ("symbol",)),
        Meter("fsm_open_positions", "gauge", "Positions that are open."),
        Meter("fsm_positions_without_stop", "gauge", "Open positions that have no confirmed stop."),
        Meter("fsm_position_upnl_usdt", "gauge", "Unrealised result of an open position.", ("symbol",)),
        Meter("fsm_stop_verified_age_seconds", "gauge", "Real time since a stop was last read back.", ("symbol",)),
        Meter("fsm_transitions", "counter", "Steps of the machines.", ("symbol", "trigger")),
        Meter("fsm_trades", "gauge", "Trades, by how they stand.", ("status",)),
        Meter(
            "fsm_protection_seconds", "histogram", "Exchange's time from first fill to confirmed stop, newest trades."
        ),
        Meter(
            "fsm_protection_real_seconds",
            "histogram",
            "Real time from first fill to confirmed stop since the daemon started.",
        ),
        Meter("fsm_intents_open", "gauge", "Intents whose outcome is not known yet.", ("status",)),
        Meter("fsm_alerts", "gauge", "Messages for the operator, by severity and delivery.", ("severity", "state")),
        Meter("fsm_alerts_failing", "gauge", "Messages that were tried and could not be delivered so far."),
        Meter("fsm_telegram_messages", "gauge", "Messages to and from Telegram since the daemon started.", ("event",)),
        Meter("fsm_http_requests", "counter", "Answers of this window.", ("method", "path", "status")),
        Meter("fsm_http_request_seconds", "histogram", "Time until an answer was ready.", ("path",)),
        Meter("fsm_http_listeners", "gauge", "Open streams of events."),
        Meter("fsm_http_login_failures", "counter", "Wrong tokens."),
    )
}


def document() -> str:
    """The catalogue as a page of documentation."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` answers in OpenMetrics or in Prometheus's text format, as asked, and needs the token"
        " like every read (`authorization: {credentials: …}` in a scrape job). Drawn from `web/catalogue.py` by"
        " `python -m web.reference`; alert rules that use them are in [alert-rules.yml](alert-rules.yml).",
        "",
        "| metric | kind | labels | meaning |",
        "|---|---|---|---|",
    ]
    for meter in CATALOGUE.values():
        name = f"{meter.name}_total" if meter.kind == "counter" else meter.name
        labels = ", ".join(f"`{label}`" for label in meter.labels) or "–"
        lines.append(f"| `{name}` | {meter.kind} | {labels} | {meter.meaning} |")
    return "\n".join(lines) + "\n"
