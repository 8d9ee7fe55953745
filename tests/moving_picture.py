"""The README's moving picture, of the output that stands there: ``python -m tests.moving_picture`` draws it."""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "first-minutes.svg"
WIDTH, LINE, MARGIN = 118, 19, 20
"""Characters in a line, and pixels."""
SECONDS_A_LINE, HOLD_S = 0.9, 6.0

_STYLE = """
svg {{ background: #10141c; border-radius: 8px }}
text {{ font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #cdd6e4; white-space: pre; opacity: 0;
  animation: shown {total:g}s infinite }}
.dim {{ fill: #7d8797 }} .good {{ fill: #7fd18b }} .told {{ fill: #8fb6ff }}
@keyframes shown {{ 0%, 1% {{ opacity: 0 }} 2%, 96% {{ opacity: 1 }} 100% {{ opacity: 0 }} }}
@media (prefers-reduced-motion: reduce) {{ text {{ animation: none; opacity: 1 }} }}
"""


def output() -> list[str]:
    """The first minutes as the README shows them, folded where they are too long for a picture."""
    page = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"(?ms)^```text\n(.*?)^```$", page)
    assert found is not None
    return ["$ make run", *(part for line in found[1].splitlines() for part in _folded(line))]


def _folded(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    cut = line.rfind(" ", 0, WIDTH)
    return [line[:cut], *_folded(" " * 22 + line[cut + 1 :])]


def picture() -> str:
    lines = output()
    total = len(lines) * SECONDS_A_LINE + HOLD_S
    width, height = round(WIDTH * 7.85) + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    texts = [
        f'<text x="{MARGIN}" y="{MARGIN + (number + 0.75) * LINE:g}"{_kind(line)}'
        f' style="animation-delay:{number * SECONDS_A_LINE:.1f}s">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]
    style = _STYLE.format(total=total)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" width="{width}">'
    return "\n".join(
        (head, "<title>The first minutes of make run</title>", f"<style>{style}</style>", *texts, "</svg>\n")
    )


def _kind(line: str) -> str:
    for kind, words in (
        ("good", "stop confirmed|LONG|SHORT"),
        ("told", r"^\$|dashboard|regime"),
        ("dim", r"^\d{4}-|journal"),
    ):
        if re.search(words, line):
            return f' class="{kind}"'
    return ""


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
    sys.stdout.write(f"{PICTURE}\n")
