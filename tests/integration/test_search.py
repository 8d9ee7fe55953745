"""The search mode gives the trades and figures of a backtest, to the last digit, and says what it cannot read."""

from __future__ import annotations

import gc
import shutil
import sys
import tracemalloc
from collections import Counter
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.ground import read_ground
from fsm.backtest.result import Result
from fsm.backtest.run import BacktestError, Request, run_backtest
from fsm.config import load_config
from fsm.search import Outcome, evaluate, prepare
from fsm.search import prepared as search_prepared
from fsm.search.closed_trade import closed
from fsm.search.outcome import NOT_OF_A_VARIANT
from fsm.search.prepared import Prepared
from fsm.search.straight.compiled import PLAIN, form
from indicators.catalog import CATALOG
from rules import measured
from rules.load import load_rules, parse_rules
from tests.integration.generated_runs import FIRST_MS, HOUR_MS, case, shipped
from tests.integration.generated_variants import FUNCTIONS, variant
from tests.integration.test_jumps import SHIPPED_EVERY

ROOT = Path(__file__).parents[2]
TICKS = [Decimal("0.1"), Decimal(1), Decimal(2), Decimal(5), Decimal(10)]
SOL_TICK_MS = 1_746_144_000_000
MANY, LEAST = 1_000, 100
OF_MANY = (("KEPT_BYTES", 1), ("BARS_KEPT", 400))
"""What one symbol among very many has room for."""
OFTEN = (
    *(f"indicator {name}" for name in CATALOG),
    *(f"function {name}" for name in FUNCTIONS),
    *(
        f"exit {reason}"
        for reason in (
            *("STOP_HIT", "TARGET_HIT", "EXIT_WHEN", "REGIME_ENDED", "OPPOSITE_SIGNAL", "TRAIL_CROSSED"),
            *("EXIT_AFTER_CANDLES", "LIQUIDATED", "END_OF_DATA", "LIMIT_DAY"),
        )
    ),
)
"""What must have come in all of them together, each so often."""


def changed(request: Request, **changes: object) -> Request:
    return Request(**{**{each.name: getattr(request, each.name) for each in fields(request)}, **changes})  # type: ignore[arg-type]


def differing(outcome: Outcome, expected: Result) -> list[str]:
    """What of an outcome is not as in the backtest: trades by their fields, readings of equity, figures."""
    theirs = tuple(map(closed, expected.trades))  # type: ignore[arg-type]
    found = [f"{len(outcome.trades)} trades, not {len(theirs)}"] if len(outcome.trades) != len(theirs) else []
    for mine, its in zip(outcome.trades, theirs, strict=False):
        found += [
            f"{its.id} {name}: {getattr(mine, name)}, not {getattr(its, name)}"
            for name in its.__struct_fields__
            if getattr(mine, name) != getattr(its, name)
        ]
    if tuple(outcome.curve) != expected.curve:
        found.append("another curve")
    if outcome.final_equity != expected.balance + expected.wallet_change:
        found.append("another final equity")
    told = {name: value for name, value in expected.to_json().items() if name not in NOT_OF_A_VARIANT}
    return found + [name for name, value in told.items() if outcome.figures.get(name, "nothing") != value]


def compared(request: Request) -> tuple[Outcome, Result]:
    """A backtest and its evaluation, found equal."""
    expected = run_backtest(request)
    outcome = evaluate(prepare(request), request.rules, request.config.settings)
    assert differing(outcome, expected) == []
    return outcome, expected


def of_one_symbol(request: Request) -> Request:
    """The first of its symbols alone, as the kernel takes it."""
    return changed(request, symbols=tuple(request.symbols or request.config.settings.symbols)[:1])


def generated(number: int, folder: Path) -> tuple[Request, Counter[str]]:
    """Of both generators in turn."""
    if number % 2:
        return variant(number // 2, folder)
    made = (shipped if number % SHIPPED_EVERY == SHIPPED_EVERY - 2 else case)(number // 2, folder)
    return made.request, Counter()


@pytest.mark.parametrize("number", [2, 9, 12, 21, 32, 35, 39, 44, 92])
def test_a_generated_variant_is_equal_to_its_backtest_in_every_trade_and_figure(number: int, tmp_path: Path) -> None:
    make = shipped if number % SHIPPED_EVERY == SHIPPED_EVERY - 1 else case
    outcome, expected = compared(make(number, tmp_path).request)
    assert outcome.by_engine == ""
    assert expected.trades


@pytest.mark.parametrize("number", [3, 7, 12, 36])
def test_rules_of_every_kind_and_settings_with_every_cap_are_equal_to_their_backtest(
    number: int, tmp_path: Path
) -> None:
    outcome, expected = compared(variant(number, tmp_path)[0])
    assert outcome.by_engine == ""
    assert expected.trades


@pytest.mark.parametrize("number", [2, 3, 13, 26, 36, 61, 75, 77, 78, 83, 90])
def test_the_kernel_lives_a_variant_of_one_symbol_as_its_backtest_compiled_or_not(number: int, tmp_path: Path) -> None:
    request = of_one_symbol(generated(number, tmp_path)[0])
    prepared, expected = prepare(request), run_backtest(request)
    outcomes = [evaluate(prepared, request.rules, request.config.settings, each) for each in (None, PLAIN, form())]
    assert [differing(outcome, expected) for outcome in outcomes] == [[], [], []]
    assert outcomes[0].by_kernel == 0
    assert outcomes[1].by_kernel == outcomes[2].by_kernel
    assert outcomes[1].by_kernel >= len(expected.trades) * 0.5


def with_changes(request: Request, number: int) -> Prepared:
    """What was read, with other rules of the exchange that come at moments by chance, between bars too: ticks that are
    finer or coarser, and sometimes other lots."""
    chance, ground = Random(number), read_ground(request)
    rules, changes = ground.rules.begins, []
    for at_ms in sorted(chance.sample(range(ground.from_ms, ground.to_ms, 60_000), 6)):
        symbol = chance.choice([*rules.filters])
        filters = rules.filters[symbol].with_tick(chance.choice(TICKS) * ground.rules.begins.filters[symbol].tick_size)
        if chance.random() < 0.2:
            filters = msgspec.structs.replace(filters, market_step_size=filters.market_step_size * 2)
        rules = replace(rules, at_ms=at_ms, filters={**rules.filters, symbol: filters})
        changes.append(rules)
    return Prepared(request, replace(ground, rules=replace(ground.rules, changes=tuple(changes))))


@pytest.mark.parametrize("number", [2, 12, 21, 39, 42, 54])
def test_rules_of_the_exchange_that_change_on_the_way_are_taken_up_as_in_a_backtest(
    number: int, tmp_path: Path
) -> None:
    make = shipped if number % SHIPPED_EVERY == SHIPPED_EVERY - 1 else case
    request = make(number, tmp_path).request
    for each in (request, of_one_symbol(request)):
        prepared = with_changes(each, number)
        expected = run_backtest(each, ground=prepared.ground)
        outcome = evaluate(prepared, each.rules, each.config.settings)
        assert differing(outcome, expected) == []
        assert outcome.by_engine == ""


def test_candles_of_a_coin_whose_tick_became_finer_are_searched_without_the_engine() -> None:
    """SOL has had two decimals since 2025-05-02, after years of three."""
    request = Request(
        config=load_config(ROOT / "config.yaml", None, {}),
        rules=load_rules(ROOT / "rules.yaml"),
        data=(ROOT / "exchange" / "sim" / "data",),
        symbols=("SOLUSDT",),
        from_ms=1_743_465_600_000,
        to_ms=1_748_736_000_000,
    )
    outcome, expected = compared(request)
    assert len(read_ground(request).rules.changes) == 1
    assert outcome.by_engine == ""
    assert outcome.by_kernel
    assert {trade.opened_ms > SOL_TICK_MS for trade in expected.trades} == {True, False}


@pytest.mark.slow
def test_a_thousand_variants_in_which_everything_happens_often_are_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total: Counter[str] = Counter()
    for number in range(MANY):
        folder = tmp_path / str(number)
        folder.mkdir()
        request, used = generated(number, folder)
        if number % 4 == 3:
            request = of_one_symbol(request)
        outcome, expected = compared(request)
        total["by the kernel"] += outcome.by_kernel
        total += used + Counter(f"exit {trade.exit_reason}" for trade in expected.trades)
        total[f"by the engine: {outcome.by_engine}" if outcome.by_engine else "by the evaluator"] += 1
        shutil.rmtree(folder)
    with capsys.disabled():
        print(f"\n{MANY} variants, equal in every trade and figure:", file=sys.stderr)
        for name, count in sorted(total.items()):
            print(f"{count:7} {name}", file=sys.stderr)
    assert {name: total[name] for name in OFTEN if total[name] < LEAST} == {}
    assert total["by the evaluator"] >= MANY * 0.99


@pytest.mark.parametrize("is_cramped", [False, True])
def test_variants_over_the_same_candles_are_each_equal_to_their_backtest(
    is_cramped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is room to keep next to nothing for the next variant."""
    for name in ("KEPT_BYTES", "COLUMNS", "BARS_KEPT") if is_cramped else ():
        monkeypatch.setattr(search_prepared, name, 1)
    request = case(2, tmp_path).request
    more = msgspec.structs.replace(
        request.config.settings,
        risk=msgspec.structs.replace(request.config.settings.risk, risk_per_trade_pct=Decimal("0.05")),
    )
    prepared = prepare(request)
    other = parse_rules(request.rules.text.replace("period: 7", "period: 9"), "rules.yaml")
    for rules, settings in ((request.rules, request.config.settings), (request.rules, more), (other, more)):
        expected = run_backtest(changed(request, rules=rules, config=replace(request.config, settings=settings)))
        outcome = evaluate(prepared, rules, settings)
        assert differing(outcome, expected) == []
        assert outcome.net_pnl == sum((trade.net_pnl or Decimal(0) for trade in expected.trades), Decimal(0))


@pytest.mark.slow
def test_little_is_kept_of_a_symbol_beside_its_candles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that fifty symbols and three years of hours fit into 300 MB."""
    task = ROOT / "benchmarks" / "task"
    rules, config = load_rules(task / "rules.yaml"), load_config(task / "config.yaml", None, {})
    kept_of_many = (
        (search_prepared, "KEPT_BYTES", 1),
        (search_prepared, "BARS_KEPT", 400),
        (measured, "WORKSPACES_FILL", 1),
    )
    for module, name, few in kept_of_many:
        monkeypatch.setattr(module, name, few)
    symbols = ("BTCUSDT", "ETHUSDT")
    for symbol in symbols:
        shutil.copy(shipped_folder() / f"{symbol}-1h.csv.gz", tmp_path)
    request = Request(config=config, rules=rules, data=(tmp_path,), symbols=symbols)
    assert evaluate(prepare(request), rules, config.settings).trades  # what is read once is there
    gc.collect()
    tracemalloc.start()
    try:
        prepared = prepare(request)
        outcome = evaluate(prepared, rules, config.settings)
        assert len(outcome.trades) > 100
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    candles = sum(market.series.length for market in prepared.ground.markets)
    assert kept / candles < 200


def test_another_window_over_what_was_prepared_is_that_windows_backtest(tmp_path: Path) -> None:
    request = case(2, tmp_path).request
    window = {"from_ms": FIRST_MS + 300 * HOUR_MS, "to_ms": FIRST_MS + 500 * HOUR_MS}
    expected = run_backtest(changed(request, **window))
    outcome = evaluate(prepare(request).over(**window), request.rules, request.config.settings)
    assert differing(outcome, expected) == []


def test_rules_that_read_what_was_not_prepared_are_told_so(tmp_path: Path) -> None:
    request = case(2, tmp_path).request
    text = request.rules.text.replace("rsi_e: {indicator: rsi, timeframe: 1h", "rsi_e: {indicator: rsi, timeframe: 4h")
    longer, settings = parse_rules(text, "rules.yaml"), request.config.settings
    with pytest.raises(BacktestError, match="4h, which were not prepared"):
        evaluate(prepare(request), longer, settings)
    outcome = evaluate(prepare(request, frozenset(longer.timeframes)), longer, settings)
    expected = run_backtest(changed(request, rules=longer))
    assert differing(outcome, expected) == []
