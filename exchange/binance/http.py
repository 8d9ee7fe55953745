"""Carries one call to Binance and back: budget, time stamp, signature, time-outs, and what the answer means.

Reads are tried again a few times. A write is sent again only when it certainly did not happen (no
connection, "Service Unavailable.", -1008, a clock that was wrong) or when twice is the same as once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import httpx
import msgspec

from exchange.binance import endpoints
from exchange.binance.codec_market import server_time
from exchange.binance.connections import Pool
from exchange.binance.endpoints import WALLET_HOSTS, Endpoint, Security
from exchange.binance.limits import Ask, Budget
from exchange.binance.refusals import refusal
from exchange.binance.replies import Reply, ToldToWait, classify, is_clock_skew, no_answer
from exchange.binance.signing import query, signed
from exchange.binance.turns import Claim, Turns
from exchange.clock import Clock
from exchange.environment import is_loopback
from exchange.errors import ExchangeError, RateLimited, Refusal
from exchange.priority import Priority
from exchange.secrets import Credentials, RedactingFilter, redact
from exchange.server_time import ServerTime
from exchange.types import Pause

log = logging.getLogger(__name__)

BACKOFF_S = (0.2, 0.4, 0.8)
"""Pauses before a call is sent again; Binance asks for 200→400→800 ms, 3 to 5 times (general information, 2026-11)."""

RECV_WINDOW_MS = 5_000
"""Binance's default; a time stamp older than this is refused with -1021 (general information, checked 2026-11)."""

NAKED_BACKOFF_S_MAX = 0.4
"""While a position has no stop, whatever concerns it is tried again sooner than every half second."""

_CONNECT_S = 2.0
_CLOCK_S = 1.0  # what protects waits so long for a reading of the server's time, and then goes without
_CONNECTIONS_MAX = 20
_ORDER_CONNECTIONS_MAX = 100  # a connection that hangs must not hold up the next attempt
_NAKED_CONNECTIONS = 100  # more of them, for what a position without a stop needs
_PLACE_S, _ORDER_PLACE_S = 10.0, 1.0  # how long to wait for one of them
_LEFT_MAX = 10_000  # ids of orders that left: the newest are those that anybody asks about
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_TRANSPORT = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
_NO_API_KEY = -2014  # Binance's own code for a missing key (error catalogue, checked 2026-11)


_REDACTING = RedactingFilter()  # httpx logs whole addresses at INFO


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: Endpoint
    params: Mapping[str, str]
    claim: Claim

    @property
    def order_id(self) -> str | None:
        """Its client id, if it places an order."""
        if not self.endpoint.orders:
            return None
        return self.params.get("newClientOrderId") or self.params.get("clientAlgoId")


class Http:
    """Keep-alive connections to one base address, for one account. Only ExchangeErrors come out of it."""

    def __init__(
        self,
        *,
        base_url: str,
        clock: Clock,
        credentials: Credentials | None = None,
        budget: Budget | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        steady: bool = False,
    ) -> None:
        """``steady``: nothing steps the clock, so a jump of its difference to the exchange's is doubted (R76)."""
        logging.getLogger("httpx").addFilter(_REDACTING)
        self.turns = Turns(budget or Budget(), clock, self.server_now_ms)
        self.time = ServerTime(clock, self._read_server_ms, steady=steady)
        self._base_url = base_url.rstrip("/")
        self.wallet_url = WALLET_HOSTS.get(self._base_url, self._base_url if is_loopback(base_url) else None)
        self._clock = clock
        self._credentials = credentials
        self._left: dict[str, int] = {}
        self._under_way: set[asyncio.Future[Any]] = set()  # whether or not anybody waits for it
        # Three pools: what protects a position never waits for a connection behind three hundred symbols' candles or
        # looks, and an entry leaves the connection warm that its stop needs next.
        direct = is_loopback(base_url)  # a proxy from the environment must not swallow the simulator
        few = partial(Pool, transport, most=_CONNECTIONS_MAX, wait_s=_PLACE_S, trust_env=not direct)
        self._for_market, self._for_account = few(), few(kept_free=_NAKED_CONNECTIONS)
        self._for_orders = Pool(
            transport,
            most=_ORDER_CONNECTIONS_MAX,
            kept_free=_NAKED_CONNECTIONS,
            wait_s=_ORDER_PLACE_S,
            trust_env=not direct,
        )

    async def aclose(self) -> None:
        """Close the connections; calls after this fail as Unreachable or UnknownOutcome."""
        self.turns.close()
        for task in self._under_way:
            task.cancel()
        for pool in (self._for_market, self._for_account, self._for_orders):
            await pool.client.aclose()

    @property
    def budget(self) -> Budget:
        return self.turns.budget

    def set_naked(self, symbol: str, naked: bool) -> None:
        """What concerns this symbol's position goes first from now on, or no longer."""
        self.turns.set_naked(symbol, naked)

    def has_left(self, client_id: str) -> bool:
        """Whether an order of this id may have reached the exchange from here."""
        return client_id in self._left

    def pause(self) -> Pause | None:
        """What holds requests up now, by the exchange's own word."""
        return self.budget.shown(self._clock.monotonic())

    async def call(
        self,
        endpoint: Endpoint,
        params: Mapping[str, str] | None = None,
        *,
        weight: int | None = None,
        priority: Priority | None = None,
        if_naked: Priority | None = None,
        symbol: str | None = None,
    ) -> object:
        """The decoded answer, or an ExchangeError saying what is known of the call's fate.

        ``if_naked`` is its priority while the position of its symbol is; ``symbol`` names that where no parameter does.
        """
        params = params or {}
        ask = Ask(
            priority=endpoint.priority if priority is None else priority,
            weight=endpoint.weight if weight is None else weight,
            orders=endpoint.orders,
            signed=endpoint.security is Security.SIGNED,
            opens=endpoint.is_write and (endpoint.priority if priority is None else priority) is Priority.TRADE,
        )
        claim = Claim(name=endpoint.name, ask=ask, symbol=symbol or params.get("symbol", ""), if_naked=if_naked)
        call = _Call(endpoint=endpoint, params=params, claim=claim)
        if endpoint.security is not Security.NONE and self._credentials is None:
            raise refusal(_NO_API_KEY, f"{endpoint.name}: no API key; set BINANCE_API_KEY and BINANCE_API_SECRET")
        if ask.signed:
            await self._measure_first(ask)
        return await self._carried(call)

    async def _carried(self, call: _Call) -> object:
        """Send it, and again where that does no harm; what concerns a naked position goes back into the queue."""
        endpoint, ask = call.endpoint, call.claim.ask
        resynchronised = False
        pauses = iter(BACKOFF_S)
        while True:
            version = self.time.version
            reply = await self._once(call)
            if reply.error is None:
                return reply.value
            if reply.told is not None and self.turns.priority(call.claim) >= Priority.CLEAR:
                continue
            # only what carries a time stamp is cured by a new one; measuring itself must never wait for a measurement
            if ask.signed and is_clock_skew(reply.error) and not resynchronised:
                resynchronised = True
                await self._resynchronise(reply.error, version, ask)
                continue
            pause_s = next(pauses, None) if _may_repeat(endpoint, reply) else None
            if pause_s is None:
                raise reply.error
            if self.turns.is_naked(call.claim.symbol):
                if endpoint is endpoints.ALGO_PLACE and self.turns.priority(call.claim) is Priority.NAKED:
                    raise reply.error  # whoever hurries it sends it again, in a rhythm of its own
                pause_s = min(pause_s, NAKED_BACKOFF_S_MAX)
            log.info("%s: again in %s s (%s)", endpoint.name, pause_s, self._redacted(str(reply.error)))
            await self._clock.sleep(pause_s)

    def server_now_ms(self) -> int:
        """The exchange's time as well as we know it, without asking."""
        return self.time.now_ms()

    async def measured_now_ms(self, priority: Priority = Priority.TRADE) -> int:
        """As ``server_now_ms``, but measured at least once."""
        return self.time.now_ms() if self.time.version else await self.time.measure(seen_version=0, priority=priority)

    async def server_time_ms(self, priority: Priority | None = None) -> int:
        """The exchange's time, asked now."""
        return await self.time.measure(seen_version=self.time.version, priority=priority or Priority.TRADE)

    async def _measure_first(self, ask: Ask) -> None:
        """A signed call carries the exchange's time. What protects goes with ours rather than wait for it for long."""
        if self.time.version or (ask.protects and self.pause() is not None):
            return
        try:
            await self._measured(0, ask)
        except (ExchangeError, TimeoutError) as failure:
            if not ask.protects:
                raise
            log.warning("going by our own clock, the server's time was not read: %s", self._redacted(str(failure)))

    async def _resynchronise(self, error: ExchangeError, version: int, ask: Ask) -> None:
        """One measurement for everybody who saw the same version; if it fails, the refusal itself is the news."""
        try:
            await self._measured(version, ask)
        except (ExchangeError, TimeoutError) as failure:
            log.warning("reading the server's time failed: %s", self._redacted(str(failure)))
            raise error from None
        log.warning("clock was off (%s); offset is now %d ms", error, self.time.offset_ms)

    async def _measured(self, version: int, ask: Ask) -> None:
        """Measure, unless somebody did. What protects does not wait for long; the measurement itself goes on."""
        task = asyncio.ensure_future(self.time.measure(seen_version=version, priority=ask.priority))
        self._under_way.add(task)
        task.add_done_callback(self._has_ended)
        done, _ = await asyncio.wait({task}, timeout=_CLOCK_S if ask.protects else None)
        if not done:
            raise TimeoutError(f"no answer within {_CLOCK_S} s")
        task.result()

    def _has_ended(self, task: asyncio.Future[Any]) -> None:
        """Also where nobody waits for it any more."""
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()

    async def _read_server_ms(self, priority: Priority) -> int:
        return server_time(await self.call(endpoints.TIME, priority=priority))

    async def _once(self, call: _Call) -> Reply:
        """Wait for the turn, sign, send, read, classify. The exception of a transport never leaves this method."""
        endpoint, pool = call.endpoint, self._pool_for(call)
        try:
            while True:
                refused = await self.turns.wait(call.claim)
                if refused is not None:
                    return Reply(error=refused)
                leaving = self._leaves(call, pool)
                probes = not endpoint.is_write and self.pause() is not None
                reply = await (self._heard(leaving) if probes else leaving)
                if reply is not None:
                    return reply
        except TimeoutError:
            return no_answer(endpoint.name, f"time-out after {endpoint.timeout_s} s", **_fate(endpoint, None))
        except _TRANSPORT as error:
            reason = self._redacted(f"{type(error).__name__} {error}".strip())
            return no_answer(endpoint.name, reason, **_fate(endpoint, error))
        except RuntimeError as error:  # httpx's word for a client that was closed
            return no_answer(endpoint.name, self._redacted(str(error)), **_fate(endpoint, error))

    async def _leaves(self, call: _Call, pool: Pool) -> Reply | None:
        """None: a pause began while it waited for a connection."""
        refusals = self.budget.refusals
        async with pool.place(urgent=self._is_urgent(call)):
            if refusals == self.budget.refusals:
                return await self._sent(call, pool)
        self.budget.give_back(call.claim.ask, (), self._clock.monotonic())
        return None

    async def _heard(self, leaving: Coroutine[Any, Any, Reply | None]) -> Reply | None:
        """The answer to a probe ends the pause: it is heard also where its caller gives up, as a look does of which one
        request may leave and another must wait. Only reads: an order that nobody wants any more must not leave."""
        probe = asyncio.ensure_future(leaving)
        self._under_way.add(probe)
        probe.add_done_callback(self._has_ended)
        return await asyncio.shield(probe)

    async def _sent(self, call: _Call, pool: Pool) -> Reply:
        """It leaves now. Raises what the transport does."""
        sent_s, sent_ms = self._clock.monotonic(), self.time.now_ms()
        self._count_left(call, 1)
        try:
            async with asyncio.timeout(call.endpoint.timeout_s):
                response, body = await pool.send(self._request(pool.client, call, sent_ms))
        except _NEVER_SENT:
            self._count_left(call, -1)
            raise
        return self._understood(call, response, body, sent_s, sent_ms)

    def _is_urgent(self, call: _Call) -> bool:
        """A stop that hangs keeps none from the close that must follow it; beside it are attempts of its own."""
        claim = call.claim
        return self.turns.is_naked(claim.symbol) and call.endpoint is not endpoints.ALGO_PLACE

    def _pool_for(self, call: _Call) -> Pool:
        if call.endpoint.is_write or call.claim.ask.priority >= Priority.COVER:
            return self._for_orders
        return self._for_market if call.endpoint.security is Security.NONE else self._for_account

    def _count_left(self, call: _Call, attempts: int) -> None:
        """Remember the ids of orders that may have arrived: one that certainly did not counts as never sent."""
        order_id = call.order_id
        if order_id is None:
            return
        count = self._left.pop(order_id, 0) + attempts
        if count > 0:
            self._left[order_id] = count
        if len(self._left) > _LEFT_MAX:
            del self._left[next(iter(self._left))]

    def _understood(self, call: _Call, response: httpx.Response, body: bytes, sent_s: float, sent_ms: int) -> Reply:
        """The answer's meaning, and what it says about the limits."""
        endpoint, budget, ask = call.endpoint, self.budget, call.claim.ask
        now_s, now_ms = self._clock.monotonic(), self.time.now_ms()
        budget.windows.observe(response.headers, sent_ms=sent_ms, now_ms=now_ms)
        reply = self._classified(endpoint, response, body, now_ms)
        if reply.error is not None:
            clean = self._redacted(body.decode("utf-8", "replace")).encode()
            reply = self._classified(endpoint, response, clean, now_ms)
        log.debug("%s: HTTP %d in %d ms", endpoint.name, response.status_code, now_ms - sent_ms)
        told = reply.told
        if told is None or told.orders_only:
            budget.answered(ask, sent_s=sent_s, now_s=now_s, orders_too=told is None)
        if told is not None:
            self._count_left(call, -1)
            wait_s = budget.refused(told, sent_s=sent_s, now_s=now_s, now_ms=now_ms)
            reply = Reply(error=_paused(endpoint, told, wait_s), told=told)
        self.turns.look_again()
        return reply

    def _classified(self, endpoint: Endpoint, response: httpx.Response, body: bytes, now_ms: int) -> Reply:
        return classify(
            endpoint.name,
            response.status_code,
            body,
            is_write=endpoint.is_write,
            retry_after=response.headers.get("retry-after"),
            date=response.headers.get("date"),
            now_ms=now_ms,
        )

    def _request(self, client: httpx.AsyncClient, call: _Call, now_ms: int) -> httpx.Request:
        """Everything goes into the query string, for every method, as the official SDK does (checked 2026-11)."""
        endpoint, credentials = call.endpoint, self._credentials
        params = dict(call.params)
        if endpoint.security is Security.SIGNED:
            params["recvWindow"] = str(RECV_WINDOW_MS)
            params["timestamp"] = str(now_ms)
        payload = query(params)
        headers: dict[str, str] = {}
        if endpoint.security is not Security.NONE and credentials is not None:
            headers["X-MBX-APIKEY"] = credentials.api_key.reveal()
            if endpoint.security is Security.SIGNED:
                payload = signed(payload, credentials.api_secret)
        host = self.wallet_url if endpoint.of_wallet else self._base_url
        return client.build_request(
            endpoint.method,
            f"{host}{endpoint.path}{'?' if payload else ''}{payload}",
            headers=headers,
            timeout=httpx.Timeout(endpoint.timeout_s, connect=_CONNECT_S),
        )

    def _redacted(self, text: str) -> str:
        return self._credentials.redact(text) if self._credentials is not None else redact(text)


def _paused(endpoint: Endpoint, told: ToldToWait, wait_s: float) -> RateLimited:
    said = f"{endpoint.name}: {told.cause}"
    log.warning("%s; waiting %d ms", said, wait_s * 1_000)
    return RateLimited(f"{said}; wait {wait_s * 1_000:.0f} ms", retry_after_ms=int(wait_s * 1_000), banned=told.banned)


def _may_repeat(endpoint: Endpoint, reply: Reply) -> bool:
    """Never a write whose fate is unknown, unless twice is the same as once."""
    if isinstance(reply.error, RateLimited):
        return False
    return reply.resend or (endpoint.repeatable and not isinstance(reply.error, Refusal))


def _fate(endpoint: Endpoint, error: Exception | None) -> dict[str, bool]:
    return {"is_write": endpoint.is_write, "never_sent": isinstance(error, _NEVER_SENT)}
