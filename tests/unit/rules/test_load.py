"""Loading a rules file: what is wrong with it, all at once and each with its place; and what its hash stands for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.load import Ruleset, load_rules, parse_rules
from rules.source.yaml_source import SourceError
from tests.effort import examples

ROOT = Path(__file__).parents[3]

Changed = Callable[[str, str], str]


def problems_of(text: str) -> list[str]:
    with pytest.raises(SourceError) as caught:
        parse_rules(text, "r.yaml")
    return [str(problem) for problem in caught.value.problems]


# what is wrong → (text of the small file, what it is replaced with, the text at which the problem is, its message)
BROKEN: dict[str, tuple[str, str, str, str]] = {
    # YAML itself
    "a key written twice": (
        "  strong_stay: 20",
        "  strong: 20",
        "strong: 20",
        '"strong" is written twice; it is already in line 4',
    ),
    "a word that YAML 1.1 takes for a truth value": (
        "BREAKOUT: {strategy: follow, enabled: false}",
        "BREAKOUT: {strategy: follow, enabled: off}",
        "off}",
        "off is a truth value to some YAML readers and text to others",
    ),
    "a number that YAML 1.1 takes for text": (
        "weak: 15",
        "weak: 1e1",
        "1e1",
        "1e1 is text to some YAML readers and a number to others: write 10",
    ),
    "an octal number": ("weak: 15", "weak: 015", "015", "015 is an octal, hexadecimal or binary number"),
    "a number in base 60": ("weak: 15", "weak: 12:30", "12:30", "12:30 is a number in base 60 to some YAML readers"),
    "an anchor": ("weak: 15", "weak: &x 15", "&x", "anchors (&x) are not allowed"),
    "an alias": ("weak: 15", "weak: *x", "*x", "aliases (*x) are not allowed"),
    "a tag": ("weak: 15", "weak: !!float 15", "!!float", "tags (!!float) are not allowed"),
    "a bracket that is not closed": ("slow: 4h}", "slow: 4h", ":\n  strong: 25", "not valid YAML"),
    "a line of a megabyte": ("weak: 15", "weak: 15 #" + "x" * 1_048_576, "version", "the file is larger than 256 kB"),
    # the schema
    "an unknown key": (
        "dwell_candles: 2",
        "dwell_candle: 2",
        "dwell_candle:",
        "unknown key dwell_candle in regimes; did you mean dwell_candles?",
    ),
    "a key that is missing": (
        "      stop: close_1h - atr_1h\n",
        "",
        "long:\n      setup:\n        - {id: low",
        "strategies.revert.long: key stop is missing",
    ),
    "a value of the wrong type": (
        "confirmations: 2",
        'confirmations: "2"',
        '"2"',
        "a number stands without quotes",
    ),
    "a value out of bounds": (
        "override_confidence: 0.9",
        "override_confidence: 1.5",
        "1.5\n  dwell",
        "regimes.override_confidence: must be at most 1, found 1.5",
    ),
    "another version": ("version: 1", "version: 2", "2\ntimeframes", "version: must be 1, found 2"),
    "a name in capitals": (
        "  weak: 15",
        "  weak: 15\n  Weak: 15",
        "Weak: 15",
        "thresholds.Weak: this key is not allowed",
    ),
    "a condition without its text": (
        "- {id: low, when: rsi_4h <= 30}",
        "- {id: low}",
        "{id: low}",
        "strategies.revert.long.setup[0]: key when is missing",
    ),
    # names
    "an unknown name": (
        "stop: close_1h - atr_1h",
        "stop: close_1h - atr_2h",
        "atr_2h",
        "no feature, threshold, choice or definition is called atr_2h; did you mean atr_1h?",
    ),
    "an unknown name in quotes": (
        '"close_1h > close_1h[1]"',
        '"close_1h > clse_1h[1]"',
        "clse_1h",
        "no feature, threshold, choice or definition is called clse_1h; did you mean close_1h?",
    ),
    "an unknown indicator": (
        "adx_4h: {indicator: adx,",
        "adx_4h: {indicator: adxx,",
        "adxx",
        "no indicator is called 'adxx'; did you mean adx?",
    ),
    "an unknown timeframe": (
        "{indicator: rsi, timeframe: 4h",
        "{indicator: rsi, timeframe: 3h",
        "3h",
        "3h is no timeframe; known are entry, slow, 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d",
    ),
    "a threshold that a symbol misspells": (
        "thresholds: {strong: 30}",
        "thresholds: {srong: 30}",
        "srong",
        "no threshold is called srong; did you mean strong?",
    ),
    "an option that is not there": (
        "choices: {aim: three}",
        "choices: {aim: four}",
        "four",
        "no option is called four; known are two, three",
    ),
    "a default option that is not there": ("{use: two,", "{use: one,", "one,", "no option is called one"),
    "a choice within a choice": (
        "three: close_1h + 3 * atr_1h}",
        "three: aim}",
        "aim}",
        "a choice cannot use another choice",
    ),
    "an unknown strategy in the router": (
        "RANGE: {strategy: revert,",
        "RANGE: {strategy: reverse,",
        "reverse",
        "no strategy is called reverse; did you mean revert?",
    ),
    "an unknown threshold in a ramp": (
        "- {value: width_4h, zero_at: 5,",
        "- {value: width_4h, zero_at: five,",
        "five",
        "no threshold is called five",
    ),
    "a name of a trade before there is one": (
        "- {id: low, when: rsi_4h <= 30}",
        "- {id: low, when: rsi_4h <= 30 and close_1h > entry}",
        "entry}",
        "entry is not known here yet",
    ),
    "a stop that asks for the risk": (
        "stop: close_1h - atr_1h",
        "stop: entry - 2 * risk",
        "risk\n      targets:\n        - {price: aim",
        "risk is not known here yet; usable here: entry",
    ),
    "an earlier candle of a threshold": (
        "when: width_4h >= 10}",
        'when: "width_4h >= strong[1]"}',
        "strong[1]",
        "strong has no earlier candles: only features do",
    ),
    "an id twice in one list": (
        "- {id: hot, when: rsi_4h >= 95}",
        "- {id: wide, when: rsi_4h >= 95}",
        "wide, when: rsi",
        "the id wide is used twice in this list",
    ),
    "a feature with a reserved name": (
        "  width_4h: {indicator",
        "  risk: {indicator: rsi, timeframe: 4h}\n  width_4h: {indicator",
        "risk: {",
        "risk has a meaning of its own in expressions: choose another name",
    ),
    "a feature called like a function": (
        "  width_4h: {indicator",
        "  max: {indicator: rsi, timeframe: 4h}\n  width_4h: {indicator",
        "max: {",
        "max is a word of the expressions: choose another name",
    ),
    "a name declared twice": ("  weak: 15", "  weak: 15\n  up_1h: 3", "up_1h: 3", "up_1h is declared in features, too"),
    "a timeframe named like another": (
        "slow: 4h}",
        "slow: 4h, 1d: 4h}",
        "1d: 4h",
        "timeframes.1d: this key is not allowed",
    ),
    "a strategy without sides": (
        "    reward_risk_min: 1.2\n    long:\n      setup:\n        - {id: low, when: rsi_4h <= 30}\n"
        "      stop: close_1h - atr_1h\n      targets:\n        - {price: aim, portion: 1.0}\n",
        "    reward_risk_min: 1.2\n",
        "revert:",
        "revert has neither a long nor a short side: it could never trade",
    ),
    # parameters and units
    "a parameter out of its bounds": (
        "timeframe: slow, period: 3}",
        "timeframe: slow, period: 0}",
        "0}\n  rsi",
        "adx: period must be a whole number from 2 to 500, not 0",
    ),
    "a parameter that the indicator does not have": (
        "timeframe: slow, period: 3}",
        "timeframe: slow, length: 3}",
        "length: 3}\n  rsi",
        "adx has no parameter 'length'; it takes period",
    ),
    "a parameter where there are none": (
        "  up_1h: {",
        "  closed_4h: {indicator: candle_closed, timeframe: 4h, period: 3}\n  up_1h: {",
        "period: 3}\n  up_1h",
        "candle_closed has no parameter 'period'; it takes no parameters",
    ),
    "a comparison of unlike units": (
        "when: rsi_4h <= 30}",
        "when: rsi_4h <= close_1h}",
        "rsi_4h <= close_1h",
        "an index (0 to 100) and a price cannot be compared",
    ),
    "a stop that is no price": (
        "stop: high_1h + 0.5 * atr_1h",
        "stop: high_1h / atr_1h",
        "high_1h / atr_1h",
        "a price is needed here, and this is a ratio",
    ),
    "a confidence that is a condition": (
        "{value: width_4h, zero_at: 5",
        "{value: width_4h >= 10, zero_at: 5",
        "width_4h >= 10, zero",
        "a number is needed here, and this is a condition",
    ),
    "a bare number beside a price": (
        "stop: high_1h + 0.5 * atr_1h",
        "stop: max(low_1h, high_1h + 0.5)",
        "high_1h + 0.5)",
        "a bare number cannot be mixed with a price",
    ),
    "a number where a condition is needed": (
        "when: adx_4h < weak}",
        "when: adx_4h - weak}",
        "adx_4h - weak",
        "this is an index (0 to 100) and not a condition",
    ),
    "options of unlike units": (
        "three: close_1h + 3 * atr_1h}",
        "three: close_1h / atr_1h}",
        "close_1h / atr_1h",
        "this is a ratio, and the first option is a price: all must be alike",
    ),
    "an expression that cannot be read": (
        "when: adx_4h < weak}",
        "when: adx_4h <}",
        "<}",
        "cannot be read: invalid syntax",
    ),
    "a call of something else": (
        "when: adx_4h < weak}",
        "when: 5 > exec(adx_4h)}",
        "exec",
        "no function is called exec",
    ),
    "a feature shorter than the entry candles": (
        "{indicator: rsi, timeframe: 4h",
        "{indicator: rsi, timeframe: 5m",
        "5m",
        "5m is shorter than the entry timeframe 1h",
    ),
    "regimes on candles shorter than the entry's": (
        "regimes:\n  timeframe: 4h",
        "regimes:\n  timeframe: 15m",
        "15m",
        "15m is shorter than the entry timeframe 1h",
    ),
    "no entry price": (
        "close_1h: {indicator: close, timeframe: 1h}",
        "close_1h: {indicator: open, timeframe: 1h}",
        "features:",
        "no feature has the entry price: declare one as {indicator: close, timeframe: 1h}",
    ),
    # the lint
    "thresholds that overlap": (
        "when: adx_4h < weak}",
        "when: adx_4h < weak + 11}",
        "enter:\n      - {id: weak",
        "TREND and RANGE are declared exclusive, but their thresholds overlap: "
        "both can be entered with adx_4h from 25 to 26",
    ),
    "thresholds that overlap for one symbol": (
        "thresholds: {strong: 30}",
        "thresholds: {weak: 27, strong: 26, strong_stay: 26}",
        "BTCUSDT:",
        "with the values of BTCUSDT, in regimes.RANGE.enter: TREND and RANGE are declared exclusive",
    ),
    "a stay that asks for more than enter": (
        "when: adx_4h >= strong_stay}",
        "when: adx_4h >= 32}",
        "{id: strong, when: adx_4h >= 32",
        "TREND can be entered while this does not hold, so it would be left at once",
    ),
    "a strategy that no regime leads to": (
        "RANGE: {strategy: revert,",
        "RANGE: {strategy: follow,",
        "revert:",
        "no regime leads to revert: name it in router, or remove it",
    ),
    "a setup that contradicts itself": (
        "- {id: low, when: rsi_4h <= 30}",
        "- {id: low, when: rsi_4h <= 30 and rsi_4h > 40}",
        "{id: low, when",
        "this can never hold, so nothing will ever come of it",
    ),
    "a setup whose conditions contradict each other": (
        "- {id: strong_candle, when: up_1h}",
        '- {id: strong_candle, when: "up_1h and close_1h[1] >= close_1h"}',
        "setup:\n        - {id: rising",
        "these can never hold together, so nothing will ever come of it",
    ),
    "a threshold beyond what an index can reach": (
        "- {id: low, when: rsi_4h <= 30}",
        "- {id: low, when: rsi_4h >= 101}",
        "{id: low, when",
        "this can never hold, so nothing will ever come of it",
    ),
    "too many alternatives to prove anything": (
        "when: adx_4h < weak}",
        'when: "' + " and ".join(f"(adx_4h<{n} or rsi_4h<{n})" for n in range(1, 14)) + '"}',
        "enter:\n      - {id: weak",
        "the conditions have too many alternatives to be checked",
    ),
    "a ramp without a slope": (
        "zero_at: 5, full_at: 20}",
        "zero_at: strong_stay, full_at: 20}",
        "{value: width_4h",
        "zero_at and full_at are both 20: a ramp needs two different ends",
    ),
    "portions that do not add up": (
        "{price: entry + 4 * risk, portion: 0.5}",
        "{price: entry + 4 * risk, portion: 0.4}",
        "- {price: entry + 2",
        "the portions of the targets add up to 0.9, not to 1",
    ),
    "a reward that can never suffice": (
        "{price: entry - 2 * risk, portion: 1.0}",
        "{price: entry - 1.2 * risk, portion: 1.0}",
        "- {price: entry - 1.2",
        "the targets give 1.2 R, and reward_risk_min asks for 1.5: no trade can pass",
    ),
    "a break-even beyond what triggers it": (
        "break_even_lock_r: 0.1",
        "break_even_lock_r: 2",
        "2, exit_after",
        "the stop would be moved to or beyond the price that moves it",
    ),
    "a lock without a break-even": (
        "{break_even_at_r: 1, break_even_lock_r: 0.1,",
        "{break_even_at_r: null, break_even_lock_r: 0.1,",
        "0.1, exit_after",
        "break_even_lock_r does nothing without break_even_at_r",
    ),
}


def place_of(text: str, part: str) -> str:
    """Line and column of a part of the text, as problems name them."""
    assert text.count(part) == 1, f"{part!r} is in the file {text.count(part)} times"
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.replace(" ", "_"))
def test_a_broken_file_says_what_is_wrong_and_where(case: str, changed: Changed) -> None:
    old, new, at, message = BROKEN[case]
    text = changed(old, new)
    found = problems_of(text)
    assert any(problem.startswith(f"r.yaml:{place_of(text, at)}: {message}") for problem in found), found
    assert len(found) <= (2 if "overlap" in case or "alternatives" in case else 1), "one mistake is one problem"


def test_problems_of_every_kind_come_all_at_once(small_text: str) -> None:
    text = small_text.replace("dwell_candles: 2", "dwell_candle: 2").replace("stop: close_1h - atr_1h", "stop: clse_1h")
    text = text.replace("{indicator: rsi,", "{indicator: rsii,").replace(
        "when: adx_4h < weak}", "when: adx_4h < close_1h}"
    )
    text = text.replace("enabled: false}", "enabled: 3}")
    assert [problem.split(": ", 1)[1] for problem in problems_of(text)] == [
        "no indicator is called 'rsii'; did you mean rsi?",
        "unknown key dwell_candle in regimes; did you mean dwell_candles?",
        "an index (0 to 100) and a price cannot be compared",
        "no feature, threshold, choice or definition is called clse_1h; did you mean close_1h?",
        "router.BREAKOUT.enabled: expected true or false, found 3",
    ]


def test_every_unknown_name_of_an_expression_is_told(changed: Changed) -> None:
    text = changed("- {id: low, when: rsi_4h <= 30}", "- {id: low, when: one > two and rsi_4h < three}")
    assert [problem.split("is called ")[1].split(";")[0] for problem in problems_of(text)] == ["one", "two", "three"]


def test_of_several_choices_each_is_judged_by_itself(changed: Changed) -> None:
    text = changed("choices:\n", "choices:\n  far: {use: far, options: {far: up_1h, near: adx_4h}}\n")
    (problem,) = problems_of(text)
    assert problem.startswith(f"r.yaml:{place_of(text, 'adx_4h}}')}: this is an index (0 to 100), and the first option")


def test_an_expression_over_several_lines_has_its_mistakes_found(changed: Changed) -> None:
    text = changed(
        "- {id: low, when: rsi_4h <= 30}",
        "- id: low\n          when: >\n            rsi_4h <= 30\n            and close_1h > unheard_of",
    )
    (problem,) = problems_of(text)
    assert problem.startswith(f"r.yaml:{place_of(text, 'unheard_of')}: no feature")


def test_a_bomb_of_aliases_is_refused_at_once(small_text: str) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert "anchors (&a0) are not allowed" in problems_of(bomb + small_text)[0]


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "rules", "a: 1", "version: 1\nregimes: []\nfeatures: 3\nrouter: {TREND: x}"]
)
def test_what_is_no_rules_file_at_all_is_told_so(text: str) -> None:
    assert problems_of(text)


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        load_rules(tmp_path / "rules.yaml")


def test_a_file_is_read_from_disk(tmp_path: Path, small_text: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(small_text, "utf-8")
    ruleset = load_rules(path)
    assert (ruleset.name, ruleset.text) == (str(path), small_text)
    assert list(ruleset.strategies) == ["follow", "revert"]


# --- the hash ---------------------------------------------------------------------------------------


def test_the_hash_stands_for_what_is_defined_and_not_for_how_it_is_written(small: Ruleset, small_text: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", small.hash)
    data = yaml.safe_load(small_text)
    upside_down = {key: data[key] for key in reversed(data)}
    rewritten = yaml.safe_dump(upside_down, sort_keys=False, width=1_000)
    for text in (small_text + "# a comment\n", small_text.replace("  weak: 15", "  weak: 15.0"), rewritten):
        assert parse_rules(text, "other.yaml").hash == small.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weak: 15", "weak: 14"),
        ("dwell_candles: 2", "dwell_candles: 3"),
        ("when: rsi_4h <= 30}", "when: rsi_4h < 30}"),
        ("thresholds: {strong: 30}", "thresholds: {strong: 31}"),
        ("{id: hot,", "{id: very_hot,"),
        ("enabled: false}", "enabled: true}"),
        ("exit_after_candles: 10}", "exit_after_candles: 11}"),
    ],
)
def test_the_hash_changes_with_every_value(changed: Changed, small: Ruleset, old: str, new: str) -> None:
    assert parse_rules(changed(old, new), "f").hash != small.hash


# --- warnings ---------------------------------------------------------------------------------------


def warnings_of(text: str) -> list[str]:
    return [str(problem) for problem in parse_rules(text, "r.yaml").warnings]


def test_the_small_file_has_nothing_to_warn_of(small: Ruleset) -> None:
    assert small.warnings == ()


def test_what_nothing_uses_is_worth_a_warning(changed: Changed) -> None:
    text = changed("  weak: 15", "  weak: 15\n  spare: 1")
    text = text.replace("  up_1h: {", "  open_1h: {indicator: open, timeframe: 1h}\n  up_1h: {")
    assert warnings_of(text) == [
        "r.yaml:7:3: spare is not used by any expression",
        "r.yaml:13:3: open_1h is not used by any expression",
    ]


def test_a_strategy_that_is_switched_off_everywhere_is_worth_a_warning(changed: Changed) -> None:
    text = changed("RANGE: {strategy: revert, enabled: true}", "RANGE: {strategy: revert, enabled: false}")
    where = place_of(text, "false}\n  BREAKOUT")
    assert warnings_of(text) == [f"r.yaml:{where}: revert never trades: every regime that leads to it is switched off"]
    switched_on = text.replace("router: {BREAKOUT: {enabled: true}}", "router: {RANGE: {enabled: true}}")
    assert warnings_of(switched_on) == []


def test_a_condition_that_always_holds_is_worth_a_warning(changed: Changed) -> None:
    text = changed("when: rsi_4h <= 30}", "when: rsi_4h <= 100}")
    assert warnings_of(text) == [f"r.yaml:{place_of(text, '{id: low')}: this always holds, so it decides nothing"]


# --- whatever is written ----------------------------------------------------------------------------

SCALARS: list[Any] = [
    None, True, -1, 0, 1, 3.5, 10**13, "", "x", "entry", "strong", "close_1h", "adx_4h >= strong", "close_1h[1]", "1h",
    "mr", [], {}, [{}], [None], {"a": 1}, [{"id": "a", "when": "up_1h"}], {"long": {}}, {"TREND": {"enabled": True}},
]  # fmt: skip


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, child in children for found in _paths(child, (*path, key)))]


@pytest.mark.parametrize("strategy", [[], {}, [["follow"]], 3, True])
def test_a_route_to_what_is_no_name_is_told_with_its_place(small_text: str, strategy: object) -> None:
    content = yaml.safe_load(small_text)
    content["router"]["TREND"] = {"strategy": strategy}
    with pytest.raises(SourceError, match=r"f:\d+:\d+: .*router"):
        parse_rules(yaml.safe_dump(content, sort_keys=False), "f")


def test_a_threshold_that_is_text_says_what_it_may_be(small_text: str) -> None:
    content = yaml.safe_load(small_text)
    content["thresholds"]["strong"] = "twentyfive"
    with pytest.raises(SourceError, match='expected a number or a mapping, found the text "twentyfive"'):
        parse_rules(yaml.safe_dump(content, sort_keys=False), "f")


@given(st.data())
@settings(max_examples=examples(200))
def test_whatever_is_written_is_loaded_or_refused_with_places(small_text: str, data: st.DataObject) -> None:
    content = yaml.safe_load(small_text)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(content)[1:]))
        parent = content
        for step in path[:-1]:
            parent = parent[step]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(st.sampled_from(SCALARS))
        else:
            del parent[path[-1]]
        if not content:
            break
    text = yaml.safe_dump(content, sort_keys=False, width=1_000)
    lines = text.split("\n")
    try:
        ruleset = parse_rules(text, "f")
    except SourceError as error:
        for problem in error.problems:
            assert problem.message
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
    else:
        for symbol in ("BTCUSDT", "ETHUSDT"):
            rules = ruleset.for_symbol(symbol)
            assert all(rules.strategies[name].seek_signal({}).side is None for name in rules.strategies)
