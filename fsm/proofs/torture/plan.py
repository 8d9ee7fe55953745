"""What is done to the bot in one run: everything follows from the seed, and any part of it can be left out."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec

from fsm.proofs.torture import environment_catalog, wheel_catalog
from fsm.proofs.torture.fault_catalog import MENU
from fsm.proofs.torture.rules import LIVELY, REGIME_OF, WRONG
from fsm.proofs.torture.wire_fault_catalog import WIRE_FIRST

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
A_DAY = 5.0
"""Disturbances in a simulated day, on average, beside the operator's rounds."""

ORDERS = {"entry", "stop", "close"}
"""Faults of single orders are worth more than those of the many reads."""

REAL_LOOPS = {"reconcile_interval_ms": 3_000, "lists_interval_ms": 10_000, "equity_interval_ms": 5_000}
"""As short as the real limits of requests allow, where each look is several requests."""

ROUND_EVERY_MS = 8 * HOUR_MS
"""How often the operator looks in and resumes what stands still; nothing would be tested by a halted bot."""


class Disturbance(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happens. ``at_ms`` is simulated time; ``seconds`` too. What a field means depends on ``kind``.

    ``when`` names a moment that is waited for from then on; empty: it happens at once.
    """

    number: int
    at_ms: int
    kind: str
    what: str = ""
    symbol: str = ""
    count: int = 1
    seconds: float = 0.0
    amount: float = 0.0
    when: str = ""

    def sentence(self) -> str:
        parts = [self.kind, self.what, self.symbol]
        parts += [f"×{self.count}"] if self.count > 1 else []
        parts += [f"for {self.seconds:g} s"] if self.seconds else []
        parts += [f"{self.amount:g}"] if self.amount else []
        parts += [f"when {self.when}"] if self.when else []
        return " ".join(part for part in parts if part)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: its world and what is done to it. Where so many symbols are ``listed``, they are chosen by a rule, and
    others every day; 0: config.yaml names them all."""

    seed: int
    symbols: tuple[str, ...]
    listed: int = 0
    start_ms: int
    end_ms: int
    config: dict[str, dict[str, Any]]
    latency_s: float
    depth_usdt: int | None
    disturbances: tuple[Disturbance, ...]
    client: str = "port"


def plan_of(seed: int, symbols: tuple[str, ...], first_ms: int, last_ms: int, days: int, client: str = "port") -> Plan:
    """The plan of a seed, for the port or for the real client.

    The run lies somewhere between ``first_ms`` and ``last_ms``, where the candles allow it.
    """
    chance = Random(f"plan {seed}")  # noqa: S311 - chance, not secrecy
    hours = (last_ms - first_ms) // HOUR_MS - days * 24
    start_ms = first_ms + chance.randrange(max(hours, 1)) * HOUR_MS + 30 * MINUTE_MS
    end_ms = start_ms + days * DAY_MS
    config = _config(chance)
    config["risk"] |= _shared_caps(seed)
    config["small_steps"] = _small_steps(seed)
    if client == "real":
        config["loops"] = REAL_LOOPS
    latency_s = chance.choice((0.0, 0.02, 0.05, 0.2))
    depth_usdt = chance.choice((None, None, 2_000, 500))
    menu = tuple(WIRE_FIRST if client == "real" else MENU)
    found = [_disturbance(chance, number, symbols, start_ms, end_ms, menu) for number in range(round(days * A_DAY))]
    rounds = range(start_ms + ROUND_EVERY_MS, end_ms, ROUND_EVERY_MS)
    found += [Disturbance(number=0, at_ms=at_ms, kind="round") for at_ms in rounds]
    found.sort(key=lambda each: each.at_ms)
    numbered = [msgspec.structs.replace(each, number=number) for number, each in enumerate(found, start=1)]
    numbered += _drawn("around", seed, environment_catalog, symbols, (start_ms, end_ms))
    numbered += _drawn("wheel", seed, wheel_catalog, symbols, (start_ms, end_ms))
    numbered.sort(key=lambda each: each.at_ms)
    return Plan(
        seed=seed,
        symbols=symbols,
        listed=_listed(seed, symbols) if client == "port" else 0,
        start_ms=start_ms,
        end_ms=end_ms,
        config=config,
        latency_s=latency_s,
        depth_usdt=depth_usdt,
        disturbances=tuple(numbered),
        client=client,
    )


def _config(chance: Random) -> dict[str, dict[str, Any]]:
    """The settings that differ between runs; the loops are as short as the schema allows, as time is jumped over."""
    return {
        "orders": {
            "entry_type": chance.choice(("MARKET", "MARKET", "LIMIT")),
            "limit_expiry_candles": chance.choice((1, 2)),
            "working_type": chance.choice(("MARK_PRICE", "CONTRACT_PRICE")),
            "price_moved_pct_max": 2.0,
        },
        "limits": {
            "action": chance.choice(("BLOCK_ENTRIES", "FLATTEN")),
            "daily_loss_pct": chance.choice((2.0, 3.0)),
            "equity_age_ms_max": 60_000,
        },
        "protection": {"on_missing": chance.choice(("REPROTECT", "REPROTECT", "FLATTEN"))},
        "risk": {"max_open_positions": chance.choice((2, 3)), "risk_per_trade_pct": chance.choice((0.25, 0.5))},
        "loops": {"reconcile_interval_ms": 1_000, "lists_interval_ms": 5_000, "equity_interval_ms": 2_000},
        "market_data": {"history_candles": 300},
    }


def _shared_caps(seed: int) -> dict[str, float | None]:
    """Caps on what positions risk together, in most runs. By a chance of their own: older seeds stay as they were."""
    chance = Random(f"caps {seed}")  # noqa: S311 - chance, not secrecy
    return {
        "max_correlated_risk_pct": chance.choice((None, None, 0.6, 0.9)),
        "max_same_direction_risk_pct": chance.choice((None, None, 0.6, 0.9)),
    }


def _listed(seed: int, symbols: tuple[str, ...]) -> int:
    """In every fourth run one symbol is left out, by a rule that chooses another one on another day."""
    chance = Random(f"lists {seed}")  # noqa: S311 - chance, not secrecy
    return chance.choice((0, 0, 0, len(symbols) - 1))


def _small_steps(seed: int) -> dict[str, Any]:
    """In most runs the first trades are small steps, and so are those behind an edit that allows more."""
    chance = Random(f"small steps {seed}")  # noqa: S311 - chance, not secrecy
    where = chance.choice(("always", "always", "always", "never"))
    return {"where": where, "trades": chance.choice((1, 2, 3)), "ramp_trades": chance.choice((0, 1, 2))}


def _drawn(word: str, seed: int, catalog: Any, symbols: tuple[str, ...], span_ms: tuple[int, int]) -> list[Disturbance]:
    """What of a catalog happens, by a chance of its own: what other catalogs give each seed stays as it was."""
    chance, (start_ms, end_ms) = Random(f"{word} {seed}"), span_ms  # noqa: S311 - chance, not secrecy
    weights = [weight for weight, _ in catalog.MAKERS.values()]
    found: list[Disturbance] = []
    for _ in range(round((end_ms - start_ms) / DAY_MS * catalog.A_DAY)):
        at_ms = _moment(chance, start_ms, end_ms)
        kind = chance.choices(tuple(catalog.MAKERS), weights=weights)[0]
        fields = catalog.MAKERS[kind][1](chance, symbols)
        found.append(Disturbance(number=0, at_ms=at_ms, kind=kind, **fields))
    found.sort(key=lambda each: each.at_ms)
    numbers = range(catalog.NUMBERS_FROM, catalog.NUMBERS_FROM + len(found))
    return [msgspec.structs.replace(each, number=number) for number, each in zip(numbers, found, strict=True)]


def _moment(chance: Random, start_ms: int, end_ms: int) -> int:
    at_ms = chance.randrange(start_ms + HOUR_MS, max(end_ms - HOUR_MS, start_ms + HOUR_MS + 1))
    if chance.random() < 0.6:  # around the close of a candle, where orders leave
        at_ms = at_ms - at_ms % HOUR_MS + chance.choice((0, 1_900, 2_100, 3_000, 4_000, 6_000, 10_000, 30_000))
    return at_ms


def _disturbance(
    chance: Random, number: int, symbols: tuple[str, ...], start_ms: int, end_ms: int, menu: tuple[str, ...]
) -> Disturbance:
    at_ms = _moment(chance, start_ms, end_ms)
    kind = chance.choices(tuple(_MAKERS), weights=[weight for weight, _ in _MAKERS.values()])[0]
    fields = _fault(chance, menu) if kind == "fault" else _MAKERS[kind][1](chance, symbols)
    return Disturbance(number=number, at_ms=at_ms, kind=kind, **fields)


def _fault(chance: Random, menu: tuple[str, ...]) -> dict[str, Any]:
    what = chance.choices(menu, weights=[3 if set(name.split("-")) & ORDERS else 1 for name in menu])[0]
    if chance.random() < 0.5:
        return {"what": what, "count": chance.choice((1, 1, 2, 3, 5, 12))}
    return {"what": what, "count": 1_000, "seconds": chance.choice((2.0, 5.0, 10.0, 20.0, 60.0))}


def _outage(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"seconds": chance.choice((3.0, 10.0, 30.0, 600.0, 7_200.0))}


def _trigger(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"what": chance.choice(("REFUSED", "UNFILLED")), "count": chance.choice((1, 1, 2))}


def _stream(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {
        "what": chance.choice(("lost", "twice", "late", "resync")),
        "seconds": chance.choice((60.0, 3_600.0, 86_400.0)),
    }


def _lag(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"what": "positions", "seconds": chance.choice((0.3, 1.0, 1.5)), "count": chance.choice((1, 2, 4))}


def _book(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"amount": chance.choice((50.0, 200.0, 1_000.0)), "seconds": chance.choice((3_600.0, 14_400.0))}


def _clock(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    """Set (hours, for a while or for good), slow or fast (millionths), suspended, paused, or an exchange that errs."""
    what = chance.choice(("set", "set", "drift", "suspend", "pause", "lies"))
    hours = chance.choice((-9_600.0, -40.0, -16.0, -1.0, -0.001, 0.001, 1.0, 16.0, 40.0, 800.0))
    match what:
        case "set":
            return {"what": what, "amount": hours, "seconds": chance.choice((0.0, 8.0, 900.0, 86_400.0))}
        case "drift":
            return {"what": what, "amount": chance.choice((-500.0, -50.0, 50.0, 500.0))}
        case "lies":
            return {"what": what, "amount": hours, "count": chance.choice((1, 2, 3))}
    return {"what": what, "seconds": chance.choice((3.0, 60.0, 3_600.0, 28_800.0, 144_000.0))}


def _disk(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"what": chance.choice(("full", "locked")), "seconds": chance.choice((0.5, 1.5, 5.0, 60.0))}


def _telegram(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"what": chance.choice(("down", "busy", "refuses")), "seconds": chance.choice((60.0, 3_600.0, 86_400.0))}


def _edit(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {
        "what": chance.choice(("rules", "rules", "config", "config", "wrong-rules", "wrong-config")),
        "count": chance.randrange(1, 9),
    }


def _command(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    kind = chance.choice(("pause", "resume", "resume", "flatten", "halt"))
    return {"what": kind, "symbol": chance.choice(("", *symbols))}


def _money(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    """``seconds``: so much later than the balance does the ledger show it."""
    what, amount = chance.choice(("deposit", "withdraw")), float(chance.choice((10, 100, 1_000)))
    return {"what": what, "amount": amount, "seconds": chance.choice((0.0, 0.0, 1.0, 5.0, 20.0, 60.0))}


def _hand(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    what = chance.choice(("close", "close", "reduce", "add", "cancel-stop", "cancel-targets", "open", "order"))
    return {"what": what, "symbol": chance.choice(symbols)}


def _kill(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    """At once, or at the so-manieth write from now on: before it takes effect or after."""
    what = chance.choice(("now", "before-write", "before-write", "after-write", "after-write"))
    down_s = chance.choice((0.0, 0.0, 0.0, 5.0, 300.0, 7_200.0, 36_000.0))
    return {"what": what, "count": chance.choice((1, 1, 2, 3, 4, 6)), "seconds": down_s}


def _stop(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"seconds": chance.choice((0.0, 60.0, 3_600.0))}


def _freeze(chance: Random, symbols: tuple[str, ...]) -> dict[str, Any]:
    return {"seconds": chance.choice((5.0, 60.0, 3_600.0, 86_400.0))}


_MAKERS: dict[str, tuple[float, Any]] = {
    "fault": (45.0, _fault),
    "outage": (4.0, _outage),
    "trigger": (4.0, _trigger),
    "stream": (4.0, _stream),
    "lag": (4.0, _lag),
    "book": (3.0, _book),
    "clock": (3.0, _clock),
    "disk": (4.0, _disk),
    "telegram": (2.0, _telegram),
    "edit": (4.0, _edit),
    "command": (6.0, _command),
    "money": (3.0, _money),
    "hand": (6.0, _hand),
    "kill": (9.0, _kill),
    "stop": (1.0, _stop),
    "freeze": (1.5, _freeze),
}
"""Every kind of disturbance, how often it comes compared with the others, and how its details are drawn."""


def config_text(base: dict[str, Any], plan: Plan, edit: int = 0) -> str:
    """config.yaml of this run (JSON is YAML too); ``edit`` numbers what a trader may have changed in the meantime."""
    return json.dumps(config_of(base, plan, edit), indent=1) + "\n"


def config_of(base: dict[str, Any], plan: Plan, edit: int = 0) -> dict[str, Any]:
    """What stands in it."""
    changed: dict[str, Any] = json.loads(json.dumps(base))
    changed["symbols"] = {name: {"enabled": True} for name in plan.symbols}
    if plan.listed:
        changed["symbols"] = {"top_by": "quote_volume", "n": plan.listed}
    for section, values in plan.config.items():
        changed[section] = {**changed.get(section, {}), **values}
    if edit:
        changed["risk"]["risk_per_trade_pct"] = (0.2, 0.3, 0.4, 0.5)[edit % 4]
        changed["risk"]["max_open_positions"] = 1 + edit % 3
        changed["orders"]["entry_type"] = ("MARKET", "LIMIT")[edit // 4 % 2]
        changed["limits"]["action"] = ("BLOCK_ENTRIES", "FLATTEN")[edit // 2 % 2]
    return changed


def rules_text(edit: int = 0) -> str:
    """rules.yaml; ``edit`` numbers a trader's changes of thresholds."""
    return LIVELY if not edit else LIVELY.replace(REGIME_OF, f"surge: {0.35 + edit * 0.03:.2f}")


def wrong_text(edit: int) -> str:
    return WRONG[edit % len(WRONG)]
