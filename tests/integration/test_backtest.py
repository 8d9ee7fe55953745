"""The whole main job on real candles: rules → regime → machine → protected trade → journal."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import ROUND_UP, Decimal, localcontext
from pathlib import Path

import apsw
import msgspec
import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.result import Result, funding_words
from fsm.backtest.run import BacktestError, Request, run_backtest
from fsm.config import Config, load_config
from fsm.journal.explain import explain
from fsm.journal.replay import replay
from rules.load import Ruleset, load_rules, parse_rules
from store.database import open_store
from store.verify import verify
from tests.effort import FULL

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "klines"
FROM_MS, TO_MS = 1_725_148_800_000, 1_735_689_600_000  # 2024-09-01 to 2025-01-01
SYMBOLS = ("BTCUSDT", "DOGEUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", None, {})


def config_of(folder: Path, text: str) -> Config:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "config.yaml", None, {})


@pytest.fixture(scope="module")
def rules() -> Ruleset:
    return load_rules(ROOT / "rules.yaml")


def request_of(config: Config, rules: Ruleset, db: Path | None = None, **changes: object) -> Request:
    request = Request(
        config=config,
        rules=rules,
        data=(shipped_folder(),),
        symbols=SYMBOLS,
        from_ms=FROM_MS,
        to_ms=TO_MS,
        db=db,
    )
    return replace(request, **changes)


@pytest.fixture(scope="module")
def run(config: Config, rules: Ruleset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    db = tmp_path_factory.mktemp("run") / "out.sqlite"
    return run_backtest(request_of(config, rules, db)), db


def rows(db: Path, sql: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(db), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def test_trades_happen_and_the_contract_fields_are_there(run: tuple[Result, Path]) -> None:
    summary = run[0].to_json()
    assert summary["trades"] >= 10
    named = (
        "symbols from to candles trades wins losses net_pnl_usdt fees_usdt funding_usdt return_pct max_drawdown_pct "
        "expectancy_r sharpe exposure_pct per_regime per_strategy per_symbol transitions journal_hash rules_hash "
        "config_hash seconds"
    )
    assert set(named.split()) <= set(summary)
    assert set(summary["seconds"]) == {"load", "features", "run", "report"}


def test_the_same_inputs_give_the_same_journal_and_jumping_changes_nothing(
    run: tuple[Result, Path], config: Config, rules: Ruleset
) -> None:
    again = run_backtest(request_of(config, rules))
    slow = run_backtest(request_of(config, rules, every_candle=True))
    assert again.journal_hash == run[0].journal_hash
    assert slow.journal_hash == run[0].journal_hash


def test_the_result_does_not_depend_on_the_decimal_context_of_the_process(
    run: tuple[Result, Path], config: Config, rules: Ruleset
) -> None:
    """A foreign library in the process had changed the rounding once: replay then differed in last digits."""
    with localcontext(prec=20, rounding=ROUND_UP):
        again = run_backtest(request_of(config, rules))
        assert replay(run[1]).different == 0
    assert again.journal_hash == run[0].journal_hash


def test_net_pnl_of_all_trades_is_the_change_of_the_wallet(run: tuple[Result, Path]) -> None:
    result = run[0]
    total = sum((trade.net_pnl or Decimal(0) for trade in result.trades), Decimal(0))
    assert abs(total - result.wallet_change) <= Decimal("1e-8")
    assert any(trade.funding for trade in result.trades), "a period without any funding would prove little"


def test_every_position_has_its_stop_in_the_instant_of_its_fill(run: tuple[Result, Path]) -> None:
    late = [trade.id for trade in run[0].trades if trade.protected_ms != trade.first_fill_ms]
    assert late == []


def test_no_limit_of_the_config_is_ever_exceeded(run: tuple[Result, Path], config: Config) -> None:
    result, risk = run[0], config.settings.risk
    trades = [trade for trade in result.trades if trade.first_fill_ms is not None]
    lowest = min(equity for _, equity in result.curve)
    for trade in trades:
        together = [t for t in trades if t.opened_ms <= trade.opened_ms < (t.closed_ms or 0)]
        assert len(together) <= risk.max_open_positions
        assert sum(t.risk_usdt for t in together) <= result.balance * 2 * risk.max_open_risk_pct / 100
        assert trade.risk_usdt <= max(e for _, e in result.curve) * risk.risk_per_trade_pct / 100
        notional = sum(t.quantity * t.entry_price_planned for t in together)
        assert notional <= max(e for _, e in result.curve) * risk.max_exposure_pct / 100
    assert lowest > 0


def test_the_journal_verifies_and_replays_without_a_difference(run: tuple[Result, Path]) -> None:
    assert verify(run[1]).problems == ()
    report = replay(run[1])
    assert (report.different, report.differences) == (0, ())
    assert report.identical == report.transitions + report.decisions > 200


def test_a_decision_whose_facts_were_changed_replays_differently(run: tuple[Result, Path], tmp_path: Path) -> None:
    forged = tmp_path / "forged.sqlite"
    shutil.copy(run[1], forged)
    connection = apsw.Connection(str(forged))
    ((number, facts),) = connection.execute("SELECT id, facts_json FROM decisions WHERE outcome = 'SIGNAL' LIMIT 1")
    connection.execute("DROP TRIGGER IF EXISTS decisions_no_update")
    for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(
        "UPDATE decisions SET facts_json = ? WHERE id = ?", (facts.replace('"equity":"', '"equity":"0'), number)
    )
    connection.execute("UPDATE decisions SET reason = 'NO_SUCH_REASON' WHERE id = ?", (number,))
    connection.close()
    report = replay(forged)
    assert report.different == 1
    assert (report.differences[0].table, report.differences[0].id) == ("decisions", number)


def test_editing_one_threshold_changes_the_rules_hash_and_the_result_and_nothing_else(
    run: tuple[Result, Path], config: Config, rules: Ruleset
) -> None:
    edited = parse_rules(rules.text.replace("adx_trend: 25 ", "adx_trend: 30 "), "rules.yaml")
    other = run_backtest(request_of(config, edited))
    assert other.rules_hash != run[0].rules_hash
    assert other.journal_hash != run[0].journal_hash
    assert (other.config_hash, other.data_hash, other.candles) == (
        run[0].config_hash,
        run[0].data_hash,
        run[0].candles,
    )


def test_trades_left_at_the_end_are_closed_and_flagged(
    config: Config, rules: Ruleset, run: tuple[Result, Path]
) -> None:
    held = next(t for t in run[0].trades if (t.closed_ms or 0) - t.opened_ms > 6 * 3_600_000)
    cut = held.opened_ms + 3 * 3_600_000
    result = run_backtest(request_of(config, rules, to_ms=cut - cut % 3_600_000))
    flagged = [trade.id for trade in result.trades if trade.flagged == "END_OF_DATA"]
    assert held.id in flagged
    total = sum((trade.net_pnl or Decimal(0) for trade in result.trades), Decimal(0))
    assert abs(total - result.wallet_change) <= Decimal("1e-8")


def test_nothing_trades_before_from(config: Config, rules: Ruleset, run: tuple[Result, Path]) -> None:
    assert min(trade.opened_ms for trade in run[0].trades) > FROM_MS


def test_unusable_requests_are_refused_with_what_to_change(config: Config, rules: Ruleset, tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match=r"no filters are known of NOSUCHUSDT.*no leverage brackets are known"):
        run_backtest(request_of(config, rules, symbols=("NOSUCHUSDT",)))
    with pytest.raises(BacktestError, match="nothing of what --from and --to ask for"):
        run_backtest(request_of(config, rules, from_ms=4_000_000_000_000, to_ms=None))
    (tmp_path / "taken.sqlite").touch()
    with pytest.raises(BacktestError, match="exists already"):
        run_backtest(request_of(config, rules, tmp_path / "taken.sqlite"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the long candle files are not shipped")
def test_five_years_of_four_symbols_hold_every_promise(config: Config, rules: Ruleset, tmp_path: Path) -> None:
    db = tmp_path / "long.sqlite"
    result = run_backtest(
        Request(
            config=config,
            rules=rules,
            data=(SHARED,),
            symbols=("BTCUSDT", "ETHUSDT", "XRPUSDT", "ADAUSDT") if FULL else ("BTCUSDT", "XRPUSDT"),
            from_ms=1_590_969_600_000,
            to_ms=1_751_328_000_000,
            db=db,
        )
    )
    total = sum((trade.net_pnl or Decimal(0) for trade in result.trades), Decimal(0))
    assert abs(total - result.wallet_change) <= Decimal("1e-8")
    assert [trade.id for trade in result.trades if trade.protected_ms != trade.first_fill_ms] == []
    assert {trade.strategy for trade in result.trades} == set(rules.strategies)
    assert replay(db).different == 0


def test_funding_that_was_never_recorded_is_counted_and_said(run: tuple[Result, Path]) -> None:
    """DOGE and ETH have no funding file in the shipped data: what their positions were due for is missing."""
    found = run[0].to_json()
    assert set(found["funding_missing"]) <= {"DOGEUSDT", "ETHUSDT"}
    assert sum(found["funding_missing"].values()) > 0
    assert found["funding_settlements"] > 0
    held = [trade for trade in run[0].trades if trade.symbol == "ETHUSDT" and trade.first_fill_ms is not None]
    due = sum(marks_between(trade.first_fill_ms or 0, trade.closed_ms or 0) for trade in held)
    assert found["funding_missing"]["ETHUSDT"] == due
    due_all = due + found["funding_settlements"] + found["funding_missing"].get("DOGEUSDT", 0)
    missing = sum(found["funding_missing"].values())
    assert f"{missing} of {due_all} fundings" in funding_words(found)


def marks_between(first_ms: int, last_ms: int) -> int:
    """Eight-hour marks in (first, last]."""
    step = 8 * 3_600_000
    return last_ms // step - first_ms // step


def test_a_run_inside_the_warm_up_says_what_is_short_and_that_nothing_could_trade(
    config: Config, rules: Ruleset, tmp_path: Path
) -> None:
    """The shipped candles begin in 2024; 200 candles of 1d have closed on 2024-07-19."""
    db = tmp_path / "early.sqlite"
    early = run_backtest(request_of(config, rules, db, from_ms=None, to_ms=1_711_929_600_000))  # 2024-04-01
    found = early.to_json()
    assert (found["trades"], found["exposure_pct"], found["sharpe"]) == (0, 0.0, 0.0)
    assert found["could_trade_from"] == dict.fromkeys(SYMBOLS)
    assert found["warnings"] == [early.warnings()[0]]
    assert "No symbol could trade" in found["warnings"][0]
    assert "BTCUSDT (1d: 91 of 200)" in found["warnings"][0]
    reasons = {reason for (reason,) in rows(db, "SELECT DISTINCT reason FROM decisions")}
    assert {"WARMING_UP 1d: 0 of 200", "WARMING_UP 1d: 90 of 200"} <= reasons
    assert all(str(reason).startswith("WARMING_UP ") for reason in reasons)
    slow = run_backtest(request_of(config, rules, from_ms=None, to_ms=1_711_929_600_000, every_candle=True))
    assert slow.journal_hash == early.journal_hash
    assert replay(db).different == 0
    with open_store(db, mode="read") as store:
        told = explain(store, "BTCUSDT", 1_704_067_200_000 + 40 * 86_400_000)
    assert told.reason == "WARMING_UP 1d: 40 of 200"
    assert told.summary.endswith("40 of 200 candles of 1d have closed; nothing is entered before 2024-07-19 00:00 UTC")


@pytest.mark.slow
def test_exposure_and_sharpe_count_from_where_a_symbol_could_trade(
    run: tuple[Result, Path], config: Config, rules: Ruleset
) -> None:
    """The same trades, with and without the months of warming up before them."""
    whole = run_backtest(request_of(config, rules, from_ms=None)).to_json()
    ready = 1_721_347_200_000  # 2024-07-19
    bare = run_backtest(request_of(config, rules, from_ms=ready)).to_json()
    assert whole["could_trade_from"] == dict.fromkeys(SYMBOLS, "2024-07-19T00:00:00Z") == bare["could_trade_from"]
    assert whole["trades"] == bare["trades"] > 0
    assert (whole["exposure_pct"], whole["sharpe"]) == (bare["exposure_pct"], bare["sharpe"])
    assert (whole["warnings"], run[0].warnings()) == ([], [])


@pytest.mark.slow
def test_a_cap_on_what_moves_together_refuses_entries_and_is_replayed(
    run: tuple[Result, Path], config: Config, rules: Ruleset, tmp_path: Path
) -> None:
    """Two positions of 0.5 % that move together risk more than 0.8 %."""
    text = config.text.replace("max_correlated_risk_pct: null ", "max_correlated_risk_pct: 0.8 ")
    capped = config_of(tmp_path, text)
    db = tmp_path / "capped.sqlite"
    result = run_backtest(request_of(capped, rules, db))
    refused = rows(db, "SELECT facts_json FROM decisions WHERE reason = 'MAX_CORRELATED_RISK'")
    assert refused
    portfolio = msgspec.json.decode(str(refused[0][0]))["portfolio"]
    assert (
        Decimal(portfolio["correlated_risk"]) > 0 < Decimal(portfolio["pull_long"]) + Decimal(portfolio["pull_short"])
    )
    assert replay(db).different == 0
    assert len(result.trades) < len(run[0].trades)
    assert not rows(run[1], "SELECT id FROM decisions WHERE reason = 'MAX_CORRELATED_RISK'"), "off by default"
    slow = run_backtest(request_of(capped, rules, every_candle=True))
    assert slow.journal_hash == result.journal_hash
    summary = result.to_json()
    assert 0.5 < summary["correlation"] < 0.9
    assert 1.1 < summary["independent_positions"] < 1.6


def test_a_run_says_what_all_stops_lose_in_a_fast_fall_and_warns_where_the_daily_limit_is_less(
    run: tuple[Result, Path],
) -> None:
    """Three positions of 0.5 % at 1.8 R."""
    assert run[0].to_json()["fast_fall_loss_pct"] == 2.7
    (warning,) = replace(run[0], daily_loss_pct=Decimal(2)).warnings()
    assert "lose 2.7 % of equity, and limits.daily_loss_pct is 2" in warning
