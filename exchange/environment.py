"""Turns BINANCE_ENV into addresses and a database name; the one switch between simulator, paper, testnet and mainnet.

Hosts: general information page and the WebSocket change notice of 2026-04-23 (checked 2026-11).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from exchange.secrets import Credentials, Secret


class Network(StrEnum):
    """The values of BINANCE_ENV."""

    SIM = "sim"
    PAPER = "paper"
    TESTNET = "testnet"
    MAINNET = "mainnet"


class UnusableEnvironment(ValueError):
    """The settings do not name an exchange we may talk to; the message says which and what to write instead."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Where public prices and rules come from; nothing that is sent there has a key."""

    rest_url: str
    ws_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where one environment lives. ``ws_urls`` are tried in order; without any the bot polls only.

    ``rest_url`` None: the embedded exchange has to be started first. ``prices``: it takes its prices from there.
    """

    network: Network
    rest_url: str | None
    ws_urls: tuple[str, ...]
    database: str
    prices: Prices | None = None

    @property
    def is_embedded(self) -> bool:
        """True when no running exchange was named and the embedded one is meant."""
        return self.rest_url is None

    @property
    def needs_credentials(self) -> bool:
        """Everywhere but on the embedded exchange, which hands out its own."""
        return not self.is_embedded


_TESTNET = Environment(
    network=Network.TESTNET,
    rest_url="https://demo-fapi.binance.com",
    # Documentation names the first host, the official SDK the second; both served data when probed in 2026-09.
    ws_urls=("wss://demo-fstream.binance.com", "wss://fstream.binancefuture.com"),
    database="var/testnet.sqlite",
)
_MAINNET = Environment(
    network=Network.MAINNET,
    rest_url="https://fapi.binance.com",
    ws_urls=("wss://fstream.binance.com",),
    database="var/mainnet.sqlite",
)


def resolve(settings: Mapping[str, str]) -> Environment:
    """The environment that these settings name. Raises UnusableEnvironment."""
    name = settings.get("BINANCE_ENV", "").strip() or Network.SIM.value
    if name == Network.MAINNET.value:
        return _MAINNET
    if name == Network.TESTNET.value:
        return _TESTNET
    if name == Network.PAPER.value:
        return paper(settings.get("PAPER_REST_URL", "").strip(), settings.get("PAPER_WS_URL", "").strip())
    if name != Network.SIM.value:
        raise UnusableEnvironment(f"BINANCE_ENV is {name!r}; write sim, paper, testnet or mainnet")
    return simulator(settings.get("SIM_REST_URL", "").strip(), settings.get("SIM_WS_URL", "").strip())


def paper(rest_url: str = "", ws_url: str = "") -> Environment:
    """The embedded exchange on the prices of mainnet, or of these addresses. Raises UnusableEnvironment."""
    if bool(rest_url) != bool(ws_url):
        raise UnusableEnvironment("PAPER_REST_URL and PAPER_WS_URL belong together; set both or neither")
    prices = Prices(str(_MAINNET.rest_url), _MAINNET.ws_urls)
    if rest_url:
        rest = _public("PAPER_REST_URL", rest_url, ("https", "http"))
        prices = Prices(rest, (_public("PAPER_WS_URL", ws_url, ("wss", "ws")),))
    return Environment(network=Network.PAPER, rest_url=None, ws_urls=(), database="var/paper.sqlite", prices=prices)


def history_url(settings: Mapping[str, str]) -> str:
    """Where recorded history is asked for, which takes no keys: a running simulator if one is named, else mainnet.

    The demo exchange has prices of its own, on which no backtest says anything about the real one.
    """
    found = resolve(settings)
    if found.prices is not None:
        return found.prices.rest_url
    return found.rest_url if found.network is Network.SIM and found.rest_url else str(_MAINNET.rest_url)


def simulator(rest_url: str = "", ws_url: str = "") -> Environment:
    """The simulator at these addresses (loopback only), or the embedded one when there are none."""
    if ws_url and not rest_url:
        raise UnusableEnvironment("SIM_WS_URL is set without SIM_REST_URL; set both or neither")
    rest = _loopback("SIM_REST_URL", rest_url, ("http", "https")) if rest_url else None
    ws = _loopback("SIM_WS_URL", ws_url, ("ws", "wss")) if ws_url else None
    if rest is not None and ws is None:
        ws = f"ws{rest.removeprefix('http')}"  # the simulator serves both on one port
    return Environment(
        network=Network.SIM, rest_url=rest, ws_urls=(ws,) if ws is not None else (), database="var/sim.sqlite"
    )


def credentials(settings: Mapping[str, str]) -> Credentials:
    """The keys among the settings. Raises UnusableEnvironment naming what is missing, never what is there."""
    missing = [name for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET") if not settings.get(name, "").strip()]
    if missing:
        raise UnusableEnvironment(f"{' and '.join(missing)} must be set in .env or in the environment")
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        value = settings[name].strip()
        if not value.isascii() or not value.isprintable() or " " in value:
            raise UnusableEnvironment(f"{name} has characters that no key has; copy it again")
    return Credentials(
        api_key=Secret(settings["BINANCE_API_KEY"].strip()), api_secret=Secret(settings["BINANCE_API_SECRET"].strip())
    )


def _public(name: str, url: str, schemes: tuple[str, str]) -> str:
    """The address without a trailing slash: encrypted, or on this machine."""
    secure, plain = schemes
    if urlsplit(url).scheme == plain:
        return _loopback(name, url, (plain,))
    return _plain(name, url, (secure,), f"write {secure}://HOST, or {plain}://127.0.0.1:PORT")[0]


def _loopback(name: str, url: str, schemes: tuple[str, ...]) -> str:
    """The address without a trailing slash, if it is a plain one on this machine."""
    wanted = f"write {schemes[0]}://127.0.0.1:PORT"
    address, host = _plain(name, url, schemes, wanted)
    if not _is_loopback_host(host):
        raise UnusableEnvironment(f"{name} must be a loopback address, not {host!r}; {wanted}")
    return address


def _plain(name: str, url: str, schemes: tuple[str, ...], wanted: str) -> tuple[str, str]:
    """The address without a trailing slash, and its host, if there is nothing more in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UnusableEnvironment(f"{name} is no address ({error}); {wanted}") from None
    if parts.scheme not in schemes:
        raise UnusableEnvironment(f"{name} must begin with {' or '.join(schemes)}; {wanted}")
    if not host:
        raise UnusableEnvironment(f"{name} has no host; {wanted}")
    if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise UnusableEnvironment(f"{name} must be scheme, host and port only; {wanted}")
    return url.rstrip("/"), host


def is_loopback(url: str) -> bool:
    """True when the address's host is this machine."""
    return _is_loopback_host(urlsplit(url).hostname or "")


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
