"""Decides who may ask: the dashboard token in a header, a session cookie given for it, or loopback without one.

A token is compared through its SHA-256, so that the comparison takes the same time whatever is sent. A session is a
random name that this process remembers; a restart forgets it, and the token itself never leaves the operator's hands.
Where no token is set, only this machine may read, under a name of this machine (a page from elsewhere that
resolves its own name to loopback is turned away), and nobody may change anything.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from web.errors import ApiError
from web.token_throttle import TokenThrottle
from web.tokens import TOKEN_LENGTH_MIN, TokenFile, weakness

COOKIE = "fsm_session"
CSRF_HEADER = "X-CSRF-Token"
SESSION_S = 12 * 3_600
"""How long a login lasts: a working day. Stolen cookies die with it."""
SESSIONS_MAX = 32
"""Logins that are remembered; the oldest goes first. More browsers than any one operator has."""


class Access(StrEnum):
    """Who may ask."""

    OPEN = "open"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Session:
    csrf: str
    ends_s: float


class Gate:
    """Lets requests through, or raises ApiError. ``clock`` counts seconds and never goes back."""

    def __init__(self, token: str | None, clock: Callable[[], float], *, newer: TokenFile | None = None) -> None:
        """``newer`` says of a token that has taken this one's place: logins that were given for the old one end."""
        if token is not None and (problem := weakness(token)) is not None:
            raise ValueError(problem)
        self._digest = None if token is None else _digest(token)
        self._newer = newer
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}
        self.throttle = TokenThrottle(clock)

    @property
    def has_token(self) -> bool:
        return self._digest is not None

    def admit(self, request: Request, access: Access) -> None:
        """Raises ApiError with 401, 403 or 429 unless the request may pass."""
        self._look_for_newer()
        if access is Access.OPEN:
            return
        if self._digest is None:
            self._admit_loopback(request, access)
            return
        given = token_in(request)
        if given is not None:
            self.check_token(given, address_of(request))
        elif self.session_of(request) is not None:
            self._check_csrf(request, access)
        else:
            raise unauthorized("no token came with the request")

    def _look_for_newer(self) -> None:
        token = None if self._newer is None else self._newer.changed()
        if token is not None and _digest(token) != self._digest:
            self._digest = _digest(token)
            self._sessions.clear()

    def check_token(self, given: str, address: str) -> None:
        """The right token always passes, whoever else guesses. A wrong one gives 401, or 429 after too many of them.

        Guessing is no faster for it: a token has at least 16 characters, and behind a proxy everybody has one address.
        """
        if self._digest is not None and hmac.compare_digest(_digest(given), self._digest):
            return
        self.throttle.check(address)
        self.throttle.failed(address)
        raise unauthorized("the token is wrong")

    def log_in(self, given: str, address: str) -> tuple[str, Session]:
        """Exchange the token for a session: the cookie's value, and what belongs to it."""
        self._look_for_newer()
        if self._digest is None:
            raise _no_token("there is nothing to log in to")
        self.check_token(given, address)
        now = self._clock()
        self._sessions = {name: held for name, held in self._sessions.items() if held.ends_s > now}
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        name, session = secrets.token_urlsafe(32), Session(secrets.token_urlsafe(32), now + SESSION_S)
        self._sessions[_digest(name)] = session
        return name, session

    def log_out(self, request: Request) -> None:
        self._check_csrf(request, Access.ADMIN)
        self._sessions.pop(_digest(request.cookies.get(COOKIE, "")), None)

    def session_of(self, request: Request) -> Session | None:
        name = request.cookies.get(COOKIE)
        found = self._sessions.get(_digest(name)) if name else None
        return found if found is not None and found.ends_s > self._clock() else None

    def may_read(self, request: Request) -> bool:
        """Whether a browser's request would be let through to read as it is."""
        return _is_local(request) if self._digest is None else self.session_of(request) is not None

    def _check_csrf(self, request: Request, access: Access) -> None:
        session = self.session_of(request)
        if access is not Access.ADMIN or session is None:
            return
        if not hmac.compare_digest(_digest(request.headers.get(CSRF_HEADER, "")), _digest(session.csrf)):
            hint = f"send the value of GET /api/session as {CSRF_HEADER}, or the token as a Bearer header"
            raise ApiError(403, "CSRF", "the session's cross-site token is missing or wrong", hint)

    def _admit_loopback(self, request: Request, access: Access) -> None:
        if access is Access.ADMIN:
            raise _no_token("every admin action is refused")
        if not _is_local(request):
            raise _no_token("only this machine may read")


def unauthorized(message: str) -> ApiError:
    hint = "send `Authorization: Bearer <DASHBOARD_TOKEN>`, or log in on the page"
    return ApiError(401, "UNAUTHORIZED", message, hint, headers={"WWW-Authenticate": "Bearer"})


def token_in(request: Request) -> str | None:
    """The token of either header; of two different ones neither counts. A token in the address is never looked at."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    own = request.headers.get("x-dashboard-token")
    found = {value.strip() for value in (bearer if scheme.lower() == "bearer" else None, own) if value is not None}
    return found.pop() if len(found) == 1 else None


def address_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_local(request: Request) -> bool:
    # A proxy on this machine speaks for somebody else.
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip"))
    return not forwarded and is_loopback(address_of(request)) and is_loopback(_host_name(request))


def _host_name(request: Request) -> str:
    host = request.headers.get("host", "")
    return host.partition("]")[0] + "]" if host.startswith("[") else host.rpartition(":")[0] or host


def _no_token(consequence: str) -> ApiError:
    return ApiError(
        403,
        "NO_TOKEN_SET",
        f"DASHBOARD_TOKEN is not set: {consequence}",
        f"put a DASHBOARD_TOKEN of at least {TOKEN_LENGTH_MIN} characters into .env and start again",
    )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
