"""Unquoted words: which are accepted, which are refused, and what the refusal tells to write."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.source.yaml_source import SourceError, parse_source


def only_problem_of(text: str) -> str:
    with pytest.raises(SourceError) as caught:
        parse_source(text, "f.yaml")
    (problem,) = caught.value.problems
    return str(problem)


class TestWordsThatReadersDisagreeOn:
    @pytest.mark.parametrize(
        ("written", "hint"),
        [
            ("yes", 'write true if a truth value is meant, "yes" if text is'),
            ("NO", 'write false if a truth value is meant, "NO" if text is'),
            ("On", 'write true if a truth value is meant, "On" if text is'),
            ("off", 'write false if a truth value is meant, "off" if text is'),
            ("y", 'write true if a truth value is meant, "y" if text is'),
            ("N", 'write false if a truth value is meant, "N" if text is'),
            ("True", "write true in lower case"),
            ("NULL", "write null in lower case"),
            ("~", 'write null instead of ~, or "~" if text is meant'),
            ("1e3", "write 1000"),
            ("1.5e3", "write 1500"),
            ("25E-4", "write 0.0025"),
            ("1e999", "numbers are written without exponent"),
            ("1_000", 'write 1000, or "1_000" if text is meant'),
            ("0123", 'write a decimal number without leading zero, or "0123" if text is meant'),
            ("0o17", 'write a decimal number without leading zero, or "0o17" if text is meant'),
            ("0x1F", 'write a decimal number without leading zero, or "0x1F" if text is meant'),
            ("12:30:45", 'write "12:30:45" if a time is meant, or the number itself'),
            ("08:00", 'write "08:00" if a time is meant, or the number itself'),
            ("2026-11-01", 'write "2026-11-01"'),
            ("2026-11-01T10:00:00Z", 'write "2026-11-01T10:00:00Z"'),
            (".inf", "write a number, or null for no limit"),
            ("-.INF", "write a number, or null for no limit"),
            (".nan", "write a number, or null for no limit"),
            ("+5", "write the number as 5"),
            (".5", "write the number as 0.5"),
            ("5.", "write the number as 5.0"),
            ("1_", 'write "1_" if text is meant'),
            ("=", 'write "=" if text is meant'),
            ("1.2345678901234567", "more than 15 significant digits: write fewer"),
            ("9" * 5_00, "more than 15 significant digits: write fewer"),
        ],
    )
    def test_is_refused_with_a_hint(self, written: str, hint: str) -> None:
        problem = only_problem_of(f"a:\n  - {written}\n")
        assert problem.startswith("f.yaml:2:5: ")
        assert problem.endswith(hint)

    def test_a_missing_value_is_refused(self) -> None:
        assert only_problem_of("a:\nb: 1\n") == "f.yaml:1:3: no value is written here: write null if nothing is meant"

    @pytest.mark.parametrize("written", ["yes", "1e3", "0123", "12:30:45", "2026-11-01", "~", "", "null", "true", "5"])
    def test_in_quotes_is_text(self, written: str) -> None:
        assert parse_source(f"a: \"{written}\"\nb: '{written}'\n", "f").data == {"a": written, "b": written}

    @pytest.mark.parametrize("written", ["1h", "4h", "1d", "1e", "BTCUSDT", "adx_4h >= 25", "a-b", "1.2.3", "nobody"])
    def test_text_that_only_resembles_one_is_text(self, written: str) -> None:
        assert parse_source(f"a: {written}\n", "f").data == {"a": written}

    @given(st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1))
    def test_whole_numbers_come_back_exactly(self, number: int) -> None:
        assert parse_source(f"a: {number}\n", "f").data == {"a": number}

    @given(st.decimals(min_value=-(10**8), max_value=10**8, places=6))
    def test_decimals_come_back_exactly_as_decimal_text(self, number: object) -> None:
        read = parse_source(f"a: {number:f}\n", "f").data["a"]
        assert f"{read:.6f}" == f"{float(str(number)):.6f}"

    @given(st.text(alphabet="0123456789+-._:eExXoObBTZ ynofNOFtruesYES~", min_size=1, max_size=12))
    def test_whatever_is_accepted_means_the_same_to_a_plain_reader_of_yaml(self, word: str) -> None:
        try:
            ours = parse_source(f"a: {word}\n", "f").data
        except SourceError:
            return
        theirs = yaml.safe_load(f"a: {word}\n")
        assert ours == theirs
        assert type(ours["a"]) is type(theirs["a"])
