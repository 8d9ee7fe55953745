"""The simulation's own interface under /sim/v1: the clock, faults, somebody else's hand on the account, and a log.

It has no keys: the server listens on loopback only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from exchange.errors import Refusal
from exchange.sim.server.emulator import Emulator, Progress
from exchange.sim.server.external_trader import ExternalTrader
from exchange.sim.server.fault_file import Conditions, FaultPlan, plan_of
from exchange.sim.server.faults import FaultError
from exchange.sim.server.request_log import RequestLog
from indicators.candle import Timeframe

ADVANCE_MS_MAX = 100 * 366 * Timeframe.D1.ms
Json = dict[str, object]
Model = TypeVar("Model")


class BadControl(Exception):
    """A control request that cannot be carried out; the message says why."""


class Advance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ms: int
    until_event: bool = False


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    speed: float


class Streams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``expire_listen_key``, ``cut`` (all sockets), ``mute`` or ``unmute`` (those open now)."""

    action: str


class Control:
    """Answers under /sim/v1."""

    def __init__(self, emulator: Emulator, requests: RequestLog) -> None:
        self._emulator = emulator
        self._requests = requests
        self._trader = ExternalTrader(emulator)
        self._moving = asyncio.Lock()
        self._routes: Mapping[tuple[str, str], Callable[[Request], Awaitable[object]]] = {
            ("GET", "/sim/v1/clock"): self._clock,
            ("POST", "/sim/v1/clock"): self._set_clock,
            ("POST", "/sim/v1/advance"): self._advance,
            ("GET", "/sim/v1/faults"): self._faults,
            ("POST", "/sim/v1/faults"): self._add_faults,
            ("DELETE", "/sim/v1/faults"): self._remove_faults,
            ("GET", "/sim/v1/account"): self._account,
            ("POST", "/sim/v1/account"): self._act,
            ("POST", "/sim/v1/price"): self._price,
            ("GET", "/sim/v1/streams"): self._streams,
            ("POST", "/sim/v1/streams"): self._change_streams,
            ("GET", "/sim/v1/log"): self._log,
            ("DELETE", "/sim/v1/log"): self._clear_log,
        }

    async def respond(self, request: Request) -> Response:
        route = self._routes.get((request.method, str(request.scope["path"])))
        if route is None:
            known = sorted(f"{method} {path}" for method, path in self._routes)
            return _response(404, {"error": f"there is no {request.method} {request.scope['path']!s}", "known": known})
        try:
            return _response(200, await route(request))
        except (BadControl, FaultError, msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
            return _response(422, {"error": str(error)})
        except Refusal as refusal:
            return _response(409, {"error": str(refusal), "code": refusal.code})

    async def keep_time(self) -> None:
        """One movement of the clock, to where it should be by now; a bar at a time, so that others get their turn."""
        emulator = self._emulator
        async with self._moving:
            target_ms = emulator.clock.target_ms(emulator.now_ms)
            moved = target_ms > emulator.now_ms and not emulator.world.ended
            if moved:
                await self._move(target_ms, until_event=False)
        if moved:
            emulator.market_feed.moved(force=False)

    async def _move(self, target_ms: int, *, until_event: bool) -> Progress:
        emulator = self._emulator
        events = []
        while True:
            bar_ends_ms = emulator.world.bar_ms + emulator.world.timeframe.ms
            progress = emulator.advance(min(target_ms, bar_ends_ms), until_event=until_event)
            events += progress.events
            if not progress.reached or emulator.now_ms >= target_ms or emulator.world.ended:
                return Progress(events, progress.reached)
            await asyncio.sleep(0)

    # --- clock --------------------------------------------------------------------------------
    async def _clock(self, _: Request) -> Json:
        emulator = self._emulator
        return {
            "serverTime": emulator.now_ms,
            "speed": emulator.clock.speed,
            "data_end": emulator.world.data_end_ms,
            "ended": emulator.world.ended,
        }

    async def _set_clock(self, request: Request) -> Json:
        self._check_recorded()
        speed = (await _read(request, Pace)).speed
        if not 0 <= speed < 1e9:
            raise BadControl(f"speed {speed} is not between 0 and 1e9")
        self._emulator.clock.set_speed(speed, self._emulator.now_ms)
        return await self._clock(request)

    async def _advance(self, request: Request) -> Json:
        self._check_recorded()
        wanted = await _read(request, Advance)
        if not 0 <= wanted.ms <= ADVANCE_MS_MAX:
            raise BadControl(f"ms is {wanted.ms}; time goes forward, by at most 100 years")
        emulator = self._emulator
        async with self._moving:
            progress = await self._move(emulator.now_ms + wanted.ms, until_event=wanted.until_event)
            emulator.clock.anchor(emulator.now_ms)
        emulator.market_feed.moved(force=True)
        return {**await self._clock(request), "reached": progress.reached, "events": progress.events}

    # --- faults -------------------------------------------------------------------------------
    async def _faults(self, _: Request) -> Json:
        armed = self._emulator.faults.armed()
        rows = [
            {"id": found.number, "matched": found.matched, "fired": found.fired, "rule": found.rule} for found in armed
        ]
        return {"rules": rows, "seed": self._emulator.faults.seed}

    async def _add_faults(self, request: Request) -> Json:
        plan = plan_of(msgspec.json.decode(await request.body()))
        return {"ids": arm(self._emulator, plan)}

    async def _remove_faults(self, request: Request) -> Json:
        number = request.query_params.get("id")
        if number is not None and not number.isdecimal():
            raise BadControl(f"id {number!r} is not the number of a rule")
        removed = self._emulator.faults.remove(None if number is None else int(number))
        if number is None:
            self._emulator.limiter.pardon()
        return {"removed": removed}

    # --- account, prices, streams, log ----------------------------------------------------------
    async def _account(self, _: Request) -> Json:
        return self._trader.account()

    async def _act(self, request: Request) -> Json:
        return self._trader.act(msgspec.json.decode(await request.body()))

    def _check_recorded(self) -> None:
        if not self._emulator.world.is_recorded:
            raise BadControl("prices and time are the real exchange's here, and nobody else moves them")

    async def _price(self, request: Request) -> Json:
        self._check_recorded()
        return self._trader.set_price(msgspec.json.decode(await request.body()))

    async def _streams(self, _: Request) -> Json:
        rows = [
            {
                "route": connection.route.value,
                "streams": list(connection.streams),
                "listenKeys": list(connection.keys),
                "muted": connection.muted,
                "messages": connection.offered,
            }
            for connection in self._emulator.hub
        ]
        return {"connections": rows, "listenKey": self._emulator.listen_keys.active()}

    async def _change_streams(self, request: Request) -> Json:
        action = (await _read(request, Streams)).action
        if action == "expire_listen_key":
            self._emulator.expire_listen_key()
        elif action == "cut":
            self._emulator.hub.cut()
        elif action in ("mute", "unmute"):
            self._emulator.hub.mute(action == "mute")
        else:
            raise BadControl(f"action {action!r}: expire_listen_key, cut, mute or unmute")
        return await self._streams(request)

    async def _log(self, request: Request) -> Json:
        since, limit = (
            request.query_params.get(name, default) for name, default in (("since", "0"), ("limit", "1000"))
        )
        return {"requests": self._requests.since(int(since), int(limit))}

    async def _clear_log(self, _: Request) -> Json:
        self._requests.clear()
        return {}


def arm(emulator: Emulator, plan: FaultPlan) -> list[int]:
    """Put a plan into force; returns the numbers of its rules."""
    if plan.seed is not None:
        emulator.faults.seed = plan.seed
    set_conditions(emulator, plan.settings)
    return [emulator.faults.add(rule) for rule in plan.rules]


def set_conditions(emulator: Emulator, conditions: Conditions) -> None:
    """Change how the simulated exchange behaves."""
    settings = emulator.state.settings
    if conditions.depth_usdt is not None:
        settings = replace(settings, depth_usdt=conditions.depth_usdt or None)
    if conditions.slippage is not None:
        if not Decimal(0) <= conditions.slippage < 1:
            raise FaultError(f"settings.slippage: {conditions.slippage} is not a fraction")
        settings = replace(settings, slippage=conditions.slippage)
    if conditions.transfer_delay_ms is not None:
        settings = replace(settings, transfer_delay_ms=max(conditions.transfer_delay_ms, 0))
    emulator.state.settings = settings
    if conditions.strict_user_stream is not None:
        emulator.user_feed.strict = conditions.strict_user_stream
    if conditions.retry_after is not None:
        emulator.limiter.tells_wait = conditions.retry_after


async def _read(request: Request, model: type[Model]) -> Model:
    return msgspec.json.decode(await request.body(), type=model)


def _response(status: int, value: object) -> Response:
    return Response(msgspec.json.encode(value), status, {"content-type": "application/json"})
