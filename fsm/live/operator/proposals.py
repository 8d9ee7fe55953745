"""Takes edits of the rules that come from the dashboard: the daemon alone writes the file, and only over what it knows.

Off unless config.yaml allows it. On mainnet an edit is only proposed: `reload confirm` at the terminal takes it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path

from fsm.config.settings import Reload
from fsm.core.model.decision import Rejected
from fsm.live.operator.accepted import digest_of
from rules.load import Ruleset, SourceError, parse_rules
from store import queries
from store.database import Store
from store.rules_edits import text_in

PROPOSED = "RULES_PROPOSED"
PROPOSALS_KNOWN = 200
"""Newest proposals that are remembered: a file that stands unconfirmed is among them."""

FROM_THE_BROWSER = "proposed in the dashboard, which only a terminal can confirm"


def is_proposed(store: Store, text: str) -> bool:
    """Whether this very text was proposed, by a bot before a restart too."""
    events = queries.system_events(store, kind=PROPOSED, limit=PROPOSALS_KNOWN)
    return any(event.reason == digest_of(text) for event in events)


def checked(packed: str, based_on: str, accepted: Ruleset, *, is_allowed: Reload) -> tuple[str, Ruleset]:
    """An edit's text and rules. Raises Rejected where editing is off, where other rules are in force than those it was
    made from, and where it is not right."""
    if not is_allowed.edit_in_browser:
        raise Rejected("EDITING_OFF", "config.yaml does not allow it: reload.edit_in_browser")
    if based_on != accepted.hash:
        told = f"the rules have changed: {accepted.hash[:12]} are in force, the edit is of {based_on[:12]}"
        raise Rejected("CHANGED", f"{told}; read them again")
    try:
        text = text_in(packed)
        rules = parse_rules(text, accepted.name)
    except (SourceError, ValueError) as error:
        raise Rejected("INVALID", str(error)) from error
    if rules.hash == accepted.hash:
        raise Rejected("SAME", "the edit means the same as what is in force")
    return text, rules


async def valid(asked: Awaitable[None]) -> None:
    """Raises Rejected where what is asked finds something wrong."""
    try:
        await asked
    except SourceError as error:
        raise Rejected("INVALID", str(error)) from error


def write_whole(path: Path, text: str) -> None:
    """The old text or the new one, whatever happens. Raises Rejected where it cannot be written."""
    beside = path.with_name(f".{path.name}.edited")
    try:
        mode = path.stat().st_mode & 0o777
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise Rejected("NOT_WRITTEN", f"{path} could not be written: {error.strerror or error}") from error
