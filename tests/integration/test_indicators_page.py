"""docs/indicators.md and its pictures are those of the catalog as it is now."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from indicators.catalog import CATALOG
from tests import indicators_page

DRAW_ANEW = "draw it anew: python -m tests.indicators_page"


def test_the_page_is_current() -> None:
    assert indicators_page.PAGE.read_text("utf-8") == indicators_page.page(), DRAW_ANEW


def test_every_indicator_has_its_picture_and_each_is_current() -> None:
    drawn = indicators_page.pictures()
    assert {path.name for path in indicators_page.PICTURES.iterdir()} == set(drawn), DRAW_ANEW
    for name, text in drawn.items():
        assert (indicators_page.PICTURES / name).read_text("utf-8") == text, f"{name}: {DRAW_ANEW}"


def test_pictures_are_small_and_show_something() -> None:
    for name, text in indicators_page.pictures().items():
        assert len(text) < 8_000, name
        paths = [path.get("d", "") for path in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}path")]
        assert sum("L" in path for path in paths) == 1, name


def test_whatever_differs_names_an_indicator() -> None:
    named = {name for row, _ in indicators_page.DIFFERENCES for name in re.findall(r"`([a-z0-9_*]+)`", row)}
    for name in named:
        assert any(each.startswith(name.rstrip("*")) for each in CATALOG), name
