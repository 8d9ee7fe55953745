"""Wishes about an open trade: what is typed, the line that is kept, and what is read of it."""

from __future__ import annotations

from typing import Any

import pytest

from store.hand_wishes import HAND_KINDS, hand_wish, is_by_hand, read_hand_wish

SAID: list[tuple[str, str, dict[str, Any], str]] = [
    ("reduce", "25%", {}, "reduce 25%"),
    ("reduce", "33.3%", {}, "reduce 33.3%"),
    ("reduce", "0.010", {}, "reduce 0.010"),
    ("move-stop", "59000", {}, "move-stop 59000"),
    ("move-stop", "59000", {"why": "noted"}, "move-stop 59000"),
    ("move-stop", "0.00001234", {}, "move-stop 0.00001234"),
    ("move-stop", "58000", {"looser": True, "why": " a  wick "}, "move-stop 58000 looser: a wick"),
    ("move-stop", "58000", {"looser": True, "why": "looser: again"}, "move-stop 58000 looser: looser: again"),
    ("move-target", "72000", {}, "move-target 72000"),
    ("move-target", "72000", {"number": 2}, "move-target 72000 2"),
]


@pytest.mark.parametrize(("kind", "words", "more", "line"), SAID)
def test_what_is_written_is_what_is_read(kind: str, words: str, more: dict[str, Any], line: str) -> None:
    wish = hand_wish(kind, words, **more)
    assert wish.words() == line
    assert read_hand_wish(line).words() == line
    assert is_by_hand(line)


@pytest.mark.parametrize(
    ("kind", "words", "more", "told"),
    [
        ("reduce", "", {}, "is no number above 0"),
        ("reduce", "%", {}, "is no number above 0"),
        ("reduce", "0%", {}, "is no number above 0"),
        ("reduce", "100.01%", {}, "more than all of it"),
        ("reduce", "1e3", {}, "is no number above 0"),
        ("reduce", "٣", {}, "is no number above 0"),
        ("reduce", "1", {"looser": True, "why": "x"}, "only a stop can be looser"),
        ("reduce", "1", {"number": 1}, "`reduce SYMBOL AMOUNT`"),
        ("move-stop", "nan", {}, "is no number above 0"),
        ("move-stop", "5", {"looser": True}, "takes a reason"),
        ("move-stop", "5", {"looser": True, "why": "x" * 201}, "at most 200 characters"),
        ("move-stop", "5", {"looser": True, "why": "a\x1b[2Jb"}, "one line"),
        ("move-target", "5", {"number": 100}, "`move-target SYMBOL PRICE`"),
        ("flatten", "5", {}, "there is no 'flatten'"),
    ],
)
def test_what_cannot_be_meant_is_said(kind: str, words: str, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        hand_wish(kind, words, **more)


@pytest.mark.parametrize(
    "line", ["reduce", "reduce all of it", "move-stop 5 x", "move-target 5 2 3", "move-target 5 2.5", "explode 5"]
)
def test_a_line_that_nobody_wrote_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"understood|there is no"):
        read_hand_wish(line)


def test_other_commands_are_none_of_these() -> None:
    assert not any(map(is_by_hand, ("flatten", "release cancel-stop", "reload confirm ab", "reduced 5")))
    assert set(HAND_KINDS) == {"reduce", "move-stop", "move-target"}
