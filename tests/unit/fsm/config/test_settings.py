"""config.yaml: its defaults, its schema, and every contradiction that is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from fsm.config import (
    AlertLevel,
    Settings,
    alert_kinds,
    changes,
    config_schema,
    read_settings,
    reloaded,
    settings_hash,
    stored_settings,
)
from fsm.config.environment import KEYS
from fsm.config.looseness import loosenings
from fsm.config.reloading import RELOADABLE
from fsm.config.unusual import fall_loss_pct
from fsm.core.model.policy import LimitAction, ListRule
from rules.source.yaml_source import SourceError, parse_source, read_source

ROOT = Path(__file__).parents[4]
SHORT = "version: 1\nsymbols: {BTCUSDT: {}}\n"


def settings_of(text: str) -> Settings:
    return read_settings(parse_source(text, "config.yaml"))


def problems_of(text: str) -> list[str]:
    with pytest.raises(SourceError) as caught:
        settings_of(text)
    return [str(problem) for problem in caught.value.problems]


def schema_defaults(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from schema_defaults(inner, (*path, name))
        elif "default" in inner:
            yield ".".join((*path, name)), inner["default"]


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield ".".join(path), node


class TestDefaults:
    def test_the_shipped_file_shows_every_key_with_its_default(self) -> None:
        source = read_source(ROOT / "config.yaml")
        shipped = read_settings(source)
        assert shipped == Settings(version=1, symbols=shipped.symbols)
        written = {path for path, _ in leaves(source.data) if not path.startswith(("symbols.", "version"))}
        described = {path for path, _ in schema_defaults(config_schema())}
        assert written <= described
        missing = described - written
        assert {path for path in missing if not path.startswith("alerts.")} == set(), "docs/messages.md has all alerts"

    def test_every_key_of_the_shipped_file_is_explained_beside_it(self) -> None:
        lines = (ROOT / "config.yaml").read_text("utf-8").splitlines()
        keys = [line for line in lines if re.match(r"  [a-z_]+: ", line)]
        assert len(keys) >= 60
        assert [line for line in keys if " # " not in line] == []
        sections = [number for number, line in enumerate(lines) if re.fullmatch(r"[a-z_]+:", line)]
        assert [lines[number] for number in sections if not lines[number - 1].startswith("#")] == []

    def test_every_variable_is_explained_in_the_example(self) -> None:
        written = (ROOT / ".env.example").read_text("utf-8")
        assert [key for key in KEYS if not re.search(rf"(?m)^(# )?{key}=", written)] == []
        assert "BINANCE_ENV=testnet" in written

    def test_the_shipped_file_trades_the_five_symbols(self) -> None:
        shipped = read_settings(read_source(ROOT / "config.yaml"))
        assert shipped.enabled_symbols == ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")

    def test_the_schema_and_the_settings_have_the_same_keys_and_defaults(self) -> None:
        ours = dict(leaves(settings_of(SHORT).plain()))
        ours = {path: value for path, value in ours.items() if not path.startswith(("symbols.", "version"))}
        assert ours == dict(schema_defaults(config_schema()))
        symbol = config_schema()["properties"]["symbols"]["additionalProperties"]
        assert dict(schema_defaults(symbol)) == settings_of(SHORT).plain()["symbols"]["BTCUSDT"]

    def test_the_safety_defaults_of_the_guideline_hold(self) -> None:
        settings = settings_of(SHORT)
        assert settings.account.margin_type == "ISOLATED"
        assert settings.account.leverage == 2
        assert settings.risk.risk_per_trade_pct == Decimal("0.5")
        assert settings.risk.max_open_positions == 3
        assert settings.protection.deadline_ms == 5_000

    def test_the_schema_is_a_schema_and_describes_every_key(self) -> None:
        schema = config_schema()
        jsonschema.Draft202012Validator.check_schema(schema)

        def undescribed(node: Mapping[str, Any], path: str) -> Iterator[str]:
            for name, inner in node.get("properties", {}).items():
                if "description" not in inner:
                    yield f"{path}.{name}"
                yield from undescribed(inner, f"{path}.{name}")

        assert list(undescribed(schema, "")) == []

    def test_the_file_names_its_schema_for_editors(self) -> None:
        first = (ROOT / "config.yaml").read_text().splitlines()[0]
        named = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)
        assert named
        assert (ROOT / named[1]).is_file()

    def test_live_marks_in_the_file_are_the_reloadable_sections(self) -> None:
        text = (ROOT / "config.yaml").read_text()
        marked = set(re.findall(r"^# \[live\].*\n(?:#.*\n)*([a-z_]+):", text, flags=re.MULTILINE))
        assert marked == RELOADABLE


class TestAlerts:
    def test_what_is_not_given_is_as_loud_as_its_kind(self) -> None:
        alerts = settings_of(f"{SHORT}alerts: {{daily: silent}}\n").alerts
        assert alerts == {name: kind.default for name, kind in alert_kinds().items()} | {"daily": AlertLevel.SILENT}

    def test_kinds_that_went_away_are_left_out_of_what_an_old_journal_was_decided_with(self) -> None:
        text = f"{SHORT}alerts: {{gone: 'on', daily: 'on'}}\n"
        kept = stored_settings(text, "config 1234")
        assert kept == settings_of(f"{SHORT}alerts: {{daily: 'on'}}\n")
        assert settings_hash(kept) != settings_hash(settings_of(SHORT))

    def test_the_critical_ones_are_those_that_the_page_names(self) -> None:
        critical = [name for name, kind in alert_kinds().items() if kind.severity == "critical"]
        told = "Critical are " + ", ".join(f"`{name}`" for name in critical[:-1]) + f" and `{critical[-1]}`."
        assert told in (ROOT / "docs" / "watched.md").read_text("utf-8")


class TestLooseness:
    def test_the_page_lists_for_every_key_which_way_allows_more(self) -> None:
        def listed(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
            for name, inner in schema.get("properties", {}).items():
                if name == "symbols":
                    yield from listed(inner["additionalProperties"], (*path, "symbols", "SYMBOL"))
                yield from listed(inner, (*path, name))
                if "looser" in inner:
                    way = inner["looser"]
                    told = way if isinstance(way, str) else " → ".join(f"`{word}`" for word in way)
                    yield f"| `{'.'.join((*path, name))}` | {told} |"

        page = (ROOT / "docs" / "editing.md").read_text("utf-8")
        rows = list(listed(config_schema(), ()))
        assert len(rows) >= 35
        assert [line for line in page.splitlines() if line.startswith("| `")] == rows

    def test_every_limit_and_every_number_of_risk_has_a_direction(self) -> None:
        for section in ("risk", "limits", "protection"):
            keys = config_schema()["properties"][section]["properties"]
            assert [name for name, inner in keys.items() if "looser" not in inner] == []

    @pytest.mark.parametrize(
        ("old", "new", "found"),
        [
            ("limits: {daily_loss_pct: 1}", "limits: {daily_loss_pct: 1.5}", ["limits.daily_loss_pct 1 → 1.5"]),
            ("limits: {daily_loss_pct: 1}", "limits: {daily_loss_pct: 0.9}", []),
            ("risk: {max_correlated_risk_pct: 1}", "", ["risk.max_correlated_risk_pct 1 → not in the file: none"]),
            ("", "risk: {max_correlated_risk_pct: 1}", []),
            (
                "risk: {max_same_direction_risk_pct: 1}",
                "risk: {max_same_direction_risk_pct: 2}",
                ["risk.max_same_direction_risk_pct 1 → 2"],
            ),
            ("limits: {daily_loss_pct: 1}", "", ["limits.daily_loss_pct 1 → not in the file: 3"]),
            ("limits: {action: FLATTEN}", "", ["limits.action FLATTEN → not in the file: BLOCK_ENTRIES"]),
            ("risk: {taker_fee_pct: 0.1}", "", ["risk.taker_fee_pct 0.1 → not in the file: 0.05"]),
            (
                "market_data: {candle_age_ms_max: 60000}",
                "",
                ["market_data.candle_age_ms_max 60000 → not in the file: 3600000"],
            ),
            ("alerts: {heartbeat: 'on'}", "", []),
        ],
    )
    def test_what_allows_more_is_told_with_both_values(self, old: str, new: str, found: list[str]) -> None:
        before, after = (parse_source(f"{SHORT}{text}\n", "config.yaml") for text in (old, new))
        told = loosenings(read_settings(before), read_settings(after), was_given=before.data, is_given=after.data)
        assert [str(each) for each in told] == found

    def test_a_symbols_own_values_count_as_they_hold(self) -> None:
        before = parse_source(
            "version: 1\nsymbols: {BTCUSDT: {leverage: 1, enabled: false}, XRPUSDT: {}}\n", "config.yaml"
        )
        after = parse_source("version: 1\nsymbols: {BTCUSDT: {}, ETHUSDT: {}, XRPUSDT: {}}\n", "config.yaml")
        told = loosenings(read_settings(before), read_settings(after), was_given=before.data, is_given=after.data)
        assert [str(each) for each in told] == [
            "symbols.BTCUSDT.enabled false → not in the file: true",
            "symbols.BTCUSDT.leverage 1 → not in the file: 2",
            "symbols.ETHUSDT.enabled false → true",
        ]

    @pytest.mark.parametrize(
        ("old", "new", "found"),
        [
            ("{BTCUSDT: {}}", "{top_by: quote_volume, n: 3}", ["symbols.top_by none → quote_volume"]),
            ("{top_by: quote_volume, n: 3}", "{BTCUSDT: {}}", ["symbols.BTCUSDT.enabled false → true"]),
            ("{top_by: quote_volume, n: 3}", "{top_by: quote_volume, n: 4}", ["symbols.n 3 → 4"]),
            ("{top_by: quote_volume, n: 4}", "{top_by: quote_volume, n: 3, exclude: [BTCUSDT]}", []),
            (
                "{top_by: quote_volume, n: 4, exclude: [BTCUSDT, ETHUSDT]}",
                "{top_by: quote_volume, n: 4, exclude: [ETHUSDT]}",
                ["symbols.exclude.BTCUSDT true → not in the file: false"],
            ),
            (
                "{top_by: quote_volume, n: 4, BTCUSDT: {enabled: false}}",
                "{top_by: quote_volume, n: 4, BTCUSDT: {}}",
                ["symbols.exclude.BTCUSDT true → not in the file: false"],
            ),
            ("{top_by: quote_volume, n: 4}", "{top_by: quote_volume, n: 4, BTCUSDT: {leverage: 1}}", []),
            (
                "{top_by: quote_volume, n: 4, BTCUSDT: {leverage: 1}}",
                "{top_by: quote_volume, n: 4, BTCUSDT: {leverage: 3}}",
                ["symbols.BTCUSDT.leverage 1 → 3"],
            ),
        ],
    )
    def test_of_a_list_by_rule(self, old: str, new: str, found: list[str]) -> None:
        before, after = (parse_source(f"version: 1\nsymbols: {text}\n", "config.yaml") for text in (old, new))
        told = loosenings(read_settings(before), read_settings(after), was_given=before.data, is_given=after.data)
        assert [str(each) for each in told] == found

    def test_a_version_written_as_a_decimal_is_refused_like_any_other_wrong_value(self) -> None:
        assert "whole number" in problems_of("version: 1.0\nsymbols: {BTCUSDT: {}}\n")[0]


class TestAListByRule:
    def test_is_read_and_shown_as_it_could_stand_in_the_file(self) -> None:
        text = "version: 1\nsymbols: {top_by: quote_volume, n: 30, exclude: [USDCUSDT], BTCUSDT: {leverage: 1}}\n"
        settings = settings_of(text)
        assert settings.symbol_list == ListRule(n=30, exclude=("USDCUSDT",))
        assert settings.enabled_symbols == ()
        assert settings.leverage_of("BTCUSDT") == 1
        assert settings.plain()["symbols"] == {
            "top_by": "quote_volume",
            "n": 30,
            "exclude": ["USDCUSDT"],
            "BTCUSDT": {"enabled": True, "leverage": 1, "risk_per_trade_pct": None},
        }
        assert stored_settings(text, "stored") == settings

    def test_a_disabled_symbol_is_excluded_and_order_does_not_matter(self) -> None:
        one = settings_of(
            "version: 1\nsymbols: {top_by: quote_volume, n: 3, exclude: [XUSDT, AUSDT], BTCUSDT: {enabled: false}}\n"
        )
        assert one.list_rule == ListRule(n=3, exclude=("AUSDT", "BTCUSDT", "XUSDT"))

    def test_as_many_stops_may_be_hit_as_the_list_has_symbols(self) -> None:
        assert fall_loss_pct(settings_of("version: 1\nsymbols: {top_by: quote_volume, n: 1}\n")) == Decimal("0.9")
        assert fall_loss_pct(settings_of("version: 1\nsymbols: {top_by: quote_volume, n: 9}\n")) == Decimal("2.7")

    def test_named_symbols_take_its_place(self) -> None:
        settings = settings_of("version: 1\nsymbols: {top_by: quote_volume, n: 3}\n").with_symbols(["ETHUSDT"])
        assert (settings.symbol_list, settings.enabled_symbols) == (None, ("ETHUSDT",))

    @pytest.mark.parametrize(
        ("symbols", "told"),
        [
            ("{top_by: volume, n: 3}", "2:19: symbols.top_by: must be one of quote_volume"),
            ("{top_by: quote_volume, n: 0}", "2:36: symbols.n: must be at least 1"),
            ("{top_by: quote_volume, n: 201}", "2:36: symbols.n: must be at most 200"),
            ("{top_by: quote_volume}", "2:10: symbols: keys that go together: top_by needs n"),
            ("{n: 3, BTCUSDT: {}}", "2:10: symbols: keys that go together: n needs top_by"),
            ("{exclude: [BTCUSDT], ETHUSDT: {}}", "2:10: symbols: keys that go together: exclude needs top_by"),
            ("{top_by: quote_volume, n: 3, exclude: [btc]}", '2:49: symbols.exclude[0]: the text "btc" is not'),
            ("{top_by: quote_volume, n: 3, topby: {}}", "2:39: symbols.topby: this key is not allowed"),
        ],
    )
    def test_what_is_wrong_with_one_is_told_with_its_place(self, symbols: str, told: str) -> None:
        assert problems_of(f"version: 1\nsymbols: {symbols}\n")[0].startswith(f"config.yaml:{told}")


class TestReading:
    def test_numbers_become_decimals_exactly_as_written(self) -> None:
        settings = settings_of(SHORT + "risk: {risk_per_trade_pct: 0.35, max_open_risk_pct: 1}\n")
        assert settings.risk.risk_per_trade_pct == Decimal("0.35")
        assert settings.risk.max_open_risk_pct == Decimal(1)

    def test_a_symbol_may_have_its_own_leverage_and_risk(self) -> None:
        policy = settings_of("version: 1\nsymbols:\n  BTCUSDT: {leverage: 3}\n  ETHUSDT: {risk_per_trade_pct: 0.25}\n")
        assert (policy.leverage_of("BTCUSDT"), policy.leverage_of("ETHUSDT")) == (3, 2)
        assert (policy.risk_pct_of("BTCUSDT"), policy.risk_pct_of("ETHUSDT")) == (Decimal("0.5"), Decimal("0.25"))

    def test_a_disabled_symbol_is_not_traded(self) -> None:
        assert settings_of("version: 1\nsymbols: {BTCUSDT: {}, ETHUSDT: {enabled: false}}\n").enabled_symbols == (
            "BTCUSDT",
        )

    def test_a_list_of_symbols_replaces_the_configured_ones(self) -> None:
        settings = settings_of(
            "version: 1\nsymbols: {BTCUSDT: {}, ETHUSDT: {enabled: false, leverage: 1}}\n"
        ).with_symbols(["ETHUSDT", "SOLUSDT"])
        assert settings.enabled_symbols == ("ETHUSDT", "SOLUSDT")
        assert settings.leverage_of("ETHUSDT") == 1

    def test_candles_may_be_one_entry_timeframe_old_unless_said_otherwise(self) -> None:
        assert settings_of(SHORT).candle_age_ms_max == 3_600_000
        assert settings_of(SHORT + "timeframes: {entry: 4h}\n").candle_age_ms_max == 14_400_000
        assert settings_of(SHORT + "market_data: {candle_age_ms_max: 60000}\n").candle_age_ms_max == 60_000

    def test_the_policy_carries_what_the_file_says(self) -> None:
        policy = settings_of(SHORT + "limits: {action: FLATTEN, drawdown_pct: 7.5}\n")
        assert policy.limits.action is LimitAction.FLATTEN
        assert policy.limits.drawdown_pct == Decimal("7.5")


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                "risk: {risk_per_trade_pc: 1}",
                "3:8: unknown key risk_per_trade_pc in risk; did you mean risk_per_trade_pct?",
            ),
            ("account: {leverage: 2.0}", "3:21: account.leverage: expected a whole number, found 2.0"),
            ("account: {leverage: 126}", "3:21: account.leverage: must be at most 125, found 126"),
            (
                "account: {margin_type: CROSSED}",
                '3:24: account.margin_type: must be ISOLATED, found the text "CROSSED"',
            ),
            ("account: {position_mode: HEDGE}", '3:26: account.position_mode: must be ONEWAY, found the text "HEDGE"'),
            ("orders: {stop_type: STOP}", '3:21: orders.stop_type: must be STOP_MARKET, found the text "STOP"'),
            (
                "timeframes: {entry: 3h}",
                "3:21: timeframes.entry: must be one of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d; "
                'found the text "3h"',
            ),
            ("market_data: {candles_min: 100}", "3:28: market_data.candles_min: must be at least 200, found 100"),
            ('alerts: {heartbeat: "loud"}', "3:21: alerts.heartbeat: must be one of on, silent, off"),
            ("alerts: {heartbeat: on}", "3:21: on is a truth value to some YAML readers"),
            ("web: {host: example.com}", '3:13: web.host: the text "example.com" is not an IP address, or localhost'),
            ("regimes: {}", "3:1: unknown key regimes; known here and not yet used: timeframes"),
        ],
    )
    def test_a_wrong_value_is_placed_and_explained(self, text: str, told: str) -> None:
        (problem,) = problems_of(f"{SHORT}{text}\n")
        assert problem.startswith(f"config.yaml:{told}")

    def test_r11_a_stop_that_is_not_a_stop_market_is_refused(self) -> None:
        assert "must be STOP_MARKET" in problems_of(SHORT + "orders: {stop_type: STOP_LIMIT}\n")[0]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("limits: {daily_loss_pct: 6}", "5 for a week is below daily_loss_pct 6"),
            ("limits: {weekly_loss_pct: 11}", "10 for a month is below weekly_loss_pct 11"),
            ("limits: {equity_stale_defer_ms: 2000}", "3:33: 2000 is below equity_age_ms_max 60000"),
            ("risk: {max_open_risk_pct: 0.4}", "risk_per_trade_pct 0.5 is above risk.max_open_risk_pct 0.4"),
            ("limits: {daily_loss_pct: 0.4}", "risk_per_trade_pct 0.5 is above limits.daily_loss_pct 0.4"),
            ("risk: {max_symbol_exposure_pct: 200}", "3:33: 200 for one symbol is above max_exposure_pct 150 for all"),
            ("risk: {stop_distance_pct_min: 12}", "12 is not below stop_distance_pct_max 10"),
            (
                "timeframes: {setup: 1h, entry: 4h}",
                "3:32: the entry timeframe (4h) is longer than the setup timeframe (1h)",
            ),
            ("timeframes: {trend: 1h, entry: 1h}", "the setup timeframe (4h) is longer than the trend timeframe (1h)"),
            (
                "market_data: {candles_min: 500, history_candles: 300}",
                "3:50: 300 fetched candles can never reach candles_min (500)",
            ),
            (
                "market_data: {settle_delay_ms: 5000, candle_age_ms_max: 4000}",
                "3:57: every candle would be too old",
            ),
            ("loops: {equity_interval_ms: 60000}", "3:29: equity read every 60000 ms would be stale"),
            (
                "loops: {reconcile_interval_ms: 30000, lists_interval_ms: 20000}",
                "3:58: 20000 is below reconcile_interval_ms 30000",
            ),
        ],
    )
    def test_a_contradiction_between_keys_is_placed_at_one_of_them(self, text: str, told: str) -> None:
        (problem,) = problems_of(f"{SHORT}{text}\n")
        assert problem.startswith("config.yaml:")
        assert told in problem

    def test_r6_leverage_that_leaves_no_room_for_a_stop_is_refused(self) -> None:
        (problem,) = problems_of(
            "version: 1\nsymbols: {BTCUSDT: {leverage: 125}}\nrisk: {stop_distance_pct_min: 0.4}\n"
        )
        assert problem == (
            "config.yaml:2:31: at 125x a stop may be at most 0.40 % away (liquidation_distance_factor), "
            "which is not above stop_distance_pct_min 0.4: no trade"
        )

    def test_a_risk_of_one_symbol_is_checked_like_the_common_one(self) -> None:
        (problem,) = problems_of(
            "version: 1\nsymbols: {BTCUSDT: {risk_per_trade_pct: 2}}\nlimits: {daily_loss_pct: 1.5}\n"
        )
        assert problem.startswith("config.yaml:2:41: risk_per_trade_pct 2 is above limits.daily_loss_pct 1.5")

    def test_at_least_one_symbol_must_be_enabled(self) -> None:
        assert problems_of("version: 1\nsymbols: {BTCUSDT: {enabled: false}}\n") == [
            "config.yaml:2:10: no symbol is enabled: set enabled: true for at least one"
        ]

    def test_all_problems_come_at_once(self) -> None:
        problems = problems_of("version: 2\nsymbols: {btc: {}}\nrisk: {max_open_positions: x}\nzzz: 1\n")
        assert [problem.split(": ")[0] for problem in problems] == [
            "config.yaml:1:10",
            "config.yaml:2:11",
            "config.yaml:3:28",
            "config.yaml:4:1",
        ]


class TestIdentity:
    def test_comments_order_and_written_out_defaults_do_not_change_the_hash(self) -> None:
        short = settings_of(SHORT)
        long = settings_of(
            "# note\nrisk: {max_open_positions: 3, risk_per_trade_pct: 0.50}\n"
            "symbols: {BTCUSDT: {enabled: true}}\nversion: 1\n"
        )
        assert settings_hash(short) == settings_hash(long)

    def test_any_value_changes_the_hash(self) -> None:
        assert settings_hash(settings_of(SHORT)) != settings_hash(settings_of(SHORT + "limits: {drawdown_pct: 15.5}\n"))

    def test_what_is_in_force_can_be_written_back(self) -> None:
        settings = settings_of(SHORT + "risk: {risk_per_trade_pct: 0.35}\n")
        assert msgspec.convert(settings.plain(), Settings) == settings


class TestReloading:
    OLD = settings_of(SHORT)
    NEW = settings_of(SHORT + "risk: {risk_per_trade_pct: 0.4}\naccount: {leverage: 3}\n")

    def test_changes_are_listed_with_whether_they_take_effect_at_once(self) -> None:
        assert [(change.path, change.old, change.new, change.reloadable) for change in changes(self.OLD, self.NEW)] == [
            ("account.leverage", 2, 3, False),
            ("risk.risk_per_trade_pct", 0.5, 0.4, True),
        ]

    def test_a_reload_takes_the_live_sections_and_leaves_the_others(self) -> None:
        both = reloaded(self.OLD, self.NEW)
        assert both.risk.risk_per_trade_pct == Decimal("0.4")
        assert both.account.leverage == 2

    def test_a_symbol_that_appears_or_goes_is_a_change(self) -> None:
        more = settings_of("version: 1\nsymbols: {BTCUSDT: {}, ETHUSDT: {}}\n")
        assert [change.path for change in changes(self.OLD, more)] == ["symbols.ETHUSDT"]
        assert [change.new for change in changes(more, self.OLD)] == [None]
