"""`config show`, `rules check` and `rules schema`."""

from __future__ import annotations

import json

import jsonschema
import pytest

from rules.load import load_rules

SECRETS = {
    "BINANCE_API_KEY": "key-0123456789",
    "BINANCE_API_SECRET": "secret-0123456789",
    "DASHBOARD_TOKEN": "token-0123456789-0123456789",
    "TG_BOT_TOKEN": "12345:telegram-0123456789",
    "TG_CHAT_ID": "987654321",
}


@pytest.mark.parametrize("command", [["config", "show"], ["show-config"]])
def test_what_is_in_force_is_shown_with_defaults_and_without_secrets(fsm, project, command) -> None:
    (project / "config.yaml").write_text("version: 1\nsymbols: {ETHUSDT: {leverage: 1}}\n", "utf-8")
    (project / ".env").write_text("\n".join(["BINANCE_ENV=testnet", *(f"{k}={v}" for k, v in SECRETS.items())]))
    text = fsm(*command).stdout
    assert "config.symbols.ETHUSDT.leverage" in text
    assert "config.limits.daily_loss_pct" in text
    found = fsm(*command, "--json")
    assert found.document["config"]["risk"]["max_open_positions"] == 3
    assert found.document["environment"]["binance_env"] == "testnet"
    assert found.document["environment"]["api_key"] == "***"
    assert found.document["database"] == "var/testnet.sqlite"
    for secret in SECRETS.values():
        assert secret not in text + found.stdout + found.stderr


def test_looking_needs_no_keys(fsm, project) -> None:
    (project / ".env").write_text("BINANCE_ENV=mainnet\n")
    assert fsm("config", "show").code == 0
    assert fsm("check").code == 2


def test_a_broken_config_is_not_shown(fsm, project) -> None:
    (project / "config.yaml").write_text("version: 1\n", "utf-8")
    ended = fsm("config", "show")
    assert ended.code == 2
    assert ended.stderr.startswith("config.yaml:")


def test_rules_check_looks_at_the_rules_alone(fsm, project) -> None:
    (project / "config.yaml").unlink()
    rules = load_rules(project / "rules.yaml")
    ended = fsm("rules", "check")
    assert ended.code == 0
    assert rules.hash[:12] in ended.stdout
    found = fsm("rules", "check", "--json").document
    assert found["rules_hash"] == rules.hash
    assert found["strategies"] == list(rules.strategies)
    (project / "rules.yaml").write_text("version: 1\nversion: 1\n", "utf-8")
    ended = fsm("rules", "check")
    assert ended.code == 2
    assert ended.stderr.startswith("rules.yaml:2:1: ")


def test_rules_schema_is_a_json_schema(fsm) -> None:
    schema = json.loads(fsm("rules", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert fsm("rules", "schema", "--json").document == schema
