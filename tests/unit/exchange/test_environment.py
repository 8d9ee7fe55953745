"""BINANCE_ENV is the one switch, and the simulator is on this machine or nowhere."""

from __future__ import annotations

import pytest

from exchange.environment import (
    Environment,
    Network,
    Prices,
    UnusableEnvironment,
    credentials,
    history_url,
    resolve,
)


def test_no_setting_at_all_means_the_embedded_exchange() -> None:
    environment = resolve({})
    assert environment == Environment(network=Network.SIM, rest_url=None, ws_urls=(), database="var/sim.sqlite")
    assert environment.is_embedded
    assert not environment.needs_credentials


@pytest.mark.parametrize(
    ("name", "rest_url", "ws_url", "database"),
    [
        ("testnet", "https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", "var/testnet.sqlite"),
        ("mainnet", "https://fapi.binance.com", "wss://fstream.binance.com", "var/mainnet.sqlite"),
    ],
)
def test_each_network_has_its_hosts_and_its_database(name: str, rest_url: str, ws_url: str, database: str) -> None:
    environment = resolve({"BINANCE_ENV": name})
    assert (environment.rest_url, environment.ws_urls[0], environment.database) == (rest_url, ws_url, database)
    assert environment.needs_credentials


def test_testnet_has_a_second_stream_host_because_the_first_is_disputed() -> None:
    assert resolve({"BINANCE_ENV": "testnet"}).ws_urls[1] == "wss://fstream.binancefuture.com"


@pytest.mark.parametrize("name", ["Mainnet", "live", "prod", "test net", "sim2"])
def test_any_other_name_is_an_error_that_says_what_to_write(name: str) -> None:
    with pytest.raises(UnusableEnvironment, match="write sim, paper, testnet or mainnet"):
        resolve({"BINANCE_ENV": name})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8010", "http://localhost:8010/", "http://[::1]:8010", "http://127.9.9.9:1"]
)
def test_a_running_simulator_on_loopback_is_used(url: str) -> None:
    environment = resolve({"BINANCE_ENV": "sim", "SIM_REST_URL": url})
    assert environment.rest_url == url.rstrip("/")
    assert environment.ws_urls == ("ws" + url.rstrip("/").removeprefix("http"),)
    assert environment.needs_credentials
    assert not environment.is_embedded


def test_the_simulators_stream_address_may_differ() -> None:
    settings = {"SIM_REST_URL": "http://127.0.0.1:1", "SIM_WS_URL": "ws://127.0.0.1:2"}
    assert resolve(settings).ws_urls == ("ws://127.0.0.1:2",)


@pytest.mark.parametrize(
    "url",
    [
        "https://fapi.binance.com",
        "http://localhost.evil.example:80",
        "http://127.0.0.1@evil.example",
        "http://evil.example#127.0.0.1",
        "http://user@127.0.0.1:80",
        "http://0.0.0.0:80",
        "http://10.0.0.1:80",
        "http://127.0.0.1:80/fapi",
        "http://127.0.0.1:80?x=1",
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1:80",
        "http://[::1",
        "127.0.0.1:80",
    ],
)
def test_a_simulator_anywhere_else_is_refused(url: str) -> None:
    with pytest.raises(UnusableEnvironment, match="SIM_REST_URL"):
        resolve({"BINANCE_ENV": "sim", "SIM_REST_URL": url})


def test_a_stream_address_elsewhere_or_alone_is_refused() -> None:
    with pytest.raises(UnusableEnvironment, match="SIM_WS_URL"):
        resolve({"SIM_REST_URL": "http://127.0.0.1:1", "SIM_WS_URL": "wss://fstream.binance.com"})
    with pytest.raises(UnusableEnvironment, match="set both or neither"):
        resolve({"SIM_WS_URL": "ws://127.0.0.1:1"})


@pytest.mark.parametrize("name", ["testnet", "mainnet"])
def test_simulator_addresses_mean_nothing_on_the_real_networks(name: str) -> None:
    settings = {"BINANCE_ENV": name, "SIM_REST_URL": "http://evil.example", "SIM_WS_URL": "nonsense"}
    assert resolve(settings) == resolve({"BINANCE_ENV": name})


def test_credentials_come_from_the_settings_and_are_never_shown() -> None:
    found = credentials({"BINANCE_API_KEY": " key-1 ", "BINANCE_API_SECRET": "secret-2"})
    assert (found.api_key.reveal(), found.api_secret.reveal()) == ("key-1", "secret-2")
    assert "key-1" not in repr(found)
    assert "secret-2" not in repr(found)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "BINANCE_API_KEY and BINANCE_API_SECRET"),
        ({"BINANCE_API_KEY": "x", "BINANCE_API_SECRET": " "}, "BINANCE_API_SECRET must"),
        ({"BINANCE_API_KEY": "a b", "BINANCE_API_SECRET": "x"}, "BINANCE_API_KEY has characters"),
        ({"BINANCE_API_KEY": "x", "BINANCE_API_SECRET": "a\nb"}, "BINANCE_API_SECRET has characters"),
    ],
)
def test_missing_or_mangled_credentials_are_named_but_not_shown(settings: dict[str, str], named: str) -> None:
    with pytest.raises(UnusableEnvironment, match=named) as caught:
        credentials(settings)
    assert "a b" not in str(caught.value)


def test_paper_takes_mainnets_prices_and_needs_no_keys() -> None:
    environment = resolve({"BINANCE_ENV": "paper", "SIM_REST_URL": "http://127.0.0.1:1"})
    assert environment.prices == Prices("https://fapi.binance.com", ("wss://fstream.binance.com",))
    assert (environment.rest_url, environment.ws_urls, environment.database) == (None, (), "var/paper.sqlite")
    assert environment.is_embedded
    assert not environment.needs_credentials


@pytest.mark.parametrize(
    ("rest", "ws"),
    [("https://mirror.example", "wss://mirror.example:9443"), ("http://127.0.0.1:8600/", "ws://localhost:8600")],
)
def test_prices_on_paper_may_come_from_elsewhere(rest: str, ws: str) -> None:
    found = resolve({"BINANCE_ENV": "paper", "PAPER_REST_URL": rest, "PAPER_WS_URL": ws})
    assert found.prices == Prices(rest.rstrip("/"), (ws,))
    assert history_url({"BINANCE_ENV": "paper", "PAPER_REST_URL": rest, "PAPER_WS_URL": ws}) == rest.rstrip("/")


@pytest.mark.parametrize(
    ("rest", "ws", "wrong"),
    [
        ("https://mirror.example", "", "PAPER_REST_URL and PAPER_WS_URL"),
        ("", "wss://mirror.example", "PAPER_REST_URL and PAPER_WS_URL"),
        ("http://mirror.example", "wss://mirror.example", "PAPER_REST_URL must be a loopback address"),
        ("https://mirror.example", "ws://mirror.example", "PAPER_WS_URL must be a loopback address"),
        ("https://user@mirror.example", "wss://mirror.example", "PAPER_REST_URL must be scheme, host and port only"),
        ("https://mirror.example/fapi", "wss://mirror.example", "PAPER_REST_URL must be scheme, host and port only"),
        ("https://", "wss://mirror.example", "PAPER_REST_URL has no host"),
        ("mirror.example", "wss://mirror.example", "PAPER_REST_URL must begin with https"),
    ],
)
def test_an_address_that_is_half_or_open_to_all_is_refused(rest: str, ws: str, wrong: str) -> None:
    with pytest.raises(UnusableEnvironment, match=wrong):
        resolve({"BINANCE_ENV": "paper", "PAPER_REST_URL": rest, "PAPER_WS_URL": ws})
