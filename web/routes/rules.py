"""Answers about rules: the text in force, every version before it, what differs between two, and edits that wait."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Annotated, Any, Literal

import msgspec

from rules.compiled_rules import LOCAL_NAMES
from rules.language.syntax import FUNCTIONS
from rules.load import SourceError, parse_rules
from rules.moment_words import MOMENT_WORDS
from rules.moments import CLOCK, SESSIONS
from rules.regime_words import REGIME_NUMBERS
from rules.source import schema
from rules.source.yaml_source import Problem
from store import queries
from store.database import Store
from store.rows import RuleVersionRow
from web import documents
from web.endpoint import Context, Endpoint, NoQuery
from web.errors import not_found

CONTEXT = 3
"""Lines that are shown before and after each change."""

Hash = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    hash: str
    at_ms: int


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, those before, and the settings in force (never a secret: those stand only in .env).

    ``may_edit``: whether config.yaml lets them be edited here, ``may_ask`` to start jobs. ``waiting``: edits of the
    files that wait for a word.
    """

    rules_hash: str
    at_ms: int
    text: str
    versions: list[Version]
    config_versions: list[Version]
    config: dict[str, Any] | None
    may_edit: bool
    may_ask: bool
    waiting: list[documents.WaitingEdit]


class DiffQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two versions by their hashes."""

    old: Hash
    new: Hash


class DiffLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line; ``sign`` is "+" for a new one, "-" for one that is gone, "…" for lines that are left out."""

    sign: Literal[" ", "+", "-", "…"]
    text: str
    old_line: int | None = None
    new_line: int | None = None


class RulesDiff(msgspec.Struct, frozen=True, kw_only=True):
    old: Version
    new: Version
    lines: list[DiffLine]


class RulesProblem(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    column: int
    message: str


class RulesCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a text, and what is only worth a look; ``hash`` when it could be used."""

    hash: str | None
    problems: list[RulesProblem]
    warnings: list[RulesProblem]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function of expressions, and how it is written."""

    name: str
    written: str


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A name that expressions know without its being declared."""

    name: str
    meaning: str


class RulesLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """What an editor completes with: the JSON Schema of rules files, and what expressions know."""

    schema: dict[str, Any]
    functions: list[Function]
    words: list[Word]


_MEANINGS = {
    "entry": "price of the entry: planned in accept, stop and targets, paid in trail and exit_when",
    "stop": "price of the stop, as it is now",
    "risk": "how far the first stop is from the entry, as a price",
    "candles_held": "candles of the entry timeframe since the entry (in exits and the trail)",
    "regime_candles": "for how many candles of its timeframe the regime in force has lasted",
    "regime_confidence": "how sure the regime in force is, from 0 to 1",
    "funding_rate": "funding settled last, in percent of the position; longs pay where it is positive",
    "mark_premium": "how far the mark price is above the last, in percent",
    "hour": "hour at the close, 0 to 23 UTC",
    "minute": "minute at the close, 0 to 59",
    "weekday": "day at the close: Monday is 1, Sunday 7",
    "asia": "session from 00:00 to 08:00 UTC",
    "london": "session from 07:00 to 16:00 UTC",
    "new_york": "session from 13:00 to 22:00 UTC",
}


def language(store: Store, query: NoQuery, context: Context) -> RulesLanguage:
    words = (*LOCAL_NAMES, *REGIME_NUMBERS, *MOMENT_WORDS, *CLOCK, *SESSIONS)
    return RulesLanguage(
        schema=msgspec.json.decode(schema.text()),
        functions=[Function(name=name, written=written) for name, (written, *_) in FUNCTIONS.items()],
        words=[Word(name=name, meaning=_MEANINGS[name]) for name in words],
    )


def rules(store: Store, query: NoQuery, context: Context) -> RulesView:
    versions = queries.rule_versions(store)
    if not versions:
        raise not_found("no rules are stored", "start the bot once")
    named = documents.rules_in_force(store)
    newest = next((version for version in versions if version.rules_hash == named), versions[0])
    return RulesView(
        rules_hash=newest.rules_hash,
        at_ms=newest.at_ms,
        text=newest.text,
        versions=[Version(hash=row.rules_hash, at_ms=row.at_ms) for row in versions],
        config_versions=[Version(hash=row.config_hash, at_ms=row.at_ms) for row in queries.config_versions(store)],
        config=documents.config(store),
        may_edit=documents.setting(store, "reload", "edit_in_browser") is True,
        may_ask=documents.setting(store, "web", "jobs") is True,
        waiting=documents.waiting_edits(store),
    )


def diff(store: Store, query: DiffQuery, context: Context) -> RulesDiff:
    known = {row.rules_hash: row for row in queries.rule_versions(store)}
    old, new = _version(known, query.old), _version(known, query.new)
    return RulesDiff(
        old=Version(hash=old.rules_hash, at_ms=old.at_ms),
        new=Version(hash=new.rules_hash, at_ms=new.at_ms),
        lines=list(_lines(old.text.splitlines(), new.text.splitlines())),
    )


def _version(known: dict[str, RuleVersionRow], name: str) -> RuleVersionRow:
    found = [row for given, row in known.items() if given.startswith(name)]
    if len(found) != 1:
        raise not_found(f"no rules with the hash {name} are stored", "GET /api/rules lists the versions")
    return found[0]


def _lines(old: list[str], new: list[str]) -> list[DiffLine]:
    found: list[DiffLine] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT):
        if found or group[0][1] > 0:
            found.append(DiffLine(sign="…", text=""))
        for tag, old_from, old_to, new_from, new_to in group:
            if tag == "equal":
                pairs = zip(range(old_from, old_to), range(new_from, new_to), strict=True)
                found += [DiffLine(sign=" ", text=old[a], old_line=a + 1, new_line=b + 1) for a, b in pairs]
                continue
            found += [DiffLine(sign="-", text=old[a], old_line=a + 1) for a in range(old_from, old_to)]
            found += [DiffLine(sign="+", text=new[b], new_line=b + 1) for b in range(new_from, new_to)]
    return found


def check(text: str) -> RulesCheck:
    """Every check that the bot makes of a file of rules, but for the tests beside it."""
    try:
        found = parse_rules(text, "rules.yaml")
    except SourceError as error:
        return RulesCheck(hash=None, problems=list(map(_problem, error.problems)), warnings=[])
    return RulesCheck(hash=found.hash, problems=[], warnings=list(map(_problem, found.warnings)))


def _problem(found: Problem) -> RulesProblem:
    return RulesProblem(line=found.line, column=found.column, message=found.message)


READS = (
    Endpoint(
        path="/api/rules",
        summary="Rules and settings in force",
        answer=RulesView,
        read=rules,
        may_miss=True,
    ),
    Endpoint(
        path="/api/rules/language",
        summary="What an editor of rules completes with: the schema of rules files, and what expressions know",
        answer=RulesLanguage,
        read=language,
    ),
    Endpoint(
        path="/api/rules/diff/{old}/{new}",
        summary="What differs between two versions of the rules, line by line",
        query=DiffQuery,
        answer=RulesDiff,
        read=diff,
        may_miss=True,
    ),
)
