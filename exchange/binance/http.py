"""Carries one call to Binance and back: budget, time stamp, signature, time-outs, and what the answer means.

Reads are tried again a few times. A write is sent again only when it certainly did not happen (no
connection, "Service Unavailable.", -1008, a clock that was wrong) or when twice is the same as once.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import msgspec

from exchange.binance import endpoints
from exchange.binance.clock import Clock
from exchange.binance.codec_market import server_time
from exchange.binance.endpoints import Endpoint, Security
from exchange.binance.limits import Budget, Priority
from exchange.binance.replies import Reply, classify, is_clock_skew, no_answer
from exchange.binance.server_time import ServerTime
from exchange.binance.signing import Credentials, RedactingFilter, query, redact, signed
from exchange.errors import ExchangeError, RateLimited, Refusal

log = logging.getLogger(__name__)

BACKOFF_S = (0.2, 0.4, 0.8)
"""Pauses before a call is sent again; Binance asks for 200→400→800 ms, 3 to 5 times (general information, 2026-11)."""

RECV_WINDOW_MS = 5_000
"""Binance's default; a time stamp older than this is refused with -1021 (general information, checked 2026-11)."""

_CONNECT_S = 2.0
_WAIT_S_MAX = 2.5  # how long a protective call waits for its turn in the budget before it is refused
_WAIT_STEP_S = 0.05  # the budget's clock may run faster than ours in a simulation
_CONNECTIONS_MAX = 20
_LEFT_MAX = 10_000  # ids of orders that left: the newest are those that anybody asks about
_IDLE_S_MAX = 20.0  # drop idle connections before the far side does
_BODY_BYTES_MAX = 32 * 1024 * 1024  # exchangeInfo is about 1 MB
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_TRANSPORT = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
_NO_API_KEY = -2014  # Binance's own code for a missing key (error catalogue, checked 2026-11)


_REDACTING = RedactingFilter()  # httpx logs whole addresses at INFO


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: Endpoint
    params: Mapping[str, str]
    weight: int
    priority: Priority


def _pool(base_url: str, transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=transport,
        trust_env=not is_loopback(base_url),  # a proxy from the environment must not swallow the simulator
        limits=httpx.Limits(
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=_CONNECTIONS_MAX,
            keepalive_expiry=_IDLE_S_MAX,
        ),
    )


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
        self.budget = budget or Budget()
        self.time = ServerTime(clock, self._read_server_ms, steady=steady)
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._credentials = credentials
        self.naked: set[str] = set()
        self.left: dict[str, None] = {}
        # Two pools: what protects a position never waits for a connection behind three hundred symbols' candles.
        self._for_market, self._for_account = (_pool(base_url, transport) for _ in range(2))

    async def aclose(self) -> None:
        """Close the connections; calls after this fail as Unreachable or UnknownOutcome."""
        await self._for_market.aclose()
        await self._for_account.aclose()

    async def call(
        self,
        endpoint: Endpoint,
        params: Mapping[str, str] | None = None,
        *,
        weight: int | None = None,
        priority: Priority | None = None,
    ) -> object:
        """The decoded answer, or an ExchangeError saying what is known of the call's fate."""
        call = _Call(
            endpoint=endpoint,
            params=params or {},
            weight=endpoint.weight if weight is None else weight,
            priority=endpoint.priority if priority is None else priority,
        )
        if endpoint.security is not Security.NONE and self._credentials is None:
            raise Refusal(_NO_API_KEY, f"{endpoint.name}: no API key; set BINANCE_API_KEY and BINANCE_API_SECRET")
        if endpoint.security is Security.SIGNED:
            await self.measured_now_ms()
        resynchronised = False
        pauses = iter(BACKOFF_S)
        while True:
            version = self.time.version
            reply = await self._once(call)
            if reply.error is None:
                return reply.value
            # only what carries a time stamp is cured by a new one; measuring itself must never wait for a measurement
            if endpoint.security is Security.SIGNED and is_clock_skew(reply.error) and not resynchronised:
                resynchronised = True
                await self._resynchronise(reply.error, version)
                continue
            pause_s = next(pauses, None) if _may_repeat(endpoint, reply) else None
            if pause_s is None:
                raise reply.error
            log.info("%s: again in %s s (%s)", endpoint.name, pause_s, self._redacted(str(reply.error)))
            await self._clock.sleep(pause_s)

    def server_now_ms(self) -> int:
        """The exchange's time as well as we know it, without asking."""
        return self.time.now_ms()

    async def measured_now_ms(self) -> int:
        """As ``server_now_ms``, but measured at least once."""
        return self.time.now_ms() if self.time.version else await self.time.measure(seen_version=0)

    async def server_time_ms(self) -> int:
        """The exchange's time, asked now."""
        return await self.time.measure(seen_version=self.time.version)

    async def _resynchronise(self, error: ExchangeError, version: int) -> None:
        """One measurement for everybody who saw the same version; if it fails, the refusal itself is the news."""
        try:
            await self.time.measure(seen_version=version)
        except ExchangeError as failure:
            log.warning("reading the server's time failed: %s", self._redacted(str(failure)))
            raise error from None
        log.warning("clock was off (%s); offset is now %d ms", error, self.time.offset_ms)

    async def _read_server_ms(self) -> int:
        return server_time(await self.call(endpoints.TIME, priority=Priority.FLATTEN))

    async def _once(self, call: _Call) -> Reply:
        """Wait for the budget, sign, send, read, classify. The exception of a transport never leaves this method."""
        endpoint = call.endpoint
        refused = await self._admitted(call)
        if refused is not None:
            return Reply(error=refused)
        self._note_left(call)
        sent_ms = self.time.now_ms()
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                pool = self._for_market if endpoint.security is Security.NONE else self._for_account
                response = await pool.send(self._request(pool, call, sent_ms), stream=True)
                try:
                    body = await _limited_body(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            return no_answer(endpoint.name, f"time-out after {endpoint.timeout_s} s", **_fate(endpoint, None))
        except _TRANSPORT as error:
            reason = self._redacted(f"{type(error).__name__} {error}".strip())
            return no_answer(endpoint.name, reason, **_fate(endpoint, error))
        except RuntimeError as error:  # httpx's word for a client that was closed
            return no_answer(endpoint.name, self._redacted(str(error)), **_fate(endpoint, error))
        return self._understood(endpoint, response, body, sent_ms)

    def _note_left(self, call: _Call) -> None:
        client_id = call.params.get("newClientOrderId") or call.params.get("clientAlgoId")
        if client_id is None or not call.endpoint.orders:
            return
        self.left[client_id] = None
        if len(self.left) > _LEFT_MAX:
            del self.left[next(iter(self.left))]

    def _understood(self, endpoint: Endpoint, response: httpx.Response, body: bytes, sent_ms: int) -> Reply:
        now_ms = self.time.now_ms()
        self.budget.observe(response.headers, sent_ms=sent_ms, now_ms=now_ms)
        reply = self._classified(endpoint, response, body, now_ms)
        if reply.error is not None:
            clean = self._redacted(body.decode("utf-8", "replace")).encode()
            reply = self._classified(endpoint, response, clean, now_ms)
        log.debug("%s: HTTP %d in %d ms", endpoint.name, response.status_code, now_ms - sent_ms)
        if isinstance(reply.error, RateLimited):
            return Reply(error=self._paused(reply, reply.error, sent_ms, now_ms))
        self.budget.answered(now_ms)
        return reply

    def _classified(self, endpoint: Endpoint, response: httpx.Response, body: bytes, now_ms: int) -> Reply:
        return classify(
            endpoint.name,
            response.status_code,
            body,
            is_write=endpoint.is_write,
            retry_after=response.headers.get("retry-after"),
            now_ms=now_ms,
        )

    def _paused(self, reply: Reply, error: RateLimited, sent_ms: int, now_ms: int) -> RateLimited:
        if reply.order_limit:
            wait_ms = self.budget.exhaust_orders(now_ms)
        else:
            wait_ms = self.budget.pause(
                now_ms, sent_ms=sent_ms, retry_after_ms=error.retry_after_ms, banned=error.banned
            )
        log.warning("%s; waiting %d ms", error, wait_ms)
        return RateLimited(f"{error}; wait {wait_ms} ms", retry_after_ms=wait_ms, banned=error.banned)

    async def _admitted(self, call: _Call) -> RateLimited | None:
        """Protective calls wait a little for their turn, everybody else is told at once how long to wait."""
        deadline = self._clock.monotonic() + (_WAIT_S_MAX if call.priority >= Priority.FLATTEN else 0.0)
        while True:
            wait_ms = self.budget.admit(
                self.time.now_ms(), call.priority, weight=call.weight, orders=call.endpoint.orders
            )
            if wait_ms == 0:
                return None
            if self._clock.monotonic() >= deadline or wait_ms > _WAIT_S_MAX * 1_000:
                return RateLimited(
                    f"{call.endpoint.name}: not sent, the {call.priority.name} share of the rate limit is used up;"
                    f" wait {wait_ms} ms",
                    retry_after_ms=wait_ms,
                    banned=self.budget.banned,
                )
            await self._clock.sleep(min(wait_ms / 1_000, _WAIT_STEP_S))

    def _request(self, pool: httpx.AsyncClient, call: _Call, now_ms: int) -> httpx.Request:
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
        return pool.build_request(
            endpoint.method,
            f"{self._base_url}{endpoint.path}{'?' if payload else ''}{payload}",
            headers=headers,
            timeout=httpx.Timeout(endpoint.timeout_s, connect=_CONNECT_S),
        )

    def _redacted(self, text: str) -> str:
        return self._credentials.redact(text) if self._credentials is not None else redact(text)


def is_loopback(url: str) -> bool:
    """True when the address's host is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _may_repeat(endpoint: Endpoint, reply: Reply) -> bool:
    """Never a write whose fate is unknown, unless twice is the same as once."""
    if isinstance(reply.error, RateLimited):
        return False
    return reply.resend or (endpoint.repeatable and not isinstance(reply.error, Refusal))


def _fate(endpoint: Endpoint, error: Exception | None) -> dict[str, bool]:
    return {"is_write": endpoint.is_write, "never_sent": isinstance(error, _NEVER_SENT)}


async def _limited_body(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _BODY_BYTES_MAX:
            raise httpx.ReadError(f"the answer is larger than {_BODY_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
