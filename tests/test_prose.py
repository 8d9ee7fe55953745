"""README and docs read well: no page has anything that an editor would mark, and what marks them can see."""

from __future__ import annotations

import pytest

from tests import prose

NUMBERS = [f"{tens}{ones}" for tens in ("twenty", "thirty", "fifty", "sixty") for ones in "abcdefghijklmnopqrstuvwxyz"]


def marked(text: str) -> list[str]:
    return prose.marked({"page.md": text})


def test_no_page_has_anything_that_an_editor_would_mark() -> None:
    pages = prose.pages()
    assert len(pages) > 60
    found = prose.marked({str(page.relative_to(prose.ROOT)): page.read_text("utf-8") for page in pages})
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("The bot waits for ever.", "archaic"),
        ("The the stop is there.", "repeated"),
        ("No trade is more unique.", "unique"),
        ("You think outside the box.", "catchphrase"),
        ("The seperate position.", "separate"),
        ("It reads klines.", "say candle"),
        ("This allows to trade.", "lets you"),
        ("| name | In order to trade |", "say to"),
        ("- An item of a list, in\n  order to trade.", "say to"),
        (f"A sentence {' '.join(NUMBERS[:43])} words.", "make two of it"),
    ],
)
def test_what_reads_badly_is_marked_at_its_line(text: str, what: str) -> None:
    (found,) = marked(f"# A page\n\nIt trades.\n\n{text}\n")
    assert found.startswith("page.md:5: ")
    assert what in found


@pytest.mark.parametrize(
    "text",
    [
        "```text\nseperate the the klines\n```",
        "Ask `the the klines` about it.",
        "Read [this page](in-order-to-klines.md) and <https://klines.example/in order to>.",
        "## Orders\n\nOrders are told.",
        "| equity | Equity of the account |",
        f"- A sentence {' '.join(NUMBERS[:42])} words.",
    ],
)
def test_code_addresses_and_what_stands_apart_are_no_prose(text: str) -> None:
    assert marked(f"It trades.\n\n{text}\n") == []


def test_a_page_keeps_its_lines() -> None:
    text = "# A\n\n```sh\nmake run\n```\n\n<!--\nnote\n-->\nIt trades.\n"
    assert [line.strip("□¶") for line in prose.prose(text).split("\n")] == [
        "# A", "", "", "", "", "", "", "", "", "It trades.", "",
    ]  # fmt: skip


def test_each_check_that_is_switched_off_exists_and_has_its_reason() -> None:
    known = {check.path for check in prose.CHECKS}
    for name, reason in prose.NOT_FOR_MARKDOWN.items():
        assert any(path == name or path.startswith(f"{name}.") for path in known), name
        assert reason
