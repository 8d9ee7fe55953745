"""The strict YAML reader: what it accepts, what it refuses and where it says so."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.source.yaml_source import BYTES_MAX, Problem, Source, SourceError, contents, parse_source, read_source

ROOT = Path(__file__).parents[4]


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
        assert only_problem_of("a: n\n").startswith("f.yaml:1:4: n is a truth value to some")

    def test_n_as_a_key_is_a_number_of_things(self) -> None:
        assert parse_source("{n: 3, m: {n: 4}}\n", "f.yaml").data == {"n": 3, "m": {"n": 4}}


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
    def test_hostile_text_costs_no_more_than_some_ordinary_files(self, text: str) -> None:
        ordinary = (ROOT / "rules.yaml").read_text("utf-8")
        began = time.process_time()
        parse_source(ordinary, "rules.yaml")
        between = time.process_time()
        assert problems_of(text)
        assert time.process_time() - between < 60 * (between - began)

    def test_a_missing_file_a_directory_and_an_empty_file(self, tmp_path: Path) -> None:
        empty = tmp_path / "empty.yaml"
        empty.write_text("# only a comment\n")
        for path, told in [
            (tmp_path / "none.yaml", "1:1: there is no such file"),
            (tmp_path, "1:1: this is a directory; name a file"),
            (empty, "2:1: the file is empty"),
            (tmp_path / "none.yaml" / "\0", "1:1: cannot be read: its name holds a null character"),
        ]:
            with pytest.raises(SourceError) as caught:
                read_source(path)
            assert str(caught.value) == f"{path}:{told}"

    def test_what_is_refused_unread_is_closed_again(self, tmp_path: Path) -> None:
        """A running bot looks every second; a folder in place of its file must not use up what it may open."""
        before = len(os.listdir("/dev/fd"))
        for _ in range(20):
            with pytest.raises(IsADirectoryError):
                contents(tmp_path)
        assert len(os.listdir("/dev/fd")) == before

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
