"""No barrier of WCAG level A or AA that axe-core finds: both themes, screen and phone, everything open that can be."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from tests.effort import sampled
from tests.integration.web.chromium import TOKEN, Page, needs_chromium
from tests.integration.web.show import HELD

pytestmark = needs_chromium

SOURCE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDTHS = {"screen": 1_360, "phone": 375}


COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that look at colours: of all others the dark page and the light one are the same page."""


def barriers(page: Page, *, rules: list[str] = LEVELS, within: str = "document") -> list[dict[str, Any]]:
    """What axe finds on the page as it is: the rule, and the places that break it."""
    page.run(f"if (!window.axe) {{ {SOURCE} }}")
    found: list[dict[str, Any]] = page.run(
        f"axe.run({within}, {{runOnly: {rules}, resultTypes: ['violations']}}).then(({{violations}}) =>"
        " violations.map(({id, nodes}) => ({id, places: nodes.map((node) => node.html.slice(0, 200))})))"
    )
    return found


def test_the_checker_finds_what_is_wrong_on_purpose(page: Page, url: str) -> None:
    page.open(url)
    page.wait_for("!document.getElementById('login').hidden")
    page.run("document.querySelector('label[for=token]').remove()")
    page.run("document.body.append(Object.assign(document.createElement('img'), {src: '/static/icon.svg'}))")
    assert {"label", "image-alt"} <= {found["id"] for found in barriers(page)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", sampled(WIDTHS.values(), often=1), ids=WIDTHS)
def test_there_is_no_barrier_of_level_a_or_aa(page: Page, url: str, width: int, dark: bool) -> None:
    page.open(url, width=width, dark=dark)
    page.wait_for("!document.getElementById('login').hidden")
    assert barriers(page) == [], "at the login"
    page.log_in()
    page.run("document.querySelector('#why tbody button').click()")
    page.wait_for("document.querySelector('#why-detail .tree')")
    assert barriers(page) == [], "with everything shown"
    page.wait_for("document.getElementById('control-symbol').options.length > 1")
    page.run(f"document.getElementById('control-symbol').value = '{HELD}'")
    page.run("document.querySelector('[data-command=flatten]').click()")
    page.wait_for("document.getElementById('confirm').open")
    assert barriers(page, within="'#confirm'") == [], "in the confirmation"
    page.run("document.getElementById('confirm').close()")
    page.run("document.querySelector('[data-command=move-stop]').click()")
    page.wait_for("document.getElementById('wish-price')")
    assert barriers(page, within="'#confirm'") == [], "in a wish about a position"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_step_with_everything_behind_it_has_no_barrier(page: Page, url: str, dark: bool) -> None:
    page.open(url + "/audit", dark=dark)
    page.wait_for("!document.getElementById('login').hidden")
    page.run(f"document.getElementById('token').value = '{TOKEN}'")
    page.run("document.getElementById('login-form').requestSubmit()")
    page.wait_for("document.querySelector('#transitions tbody button')")
    page.run("document.querySelector('#transitions tbody button').click()")
    page.wait_for("document.querySelector('#transition-detail details')")
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert barriers(page) == []
