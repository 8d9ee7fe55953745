"""Rules files damaged at random: each is taken or refused with problems in their places, quickly, and never otherwise.

``python -m tests.unit.rules.fuzzed_files 100000`` does so for so many; a test does so for fewer.
"""

from __future__ import annotations

import random
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rules.load import parse_rules
from rules.source.yaml_source import SourceError

ROOT = Path(__file__).parents[3]
SEEDS = (ROOT / "rules.yaml", *sorted((ROOT / "docs" / "strategies").glob("*.yaml")))
PAGE = ROOT / "docs" / "rules.md"
"""Its files use what the shipped ones do not, such as a threshold that says how far back a function looks."""
SECONDS_MAX = 1.0
MEGABYTES_MAX = 200

TOKENS = (
    "and", "or", "not", "<", ">=", "(", ")", "[1]", "[51]", "[-1]", "highest(", "count(", "since(",
    "value_when(", "9" * 400, "1e9", "0x10", "close_1h", "BTCUSDT.close_1h", "1000PEPEUSDT.atr_4h", "TREND",
    "regime_candles", "entry", "risk", "hour", "london", "null", "true", "on", "~", "{", "}", "[", "]", "- ",
    ": ", "&a ", "*a", "<<: *a", "!!python/object:os.system ", "|", ">", "#", "'", "\"", "\t", "\xe9",
    "\u202e", "\U0001f4a5", "\x00", "%", "?", "@", "`", "--- ", "12:30:45", "2024-01-01", "__import__('os')",
    "lambda: 0", "a.b.c", "period: 0", "period: -3", "period: 1000000", "timeframe: 7h", "indicator: nothing",
    ".inf", ".nan", "-0", "0.1.2", "strategies:", "regimes:", "define:", "version: 2", "portion: 2",
    "enabled: false",
)  # fmt: skip
Change = Callable[[random.Random, str], str]


def _char(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice("abz019_.,:-+*/<>=()[]{}#&!|'\" \n\t\u00fc") + text[at + chance.randrange(2) :]


def _token(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(TOKENS) + text[at + chance.choice((0, 0, 3, 9)) :]


def _lines(chance: random.Random, text: str) -> str:
    rows = text.split("\n")
    first, other = chance.randrange(len(rows)), chance.randrange(len(rows))
    match chance.randrange(5):
        case 0:
            del rows[first]
        case 1:
            rows.insert(other, rows[first])
        case 2:
            rows[first], rows[other] = rows[other], rows[first]
        case 3:
            rows[first] = " " * chance.randrange(9) + rows[first].strip()
        case 4:
            rows[first] = rows[first] * chance.randrange(2, 40)
    return "\n".join(rows)


def _cut(chance: random.Random, text: str) -> str:
    first, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    return text[:first] + text[end:] if chance.random() < 0.5 else text[first:end]


def _word(chance: random.Random, text: str) -> str:
    """A word takes the place of another one: what is spelled right and stands wrong."""
    words = text.replace("\n", " ").split(" ")
    old, new = (chance.choice(words) or "x" for _ in range(2))
    return text.replace(old, new, chance.choice((1, 1, 3)))


def _kind(chance: random.Random, text: str) -> str:
    """A number is something of another kind."""
    numbers = list(re.finditer(r"(?<=: )[0-9.]+(?=[,}\n])", text))
    if not numbers:
        return text
    found = chance.choice(numbers)
    other = chance.choice(('"{}"', "[{}]", "{{value: {}}}", "null", "true", "close_1h", "-{}", "{}.5", "{}e3"))
    return text[: found.start()] + other.format(found[0]) + text[found.end() :]


CHANGES: tuple[Change, ...] = (_char, _char, _token, _token, _lines, _lines, _word, _word, _kind, _kind, _cut)


def files(count: int, seed: int) -> Iterator[str]:
    """So many texts, each a shipped file with one to eight changes."""
    chance = random.Random(seed)
    seeds = [path.read_text("utf-8") for path in SEEDS]
    seeds += re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for _ in range(count):
        text = chance.choice(seeds)
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            text = chance.choice(CHANGES)(chance, text) or " "
        yield text


def verdict(text: str) -> str:
    """TAKEN or REFUSED. Raises AssertionError where a refusal has no place, and whatever else is wrong."""
    try:
        parse_rules(text, "rules.yaml")
    except SourceError as refused:
        problems = refused.problems
    else:
        return "TAKEN"
    assert problems, "refused without a word"
    for problem in problems:
        assert problem.message
        assert 1 <= problem.line <= len(text.split("\n")) + 1, str(problem)
        assert problem.column >= 1, str(problem)
    return "REFUSED"


def run(count: int, seed: int) -> str:
    """How many were taken and refused, and the slowest. Raises AssertionError with the first text that is wrong."""
    found = {"TAKEN": 0, "REFUSED": 0}
    slowest = 0.0
    for number, text in enumerate(files(count, seed)):
        began_s = time.process_time()
        try:
            found[verdict(text)] += 1
        except Exception as error:
            raise AssertionError(f"file {number} of seed {seed}: {type(error).__name__}: {error}\n{text}") from error
        slowest = max(slowest, time.process_time() - began_s)
        assert slowest <= SECONDS_MAX, f"file {number} of seed {seed} took {slowest:.1f} s\n{text}"
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{count:,} files: {found}, slowest {slowest:.2f} s of the processor, {megabytes:.0f} MB at most"


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(run(count, seed))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert megabytes <= MEGABYTES_MAX, f"{megabytes:.0f} MB"


if __name__ == "__main__":
    main()
