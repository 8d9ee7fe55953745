"""The config.yaml and rules.yaml that were accepted last, and what a changed file needs to take their place.

The accepted versions are in the journal, so they outlive the files: a file that is cut off, gone or not yet confirmed
changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog

from fsm.config import Config, Settings, stored_settings
from fsm.config.looseness import loosenings as of_settings
from rules.load import Ruleset, stored_rules
from rules.looseness import Loosening
from rules.looseness import loosenings as of_rules
from rules.source.yaml_source import SourceError, parse_source
from store import queries
from store.database import Store

log = structlog.get_logger("fsm.accepted")

VERSIONS = "accepted"
"""The key under which START and RELOAD events name the accepted versions by their hashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Both files as they were accepted last: ``settings`` are those of the whole file, also of parts that wait for a
    restart, and ``text`` is config.yaml as written."""

    text: str
    settings: Settings
    rules: Ruleset

    @property
    def given(self) -> Any:
        """What config.yaml itself says, without defaults; nothing where the settings came from no file."""
        return parse_source(self.text, "config.yaml").data if self.text else {}


def last_accepted(store: Store) -> Accepted | None:
    """What the journal says was accepted last; None in a new database, or where its texts cannot be read any more."""
    config_hash, rules_hash = _hashes(store)
    text = None if config_hash is None else queries.config_text(store, config_hash)
    rules = None if rules_hash is None else queries.rules_text(store, rules_hash)
    if text is None or rules is None:
        return None
    try:
        settings = stored_settings(text, "the accepted config.yaml")
        return Accepted(text=text, settings=settings, rules=stored_rules(rules, "the accepted rules.yaml"))
    except SourceError as error:
        log.error("accepted_unreadable", reason="INVALID", problems=str(error))
        return None


def _hashes(store: Store) -> tuple[str | None, str | None]:
    """Of config and rules. Events of older versions name what was in force, which is the same but for a restart."""
    events = [
        *queries.system_events(store, kind="START", limit=1),
        *queries.system_events(store, kind="RELOAD", limit=1),
    ]
    newest = max(events, key=lambda event: event.id, default=None)
    if newest is None:
        return None, None
    named = msgspec.json.decode(newest.facts_json, type=dict[str, Any]).get(VERSIONS, {})
    return named.get("config", newest.config_hash), named.get("rules", newest.rules_hash)


def digest_of(text: str) -> str:
    """What an edit is called: eight digits of its text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def waits_in_settings(accepted: Accepted, new: Settings, text: str, *, is_real_money: bool) -> tuple[Loosening, ...]:
    """The settings for which this config.yaml waits, judged by the settings that were accepted last."""
    given = parse_source(text, "config.yaml").data
    found = of_settings(accepted.settings, new, was_given=accepted.given, is_given=given)
    return _that_wait(found, accepted.settings, text, is_real_money)


def waits_in_rules(accepted: Accepted, new: Ruleset, *, is_real_money: bool) -> tuple[Loosening, ...]:
    """As ``waits_in_settings``, of rules.yaml."""
    found = of_rules(accepted.rules.definition, new.definition)
    return _that_wait(found, accepted.settings, new.text, is_real_money)


def loosened(accepted: Accepted, settings: Settings, text: str, rules: Ruleset) -> bool:
    """Whether these files allow anything more than those that were accepted last."""
    given = parse_source(text, "config.yaml").data if text else {}
    more = of_settings(accepted.settings, settings, was_given=accepted.given, is_given=given)
    return bool(more or of_rules(accepted.rules.definition, rules.definition))


def _that_wait(found: Sequence[Loosening], in_force: Settings, text: str, is_real_money: bool) -> tuple[Loosening, ...]:
    """What vanished waits everywhere. What was changed waits where the settings say so, and where the text has no end
    of line at its end: it may be cut off within a number."""
    where = in_force.reload.confirm_looser
    all_wait = where == "always" or (where == "mainnet" and is_real_money) or not text.endswith("\n")
    return tuple(each for each in found if each.vanished or all_wait)


def settled_at_start(store: Store, config: Config, rules: Ruleset) -> tuple[Config, Ruleset]:
    """What a start has in force: the files, or in place of one that waits for confirmation what was accepted last."""
    accepted, real_money = last_accepted(store), config.environment.is_real_money
    if accepted is None:
        return config, rules
    if waits_in_settings(accepted, config.settings, config.text, is_real_money=real_money):
        config = replace(config, settings=accepted.settings, text=accepted.text)
    if waits_in_rules(accepted, rules, is_real_money=real_money):
        rules = accepted.rules
    return config, rules
