"""The strict YAML reader: what it accepts, what it refuses and where it says so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.yaml_source import BYTES_MAX, Problem, Source, SourceError, parse_source, read_source, validate


def problems_of(text: str) -> list[str]:
    with pytest.raises(SourceError) as caught:
        parse_source(text, "f.yaml")
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def only_problem_of(text: str) -> str:
    (problem,) = problems_of(text)
    return problem


def test_reads_mappings_lists_and_scalars_as_plain_python() -> None:
    source = parse_source(
        'text: one two\nquoted: "on"\nwhole: -12\ndecimal: 0.50\n'
        "truth: true\nnothing: null\nlist:\n  - 1h\n  - {a: [1, 2]}\n",
        "f.yaml",
    )
    assert source.data == {
        "text": "one two",
        "quoted": "on",
        "whole": -12,
        "decimal": 0.5,
        "truth": True,
        "nothing": None,
        "list": ["1h", {"a": [1, 2]}],
    }


def test_the_order_of_keys_is_the_order_of_the_file() -> None:
    assert list(parse_source("b: 1\na: 2\nc: 3\n", "f").data) == ["b", "a", "c"]


class TestRefusedForms:
    def test_a_duplicate_key_names_both_lines(self) -> None:
        assert only_problem_of("a:\n  x: 1\n  z: 2\n  x: 3\n") == (
            'f.yaml:4:3: "x" is written twice; it is already in line 2'
        )

    def test_a_key_quoted_and_unquoted_is_still_a_duplicate(self) -> None:
        assert "written twice" in only_problem_of('a: 1\n"a": 2\n')

    def test_anchors_and_aliases(self) -> None:
        assert problems_of("a: &x 1\nb: *x\n") == [
            "f.yaml:1:4: anchors (&x) are not allowed: write the value out where it is used",
            "f.yaml:2:4: aliases (*x) are not allowed: write the value out",
        ]

    @pytest.mark.parametrize("value", ["!!str 5", "!mine {a: 1}", "!!python/object:os.system x", "! 5"])
    def test_tags(self, value: str) -> None:
        assert only_problem_of(f"a: {value}\n").startswith("f.yaml:1:4: tags (")

    def test_merge_keys(self) -> None:
        assert only_problem_of("a: 1\n<<: {b: 2}\n").startswith("f.yaml:2:1: merge keys (<<) are not allowed")

    def test_a_second_document(self) -> None:
        assert only_problem_of("a: 1\n---\nb: 2\n").startswith("f.yaml:2:1: a second document ('---')")

    def test_directives(self) -> None:
        assert only_problem_of("%YAML 1.1\n---\na: 1\n").startswith("f.yaml:1:1: directives")

    @pytest.mark.parametrize(("key", "named"), [("1", '"1"'), ("1.5", '"1.5"'), ("true", '"true"'), ("null", '"null"')])
    def test_keys_that_are_not_text(self, key: str, named: str) -> None:
        assert only_problem_of(f"a:\n  {key}: x\n") == f"f.yaml:2:3: a key must be text: write {named}"

    def test_keys_that_are_lists_or_mappings(self) -> None:
        assert only_problem_of("? [a, b]\n: 1\n").startswith("f.yaml:1:3: a key must be text")
        assert only_problem_of("{a: 1}: 2\n").startswith("f.yaml:1:1: a key must be text")

    def test_a_trap_word_as_a_key(self) -> None:
        assert only_problem_of("on: 1\n").startswith("f.yaml:1:1: on is a truth value to some")


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


class TestLimitsAndFiles:
    def test_a_file_that_is_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "big.yaml"
        path.write_bytes(b"# x\n" * BYTES_MAX)
        with pytest.raises(SourceError, match=r"big\.yaml:1:1: the file is larger than 256 kB"):
            read_source(path)
        assert problems_of("# é" * (BYTES_MAX // 4 + 1)) == ["f.yaml:1:1: the file is larger than 256 kB"]

    def test_a_line_that_is_too_long(self) -> None:
        assert only_problem_of(f"a: 1\nb: {'x' * 2_000}\n") == (
            "f.yaml:2:2001: the line is longer than 2000 characters"
        )

    def test_nesting_that_is_too_deep(self) -> None:
        assert parse_source("[" * 20 + "]" * 20, "f")
        assert only_problem_of("[" * 22 + "]" * 22) == "f.yaml:1:22: nested deeper than 20 levels"
        assert "nested deeper" in problems_of("- " * 60 + "x")[-1]

    def test_too_many_values(self) -> None:
        assert problems_of("[\n" + "1,\n" * 20_001 + "]")[-1].endswith("the file has more than 20000 values")

    def test_too_many_problems_end_the_reading(self) -> None:
        assert len(problems_of("\n".join(f"k{n}: yes" for n in range(500)))) == 100

    @pytest.mark.parametrize(
        "text",
        [
            "a: " + "x" * 1_000_000,
            "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(8_000)),
            "{" * 1_999,
            "\n".join("- - - -" for _ in range(30_000)),
            "\n".join("? " * 900 for _ in range(100)),
        ],
        ids=["one long line", "aliases of aliases", "open braces", "nested lists", "keys of keys"],
    )
    def test_hostile_text_is_answered_quickly(self, text: str) -> None:
        started = time.process_time()
        assert problems_of(text)
        assert time.process_time() - started < 2.0

    def test_a_missing_file_a_directory_and_an_empty_file(self, tmp_path: Path) -> None:
        empty = tmp_path / "empty.yaml"
        empty.write_text("# only a comment\n")
        for path, told in [
            (tmp_path / "none.yaml", "1:1: there is no such file"),
            (tmp_path, "1:1: this is a directory; name a file"),
            (empty, "2:1: the file is empty"),
            (tmp_path / "none.yaml" / "\0", "1:1: cannot be read: embedded null byte"),
        ]:
            with pytest.raises(SourceError) as caught:
                read_source(path)
            assert str(caught.value) == f"{path}:{told}"

    def test_bytes_that_are_not_utf_8_are_placed(self, tmp_path: Path) -> None:
        path = tmp_path / "latin.yaml"
        path.write_bytes("a: 1\nbé: x".encode() + b"\xe9\n")
        with pytest.raises(SourceError, match=r"latin\.yaml:2:6: not UTF-8 \(byte 0xe9\)"):
            read_source(path)

    def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(self, tmp_path: Path) -> None:
        path = tmp_path / "windows.yaml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: yes\r\n")
        with pytest.raises(SourceError, match=r"windows\.yaml:2:4: yes is a truth value"):
            read_source(path)
        path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
        assert read_source(path).data == {"a": 1, "b": "x"}

    @pytest.mark.parametrize(
        ("char", "told"),
        [
            ("\t", "a tab: indent and separate with spaces"),
            ("\x00", "character U+0000 is not allowed"),
            ("\u2028", "character U+2028 is not allowed"),
            ("\u202e", "character U+202E is not allowed"),
            ("\r", "character U+000D is not allowed"),
        ],
    )
    def test_invisible_characters(self, char: str, told: str) -> None:
        assert only_problem_of(f"a: 1\nb: x{char}y\n") == f"f.yaml:2:5: {told}"

    @pytest.mark.parametrize(
        ("text", "place", "hint"),
        [
            ("a: b: c\n", "1:5", "quote the value"),
            ("a: [1,\n  2\nb: 1\n", "3:2", "a bracket is not closed"),
            ('x: 1\na: "y\nb: 3\n', "2:4", "a quote that is opened here is never closed"),
            ("a: @x\n", "1:4", "put the value in quotes"),
            ("a:\n  b: 1\n c: 2\n", "3:2", "the indentation does not match"),
            ("a: 1\nb\nc: 2\n", "3:1", "a key without ':'"),
        ],
    )
    def test_broken_syntax_is_placed_and_explained(self, text: str, place: str, hint: str) -> None:
        problem = only_problem_of(text)
        assert problem.startswith(f"f.yaml:{place}: not valid YAML: ")
        assert hint in problem

    @given(st.text(alphabet="ab1:-?[]{}&*!|>'\"%@`#, \n", max_size=60))
    def test_any_text_either_reads_or_is_refused_as_a_source_error(self, text: str) -> None:
        with contextlib.suppress(SourceError):
            assert isinstance(parse_source(text, "f"), Source)


class TestPlaces:
    SOURCE = parse_source("risk:\n  pct: 0.5\n  steps:\n    - a: 1\n    - a: 2\n", "f.yaml")

    @pytest.mark.parametrize(
        ("path", "key", "place"),
        [
            ((), False, "1:1"),
            (("risk",), True, "1:1"),
            (("risk",), False, "2:3"),
            (("risk", "pct"), False, "2:8"),
            (("risk", "pct"), True, "2:3"),
            (("risk", "steps", 1, "a"), False, "5:10"),
            (("risk", "steps", 1), True, "5:7"),
            (("risk", "steps", 7, "a"), True, "3:3"),
            (("none", "such"), False, "1:1"),
        ],
    )
    def test_a_problem_is_placed_at_the_node_its_key_or_the_nearest_parent(
        self, path: tuple[str | int, ...], key: bool, place: str
    ) -> None:
        assert str(self.SOURCE.problem(path, "wrong", key=key)) == f"f.yaml:{place}: wrong"

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("when: aa > bb\n", (1, 12)),
            ('when: "aa > bb"\n', (1, 13)),
            ("when: 'aa > bb'\n", (1, 13)),
            ("when:  aa\n  >   bb\n", (2, 7)),
            ("when: >-\n  aa\n  > bb\n", (3, 5)),
            ("when: |-\n  aa > bb\n", (2, 8)),
            ('when: "a\\x61 > bb"\n', (1, 7)),
        ],
    )
    def test_an_offset_is_found_in_every_way_to_write_a_text(self, text: str, place: tuple[int, int]) -> None:
        source = parse_source(text, "f.yaml")
        problem = source.problem(("when",), "wrong", offset=source.data["when"].index("bb"))
        assert (problem.line, problem.column) == place

    def test_quotes_doubled_inside_quotes_count_once(self) -> None:
        source = parse_source("a: 'x ''y'' z'\n", "f")
        assert source.problem(("a",), "", offset=source.data["a"].index("z")).column == 13

    def test_an_offset_beyond_the_text_stays_in_the_file(self) -> None:
        assert self.SOURCE.problem(("risk", "pct"), "", offset=500).line <= 5

    def test_a_problem_is_an_immutable_value(self) -> None:
        assert Problem("f", 1, 2, "x") == Problem("f", 1, 2, "x")
        with pytest.raises(AttributeError):
            Problem("f", 1, 2, "x").line = 3  # type: ignore[misc]


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
