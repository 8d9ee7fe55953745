"""How the API says no: one exception, one JSON shape, and a hint that says what to do now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from store.errors import DatabaseMissing, StoreError


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``code`` is for programs, ``message`` says what happened, ``hint`` what to do. ``guard`` comes with 409."""

    code: str
    message: str
    hint: str
    guard: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every answer with a status of 400 or more."""

    error: Problem


class ApiError(Exception):
    """Ends a request with ``status`` and a Problem."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str,
        *,
        guard: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code=code, message=message, hint=hint, guard=guard)
        self.headers = dict(headers or {})


def not_found(message: str, hint: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", message, hint)


def unprocessable(message: str, hint: str) -> ApiError:
    return ApiError(422, "UNPROCESSABLE", message, hint)


def of_store(error: StoreError) -> ApiError:
    """A database that cannot be read is our trouble, not the caller's. Paths stay out of the answer."""
    if isinstance(error, DatabaseMissing):
        return ApiError(503, "DATABASE_MISSING", "there is no database yet", "start the bot once", headers=_RETRY)
    return ApiError(
        503,
        "DATABASE_UNREADABLE",
        f"the database cannot be read ({type(error).__name__})",
        "look into the log, then run `db check`",
        headers=_RETRY,
    )


_RETRY = {"Retry-After": "5"}
