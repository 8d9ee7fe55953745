"""BINANCE_ENV=paper in .env is enough: no keys, a database of its own, and addresses only where they mean something."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.environment import Network
from fsm.config.environment import read_environment
from rules.source.yaml_source import SourceError


def test_one_line_is_enough(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("BINANCE_ENV=paper\n")
    found = read_environment(path, {})
    assert (found.name, found.mark, found.database_path) == (Network.PAPER, "paper", Path("var/paper.sqlite"))
    assert found.is_embedded
    assert not found.is_recorded
    assert not found.is_real_money
    assert found.shown()["prices_from"] == "https://fapi.binance.com"


def test_addresses_of_another_environment_are_ignored_and_said() -> None:
    given = {"PAPER_REST_URL": "http://127.0.0.1:1", "PAPER_WS_URL": "ws://127.0.0.1:1"}
    sim = read_environment(None, {"BINANCE_ENV": "sim", **given})
    assert sim.ignored == ("PAPER_REST_URL", "PAPER_WS_URL")
    paper = read_environment(None, {"BINANCE_ENV": "paper", **given, "SIM_REST_URL": "http://127.0.0.1:2"})
    assert paper.ignored == ("SIM_REST_URL",)
    assert paper.is_embedded
    assert paper.shown()["prices_from"] == "http://127.0.0.1:1"


def test_keys_of_an_account_mean_nothing_on_paper_and_that_is_said() -> None:
    """Whoever has mainnet's keys there believes, perhaps, that they are used."""
    keys = {"BINANCE_API_KEY": "k" * 64, "BINANCE_API_SECRET": "s" * 64}
    assert read_environment(None, {"BINANCE_ENV": "paper", **keys}).ignored == ("BINANCE_API_KEY", "BINANCE_API_SECRET")
    assert read_environment(None, {"BINANCE_ENV": "sim", **keys}).ignored == (), "the next line of .env may want them"
    assert read_environment(None, {"BINANCE_ENV": "mainnet", **keys}).ignored == ()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"PAPER_REST_URL": "http://prices.example"}, "PAPER_REST_URL and PAPER_WS_URL belong together"),
        ({"PAPER_WS_URL": "wss://prices.example"}, "PAPER_REST_URL and PAPER_WS_URL belong together"),
        ({"PAPER_REST_URL": "http://prices.example", "PAPER_WS_URL": "wss://prices.example"}, "must be a loopback"),
        ({"PAPER_REST_URL": "https://prices.example", "PAPER_WS_URL": "http://prices.example"}, "must begin with wss"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(given: dict[str, str], problem: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_environment(None, {"BINANCE_ENV": "paper", **given})
    assert problem in str(refused.value)
