"""The JSON Schema of files of tests; one that does not fit it is refused as a whole, each problem with its place."""

from __future__ import annotations

from typing import Any

from rules.source.short_forms import NO_TRADE
from rules.strategy import Reason

TESTS_MAX = 2_000
CANDLES_MAX = 100
"""Bounds on what a running bot does before it takes up an edit."""

NO_STRATEGY = ("NO_TRADE_REGIME", "STRATEGY_DISABLED")
SILENCES = (*(reason.value for reason in Reason if reason is not Reason.SIGNAL), *NO_STRATEGY)
EXITS = ("EXIT_WHEN", "REGIME_ENDED", "OPPOSITE_SIGNAL", "TRAIL_CROSSED", "EXIT_AFTER_CANDLES")
MOVES = ("BREAK_EVEN", "TRAIL")


def _mapping(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        "minProperties": 1,
    }


_NAME = {"type": "string", "minLength": 1, "maxLength": 200}
_NUMBER = {"type": "number"}
_NUMBERS = {"type": "array", "items": _NUMBER, "maxItems": 20}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 1_000_000}
_CANDLES = {"type": "integer", "minimum": 1, "maximum": CANDLES_MAX}
_SIDE = {"enum": ["long", "short"]}
_YES = {"const": True}
_FACTS = {"type": "object", "additionalProperties": {"type": ["number", "boolean", "null"]}}
_REGIME = {"type": "string", "minLength": 1, "description": f"a regime of the rules, or {NO_TRADE}"}

_EXPECT = _mapping(
    facts=_FACTS,
    regime=_REGIME,
    confidence=_NUMBER,
    signal=_mapping(
        ("strategy", "side"),
        strategy=_NAME,
        side=_SIDE,
        entry=_NUMBER,
        stop=_NUMBER,
        targets=_NUMBERS,
        portions=_NUMBERS,
        reward_risk=_NUMBER,
        risk=_NUMBER,
    ),
    silence={"enum": list(SILENCES)},
    exit={"enum": list(EXITS)},
    moves_stop=_mapping(("to",), to=_NUMBER, by={"enum": list(MOVES)}),
    holds=_YES,
    cooldown=_mapping(("losses", "candles"), losses=_COUNT, candles=_COUNT),
)

_TRADE = _mapping(
    ("strategy", "side", "entry", "stop"),
    strategy=_NAME,
    side=_SIDE,
    entry=_NUMBER,
    stop=_NUMBER,
    risk={"type": "number", "exclusiveMinimum": 0},
    candles_held=_COUNT,
    regime_ended={"type": "boolean"},
)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_mapping(
        ("version", "tests"),
        version={"const": 1},
        guard={"type": "boolean"},
        facts={"type": "object", "additionalProperties": _FACTS},
        tests={
            "type": "array",
            "minItems": 1,
            "maxItems": TESTS_MAX,
            "items": _mapping(
                ("name", "expect"),
                name=_NAME,
                symbol=_NAME,
                at=_NAME,
                like=_NAME,
                facts=_FACTS,
                regime=_REGIME,
                lasted=_COUNT,
                candles=_CANDLES,
                strategy=_NAME,
                trade=_TRADE,
                expect=_EXPECT,
            ),
        },
    ),
}
