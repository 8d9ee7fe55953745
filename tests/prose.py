"""Reads README and docs as an editor would: ``python -m tests.prose`` (and ``make check``) says what it marks.

proselint knows style, codespell spelling, and ``HOUSE`` the words of this project. Code, addresses and links' targets
are not prose and are blanked first, so that every line keeps its number.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from proselint import checks
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).parents[1]
CODESPELL = Path(sys.executable).with_name("codespell")
CHECKS = checks.__register__
NOT_FOR_MARKDOWN = {
    "typography.symbols": "typed plainly; the site makes quotes and dots of them (smarty in mkdocs.yml)",
    "typography.diacritical_marks": "its only finds are the command `resume`, as a verb",
    "dates_times.dates.dash_and_from": "takes the dash of 2024-01-01 for a range",
}
"""What is switched off, and why."""
WORDS_MAX = 45
"""A sentence that is longer is two."""
HOUSE = {
    r"\bklines?\b": "say candle",
    r"\bcandlesticks?\b": "say candle",
    r"\btake[- ]profits?\b": "say target",
    r"\bin order to\b": "say to",
    r"\b(?:utili[sz]e|leverages|leveraging)\b": "say use",
    r"\be\.g\.|\bi\.e\.|\betc\.": "say it in words",
    r"\b(?:please|simply|obviously|basically)\b": "leave it out",
    r"\b(?:an) (?:one|uni|use[drs])": "say a",
    r"\b(?:can not)\b": "say cannot",
    r"\b(?:allows|permits) to\b": "say who may: lets you, or allows it to",
    r"\binformations\b|\badvices\b|\bsoftwares\b": "has no plural",
    r"\bdepend(?:s|ed|ing)? from\b": "say on",
    r"\bsince (?:\d+|several|many|some) (?:days|weeks|months|years)\b": "say for",
    r"\bthe (?:both|other both)\b": "say both",
}
_NO_PROSE = re.compile(
    r"(?ms)"
    r"^[ ]*```.*?^[ ]*```[ ]*$"  # blocks of code
    r"|<!--.*?-->"
    r"|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)"  # code in a line
    r"|(?<=\])\([^)\s]*\)"  # where a link leads
    r"|https?://\S+"
    r"|</?[a-z][^>]*>"
    r"|^[ ]*\|[ :|-]+\|[ ]*$"  # the rule below the head of a table
)


def pages() -> list[Path]:
    top = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, ROOT / "exchange" / "sim" / "data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose(text: str) -> str:
    """The text with all that is no prose blanked, and a sign between paragraphs and cells, line by line as before."""
    blanked = _NO_PROSE.sub(lambda found: re.sub(r"[^\n]", "□", found[0]), text)
    return re.sub(r"(?m)^[ ]*$", "¶", blanked).replace("|", "¶")


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Where each begins, and what it says; headings, items of lists and cells of tables are some of their own."""
    for found in re.finditer(r"(?s)[^\s¶].*?(?:(?<=[.!?:;])(?=\s)|(?=¶|\n[ ]*[*#-]|\n[ ]*\d+\.[ ])|\Z)", text):
        yield found.start(), found[0]


def _house(text: str) -> Iterator[tuple[int, str]]:
    for pattern, advice in HOUSE.items():
        for found in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
            yield found.start(), f"{found[0]!r}: {advice}"
    for start, sentence in sentences(text):
        words = re.findall(r"[^\W\d_][\w'’-]*", sentence)
        if len(words) > WORDS_MAX:
            yield start, f"a sentence of {len(words)} words, {' '.join(words[:5])} …: make two of it"


def _style(text: str) -> Iterator[tuple[int, str]]:
    if not CheckRegistry().checks:
        CheckRegistry().register_many(CHECKS)
    # the longest name first: proselint takes the first one that fits
    config = Config(max_errors=1000, checks={**dict.fromkeys(NOT_FOR_MARKDOWN, False), **DEFAULT["checks"]})
    for found in LintFile("page", text).lint(config):
        yield found.check_result.span[0] - 1, found.check_result.message


def _misspelt(texts: dict[str, str]) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts.values()):
            (Path(folder) / f"{number:04}.md").write_text(text, "utf-8")
        command = [CODESPELL, "--builtin", "clear,rare,usage,informal", "--quiet-level", "3", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    for number, line, what in re.findall(r"(\d{4})\.md:(\d+): (.*)", done.stdout):
        yield f"{list(texts)[int(number)]}:{line}: {what}"


def marked(pages_by_name: dict[str, str]) -> list[str]:
    """What an editor would mark in these pages: ``name:line: what``."""
    texts = {name: prose(text) for name, text in pages_by_name.items()}
    found = []
    for name, text in texts.items():
        for place, what in sorted({*_house(text), *_style(text)}):
            found.append(f"{name}:{text.count(chr(10), 0, place) + 1}: {what}")
    return [*found, *_misspelt(texts)]


def main(arguments: Sequence[str]) -> int:
    chosen = [Path(name).resolve() for name in arguments] or pages()
    found = marked({str(page.relative_to(ROOT)): page.read_text("utf-8") for page in chosen})
    print("\n".join(found) or f"{len(chosen)} pages: nothing to mark")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
