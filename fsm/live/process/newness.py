"""Notices what is new, so that the first trades are small: a first start, another release, files that allow more."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from fsm.config import Config
from fsm.core.model.policy import Policy
from fsm.live.operator.accepted import last_accepted, loosened
from rules.load import Ruleset
from store import queries
from store.database import Store

FIRST_START = "FIRST_START"
UPGRADE = "UPGRADE"
LOOSER_EDIT = "LOOSER_EDIT"
RELEASE = "release"
"""The key under which START events name what ran."""

WORDS = {
    FIRST_START: "this is the first start on this database",
    UPGRADE: "another release runs than before",
    LOOSER_EDIT: "an edit allows more than before",
}


def release() -> str:
    """What runs, as the journal names it."""
    try:
        return version("fsm-futures-bot")
    except PackageNotFoundError:
        return "unknown"


def is_wanted(policy: Policy, *, is_real_money: bool) -> bool:
    where = policy.small_steps.where
    return where == "always" or (where == "mainnet" and is_real_money)


def cause_at_start(store: Store, config: Config, rules: Ruleset) -> str:
    """What is new since the latest start, which is not journalled yet; empty: nothing."""
    starts: Sequence[Any] = queries.system_events(store, kind="START", limit=1)
    if not starts:
        return FIRST_START
    known = msgspec.json.decode(starts[0].facts_json, type=dict[str, Any]).get(RELEASE)
    if known != release():
        return UPGRADE
    accepted = last_accepted(store)
    return LOOSER_EDIT if accepted is not None and loosened(accepted, config.settings, config.text, rules) else ""


def small_steps_news(cause: str, policy: Policy) -> str:
    wanted = policy.small_steps
    return (
        f"Small steps, because {WORDS[cause]}: the next {wanted.trades} trades are as small as the exchange allows, "
        f"with one target, and the {wanted.ramp_trades} after them grow to the full size. `full-size` ends that."
    )
