"""How well trades were carried out, held against the fills that the journal has of them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.proofs.testkit.scripted_market import adapted
from rules.load import load_rules
from store import queries
from store.database import Store, open_store
from store.queries.execution_figures import ExecutionReport, execution_report
from store.queries.executions import Execution

ROOT = Path(__file__).parents[4]
FROM_MS, TO_MS = 1_704_067_200_000, 1_735_689_600_000  # 2024
Run = Callable[[str], Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A year of BTCUSDT in which every market order fills so many percent worse than the path of prices."""
    folder, done = tmp_path_factory.mktemp("executions"), dict[str, Path]()

    def made(slippage_pct: str) -> Path:
        if slippage_pct not in done:
            simulation = {"slippage_pct": Decimal(slippage_pct), "stop_depth_share": Decimal(0)}
            config = load_config(ROOT / "config.yaml", None, {})
            done[slippage_pct] = folder / f"{slippage_pct}.sqlite"
            request = Request(
                config=adapted(config, ("BTCUSDT",), {"simulation": simulation}),
                rules=load_rules(ROOT / "rules.yaml"),
                data=(shipped_folder(),),
                symbols=("BTCUSDT",),
                from_ms=FROM_MS,
                to_ms=TO_MS,
                db=done[slippage_pct],
            )
            run_backtest(request)
        return done[slippage_pct]

    return made


def report_of(path: Path) -> tuple[ExecutionReport, list[Execution]]:
    with open_store(path, mode="read") as store:
        return execution_report(store)


def test_every_filled_trade_is_there_with_what_its_fills_say(run: Run) -> None:
    with open_store(run("0.02"), mode="read") as store:
        report, rows = execution_report(store)
        trades = {row.id: row for row in queries.trades(store, limit=1_000)}
        assert [row.trade_id for row in rows] == sorted(trades, key=lambda name: trades[name].opened_ms)
        assert len(rows) > 15
        for row in rows:
            worse = _entry_worse(store, row)
            assert float(row.entry.bp) == pytest.approx(float(worse), abs=1e-4)
            assert 1.9 < row.entry.bp < 2.3, "0.02 % and at most a tick"
            assert row.fees == trades[row.trade_id].fees
            assert row.fees_assumed is not None
            assert row.fees == pytest.approx(row.fees_assumed, rel=Decimal("1e-9"))
    assert report.total.trades == len(rows)
    assert report.total.fees == sum(row.fees for row in rows)
    assert report.total.entry is not None
    assert report.total.entry.usdt == sum(row.entry.usdt for row in rows)


def _entry_worse(store: Store, row: Execution) -> Decimal:
    """In basis points, from the fills alone."""
    side = "BUY" if row.side == "LONG" else "SELL"
    entered = [fill for fill in queries.fills(store, trade_id=row.trade_id) if fill.side == side]
    quantity = sum(fill.quantity for fill in entered)
    average = sum(fill.price * fill.quantity for fill in entered) / quantity
    worse = average - row.entry.planned if row.side == "LONG" else row.entry.planned - average
    return worse / row.entry.planned * 10_000


def test_a_stop_is_held_against_its_trigger_and_a_close_against_the_price_of_its_decision(run: Run) -> None:
    with open_store(run("0.02"), mode="read") as store:
        _, rows = execution_report(store)
        trades = {row.id: row for row in queries.trades(store, limit=1_000)}
        stopped = [row for row in rows if trades[row.trade_id].exit_reason == "STOP_HIT" and row.target is None]
        assert len(stopped) > 5
        for row in stopped:
            orders = queries.orders(store, trade_id=row.trade_id)
            (stop,) = [order for order in orders if order.purpose == "PlaceStop" and order.status == "FINISHED"]
            filled = trades[row.trade_id].exit_price
            assert stop.trigger_price is not None
            assert filled is not None
            worse = (stop.trigger_price - filled) * (1 if row.side == "LONG" else -1)
            assert row.stop is not None
            assert float(worse / stop.trigger_price * 10_000) == pytest.approx(row.stop.bp, abs=1e-4)
            assert row.stop.usdt == pytest.approx(worse * row.stop.quantity, abs=Decimal("1e-9"))
    left = [row for row in rows if row.close is not None]
    assert left
    assert all(1.9 < row.close.bp < 2.3 for row in left if row.close is not None)


def test_it_warns_where_entries_fill_worse_than_sizing_assumes_and_only_there(run: Run) -> None:
    held, broken = report_of(run("0.02"))[0], report_of(run("0.1"))[0]
    assert held.warnings == []
    assert {each.at: each.holds for each in held.assumptions} == {"entry": True, "stop": True}
    assert len(broken.warnings) == 2
    assert "Entries fill 10." in broken.warnings[0]
    assert "sizing assumes 5.0 bp" in broken.warnings[0]
    assert "set risk.slippage_pct to 0.10" in broken.warnings[0]


def test_too_few_fills_say_nothing(run: Run) -> None:
    with open_store(run("0.1"), mode="read") as store:
        first = queries.trades(store, limit=1_000)[::-1][9]
        report, rows = execution_report(store, until_ms=first.opened_ms)
    assert len(rows) == 9
    assert report.warnings == []


def test_groups_add_up_to_the_whole(run: Run) -> None:
    report, _ = report_of(run("0.02"))
    for groups in (report.strategy, report.symbol):
        assert sum(group.trades for group in groups) == report.total.trades
        assert sum(group.slippage_usdt for group in groups) == report.total.slippage_usdt
        assert sum(group.funding for group in groups) == report.total.funding
