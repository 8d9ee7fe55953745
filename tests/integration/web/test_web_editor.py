"""The editor of rules: what it completes, what it marks while one types, and that a keyboard is enough for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.effort import sampled
from tests.integration.web.chromium import Page, needs_chromium
from tests.integration.web.show import Show
from tests.integration.web.test_web_accessibility import barriers
from tests.integration.web.test_web_pages import come_in
from tests.integration.web.test_web_rules import OTHER, address, edited

pytestmark = needs_chromium

__all__ = ("address", "edited")

RULES = """\
version: 1
timeframes: {entry: 1h, slow: 4h}
thresholds:
  adx_min: 25  # strong
  stop_atr: 2.0
features:
  close_1h: {indicator: close, timeframe: entry}
  adx_4h: {indicator: adx, timeframe: slow, period: 14}
define:
  strong: adx_4h > adx_min
regimes:
  timeframe: 4h
  TREND:
    enter:
      - {id: adx_strong, when: strong}
  RANGE:
    enter:
    - id: weak
      when: adx_4h < 20
strategies:
  simple:
    long:
      setup:
        - {id: it, when: "close_1h > 3"}
      stop: entry * 0.9
    manage:
      exit_after_candles: 5
router:
  TREND: simple
symbols:
  SOLUSDT:
    thresholds: {adx_min: 30}
"""
ADX = "{indicator: adx, timeframe: slow, period: 14}"
IN_THE_SHADOW = "document.getElementById('editor-text').shadowRoot"


def completed(page: Page, text: str, at: int) -> dict[str, dict[str, Any]]:
    found = page.run(
        "Promise.all([import('/static/completion.js'), fetch('/api/rules/language').then((answer) => answer.json())])"
        f".then(([code, language]) => code.completionsAt({json.dumps(text)}, {at}, language))"
    )
    return {option["label"]: {**option, "from": found["from"]} for option in found["options"]} if found else {}


@pytest.fixture(scope="module")
def asked(chromium_address: str, url: str) -> Any:
    from tests.integration.web import chromium

    with chromium.tab(chromium_address) as page:
        come_in(page, url, "/rules")
        yield page


@pytest.mark.parametrize(
    ("old", "typed", "offered", "not_offered"),
    [
        ("version: 1", "version: 1\ncho", {"choices", "sessions"}, {"version", "features", "router", "indicator"}),
        ("indicator: close", "indicator: cl", {"close", "adx", "ema"}, {"strong", "close_1h"}),
        ("timeframe: slow", "timeframe: s", {"slow", "entry", "1h", "4h"}, {"adx"}),
        (ADX, "{indicator: adx, ti", {"timeframe", "period"}, {"indicator", "lookback"}),
        (ADX, "{indicator: adx, period: ", {"14"}, {"adx"}),
        ("strong: adx_4h > adx_min", "strong: adx_4h > ad", {"adx_4h", "adx_min", "count", "weekday"}, {"adx", "id"}),
        ("- {id: adx_strong, when: strong}", "- {id: adx_strong, when: str", {"strong", "close_1h"}, {"id"}),
        ("- {id: adx_strong, when: strong}", "- {id: adx_strong, w", {"when"}, {"id", "enter"}),
        ("      when: adx_4h < 20", "      wh", {"when"}, {"id", "enter"}),
        ("      when: adx_4h < 20", "      when: not st", {"strong", "adx_4h"}, {"when"}),
        ("    - id: weak", "    - an", {"any", "id"}, {"enter"}),
        ("  timeframe: 4h", "  con", {"confirmations", "timeframe"}, {"TREND", "entry"}),
        ('when: "close_1h > 3"', 'when: "close_1h > fun', {"funding_rate", "TREND", "entry"}, {"when"}),
        ("      stop: entry * 0.9", "      st", {"stop", "targets", "accept"}, {"setup", "manage"}),
        ("      exit_after_candles: 5", "      exit_on_opposite: ", {"true", "false"}, {"simple"}),
        ("      exit_after_candles: 5", "      ex", {"exit_on_opposite", "break_even_at_r"}, {"long"}),
        ("  TREND: simple", "  TREND: s", {"simple"}, {"strong", "TREND"}),
        ("  TREND: simple", "  TR", {"TREND", "RANGE", "cooldown"}, {"simple"}),
        ("{adx_min: 30}", "{ad", {"adx_min", "stop_atr"}, {"close_1h"}),
    ],
)  # fmt: skip
def test_what_can_come_is_offered(asked: Page, old: str, typed: str, offered: set[str], not_offered: set[str]) -> None:
    text = RULES.replace(old, typed, 1)
    assert text != RULES
    labels = completed(asked, text, RULES.index(old) + len(typed)).keys()
    assert offered <= labels, sorted(labels)
    assert not not_offered & labels


def test_nothing_is_offered_within_a_comment(asked: Page) -> None:
    assert completed(asked, RULES, RULES.index("strong\n")) == {}
    assert completed(asked, "# versi", 7) == {}


def test_an_option_says_what_it_is(asked: Page) -> None:
    text = RULES.replace("indicator: close", "indicator: e")
    ema = completed(asked, text, text.index("indicator: e,") + len("indicator: e"))["ema"]
    assert "moving average" in ema["info"]
    assert text[ema["from"] :].startswith("e, timeframe")


def type_text(page: Page, text: str) -> None:
    page._call("Input.insertText", text=text)


def begin(page: Page, url: str) -> None:
    come_in(page, url, "/rules")
    page.wait_for("!document.getElementById('rules-edit').hidden")
    page.run("document.getElementById('rules-edit').click()")
    page.wait_for(f"{IN_THE_SHADOW}?.activeElement?.classList.contains('cm-content')")


def test_a_line_is_completed_and_its_problem_marked_by_keyboard_alone(page: Page, edited: Show, address: str) -> None:
    begin(page, address)
    assert page.run("document.getElementById('editor-text').value") == OTHER
    page.press("Enter", 13)
    page.press("ArrowUp", 38)
    type_text(page, "no_such_key: 1")
    page.wait_for(f"{IN_THE_SHADOW}.querySelector('.cm-lintRange-error')")
    page.wait_for("document.querySelector('#editor-problems li')")
    told = page.run("document.querySelector('#editor-problems li').textContent")
    page.press("F8", 119)
    page.wait_for(f"{IN_THE_SHADOW}.querySelector('.cm-tooltip-lint, .cm-panel-lint')")
    marked = page.run(f"{IN_THE_SHADOW}.querySelector('.cm-diagnostic').textContent")
    assert marked.strip() in told
    page.assert_quiet(address)


def test_an_option_is_taken_with_the_enter_key(page: Page, edited: Show, address: str) -> None:
    begin(page, address)
    page.press("Enter", 13)
    page.press("ArrowUp", 38)
    type_text(page, "sess")
    page.wait_for(f"{IN_THE_SHADOW}.querySelector('.cm-tooltip-autocomplete [aria-selected]')")
    page.wait_for("(window.shown ??= Date.now()) + 100 < Date.now()")  # a list that has just come takes no key yet
    page.press("Enter", 13)
    page.wait_for("document.getElementById('editor-text').value.startsWith('sessions:')")
    page.press("Tab", 9)
    assert page.run("document.activeElement.id") != "editor-text", "Tab leaves the text"
    page.assert_quiet(address)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", sampled([1_400, 375], often=1))
def test_the_editor_has_no_barrier(page: Page, edited: Show, address: str, width: int, dark: bool) -> None:
    begin(page, address)
    page.run(f"if ((document.documentElement.dataset.theme === 'dark') !== {str(dark).lower()}) theme.click()")
    page.resize(width)
    page.run("document.getElementById('editor-text').focus()")
    page.press("Enter", 13)
    page.press("ArrowUp", 38)
    type_text(page, "bad: 1 ")
    page.wait_for(f"{IN_THE_SHADOW}.querySelector('.cm-lintRange-error')")
    page.press("Enter", 13)
    type_text(page, "s")
    page.wait_for(f"{IN_THE_SHADOW}.querySelector('.cm-tooltip-autocomplete [aria-selected]')")
    told = f"{IN_THE_SHADOW}.querySelector('.cm-completionInfo').getBoundingClientRect()"
    page.wait_for(f"{told}.width > 0 && {told}.left >= 0 && {told}.right < document.documentElement.clientWidth")
    page.picture(f"page-rules-editor-{width}{'-dark' if dark else ''}")
    assert barriers(page) == []
    page.wait_for(f"document.documentElement.scrollWidth <= {width}")
    page.assert_quiet(address)
