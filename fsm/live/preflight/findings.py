"""What an examination finds: one line a check, with what was seen and what to do about it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """``SKIP``: it could not be looked at, because something before it failed or it would disturb somebody."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``advice`` is empty where there is nothing to do."""

    check: str
    verdict: Verdict
    seen: str
    advice: str = ""


def ok(check: str, seen: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, seen=seen)


def warn(check: str, seen: str, advice: str) -> Finding:
    return Finding(check=check, verdict=Verdict.WARN, seen=seen, advice=advice)


def fail(check: str, seen: str, advice: str) -> Finding:
    return Finding(check=check, verdict=Verdict.FAIL, seen=seen, advice=advice)


def skip(check: str, seen: str) -> Finding:
    return Finding(check=check, verdict=Verdict.SKIP, seen=seen)
