"""A rules file says only what one means: regimes of one's own or none, several strategies, no targets, and no more."""

from __future__ import annotations

import pytest

from exchange.candle_files import CandleFolders
from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.history import SIGNAL, build_history, read_market
from rules.compiled_rules import Route
from rules.load import SourceError, parse_rules
from rules.regime import RegimeState
from rules.strategy import Reason

LEAST = """\
version: 1
timeframes: {entry: 1h}
features:
  close_1h: {indicator: close, timeframe: 1h}
  atr_1h: {indicator: atr, timeframe: 1h, period: 14}
strategies:
  follow:
    long:
      setup: [{id: rises, when: "close_1h > close_1h[1]"}]
      stop: entry - 2 * atr_1h
"""

NAMED = (
    LEAST.replace("version: 1\n", "version: 1\nthresholds: {calm: 0.5}\n")
    + """\
  fade:
    short:
      setup: [{id: rises, when: "close_1h > close_1h[1] + 0.5 * atr_1h"}]
      stop: entry + 2 * atr_1h
      targets: [{price: entry - risk, portion: 1}]
regimes:
  QUIET: {enter: [{id: calm, when: "atr_1h < calm / 100 * close_1h"}]}
  LOUD: {enter: [{id: wild, when: "atr_1h >= calm / 100 * close_1h"}]}
router:
  QUIET: [fade, {strategy: follow}]
  LOUD: follow
"""
)


def problems(text: str) -> list[str]:
    with pytest.raises(SourceError) as refused:
        parse_rules(text, "r.yaml")
    return [problem.message for problem in refused.value.problems]


def test_without_regimes_one_strategy_may_trade_at_any_time() -> None:
    rules = parse_rules(LEAST, "r.yaml").for_symbol("BTCUSDT")
    state = rules.classify({}, RegimeState(), 0)
    assert (state.regime, state.confidence) == ("ALWAYS", 1.0)
    assert rules.route("ALWAYS") == Route(("follow",), "ROUTED")


def test_a_signal_without_targets_has_a_stop_and_no_reward() -> None:
    rules = parse_rules(LEAST, "r.yaml").for_symbol("BTCUSDT")
    signal = rules.seek_signal("follow", {"close_1h": 100.0, "close_1h[1]": 99.0, "atr_1h": 2.0})
    assert (signal.reason, signal.stop, signal.targets, signal.reward_risk) == (Reason.SIGNAL, 96.0, (), None)


def test_regimes_have_names_of_ones_own_and_need_no_more_than_what_begins_them() -> None:
    rules = parse_rules(NAMED, "r.yaml").for_symbol("BTCUSDT")
    facts = {"close_1h": 100.0, "close_1h[1]": 99.0, "atr_1h": 0.4}
    state = rules.classify(facts, RegimeState(), 0)
    assert (state.regime, state.confidence) == ("QUIET", 1.0)
    assert rules.classify({**facts, "atr_1h": 0.6}, state, 3_600_000).regime == "LOUD"


def test_of_several_strategies_the_first_that_signals_is_taken_and_the_first_that_tells_more_answers() -> None:
    rules = parse_rules(NAMED, "r.yaml").for_symbol("BTCUSDT")
    quiet = rules.route("QUIET")
    assert quiet.strategies == ("fade", "follow")
    facts = {"close_1h": 100.0, "atr_1h": 0.4}
    both = rules.seek(quiet, {**facts, "close_1h[1]": 99.0})
    second = rules.seek(quiet, {**facts, "close_1h[1]": 99.9})
    neither = rules.seek(quiet, {**facts, "close_1h[1]": 101.0})
    assert both is not None
    assert second is not None
    assert neither is not None
    assert [(one.strategy, one.side) for one in (both, second, neither)] == [
        ("fade", "SHORT"),
        ("follow", "LONG"),
        ("fade", None),
    ]


def test_over_a_history_each_candle_reads_as_the_rules_read_it_one_by_one() -> None:
    ruleset = parse_rules(NAMED, "r.yaml")
    folders = CandleFolders((shipped_folder(),))
    market = read_market(folders, "BTCUSDT", ruleset.for_symbol("BTCUSDT"), candles_only=True)
    history = build_history(market, ruleset, 200)
    rules, kinds = ruleset.for_symbol("BTCUSDT"), set()
    for index in range(2_000):
        reading = rules.seek(rules.route(history.regime(index)), history.table.facts_at(index))
        signals = bool(history.codes[index] == SIGNAL)
        assert signals is (reading is not None and reading.side is not None)
        if not signals:
            said = history.quiet_verdict(index)[1]
            assert said.startswith("WARMING_UP") or said == (reading.reason if reading else "NO_TRADE_REGIME")
            assert history.telling(index) == (reading.strategy if reading else None)
        kinds.add((history.regime(index), signals, history.telling(index)))
    assert {("QUIET", True), ("LOUD", True), ("QUIET", False), ("LOUD", False)} <= {kind[:2] for kind in kinds}


def test_what_is_switched_off_is_known_and_trades_nothing() -> None:
    text = NAMED.replace("  fade:\n", "  fade:\n    enabled: false\n")
    ruleset = parse_rules(text, "r.yaml")
    assert ruleset.for_symbol("BTCUSDT").route("QUIET").strategies == ("follow",)
    assert [problem.message for problem in ruleset.warnings] == ["fade never trades: it is switched off"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  LOUD: follow", "  LOWD: follow", "no regime is called LOWD; did you mean LOUD?"),
        ("QUIET: [fade,", "QUIET: [fate,", "no strategy is called fate; did you mean fade?"),
        ("{strategy: follow}]", "fade]", "fade is named twice: the second time it has nothing left to trade"),
        ("  LOUD: {", "  ALWAYS: {", "ALWAYS is where no regimes are told apart: choose another name"),
        ("portion: 1}]", "portion: 0.5}]", "the portions of the targets add up to 0.5, not to 1"),
    ],
)
def test_what_is_misnamed_is_told(old: str, new: str, said: str) -> None:
    assert said in problems(NAMED.replace(old, new))


def test_of_several_strategies_without_a_router_the_first_must_be_named() -> None:
    text = NAMED[: NAMED.index("regimes:")]
    assert problems(text) == ["which strategy comes first? Say so with router: {ALWAYS: [follow, fade]}"]


def test_a_reward_that_is_asked_for_needs_targets() -> None:
    text = LEAST.replace("  follow:\n", "  follow:\n    reward_risk_min: 2\n")
    assert problems(text) == ["the long side has no targets to be rewarded by"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * atr_1h", "2.0 * atr_1h"),
        ("entry - 2 * atr_1h", "(entry -  (2*atr_1h))"),
        ("period: 14", "period: 14.0"),
        ("calm: 0.5", "calm: 0.50"),
        ("  fade:\n", "  fade:\n    enabled: true\n"),
        ("  fade:\n", "  fade:\n    risk: 1.0\n"),
        ("  fade:\n", "  fade:\n    manage: {}\n    limits: {}\n"),
        ("  fade:\n", "  fade:\n    manage: {break_even_lock_r: 0.0, exit_on_opposite: false}\n"),
        ("  LOUD: follow\n", "  LOUD: {enabled: true, strategy: follow} # the same\n"),
        ("regimes:\n", "regimes:\n  timeframe: 1h\n  confirmations: 1\n  dwell_candles: 0\n"),
    ],
)
def test_the_hash_is_of_what_is_meant_and_not_of_how_it_is_written(old: str, new: str) -> None:
    assert old in NAMED
    assert parse_rules(NAMED.replace(old, new), "r.yaml").hash == parse_rules(NAMED, "r.yaml").hash


@pytest.mark.parametrize(
    ("old", "new"), [("2 * atr_1h", "2.1 * atr_1h"), ("[fade, {strategy: follow}]", "[follow, fade]")]
)
def test_the_hash_differs_where_something_else_is_meant(old: str, new: str) -> None:
    assert parse_rules(NAMED.replace(old, new), "r.yaml").hash != parse_rules(NAMED, "r.yaml").hash


def test_the_regimes_tell_the_same_whatever_is_traded_in_them() -> None:
    rules = parse_rules(NAMED, "r.yaml").for_symbol("BTCUSDT")
    for old, new, alike in (("entry - 2", "entry - 3", True), ("calm: 0.5", "calm: 0.6", False)):
        assert parse_rules(NAMED.replace(old, new), "r.yaml").for_symbol("BTCUSDT").classifies_as(rules) is alike


def test_what_can_never_hold_is_a_warning_once_it_is_switched_off() -> None:
    never = 'when: "close_1h > close_1h[1] + 0.5 * atr_1h"}]'
    text = NAMED.replace(never, 'when: "close_1h < 0 * atr_1h"}]')
    assert problems(text) == ["this can never hold, so nothing will ever come of it"]
    ruleset = parse_rules(text.replace("  fade:\n", "  fade:\n    enabled: false\n"), "r.yaml")
    assert [problem.message for problem in ruleset.warnings] == [
        "fade never trades: it is switched off",
        "this can never hold, so nothing will ever come of it",
    ]
