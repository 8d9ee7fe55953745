"""The report of a backtest in a real browser: quiet, alone, without barriers, and equal to its database.

With SCREENSHOTS=docs/screenshots its pictures in the documentation are made anew, as those of the dashboard are.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.report.page import page as page_of
from fsm.backtest.report.page import write_report
from fsm.backtest.report.run_rows import read_run
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.proofs.torture.rules import LIVELY
from rules.load import parse_rules
from store.database import open_store
from tests.effort import sampled
from tests.integration.web.chromium import ROOT, Page, needs_chromium
from tests.integration.web.test_web_accessibility import WIDTHS, barriers

pytestmark = needs_chromium

FROM_MS, TO_MS = 1_725_148_800_000, 1_735_689_600_000  # 2024-09-01 to 2025-01-01
SYMBOLS = ("BTCUSDT", "DOGEUSDT", "ETHUSDT")
HOSTILE = '</pre></script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
READY = "document.documentElement.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of rules whose text would like to be HTML."""
    path = tmp_path_factory.mktemp("run") / "run.sqlite"
    text = (ROOT / "rules.yaml").read_text("utf-8") + f"\n# {HOSTILE}\n"
    run_backtest(
        Request(
            config=load_config(ROOT / "config.yaml", None, {}),
            rules=parse_rules(text, "rules.yaml"),
            data=(shipped_folder(),),
            symbols=SYMBOLS,
            from_ms=FROM_MS,
            to_ms=TO_MS,
            db=path,
        )
    )
    return path


@pytest.fixture(scope="module")
def report(database: Path) -> Path:
    path = database.with_suffix(".html")
    write_report(database, path, name="autumn")
    return path


def opened(page: Page, report: Path, *, width: int = 1_400, dark: bool = False) -> Page:
    page.open(report.as_uri(), width=width, dark=dark)
    page.wait_for(READY)
    return page


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", sampled(WIDTHS.values(), often=1), ids=WIDTHS)
def test_it_asks_nobody_complains_of_nothing_and_has_no_barrier(
    page: Page, report: Path, width: int, dark: bool
) -> None:
    opened(page, report, width=width, dark=dark)
    page.run("document.querySelector('#trade-list tbody button').click()")
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert barriers(page) == []
    assert page.run("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
    assert page.requests == [report.as_uri()]
    assert page.complaints == []
    page.run("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    page.run("document.getElementById('candles').scrollIntoView()" if dark else "window.scrollTo(0, 0)")
    page.picture(f"report-{'phone' if width < 500 else 'desktop'}{'-trade' if dark else ''}")


def test_it_is_drawn_again_when_the_system_turns_dark(page: Page, report: Path) -> None:
    opened(page, report)
    panel = "getComputedStyle(document.querySelector('.panel')).backgroundColor"
    light = page.run(panel)
    page.turn(dark=True)
    assert page.run(panel) != light
    page.wait_for("document.querySelectorAll('#equity-chart canvas').length > 0")
    assert page.complaints == []


def test_every_figure_is_that_of_the_database(page: Page, report: Path, database: Path) -> None:
    opened(page, report)
    shown = page.run(
        "Object.fromEntries([...document.querySelectorAll('[data-figure]')]"
        ".map((each) => [each.dataset.figure, each.textContent]))"
    )
    expected = expected_figures(database)
    assert {name: number(shown[name]) for name in expected} == pytest.approx(expected, abs=0.0051)
    assert len(expected) >= 19


def number(text: str) -> float:
    return float(text.replace(",", "").split(" ")[0].replace("+", ""))


def expected_figures(database: Path) -> dict[str, float]:
    """From the rows alone, by nothing of ours."""
    trades = rows(
        database, "SELECT net_pnl, fees, funding, r FROM trades WHERE status = 'CLOSED' ORDER BY closed_ms, id"
    )
    nets = [Decimal(net) for net, *_ in trades]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net <= 0]
    readings = rows(database, "SELECT at_ms, equity, balance FROM equity_snapshots ORDER BY at_ms, id")
    curve = [(at_ms, float(equity)) for at_ms, equity, _ in readings]
    (start,) = rows(database, "SELECT body_json ->> '$.balance' FROM documents WHERE name = 'backtest'")[0]
    day_ends = {(at_ms - 1) // 86_400_000: equity for at_ms, equity in curve[1:]}
    values = [curve[0][1]]
    for day in range(curve[0][0] // 86_400_000, (curve[-1][0] - 1) // 86_400_000 + 1):
        values.append(day_ends.get(day, values[-1]))
    returns = [after / before - 1 for before, after in pairwise(values)]
    mean = sum(returns) / len(returns)
    spread = math.sqrt(sum((each - mean) ** 2 for each in returns) / (len(returns) - 1))
    below = math.sqrt(sum(min(each, 0) ** 2 for each in returns) / len(returns))
    highs, deepest, longest, since = curve[0][1], 0.0, 0, curve[0][0]
    for at_ms, equity in curve:
        longest = max(longest, at_ms - since)
        if equity >= highs:
            highs, since = equity, at_ms
        deepest = max(deepest, 1 - equity / highs)
    years = (curve[-1][0] - curve[0][0]) / 86_400_000 / 365
    yearly = ((curve[-1][1] / curve[0][1]) ** (1 / years) - 1) * 100
    return {
        "net_pnl_usdt": float(sum(nets)),
        "return_pct": float(sum(nets) / Decimal(start) * 100),
        "return_yearly_pct": yearly,
        "max_drawdown_pct": deepest * 100,
        "longest_drawdown_days": round(longest / 86_400_000, 1),
        "trades": len(nets),
        "win_rate_pct": round(len(won) / len(nets) * 100, 1),
        "profit_factor": float(sum(won) / -sum(lost)),
        "payoff": float(sum(won) / len(won) / -(sum(lost) / len(lost))),
        "average_win_usdt": float(sum(won) / len(won)),
        "average_loss_usdt": float(sum(lost) / len(lost)),
        "expectancy_r": float(sum(Decimal(r) for *_, r in trades) / len(nets)),
        "expectancy_usdt": float(sum(nets) / len(nets)),
        "sharpe": mean / spread * math.sqrt(365),
        "sortino": mean / below * math.sqrt(365),
        "calmar": yearly / (deepest * 100),
        "fees_usdt": float(sum(Decimal(fees) for _, fees, *_ in trades)),
        "funding_usdt": float(sum(Decimal(funding) for _, _, funding, _ in trades)),
        "wins_in_a_row": longest_run([net > 0 for net in nets], True),
        "losses_in_a_row": longest_run([net > 0 for net in nets], False),
    }


def longest_run(won: list[bool], wanted: bool) -> int:
    longest = now = 0
    for each in won:
        now = now + 1 if each == wanted else 0
        longest = max(longest, now)
    return longest


def test_every_trade_is_in_the_list_as_the_database_has_it(page: Page, report: Path, database: Path) -> None:
    opened(page, report)
    shown: list[list[str]] = []
    while True:
        shown += page.run(table_of("trade-list"))
        if page.run("document.getElementById('page-after').disabled"):
            break
        page.run("document.getElementById('page-after').click()")
    listed = "SELECT id, side, strategy_used, closed_quantity, net_pnl, r FROM trades WHERE status = 'CLOSED'"
    expected = {
        name: (side, strategy, quantity, f"{float(net):,.2f}", f"{float(r):.3f}")
        for name, side, strategy, quantity, net, r in rows(database, listed)
    }
    found = {row[0]: (row[3], row[4], row[5], row[8], row[9]) for row in shown}
    assert found == expected


def test_a_chosen_trade_shows_the_exact_amounts_and_its_orders(page: Page, report: Path, database: Path) -> None:
    opened(page, report)
    page.run("document.querySelector('#trade-list tbody button').click()")
    name = page.run("document.querySelector('#trade-list tbody button').textContent")
    told = page.run("document.getElementById('trade-detail').textContent")
    asked = f"SELECT entry_price, exit_price, fees, funding, net_pnl, r, risk_usdt FROM trades WHERE id = '{name}'"
    for exact in rows(database, asked)[0]:
        assert exact in told
    orders = f"SELECT trigger_price FROM orders WHERE trade_id = '{name}' AND trigger_price IS NOT NULL"
    for (trigger,) in rows(database, orders):
        assert trigger in told
    assert page.run("document.querySelectorAll('#candle-chart canvas').length") > 0
    assert page.run("document.querySelectorAll('#indicators button').length") > 0


def test_months_are_the_changes_of_the_equity_in_the_database(page: Page, report: Path, database: Path) -> None:
    opened(page, report)
    cells = page.run(table_of("periods"))
    asked = "SELECT strftime('%Y-%m', (at_ms - 1) / 1000, 'unixepoch'), equity FROM equity_snapshots ORDER BY at_ms, id"
    readings = rows(database, asked)
    before, ends = float(readings[0][1]), {month: float(equity) for month, equity in readings[1:]}
    assert len(ends) == 4
    for month, after in sorted(ends.items()):
        year, number_of = month.split("-")
        (row,) = [each for each in cells if each[0] == year]
        assert float(row[int(number_of)]) == pytest.approx((after / before - 1) * 100, abs=0.0051), month
        before = after


def table_of(key: str) -> str:
    """The texts of a table's body, for the page to collect."""
    return (
        f"[...document.querySelectorAll('#{key} tbody tr')]"
        ".map((row) => [...row.children].map((cell) => cell.textContent))"
    )


@pytest.mark.parametrize(("key", "column"), [("symbol", "symbol"), ("strategy", "strategy_used"), ("side", "side")])
def test_groups_have_the_sums_of_the_database(page: Page, report: Path, database: Path, key: str, column: str) -> None:
    opened(page, report)
    cells = page.run(table_of(f"by-{key}"))
    sums: dict[str, list[Decimal]] = defaultdict(list)
    for name, net in rows(database, f"SELECT {column}, net_pnl FROM trades WHERE status = 'CLOSED'"):
        sums[name].append(Decimal(net))
    assert {row[0]: (row[1], row[3]) for row in cells} == {
        name: (str(len(nets)), f"{float(sum(nets)):,.2f}") for name, nets in sums.items()
    }


def test_what_wants_to_be_markup_stays_text(page: Page, database: Path, tmp_path: Path) -> None:
    """The rules' comment, and a strategy, a reason and a symbol that somebody has written into the database."""
    forged = Path(shutil.copy(database, tmp_path / "forged.sqlite"))
    connection = apsw.Connection(str(forged))
    connection.execute("UPDATE trades SET strategy_used = ?, exit_reason = ?, flagged = ?", (HOSTILE, HOSTILE, HOSTILE))
    connection.close()
    report = tmp_path / "forged.html"
    write_report(forged, report, name=HOSTILE)
    opened(page, report)
    page.run("document.querySelector('#trade-list tbody button').click()")
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('img').length") == 0
    assert HOSTILE in page.run("document.querySelector('#trade-list').textContent")
    assert HOSTILE in page.run("document.querySelector('#assumptions pre').textContent")
    assert page.requests == [report.as_uri()]
    assert page.complaints == []


def test_a_long_list_is_paged_and_the_page_stays_short(page: Page, report: Path) -> None:
    opened(page, report, width=375)
    assert page.run("document.querySelectorAll('#trade-list tbody tr').length") <= 20
    assert page.run("document.documentElement.scrollHeight") < 20_000


@pytest.fixture(scope="module")
def bare(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run in a database that has lost its candles."""
    path = Path(shutil.copy(database, tmp_path_factory.mktemp("bare") / "bare.sqlite"))
    connection = apsw.Connection(str(path))
    for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM candles")
    connection.close()
    return path


def test_without_candles_everything_else_is_shown(page: Page, bare: Path) -> None:
    report = bare.with_suffix(".html")
    write_report(bare, report)
    opened(page, report)
    assert page.run("document.getElementById('candle-words').textContent") == "The database keeps no candles of this."
    assert page.run("document.querySelectorAll('#trade-list tbody tr').length") > 0
    assert page.complaints == []


def test_the_candles_of_a_symbol_and_of_a_trade_are_those_of_the_database(
    page: Page, report: Path, database: Path
) -> None:
    opened(page, report)
    packed = "unpacked().then((facts) => %s.candles"
    packed += ".map(({time, open, high, low, close}) => [time * 1000, open, high, low, close]))"
    ((name, symbol),) = rows(
        database, "SELECT id, symbol FROM trades WHERE status = 'CLOSED' ORDER BY closed_ms LIMIT 1"
    )
    of_trade = f"dataOfTrade(facts, facts.trades.find((each) => each.id === '{name}'))"
    for place, of in ((f"dataOfSymbol(facts, '{SYMBOLS[1]}')", SYMBOLS[1]), (of_trade, symbol)):
        drawn = page.run(packed % place)
        stored = rows(
            database,
            "SELECT open_time_ms, open, high, low, close FROM candles WHERE timeframe = '1h' AND "
            f"symbol = '{of}' AND open_time_ms BETWEEN {drawn[0][0]} AND {drawn[-1][0]} ORDER BY open_time_ms",
        )
        assert len(drawn) > 50
        assert [each[0] for each in drawn] == [each[0] for each in stored]
        for found, expected in zip(drawn, stored, strict=True):
            assert found == pytest.approx([float(each) for each in expected], rel=1e-12)


def test_the_indicators_at_a_signal_are_what_was_decided_on(page: Page, report: Path, database: Path) -> None:
    """To five digits of each indicator's largest value, which is what a chart can show."""
    opened(page, report)
    asked = "SELECT t.id, t.signal_candle_ms, d.facts_json FROM trades t JOIN decisions d ON d.symbol = t.symbol"
    asked += " AND d.candle_ms = t.signal_candle_ms AND d.outcome = 'SIGNAL' WHERE t.status = 'CLOSED'"
    signals = rows(database, asked)
    assert len(signals) >= 10
    for name, signal_ms, facts_json in signals:
        decided = known_facts(facts_json)
        drawn = page.run(
            "unpacked().then((facts) => {"
            f" const trade = facts.trades.find((each) => each.id === '{name}');"
            " const place = facts.tradeCharts[trade.id], { read } = dataOfTrade(facts, trade);"
            f" const index = ({signal_ms} - place.first_ms) / place.step_ms;"
            " return Object.fromEntries([...read].map(([key, values]) =>"
            " [key, [values[index], facts.steps[trade.symbol].indicators[key]]])); })"
        )
        assert len(drawn) >= 10
        for key, (value, step) in drawn.items():
            if key in decided:
                assert value == pytest.approx(decided[key], abs=step * 0.5000001), (name, key)


def known_facts(facts_json: str) -> dict[str, float]:
    """The features that a decision kept, by name, wherever in its facts they are."""
    found: dict[str, float] = {}

    def look(node: Any) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                look(value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                found[key] = value

    look(json.loads(facts_json))
    return found


def test_buying_and_holding_and_the_regimes_are_told_by_the_database(page: Page, report: Path, database: Path) -> None:
    opened(page, report)
    facts = page.run("unpacked().then(({hold, regimes, equity}) => ({hold, regimes, equity}))")
    grown = []
    for symbol in SYMBOLS:
        asked = f"SELECT open, close FROM candles WHERE symbol = '{symbol}' AND timeframe = '1h' AND "
        candles = rows(database, f"{asked} open_time_ms >= {FROM_MS} AND open_time_ms < {TO_MS} ORDER BY open_time_ms")
        grown.append(float(candles[-1][1]) / float(candles[0][0]))
    assert facts["hold"][-1] == [TO_MS, pytest.approx(10_000 * sum(grown) / len(grown), abs=0.01)]
    for symbol in SYMBOLS:
        stored = rows(database, f"SELECT at_ms, regime FROM regimes WHERE symbol = '{symbol}' ORDER BY at_ms, id")
        assert [tuple(each) for each in facts["regimes"][symbol] if each[0]] == stored
    (lowest, highest) = rows(
        database, "SELECT min(CAST(equity AS REAL)), max(CAST(equity AS REAL)) FROM equity_snapshots"
    )[0]
    shown = [float(equity) for _, equity, _ in facts["equity"]]
    assert (min(shown), max(shown)) == (lowest, highest), "a thinned curve keeps its lowest and its highest"


def test_where_there_is_no_room_charts_give_way_and_nothing_else(page: Page, database: Path, tmp_path: Path) -> None:
    with open_store(database, mode="read") as store:
        run = read_run(store)
    small = tmp_path / "small.html"
    small.write_text(page_of(run, size_max=400_000), "utf-8")
    assert small.stat().st_size <= 400_000
    opened(page, small)
    ((count,),) = rows(database, "SELECT count(*) FROM trades WHERE status = 'CLOSED'")
    drawn = page.run("unpacked().then(({tradeCharts}) => Object.keys(tradeCharts).length)")
    assert 0 < drawn < count
    assert page.run("document.getElementById('trades-words').textContent").startswith(f"{count} of {count} trades")
    page.run("document.getElementById('sort-by').value = 'oldest first'")
    page.run("document.getElementById('sort-by').dispatchEvent(new Event('change'))")
    page.run("document.querySelector('#trade-list tbody button').click()")
    words = page.run("document.getElementById('candle-words').textContent")
    assert f"no room for the candles of the oldest {count - drawn} trades" in words
    assert page.complaints == []


@pytest.mark.slow
def test_a_thousand_trades_of_five_symbols_are_under_three_megabytes(page: Page, tmp_path: Path) -> None:
    """Rules that trade all the time, with so little at risk that no limit ends it."""
    text = (ROOT / "config.yaml").read_text("utf-8")
    for key, value in (("risk_per_trade_pct", "0.05"), ("drawdown_pct", "90"), ("monthly_loss_pct", "90")):
        text = re.sub(rf"(?m)^  {key}: [0-9.]+", f"  {key}: {value}", text)
    (tmp_path / "config.yaml").write_text(text, "utf-8")
    path = tmp_path / "many.sqlite"
    run = run_backtest(
        Request(
            config=load_config(tmp_path / "config.yaml", None, {}),
            rules=parse_rules(LIVELY, "rules.yaml"),
            data=(shipped_folder(),),
            symbols=("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"),
            from_ms=TO_MS,
            db=path,
        )
    )
    assert len(run.trades) >= 1_000
    report = path.with_suffix(".html")
    write_report(path, report)
    assert report.stat().st_size <= 3_000_000
    opened(page, report, width=375)
    assert page.run("document.documentElement.scrollHeight") < 20_000
    assert page.run("unpacked().then(({chartsLeftOut}) => chartsLeftOut)") == 0
    assert page.complaints == []
