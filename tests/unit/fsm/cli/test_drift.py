"""`drift` on real runs: one that does as promised, one whose costs eat it, one of which nothing is promised."""

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
from store.database import open_store

ROOT = Path(__file__).parents[4]
FROM_MS, MIDDLE_MS, TO_MS = 1_696_118_400_000, 1_719_792_000_000, 1_735_689_600_000  # 2023-10, 2024-07, 2025-01
Make = Callable[..., Path]
NAME = "opening_range"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Half a year of the opening-range strategy on two symbols, with more or less slippage."""
    folder, done = tmp_path_factory.mktemp("drift"), dict[str, Path]()

    def run(name: str, from_ms: int, to_ms: int, slippage_pct: str = "0.02") -> Path:
        if name in done:
            return done[name]
        config = load_config(ROOT / "config.yaml", None, {})
        symbols = ("BTCUSDT", "ETHUSDT")
        request = Request(
            config=adapted(
                config,
                symbols,
                {
                    "simulation": {"slippage_pct": Decimal(slippage_pct)},
                    "orders": {"book_slippage_pct_max": Decimal(1)},
                },
            ),
            rules=load_rules(ROOT / "docs" / "strategies" / f"{NAME}.yaml"),
            data=(shipped_folder(),),
            symbols=symbols,
            from_ms=from_ms,
            to_ms=to_ms,
            db=folder / f"{name}.sqlite",
        )
        run_backtest(request)
        done[name] = folder / f"{name}.sqlite"
        return done[name]

    return run


def test_a_run_does_what_it_promised_itself(fsm, made: Make) -> None:
    promised = made("promised", FROM_MS, MIDDLE_MS)
    ended = fsm("drift", "--json", "--db", promised, "--reference", promised)
    assert ended.code == 0
    (found,) = ended.document["strategies"]
    assert found["standing"] == "HOLDS"
    assert found["live_mean_r"] == found["promised_mean_r"]
    with open_store(promised, mode="read") as store:
        r = [row.r for row in queries.trades(store, status="CLOSED", limit=10_000) if row.flagged != "END_OF_DATA"]
    assert found["promised_trades"] == len(r)
    assert found["promised_mean_r"] == pytest.approx(float(sum(each for each in r if each is not None)) / len(r))
    assert ended.document["drifted"] == []
    assert ended.document["is_of_same_rules"]


def test_costs_that_eat_a_strategy_are_noticed_and_the_command_ends_with_4(fsm, made: Make) -> None:
    promised, live = made("promised", FROM_MS, MIDDLE_MS), made("dear", MIDDLE_MS, TO_MS, "0.6")
    ended = fsm("drift", "--json", "--db", live, "--reference", promised)
    assert ended.code == 4
    (found,) = ended.document["strategies"]
    assert found["standing"] == "DRIFTED"
    assert ended.document["drifted"] == [NAME]
    with open_store(live, mode="read") as store:
        trade = queries.trade(store, found["alarm"]["trade_id"])
    assert trade is not None
    assert trade.closed_ms == found["alarm"]["at_ms"]
    text = fsm("drift", "--db", live, "--reference", promised)
    assert text.code == 4
    assert f"{NAME} no longer does what its backtest promised" in text.stdout
    assert "once in 10 years" in text.stdout
    later = str(trade.closed_ms + 1)
    begun_anew = fsm("drift", "--json", "--db", live, "--reference", promised, "--since", later).document
    assert begun_anew["strategies"][0]["live_trades"] < found["live_trades"]


def test_it_takes_the_newest_kept_run_of_the_same_rules(fsm, project: Path, made: Make) -> None:
    promised = made("promised", FROM_MS, MIDDLE_MS)
    live = made("dear", MIDDLE_MS, TO_MS, "0.6")
    runs = project / "var" / "runs"
    refused = fsm("drift", "--kept-only", "--db", live)
    assert refused.code == 3
    assert "no kept run is of the rules in force" in refused.stderr
    runs.mkdir(parents=True)
    (runs / "spring.sqlite").write_bytes(promised.read_bytes())
    found = fsm("drift", "--kept-only", "--json", "--db", live)
    assert found.code == 4
    assert found.document["reference"] == "spring"


def test_without_a_kept_run_it_makes_one_up_to_the_first_live_trade(fsm, made: Make) -> None:
    live = made("live", MIDDLE_MS, TO_MS)
    ended = fsm("drift", "--json", "--db", live)
    (found,) = ended.document["strategies"]
    assert ended.document["reference"] == "a backtest of these rules, made now"
    assert found["promised_trades"] > 20
    assert found["standing"] == "HOLDS"


def test_a_reference_that_is_not_there_is_refused(fsm, journal) -> None:
    ended = fsm("drift", "--db", journal, "--reference", "nobody")
    assert ended.code == 3
    assert "no run is called nobody" in ended.stderr
