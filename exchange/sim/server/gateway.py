"""Carries one request through: limits, faults, key and signature, what it asks for, and the answer with headers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from math import ceil

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exchange.errors import Refusal
from exchange.sim.server import routes_account, routes_algo, routes_market, routes_orders, routes_settings
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import Endpoint
from exchange.sim.server.faults import About, Armed, Effect, Facts, When, merged
from exchange.sim.server.limiter import Limited
from exchange.sim.server.params import Params
from exchange.sim.server.refusals import status_of, unknown_path
from exchange.sim.server.request_log import Entry, RequestLog

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 1_000_000
_JSON = {"content-type": "application/json"}
_NO_ORDERS = (0, 0)

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    (endpoint.method, endpoint.path): endpoint
    for module in (routes_market, routes_orders, routes_algo, routes_account, routes_settings)
    for endpoint in module.ENDPOINTS
}


class Answer(msgspec.Struct, frozen=True):
    """What goes back. ``status`` 0: nothing does, the connection is dropped."""

    status: int
    value: object
    headers: dict[str, str] = {}

    @property
    def body(self) -> bytes:
        """Texts go out as they are, everything else as JSON."""
        return self.value.encode() if isinstance(self.value, str) else msgspec.json.encode(self.value)

    @property
    def code(self) -> int | None:
        code = self.value.get("code") if isinstance(self.value, dict) else None
        return code if isinstance(code, int) else None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came."""

    endpoint: Endpoint
    params: Params
    query: str
    body: str
    api_key: str


class Gateway:
    """Everything under /fapi and /sapi."""

    def __init__(self, emulator: Emulator, requests: RequestLog) -> None:
        self._emulator = emulator
        self.requests = requests

    async def respond(self, request: Request) -> Response:
        """Raises ConnectionResetError where a fault drops the connection."""
        path, body = str(request.scope["path"]), await _text_of(request)
        query = request.scope["query_string"].decode("utf-8", "surrogateescape")
        api_key = request.headers.get("x-mbx-apikey", "")
        answer = await self.answer(request.method, path, query, body, api_key)
        return Response(answer.body, answer.status, answer.headers)

    async def answer(self, method: str, path: str, query: str, body: str, api_key: str) -> Answer:
        """The same for a request that came without a socket."""
        number, at_ms = self.requests.next_number(), self._emulator.now_ms
        params = Params.parse(query, body)
        fault: Armed | None = None
        endpoint = ENDPOINTS.get((method, path))
        if endpoint is None:
            answer = _refused(unknown_path(method, path))
        else:
            call = Call(endpoint=endpoint, params=params, query=query, body=body, api_key=api_key)
            answer, fault = await self._admitted(call)
        entry = Entry(
            number=number,
            at_ms=at_ms,
            method=method,
            path=path,
            params={name: value for name, value in params.items() if name != "signature"},
            status=answer.status,
            code=answer.code,
            fault=None if fault is None else fault.rule.name or f"rule {fault.number}",
        )
        self.requests.add(entry)
        if answer.status == 0:
            raise ConnectionResetError("a fault drops this connection")
        return Answer(answer.status, answer.value, {**self._counts(endpoint), **_JSON, **answer.headers})

    async def _admitted(self, call: Call) -> tuple[Answer, Armed | None]:
        """Within the limits, and past the faults."""
        emulator = self._emulator
        refused = self._limited(call)
        if refused is not None:
            return refused, None
        armed = self._fault(call)
        if armed is None:
            return self._carried(call), None
        effect = armed.effect
        emulator.side_effects(effect)
        if effect.closes:
            return self._limited(call) or self._carried(call), armed
        if armed.rule.when is When.AFTER:
            answer = _changed(self._carried(call, effect), effect)
            await _pause(effect)
            return answer, armed
        await _pause(effect)
        if not effect.answers:
            return _changed(self._carried(call, effect), effect), armed
        if effect.late_ms is not None:
            emulator.later(emulator.now_ms + effect.late_ms, lambda: self._too_late(call))
        return _changed(Answer(200, None), effect), armed

    def _limited(self, call: Call) -> Answer | None:
        emulator, endpoint = self._emulator, call.endpoint
        try:
            emulator.limiter.admit(
                endpoint.weight(call.params), endpoint.orders, emulator.now_ms, counted=endpoint.counted
            )
        except Limited as limited:
            return self._refused_by(limited)
        return None

    def _refused_by(self, limited: Limited) -> Answer:
        """Retry-After is real time, whatever the speed of the simulation; only a stepped one has none but its own."""
        refusal, wait_ms = limited.refusal, limited.retry_after_ms
        if not refusal.code:
            return Answer(limited.status, refusal.message, {"content-type": "text/html"})
        headers: dict[str, str] = {}
        if wait_ms is not None and self._emulator.limiter.tells_wait:
            headers["retry-after"] = str(ceil(wait_ms / 1_000 / (self._emulator.clock.speed or 1.0)))
        return Answer(limited.status, {"code": refusal.code, "msg": refusal.message}, headers)

    def _carried(self, call: Call, effect: Effect | None = None) -> Answer:
        """Do what is asked, if whoever asks may."""
        emulator, endpoint = self._emulator, call.endpoint
        try:
            emulator.gatekeeper.check(
                endpoint.security,
                call.api_key,
                call.query,
                call.body,
                call.params,
                now_ms=emulator.server_ms,
                speed=emulator.clock.speed,
            )
            emulator.modes.check(endpoint.method, endpoint.security, places=endpoint.orders != _NO_ORDERS)
            with emulator.showing_previous(effect is not None and effect.previous_position):
                return Answer(200, endpoint.handler(emulator, call.params))
        except Refusal as refusal:
            return _refused(refusal)
        except Exception:
            log.exception("%s %s", endpoint.method, endpoint.path)
            return Answer(500, {"code": -1000, "msg": "Request occur unknown error."})

    def _too_late(self, call: Call) -> None:
        """What was answered long ago happens now; its time stamp was good then."""
        try:
            call.endpoint.handler(self._emulator, call.params)
        except Refusal as refusal:
            log.info("%s, carried out late, was refused: %s", call.endpoint.path, refusal)

    def _fault(self, call: Call) -> Armed | None:
        emulator = self._emulator
        if not emulator.faults.armed():
            return None
        return emulator.faults.pick(About.REQUEST, self._facts(call), emulator.now_ms)

    def _facts(self, call: Call) -> Facts:
        params, endpoint = call.params, call.endpoint
        client_ids = ("newClientOrderId", "origClientOrderId", "clientAlgoId")
        reducing: bool | None = None
        if endpoint.orders != _NO_ORDERS:
            reducing = "true" in (params.text_or("reduceOnly"), params.text_or("closePosition"))
        elif endpoint.method == "DELETE":
            reducing = True
        return {
            "method": endpoint.method,
            "path": endpoint.path,
            "symbol": params.text_or("symbol"),
            "type": params.text_or("type"),
            "side": params.text_or("side"),
            "client_id": next((found for name in client_ids if (found := params.text_or(name))), None),
            "reducing": reducing,
            "order_age_ms": self._order_age_ms(params),
        }

    def _order_age_ms(self, params: Params) -> int | None:
        """How long ago the order was placed that a request names."""
        state = self._emulator.state
        order_id, algo_id = params.text_or("orderId") or "", params.text_or("algoId") or ""
        found = state.orders.get(int(order_id)) if order_id.isdecimal() else None
        found = found or state.orders.find(params.text_or("origClientOrderId") or "")
        algo = state.algos.get(int(algo_id)) if algo_id.isdecimal() else None
        algo = algo or state.algos.find(params.text_or("clientAlgoId") or "")
        named = found or algo
        return None if named is None else self._emulator.now_ms - named.created_ms

    def _counts(self, endpoint: Endpoint | None) -> dict[str, str]:
        if endpoint is None:
            return self._emulator.limiter.headers(_NO_ORDERS)
        return self._emulator.limiter.headers(endpoint.orders) if endpoint.counted else {}


def _refused(refusal: Refusal) -> Answer:
    return Answer(status_of(refusal), {"code": refusal.code, "msg": refusal.message})


def _changed(answer: Answer, effect: Effect) -> Answer:
    """The answer as a fault leaves it."""
    if effect.drop:
        return Answer(0, None)
    if effect.status is not None:
        return Answer(effect.status, effect.body, effect.headers)
    value = merged(answer.value, effect.merge) if effect.merge and answer.status == 200 else answer.value
    value = value if effect.candles is None else effect.candles.applied(value)
    return Answer(answer.status, value, effect.headers)


async def _pause(effect: Effect) -> None:
    if effect.latency_ms:
        await asyncio.sleep(effect.latency_ms / 1_000)


async def _text_of(request: Request) -> str:
    if request.method == "GET":
        return ""
    chunks: list[bytes] = []
    async for chunk in request.stream():
        chunks.append(chunk)
        if sum(map(len, chunks)) > BODY_BYTES_MAX:
            return ""
    return b"".join(chunks).decode("utf-8", "surrogateescape")
