"""Where money is real, everything that a person reads says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.database import open_store

MARK = "MAINNET: this bot trades real money"
COMMANDS = ("status", "positions", "trades", "limits", "pause", "halt", "flatten", "resume")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_mainnet_database_begins_with_the_banner(fsm, project, command) -> None:
    path = _database("mainnet")
    ended = fsm(command, "--db", path)
    assert ended.code == 0
    assert MARK in ended.stdout.splitlines()[0]
    assert MARK not in fsm(command, "--json", "--db", path).stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_there_is_no_banner_where_money_is_not_real(fsm, project, command) -> None:
    assert MARK not in fsm(command, "--db", _database("testnet")).stdout


def test_config_show_has_it_too(fsm, project) -> None:
    env = {"BINANCE_ENV": "mainnet", "BINANCE_API_KEY": "k" * 64, "BINANCE_API_SECRET": "s" * 64}
    text = fsm("config", "show", env=env).stdout
    assert MARK in text.splitlines()[0]
    assert "s" * 64 not in text
    assert "k" * 64 not in text


def _database(environment: str) -> Path:
    path = Path("some.sqlite")
    with open_store(path, mode="write") as store:
        store.bind(environment=environment, account=None, at_ms=0)
    return path
