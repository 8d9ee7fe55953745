"""Switching BINANCE_ENV in .env changes hosts and database, and nothing else. Nothing here contacts a host."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsm.bootstrap import Run, Where, exchange_of
from fsm.cli.app import app
from fsm.config import Config, load_config
from rules.load import load_rules

ROOT = Path(__file__).parents[2]
KEY = "abcdefghijklmnopqrstuvwxyz"
KEYS = f"BINANCE_API_KEY={KEY}\nBINANCE_API_SECRET={KEY[::-1]}\nDASHBOARD_TOKEN=0123456789abcdef\n"
NETWORKS = ("testnet", "mainnet")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for key in ("BINANCE_ENV", "BINANCE_API_KEY", "BINANCE_API_SECRET", "DASHBOARD_TOKEN"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def switched(project: Path, network: str) -> Config:
    (project / ".env").write_text(f"BINANCE_ENV={network}\n{KEYS}", "utf-8")
    return load_config(project / "config.yaml", project / ".env", {})


def where(project: Path, config: Config) -> Where:
    """Where a daemon would trade."""
    rules = load_rules(project / "rules.yaml")
    run = Run(config=config, rules=rules, db=config.environment.database_path, on_step=lambda step: None)
    with exchange_of(run) as found:
        return found


def test_hosts_and_database_change_and_nothing_else(project: Path) -> None:
    testnet, mainnet = (switched(project, network) for network in NETWORKS)
    assert testnet.settings == mainnet.settings
    assert testnet.hash == mainnet.hash
    assert [config.environment.database_path for config in (testnet, mainnet)] == [
        Path("var/testnet.sqlite"),
        Path("var/mainnet.sqlite"),
    ]
    there, here = where(project, testnet), where(project, mainnet)
    changed = {field.name for field in fields(Where) if getattr(there, field.name) != getattr(here, field.name)}
    assert changed - {"credentials"} == {"network", "rest_url", "ws_urls"}
    assert (there.rest_url, here.rest_url) == ("https://demo-fapi.binance.com", "https://fapi.binance.com")
    for found in (there.credentials, here.credentials):
        assert (found.api_key.reveal(), found.api_secret.reveal()) == (KEY, KEY[::-1])


def test_what_the_command_line_shows_differs_in_the_name_the_addresses_and_the_database(project: Path) -> None:
    shown = []
    for network in NETWORKS:
        switched(project, network)
        ended = CliRunner().invoke(app, ["config", "show", "--json"])
        assert ended.exit_code == 0, ended.stderr
        shown.append(json.loads(ended.stdout))
    testnet, mainnet = shown
    assert (testnet.pop("database"), mainnet.pop("database")) == ("var/testnet.sqlite", "var/mainnet.sqlite")
    names = (testnet["environment"].pop("binance_env"), mainnet["environment"].pop("binance_env"))
    assert names == NETWORKS
    addresses = tuple(found["environment"].pop("rest_url") for found in shown)
    assert addresses == ("https://demo-fapi.binance.com", "https://fapi.binance.com")
    streams = tuple(tuple(found["environment"].pop("stream_urls")) for found in shown)
    assert streams[0] != streams[1]
    assert testnet == mainnet
