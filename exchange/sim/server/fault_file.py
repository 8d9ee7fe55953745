"""Reads fault rules from a YAML file or from JSON: rules, and the settings of the simulated exchange they need."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import yaml

from exchange.sim.server.faults import FaultError, Rule, effect_of


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the simulated exchange behaves beside its faults; None leaves a setting as it is.

    ``depth_usdt``: notional on one level of the book (0 = no limit), which makes partial fills and remainders;
    ``slippage``: the distance between levels, a fraction of the price; ``strict_user_stream``: only connections
    with a list of events hear any; ``retry_after``: 429 and 418 say how long to wait; ``transfer_delay_ms``: so much
    later than the balance does the list of income show a deposit or withdrawal.
    """

    depth_usdt: Decimal | None = None
    slippage: Decimal | None = None
    strict_user_stream: bool | None = None
    retry_after: bool | None = None
    transfer_delay_ms: int | None = None


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of faults. ``seed`` decides those with a probability; the server's own seed where there is none."""

    rules: list[Rule] = []
    settings: Conditions = Conditions()
    seed: int | None = None


def read(path: Path) -> FaultPlan:
    """Raises FaultError with file and place."""
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise FaultError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FaultError(f"{path}: not YAML: {error}") from None
    try:
        return plan_of(value)
    except FaultError as error:
        raise FaultError(f"{path}: {error}") from None


def plan_of(value: object) -> FaultPlan:
    """One rule, a list of rules, or a whole plan. Everything is checked before anything is armed."""
    if isinstance(value, list):
        value = {"rules": value}
    elif isinstance(value, dict) and "effect" in value:
        value = {"rules": [value]}
    try:
        plan = msgspec.convert(value, FaultPlan, strict=False)
    except msgspec.ValidationError as error:
        raise FaultError(str(error)) from None
    for number, rule in enumerate(plan.rules):
        try:
            effect_of(rule)
        except FaultError as error:
            raise FaultError(f"rules[{number}].{error}") from None
    return plan
