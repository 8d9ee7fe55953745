"""Writes out what a rules file may say shortly: one strategy for a list of them, a regime beside what all share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ALWAYS = "ALWAYS"
"""The regime of a file that tells none apart: it holds at every candle."""

NO_TRADE = "NO_TRADE"
"""What is left when no regime holds."""

REGIME_SETTINGS = ("timeframe", "confirmations", "override_confidence", "dwell_candles", "exclusive", "priority")


def in_full(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a file that has passed the schema, with everything in its longest form."""
    full = {**data, "router": {"routes": routes_in(data), **_cooldown(data)}}
    if "regimes" in data:
        settings = {key: value for key, value in data["regimes"].items() if key in REGIME_SETTINGS}
        full["regimes"] = {**settings, "regimes": regimes_in(data)}
    return full


def regimes_in(data: Any) -> dict[str, Any]:
    """The regimes of a file, which may be wrong in other places, as written."""
    written = data.get("regimes") if isinstance(data, Mapping) else None
    return {name: each for name, each in _mapping(written).items() if name not in REGIME_SETTINGS}


def routes_in(data: Any) -> dict[str, list[dict[str, Any]]]:
    """The strategies of each regime; of a file without regimes and router, all strategies at any time."""
    if not isinstance(data, Mapping):
        return {}
    if "router" not in data or not set(_mapping(data["router"])) - {"cooldown"}:
        return {} if "regimes" in data else {ALWAYS: [{"strategy": name} for name in _mapping(data.get("strategies"))]}
    return {regime: _routes(each) for regime, each in _mapping(data["router"]).items() if regime != "cooldown"}


def _routes(written: Any) -> list[dict[str, Any]]:
    each = written if isinstance(written, list) else [written]
    return [dict(route) if isinstance(route, Mapping) else {"strategy": route} for route in each]


def _cooldown(data: Mapping[str, Any]) -> dict[str, Any]:
    router = _mapping(data.get("router"))
    return {"cooldown": router["cooldown"]} if "cooldown" in router else {}


def _mapping(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}
