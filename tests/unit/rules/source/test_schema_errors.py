"""Differences from a schema: in plain words, all at once, each at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from rules.source.yaml_source import parse_source, validate


class TestSchema:
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["leverage", "mode"],
        "properties": {
            "leverage": {"type": "integer", "minimum": 1, "maximum": 20},
            "mode": {"enum": ["MARKET", "LIMIT"]},
            "limit_pct": {"type": ["number", "null"], "exclusiveMinimum": 0},
            "symbols": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[A-Z0-9]+$", "description": "A symbol: capitals and digits"},
                "additionalProperties": {"type": "object", "properties": {"live": {"type": "boolean"}}},
            },
            "names": {"type": "array", "uniqueItems": True, "maxItems": 2, "items": {"type": "string", "minLength": 2}},
            "stop": {
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "required": ["price"],
                        "additionalProperties": False,
                        "properties": {"price": {"type": "string"}, "buffer": {"type": "number"}},
                    },
                ]
            },
            "age": {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "null"}]},
            "level": {"anyOf": [{"const": "AUTO"}, {"type": "number"}]},
        },
    }

    def problems(self, text: str) -> list[str]:
        return [str(problem) for problem in validate(parse_source(text, "f.yaml"), self.SCHEMA)]

    def test_a_good_file_has_none(self) -> None:
        assert (
            self.problems("leverage: 2\nmode: LIMIT\nlimit_pct: null\nstop: {price: x}\nage: null\nlevel: AUTO\n") == []
        )

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("limit_pct: half", '3:12: limit_pct: expected a number or null, found the text "half"'),
            ("limit_pct: 0", "3:12: limit_pct: must be greater than 0, found 0"),
            ("limit_pct: true", "3:12: limit_pct: expected a number or null, found true"),
            ("limitpct: 1", "3:1: unknown key limitpct; did you mean limit_pct?"),
            ("symbols: {}", "3:10: symbols: must have at least 1 keys, has 0"),
            (
                "symbols: {btc: {}}",
                '3:11: symbols.btc: this key is not allowed: the text "btc" is not a symbol: capitals and digits',
            ),
            ("symbols: {BTC: {live: 1}}", "3:23: symbols.BTC.live: expected true or false, found 1"),
            ("symbols: {BTC: [1]}", "3:16: symbols.BTC: expected a mapping, found a list"),
            ("names: [ab, cd, ab]", "3:8: names: the same item is listed twice"),
            ("names: [ab, c]", "3:13: names[1]: must have at least 2 characters, has 1"),
            ("stop: {pric: x}", "3:8: unknown key pric in stop; did you mean price?"),
            ("stop: {buffer: 1}", "3:1: stop: key price is missing"),
            ("stop: 5", "3:7: stop: expected text or a mapping, found 5"),
            ("age: 2", "3:6: age: must be at least 5, found 2"),
            ("age: x", '3:6: age: expected a whole number or null, found the text "x"'),
            ("level: x", '3:8: level: expected AUTO or a number, found the text "x"'),
            (
                "zzz: 1",
                "3:1: unknown key zzz; known here and not yet used: limit_pct, symbols, names, stop, age, level",
            ),
        ],
    )
    def test_a_difference_is_placed_and_said_in_plain_words(self, line: str, told: str) -> None:
        assert f"f.yaml:{told}" in self.problems(f"leverage: 2\nmode: LIMIT\n{line}\n")

    def test_a_choice_in_the_wrong_case_is_guessed(self) -> None:
        assert self.problems("leverage: 2\nmode: market\n") == [
            'f.yaml:2:7: mode: must be one of MARKET, LIMIT; found the text "market"; did you mean MARKET?'
        ]

    def test_a_whole_number_may_not_be_written_as_a_decimal(self) -> None:
        assert self.problems("leverage: 2.0\nmode: LIMIT\n") == [
            "f.yaml:1:11: leverage: expected a whole number, found 2.0"
        ]

    def test_all_differences_come_at_once_in_the_order_of_the_file(self) -> None:
        assert self.problems("names: 1\nmode: X\nleverage: 50\n") == [
            "f.yaml:1:8: names: expected a list, found 1",
            'f.yaml:2:7: mode: must be one of MARKET, LIMIT; found the text "X"',
            "f.yaml:3:11: leverage: must be at most 20, found 50",
        ]

    def test_a_misspelt_key_is_not_also_reported_as_missing(self) -> None:
        assert self.problems("leverag: 2\nmode: LIMIT\n") == ["f.yaml:1:1: unknown key leverag; did you mean leverage?"]

    def test_missing_keys_are_named_together(self) -> None:
        assert self.problems("names: [ab]\n") == ["f.yaml:1:1: keys leverage, mode are missing"]

    def test_a_file_of_the_wrong_kind(self) -> None:
        assert self.problems("- 1\n") == ["f.yaml:1:1: expected a mapping, found a list"]
