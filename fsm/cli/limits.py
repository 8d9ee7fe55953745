"""Says how much may still be lost and opened: each budget with what is used and left, and what stops entries now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsm.cli import output
from fsm.cli.inputs import read_config
from fsm.cli.options import Options, command, current
from fsm.cli.times import shown

if TYPE_CHECKING:
    from store.database import Store

_BARS_FROM = 100
"""Columns of a terminal that has room for bars beside the numbers."""

TITLES = {
    "LIMIT_DAY": "loss of the day",
    "LIMIT_WEEK": "loss of the week",
    "LIMIT_MONTH": "loss of the month",
    "LIMIT_DRAWDOWN": "drawdown",
    "open_positions": "open positions",
    "open_risk": "open risk",
    "exposure": "exposure",
    "correlated_risk": "risk together",
    "same_direction_risk": "risk of one direction",
}
_CAPS = ("open_positions", "open_risk", "correlated_risk", "same_direction_risk", "exposure")
_PERCENT = {
    "LIMIT_DAY": ("limits", "daily_loss_pct"),
    "LIMIT_WEEK": ("limits", "weekly_loss_pct"),
    "LIMIT_MONTH": ("limits", "monthly_loss_pct"),
    "LIMIT_DRAWDOWN": ("limits", "drawdown_pct"),
    "open_risk": ("risk", "max_open_risk_pct"),
    "correlated_risk": ("risk", "max_correlated_risk_pct"),
    "same_direction_risk": ("risk", "max_same_direction_risk_pct"),
    "exposure": ("risk", "max_exposure_pct"),
}
_ACTIONS = {
    "BLOCK_ENTRIES": "no new entries; open positions go on with their stops (BLOCK_ENTRIES)",
    "FLATTEN": "no new entries, and every position is closed at once (FLATTEN)",
}


@command()
def limits() -> None:
    """Say how much may still be lost and opened. Each budget, used and left; and what stops entries now."""
    options = current()
    path = options.database_path()
    found = _configured(options) if options.db is None and not path.exists() else stored(path)
    if options.json:
        output.document(found)
    else:
        _print(found)


def stored(path: Path) -> dict[str, Any]:
    """As the bot of this database last wrote it; without a bot's own word only the account is known."""
    import msgspec

    from store import queries
    from store.database import open_store
    from store.lock import holder

    with open_store(path, mode="read") as store:
        document, equity = queries.document(store, "limits"), queries.latest_equity(store)
        identity, account = store.identity, _account(store)
    body = {} if document is None else msgspec.json.decode(document.body_json)
    budgets = [_budget(loss["name"], loss, loss["period"]) for loss in body.get("losses", ())]
    budgets += [_budget(name, body[name], "now") for name in _CAPS if name in body]
    return {
        "database": str(path),
        "environment": identity.environment if identity else None,
        "daemon_running": holder(path) is not None,
        "at_ms": document.at_ms if document else None,
        "equity": Decimal(body["equity"]) if "equity" in body else (equity.equity if equity else None),
        "budgets": budgets,
        "fast_fall": _fast_fall(budgets),
        "together": body.get("together"),
        "action": body.get("action"),
        "unexplained": body.get("unexplained"),
        **account,
    }


def _account(store: Store) -> dict[str, Any]:
    import msgspec

    from store import queries

    row = queries.account(store)
    record = {} if row is None else msgspec.json.decode(row.record_json)
    return {
        "halt": record.get("halt"),
        "breach": record.get("breach"),
        "paused": bool(record.get("paused")),
        "resting": record.get("resting", {}),
        "route": record.get("route"),
    }


def route_in_words(doubt: Mapping[str, Any]) -> str:
    """Why a position that got no stop holds entries up, and until when (R60)."""
    waits = {
        "": "until a test while flat shows that stops can be placed",
        "ROUTE_WORKS": "one of the smallest size at a time, until a stop is confirmed",
        "PROVED": "allowed since a test, halted if the next position gets none either",
    }
    since = shown(doubt["since_ms"])
    return (
        f"{doubt['symbol']} got no stop at {since} UTC ({doubt['reason']}): {waits.get(doubt['proof'], doubt['proof'])}"
    )


def _budget(name: str, given: Mapping[str, Any], period: str) -> dict[str, Any]:
    allowed, used = Decimal(str(given["allowed"])), Decimal(str(given["used"]))
    return {
        "name": name,
        "period": period,
        "unit": "count" if name == "open_positions" else "USDT",
        "allowed": allowed,
        "used": used,
        "left": allowed - used,
        "used_pct": round(float(used / allowed * 100), 2) if allowed > 0 else None,
        "exceeded": used > 0 and used >= allowed and name not in _CAPS,
    }


def _fast_fall(budgets: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the stops that rest now would lose if all were hit in a fast fall, and what as many as allowed would."""
    risk = next((each for each in budgets if each["name"] == "open_risk"), None)
    if risk is None:
        return None
    from fsm.config.unusual import FALL_R

    lost, most = risk["used"] * FALL_R, risk["allowed"] * FALL_R
    return {"r": FALL_R, "unit": "USDT", "lost": lost, "lost_at_most": most}


def _configured(options: Options) -> dict[str, Any]:
    """Before the first start: what config.yaml allows, in percent of an equity that nobody has read yet."""
    from fsm.config.unusual import FALL_R, fall_loss_pct

    config = read_config(options, needs_keys=False)
    sections = {"limits": config.settings.limits, "risk": config.settings.risk}
    budgets = [
        {"name": name, "period": None, "unit": "% of equity", "allowed": getattr(sections[section], key), "used": None}
        for name, (section, key) in _PERCENT.items()
        if getattr(sections[section], key) is not None
    ]
    most = config.settings.risk.max_open_positions
    budgets.insert(4, {"name": "open_positions", "period": None, "unit": "count", "allowed": most, "used": None})
    return {
        "database": None,
        "environment": config.environment.name.value,
        "daemon_running": False,
        "at_ms": None,
        "equity": None,
        "budgets": [{**budget, "left": None, "used_pct": None, "exceeded": False} for budget in budgets],
        "fast_fall": {"r": FALL_R, "unit": "% of equity", "lost": None, "lost_at_most": fall_loss_pct(config.settings)},
        "together": None,
        "action": config.settings.limits.action.value,
        "unexplained": None,
        "halt": None,
        "breach": None,
        "paused": False,
        "resting": {},
        "route": None,
    }


def _print(found: Mapping[str, Any]) -> None:
    output.banner(found["environment"])
    output.pairs(_lines(found))
    if not found["budgets"]:
        output.line()
        output.line("No bot has counted with this database yet: it writes its limits when `run` has started.")
        return
    output.line()
    rows = [
        (
            TITLES[row["name"]],
            row["period"],
            _amount(row["allowed"]),
            _amount(row["used"]),
            _amount(row["left"]),
            row["unit"],
            _bar(row),
        )
        for row in found["budgets"]
    ]
    numbers = ("allowed", "used", "left")
    output.table(("budget", "period", *numbers, "in", "share used"), rows, right=numbers)


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    if found["database"] is None:
        yield "database", f"none yet: no bot has run on {found['environment']}; this is what config.yaml allows"
    else:
        state = "a bot is running" if found["daemon_running"] else "no bot is running"
        told = f", as of {shown(found['at_ms'])} UTC" if found["at_ms"] is not None else ""
        yield "database", f"{found['database']} ({found['environment'] or 'no environment yet'}, {state}{told})"
    if found["equity"] is not None:
        yield "equity", f"{found['equity']:,.2f} USDT"
    if (fall := found["fast_fall"]) is not None:
        now = "" if fall["lost"] is None else f"{fall['lost']:,.2f} now, "
        yield (
            "all stops in a fast fall",
            f"{now}{fall['lost_at_most']:,.2f} {fall['unit']} at most ({fall['r']} R each)",
        )
    yield from _together(found["together"])
    if found["action"] is not None:
        yield "when a loss limit is hit", _ACTIONS.get(found["action"], found["action"])
    yield "entries", "; ".join(_obstacles(found)) or "allowed"


def _together(found: Mapping[str, Any] | None) -> Iterator[tuple[str, object]]:
    """How far positions are risks of their own."""
    if found is None:
        return
    if found["correlation"] is not None:
        most, alone = found["positions_max"], Decimal(found["independent_max"])
        told = f"{most} positions in one direction are {alone:.2f} independent ones"
        yield "hourly returns", f"correlate at {Decimal(found['correlation']):.2f}: {told}"
    if found["positions"] > 1:
        risk, alone = Decimal(found["risk"]), Decimal(found["independent"])
        yield (
            "open now",
            f"{found['positions']} positions, {alone:.2f} independent ones; together they risk {risk:,.2f} USDT",
        )


def _obstacles(found: Mapping[str, Any]) -> Iterator[str]:
    """What stops entries of the whole account, and how it ends."""
    halt, breach = found["halt"], found["breach"]
    if halt is not None:
        yield f"halted for {halt['cause']} since {shown(halt['since_ms'])} UTC, until `resume`{_or_period(halt)}"
    if breach is not None and (halt is None or halt["cause"] != breach["cause"]):
        yield f"{breach['cause']} was hit at {shown(breach['since_ms'])} UTC"
    if found["unexplained"] is not None and found["daemon_running"]:
        gone = abs(Decimal(found["unexplained"]))
        yield f"{gone:,.2f} USDT are gone and not explained yet: looked up, for two minutes at most"
    if found["route"] is not None:
        yield route_in_words(found["route"])
    if found["paused"]:
        yield "paused by the operator, until `resume`"
    for name, flag in found["resting"].items():
        why = "drift" if flag["cause"] == "DRIFT" else "the operator"
        yield f"{name} rests since {shown(flag['since_ms'])} UTC ({why}), until `resume --strategy {name}`"


def steps_in_words(steps: Mapping[str, Any]) -> str:
    """How far small steps are, from the account's record."""
    small, grow, done = steps["trades"], steps["ramp_trades"], steps.get("done", 0)
    since = f"since {shown(steps['since_ms'])} UTC ({steps['cause']}), until `full-size`"
    if done < small:
        return f"{done} of {small} trades of the smallest size are done, then {grow} that grow; {since}"
    return f"{done - small} of {grow} trades that grow are done; {since}"


def _or_period(halt: Mapping[str, Any]) -> str:
    period = {"LIMIT_DAY": "day", "LIMIT_WEEK": "week", "LIMIT_MONTH": "month"}.get(halt["cause"])
    return f" or, with `auto_resume`, the end of the {period}" if period else ""


def _amount(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.2f}" if Decimal(value) % 1 or value > 999 else f"{Decimal(value).normalize():f}"


def _bar(row: Mapping[str, Any]) -> str:
    """How full a budget is, to be seen at a glance."""
    if row["used_pct"] is None:
        return ""
    full = min(10, int(row["used_pct"] / 10 + 0.5))
    bar = f"{'#' * full}{'.' * (10 - full)} " if output.width() >= _BARS_FROM else ""
    return f"{bar}{row['used_pct']:.1f} %" + (" HIT" if row["exceeded"] else "")
