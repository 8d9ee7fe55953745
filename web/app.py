"""Puts the window together: routes, the gate before them, one shape for every error, and what must be closed again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from store.database import Store
from store.errors import StoreError
from store.rules_edits import job_of, named
from web import commanding
from web.access import COOKIE, SESSION_S, Access, Gate, address_of
from web.bot_database import BotDatabase
from web.commanding import (
    ACCOUNT_KINDS,
    BODY_MAX,
    JOB_WISHES,
    KINDS,
    RULES_BODY_MAX,
    TRADE_WISHES,
    AccountWish,
    BacktestWish,
    Kind,
    Login,
    RulesEdit,
    RulesText,
    TradeWish,
    Wish,
)
from web.crowd import Crowd
from web.endpoint import Context, Endpoint, parameters
from web.errors import ApiError, ErrorAnswer, Problem, of_store
from web.events import EventStream, Watch
from web.metrics import Metrics
from web.openapi import document
from web.page import FILES, PAGES, PageFile
from web.routes import READS
from web.routes.rules import check
from web.security_headers import SecurityHeaders
from web.tokens import TokenFile
from web.views import Accepted, SessionView

BODY_S = 10.0
"""Real time a caller has to send the body of a request."""

Handler = Callable[[Request], Awaitable[Response]]

_log = structlog.get_logger("web")
_encode = msgspec.json.Encoder().encode


def create_app(
    store_path: Path | str,
    *,
    token: str | None,
    token_file: Path | None = None,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """The window on the database at ``store_path``; ``token`` None: loopback may read, nobody may act.

    ``wall_ms`` is real time in milliseconds, ``clock`` counts seconds and never goes back. The database need not be
    there yet. ``token_file`` is where another token may come to stand meanwhile. Raises ValueError for a token that is
    too short.
    """
    gate = Gate(token, clock, newer=None if token_file is None else TokenFile(token_file, clock))
    return SecurityHeaders(Crowd(_Dashboard(Path(store_path), gate, wall_ms).app()))


class _Dashboard:
    def __init__(self, path: Path, gate: Gate, wall_ms: Callable[[], int]) -> None:
        self._database = BotDatabase(path)
        self._gate = gate
        self._watch = Watch(self._database)
        self._metrics = Metrics(
            self._database, wall_ms, lambda: self._watch.listeners, lambda: self._gate.throttle.failures
        )
        self._wall_ms = wall_ms
        self._context = Context(database=self._database, wall_ms=wall_ms)
        self._openapi = _encode(document())

    def app(self) -> Starlette:
        routes = [self._route(read.path, read.access, self._answering(read)) for read in READS]
        routes += [
            self._route("/api/openapi.json", Access.READ, self._describe),
            self._route("/metrics", Access.READ, self._scrape),
            self._route("/api/events", Access.READ, self._events),
            self._route("/api/session", Access.OPEN, self._session),
            self._route("/api/login", Access.OPEN, self._log_in, "POST"),
            self._route("/api/logout", Access.OPEN, self._log_out, "POST"),
        ]
        routes += [self._route(f"/api/bot/{kind}", Access.ADMIN, self._commanding(kind), "POST") for kind in KINDS]
        routes += [
            self._route(f"/api/bot/{kind}", Access.ADMIN, self._commanding_account(kind), "POST")
            for kind in ACCOUNT_KINDS
        ]
        routes += [
            self._route(f"/api/bot/{kind}", Access.ADMIN, self._commanding_trade(kind, shape), "POST")
            for kind, shape in TRADE_WISHES.items()
        ]
        routes += [
            self._route(f"/api/jobs/{kind}", Access.ADMIN, self._asking_for(shape), "POST")
            for kind, shape in JOB_WISHES.items()
        ]
        routes += [
            self._route("/api/rules/check", Access.ADMIN, self._check_rules, "POST"),
            self._route("/api/jobs/what-if", Access.ADMIN, self._ask_what_if, "POST"),
            self._route("/api/bot/edit-rules", Access.ADMIN, self._edit_rules, "POST"),
        ]
        routes += [self._route(path, Access.OPEN, _serving(file)) for path, file in FILES.items()]
        # A name with a slash in it is nobody's; the page says so, as of every other.
        pages = (path.replace("}", ":path}") for path in PAGES)
        routes += [self._route(path, Access.OPEN, _serving(FILES["/"])) for path in pages]
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _http_exception},
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._watch.close()
            self._database.close()

    def _route(self, path: str, access: Access, handler: Handler, method: str = "GET") -> Route:
        async def guarded(request: Request) -> Response:
            began = time.perf_counter()
            try:
                self._gate.admit(request, access)
                response = await handler(request)
            except ApiError as error:
                response = _failure(error)
            except StoreError as error:
                _note(_log.error, "database", path=path, error=str(error))
                response = _failure(of_store(error))
            except HTTPException:
                raise
            except Exception:
                _note(_log.exception, "answer failed", path=path)
                hint = "look into the log, and report it"
                response = _failure(ApiError(500, "INTERNAL", "the answer could not be made", hint))
            self._metrics.requests.labels(request.method, path, str(response.status_code)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - began)
            return response

        return Route(path, guarded, methods=[method])

    def _answering(self, endpoint: Endpoint) -> Handler:
        async def answer(request: Request) -> Response:
            query = parameters(request, endpoint.query)
            found = await self._database.ask(lambda store: _encode(endpoint.read(store, query, self._context)))
            return _json(found)

        return answer

    async def _describe(self, request: Request) -> Response:
        return _json(self._openapi)

    async def _scrape(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        body, media_type = await self._database.run(lambda: self._metrics.text(accept))
        return Response(body, headers={"Content-Type": media_type})

    async def _events(self, request: Request) -> Response:
        return EventStream(self._database, self._watch, self._watch.take_place(), request.headers.get("last-event-id"))

    async def _session(self, request: Request) -> Response:
        return _json(_encode(self._session_view(request)))

    async def _log_in(self, request: Request) -> Response:
        login = commanding.parsed(await _body(request), Login)
        name, session = self._gate.log_in(login.token, address_of(request))
        view = SessionView(token_set=True, may_read=True, may_act=True, csrf=session.csrf)
        response = _json(_encode(view))
        response.set_cookie(
            COOKIE, name, max_age=SESSION_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )
        return response

    async def _log_out(self, request: Request) -> Response:
        self._gate.log_out(request)
        view = SessionView(token_set=self._gate.has_token, may_read=False, may_act=False, csrf=None)
        response = _json(_encode(view))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def _session_view(self, request: Request) -> SessionView:
        session = self._gate.session_of(request)
        return SessionView(
            token_set=self._gate.has_token,
            may_read=self._gate.may_read(request),
            may_act=session is not None,
            csrf=session.csrf if session else None,
        )

    def _commanding(self, kind: Kind) -> Handler:
        async def command(request: Request) -> Response:
            symbol = commanding.parsed(await _body(request), Wish).symbol
            return await self._left(request, kind, symbol, lambda store: commanding.check(store, kind, symbol))

        return command

    def _commanding_account(self, kind: str) -> Handler:
        async def command(request: Request) -> Response:
            commanding.parsed(await _body(request), AccountWish)
            return await self._left(request, kind, None, lambda store: commanding.check_account(store, kind))

        return command

    def _commanding_trade(self, kind: str, shape: type[TradeWish]) -> Handler:
        async def command(request: Request) -> Response:
            wish: TradeWish = commanding.parsed(await _body(request), shape)
            line, symbol = wish.line(), wish.symbol
            return await self._left(request, line, symbol, lambda store: commanding.check_trade(store, kind, symbol))

        return command

    async def _check_rules(self, request: Request) -> Response:
        body = await _body(request, RULES_BODY_MAX)
        return _json(await self._database.run(lambda: _encode(check(commanding.parsed(body, RulesText).text))))

    async def _ask_what_if(self, request: Request) -> Response:
        """Only rules that can be used are asked about."""
        wish: RulesText = commanding.parsed(await _body(request, RULES_BODY_MAX), RulesText)
        found = await self._database.run(lambda: check(wish.text))
        if found.hash is None:
            problem = found.problems[0]
            told = f"these rules cannot be used: line {problem.line}: {problem.message}"
            raise ApiError(409, "REFUSED", told, "POST /api/rules/check tells all problems", guard="INVALID")
        return await self._left(request, job_of(found.hash, wish.text), None, commanding.check_jobs)

    def _asking_for(self, shape: type[BacktestWish]) -> Handler:
        async def ask(request: Request) -> Response:
            wish: BacktestWish = commanding.parsed(await _body(request), shape)
            return await self._left(request, wish.job().line(), None, commanding.check_jobs)

        return ask

    async def _edit_rules(self, request: Request) -> Response:
        wish: RulesEdit = commanding.parsed(await _body(request, RULES_BODY_MAX), RulesEdit)
        line = await self._database.run(wish.line)
        return await self._left(request, line, None, lambda store: commanding.check_rules_edit(store, wish.based_on))

    async def _left(self, request: Request, line: str, symbol: str | None, check: Callable[[Store], None]) -> Response:
        """Leave a command for the bot, unless the stored state already shows that it would be refused."""

        def leave() -> int:
            check(self._database.store())
            return self._database.post(line, symbol, self._wall_ms())

        row_id = await self._database.act(leave)
        running = self._database.daemon_running()
        _note(_log.info, "command", id=row_id, kind=named(line), symbol=symbol, address=address_of(request))
        url = f"/api/commands/{row_id}"
        note = commanding.note(line, symbol, running)
        accepted = Accepted(id=row_id, url=url, daemon_running=running, note=note)
        return _json(_encode(accepted), 202, {"Location": url})


def _serving(file: PageFile) -> Handler:
    async def serve(request: Request) -> Response:
        lasts = "private, max-age=31536000, immutable" if file.is_lasting else "no-cache"
        headers = {"ETag": file.etag, "Cache-Control": lasts}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.body, media_type=file.media_type, headers=headers)

    return serve


async def _body(request: Request, most: int = BODY_MAX) -> bytes:
    """The request's body. Raises ApiError with 408 when it is slow in coming, 413 when it is too large."""
    try:
        async with asyncio.timeout(BODY_S):
            return await _whole(request, most)
    except TimeoutError as error:
        message = f"the body did not arrive within {BODY_S:g} s"
        raise ApiError(408, "SLOW_BODY", message, "send it at once", headers={"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise ApiError(400, "GONE", "the caller left before the body had come", "send it whole") from error


async def _whole(request: Request, most: int) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            hint = f"a body has at most {most} bytes"
            raise ApiError(413, "TOO_LARGE", "the body is too large", hint, headers={"Connection": "close"})
    return body


def _note(write: Callable[..., object], event: str, **facts: object) -> None:
    """A log on a full disk ends no answer: a command that was taken must not be told as failed."""
    with suppress(OSError):
        write(event, **facts)


def _json(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")


def _failure(error: ApiError) -> Response:
    return _json(_encode(ErrorAnswer(error.problem)), error.status, error.headers)


def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    problem = Problem(
        code=phrase.upper().replace(" ", "_").replace("-", "_"),
        message=str(error.detail) or phrase,
        hint="GET /api/openapi.json describes every call",
    )
    return _json(_encode(ErrorAnswer(problem)), error.status_code, error.headers)
