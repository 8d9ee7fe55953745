"""libyaml is only believed where it reads what PyYAML's own parser reads, at the same places."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.source.yaml_source import Source, SourceError, _Doubtful, _Parsing, _QuickParsing

ROOT = Path(__file__).parents[4]
PARTS = (
    "x: {a: 1, b: [1, 2]}\n",
    "a: 'it''s'\n",
    'b: "q\\n"\n',
    "c: |\n  text\n  more\n",
    "d: >\n  fold\n  ed\n",
    'k:\n  - {id: a, when: "x > 1"}\n',
    "f: a b\n   c\n",
    "# said\n",
    "g: 1.5  # said\n",
)
SIGNS = list(" \n:-?,[]{}#&*!|>'\"%@`abc019.ü\\<=~")


def outcome(parse: Callable[[], Source]) -> object:
    try:
        return parse()
    except SourceError as error:
        return str(error)


def quick(text: str) -> Source | None:
    try:
        return _QuickParsing(text, "it").run()
    except _Doubtful:
        return None


@pytest.mark.parametrize("name", ["rules.yaml", "config.yaml"])
def test_the_shipped_files_are_read_alike(name: str) -> None:
    text = (ROOT / name).read_text()
    found = quick(text)
    assert found is not None
    assert found == _Parsing(text, "it").run()


def test_what_it_takes_is_what_pyyaml_takes_with_every_place() -> None:
    chance, taken, left = random.Random(7), 0, 0
    for _ in range(6_000):
        text = list("".join(chance.choice(PARTS) for _ in range(chance.randint(1, 3))))
        for _ in range(chance.randint(0, 3)):
            text.insert(chance.randrange(len(text) + 1), chance.choice(SIGNS))
        whole = "".join(text)
        found = quick(whole)
        left += found is None
        if found is not None:
            taken += 1
            assert found == outcome(_Parsing(whole, "it").run), whole
    assert taken > 1_500
    assert left > 1_000
