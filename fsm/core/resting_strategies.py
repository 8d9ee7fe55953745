"""Strategies that enter nothing until the operator says so; what they have opened is managed all the same."""

from __future__ import annotations

from msgspec.structs import replace

from fsm.core.engine import Engine
from fsm.core.model.records import Flag


def rest(engine: Engine, at_ms: int, strategy: str, cause: str) -> bool:
    """From now on it enters nothing. False where it rests already: the first cause stands."""
    if strategy in engine.account.resting:
        return False
    resting = {**engine.account.resting, strategy: Flag(cause, at_ms)}
    engine.change_account(at_ms, ("STRATEGY_RESTS",), replace(engine.account, resting=resting))
    return True


def wake(engine: Engine, at_ms: int, strategy: str) -> bool:
    """It may enter again. False where it did not rest."""
    if strategy not in engine.account.resting:
        return False
    resting = {name: flag for name, flag in engine.account.resting.items() if name != strategy}
    engine.change_account(at_ms, ("STRATEGY_RESUMED",), replace(engine.account, resting=resting))
    return True
