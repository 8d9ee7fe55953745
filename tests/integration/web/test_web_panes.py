"""A symbol's page shows exactly what its rules read, and why it did or did not trade at any candle."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from fsm.journal.explain import explain
from rules.compiled_rules import feature_name
from rules.load import Ruleset, stored_rules
from store import queries
from tests.integration.web.chromium import Page, needs_chromium
from tests.integration.web.show import HELD, TO_MS, Show
from tests.integration.web.test_web_pages import READY, come_in

pytestmark = needs_chromium

HOUR_MS = 3_600_000
PATH = f"/symbols/{HELD}"


def rules_of(show: Show) -> Ruleset:
    return stored_rules(queries.rule_versions(show.store)[0].text, "rules")


def test_the_panes_show_exactly_what_the_rules_read_by_unit(page: Page, url: str, show: Show) -> None:
    rules = rules_of(show).for_symbol(HELD)
    read = {feature_name(key) for key in rules.fact_keys}
    come_in(page, url, PATH)
    page.wait_for(READY[PATH])
    names = page.run("[...document.querySelectorAll('#panes-legend [data-line]')].map((node) => node.dataset.line)")
    assert sorted(names) == sorted(read)
    page.run("(() => { const of = document.getElementById('lines-of'); of.value = 'all';"
             " of.dispatchEvent(new Event('change')); })()")  # fmt: skip
    shown = set(page.run("[...document.querySelectorAll('#panes [data-pane]')].map((node) => node.dataset.pane)"))
    units = {rules.features[name].unit.value for name in read}
    assert shown == (units - {"price"}) | {"price differences"}, "prices stand on the candles, ranges below them"
    page.assert_quiet(url)


def test_values_are_those_that_the_decision_read(page: Page, url: str, show: Show) -> None:
    decided = queries.decision_at(show.store, HELD)
    assert decided is not None
    facts = msgspec.json.decode(decided.first_facts_json)["facts"]
    come_in(page, url, PATH)
    page.wait_for(READY[PATH])
    until = decided.candle_ms + HOUR_MS
    lines = page.run(
        f"fetch('/api/panes/{HELD}?until={until}&limit=5').then((answer) => answer.json()).then(({{lines}}) =>"
        " Object.fromEntries(lines.map((line) => [line.name, line.values.at(-1)])))"
    )
    present = {key: value for key, value in facts.items() if "[" not in key}
    assert {key: lines[key] for key in present} == present
    assert len(present) > 40


@pytest.mark.parametrize("hours", [1, 7, 20])
def test_a_chosen_candle_tells_its_own_numbers(page: Page, url: str, show: Show, hours: int) -> None:
    """The numbers of a candle in the midst of a stretch are calculated again, and equal what `why --at` says."""
    decided = queries.decision_at(show.store, "DOGEUSDT")
    assert decided is not None
    candle_ms = decided.candle_ms + hours * HOUR_MS
    told = explain(show.store, "DOGEUSDT", candle_ms + HOUR_MS)
    come_in(page, url, "/symbols/DOGEUSDT")
    page.wait_for("document.querySelector('#why-detail .tree') && document.querySelector('#panes canvas')")
    found = page.run(f"fetch('/api/why/DOGEUSDT?at={candle_ms}').then((answer) => answer.json())")
    assert (found["at_candle_ms"], found["numbers"]) == (candle_ms, told.numbers.value)
    ours = [each for each in told.conditions if each.scope != "exit"]
    assert found["trees"] == msgspec.json.decode(msgspec.json.encode(ours))


def test_funding_is_marked_and_adds_up_to_what_each_trade_was_booked_with(page: Page, url: str, show: Show) -> None:
    come_in(page, url, PATH)
    page.wait_for(READY[PATH])
    rows = page.run(f"fetch('/api/funding/{HELD}').then((answer) => answer.json())")["settlements"]
    assert rows
    for trade in queries.trades(show.store, status="CLOSED", limit=1_000):
        if trade.symbol == HELD:
            mine = [Decimal(row["usdt"]) for row in rows if row["trade_id"] == trade.id]
            assert sum(mine, Decimal(0)) == trade.funding, trade.id
    candles = page.run(f"fetch('/api/candles/{HELD}?limit=400').then((answer) => answer.json())")["candles"]
    shown = [Decimal(row["usdt"]) for row in rows if row["at_ms"] >= candles[0]["time_ms"]]
    said = page.run("document.getElementById('candle-words').textContent")
    word = "settlement" if len(shown) == 1 else "settlements"
    assert (f"{len(shown)} {word} of funding" in said) == bool(shown)
    page.assert_quiet(url)


def test_a_candle_that_is_tapped_says_why_with_both_numbers(page: Page, url: str, show: Show) -> None:
    come_in(page, url, PATH)
    page.wait_for(READY[PATH])
    before = page.run("document.querySelector('#why-detail h3').textContent")
    x, y = page.run(
        "(() => { const box = document.getElementById('candle-chart').getBoundingClientRect();"
        " return [box.left + box.width / 2, box.top + box.height / 2]; })()"
    )
    page.click(x, y)
    page.wait_for(f"document.querySelector('#why-detail h3').textContent !== {before!r}")
    page.wait_for("!document.getElementById('why-newest').hidden")
    numbers = page.run("[...document.querySelectorAll('#why-detail .numbers')].map((node) => node.textContent)")
    assert any(" against " in text for text in numbers)
    page.run("document.getElementById('why-newest').click()")
    page.wait_for(f"document.querySelector('#why-detail h3').textContent === {before!r}")
    page.assert_quiet(url)


def test_the_keyboard_goes_from_candle_to_candle_and_asks_why(page: Page, url: str) -> None:
    come_in(page, url, PATH)
    page.wait_for(READY[PATH])
    until = f"until={TO_MS + 1}&limit=400"
    panes = page.run(f"fetch('/api/panes/{HELD}?{until}').then((answer) => answer.json())")
    candles = page.run(f"fetch('/api/candles/{HELD}?{until}').then((answer) => answer.json())")["candles"]
    page.run("document.getElementById('candle-chart').focus()")
    for _ in range(5):
        page.press("ArrowLeft", 37)
    page.press("ArrowRight", 39)
    candle = candles[-4]
    said = page.run("document.getElementById('candle-at').textContent")
    assert f"closed at {candle['close']:,.1f}" in said
    line = next(line for line in panes["lines"] if line["unit"] != "flag" and not line["is_candle"])
    value = line["values"][panes["times_ms"].index(candle["time_ms"])]
    shown = page.run(f"document.querySelector('[data-line=\"{line['name']}\"] output').textContent")
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=1e-6)
    page.press("Enter", 13)
    page.wait_for("!document.getElementById('why-newest').hidden")
    asked = f"fetch('/api/why/{HELD}?at={candle['time_ms'] + HOUR_MS - 1}').then((answer) => answer.json())"
    summary = page.run(asked)["summary"]
    page.wait_for(f"document.querySelector('#why-detail strong').textContent === {summary!r}")
    page.press("Home", 36)
    first = page.run("document.getElementById('candle-at').textContent")
    page.press("ArrowLeft", 37)
    assert page.run("document.getElementById('candle-at').textContent") == first, "there is none before the first"
    page.run("document.activeElement.blur()")
    assert page.run("document.getElementById('candle-at').textContent") == ""
    page.assert_quiet(url)
