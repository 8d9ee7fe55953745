"""The strategies of docs/strategies, in YAML alone: each loads, trades, can be replayed, and its page tells the truth.

``python -m tests.integration.test_strategies`` writes the figures of the pages anew.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from exchange.sim.playback.symbols import shipped_folder
from fsm.backtest.result import Result
from fsm.backtest.run import Request, run_backtest
from fsm.config import load_config
from fsm.journal.replay import replay
from rules.load import Ruleset, load_rules
from tests.effort import sampled

FOLDER = Path(__file__).parents[2] / "docs" / "strategies"
FILES = sorted(file for file in FOLDER.glob("*.yaml") if not file.name.endswith(".tests.yaml"))
SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def run(file: Path, folder: Path, *, every_candle: bool = False) -> tuple[Result, Ruleset, Path]:
    rules = load_rules(file)
    frames = sorted(rules.timeframes, key=lambda timeframe: timeframe.ms)
    named = {"entry": frames[0], "setup": frames[min(1, len(frames) - 1)], "trend": frames[-1]}
    text = "version: 1\nsymbols: {BTCUSDT: {enabled: true}, ETHUSDT: {enabled: true}}\ntimeframes: "
    text += "{" + ", ".join(f"{role}: {frame}" for role, frame in named.items()) + "}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    db = folder / f"{file.stem}-{every_candle}.sqlite"
    config = load_config(folder / "config.yaml", None, {})
    data = (shipped_folder(),)
    request = Request(config=config, rules=rules, data=data, symbols=SYMBOLS, db=db, every_candle=every_candle)
    return run_backtest(request), rules, db


def figures(result: Result) -> str:
    """What a page says of its run."""
    found = result.to_json()
    rows = [
        ("trades", f"{found['trades']} ({found['wins']} won)"),
        ("return", f"{found['return_pct']:.2f} %"),
        ("mean result", f"{found['expectancy_r']:.3f} R"),
        ("worst fall", f"{found['max_drawdown_pct']:.2f} %"),
        ("time in the market", f"{found['exposure_pct']:.1f} %"),
        ("fees and funding", f"{float(found['fees_usdt']) - float(found['funding_usdt']):.2f} USDT of 10,000"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    days = f"{str(found['from'])[:10]} to {str(found['to'])[:10]}"
    return f"| BTCUSDT and ETHUSDT, {days} | |\n|---|---|\n{table}\n"


@pytest.mark.parametrize("file", sampled(FILES, often=2), ids=lambda file: file.stem)
def test_a_strategy_in_yaml_alone_trades_as_its_page_says(file: Path, tmp_path: Path) -> None:
    result, rules, db = run(file, tmp_path)
    assert rules.warnings == ()
    assert result.to_json()["trades"] > 0
    replayed = replay(db)
    assert replayed.identical > 0
    assert replayed.different == 0
    page = file.with_suffix(".md").read_text(encoding="utf-8")
    found = FIGURES.search(page)
    assert found is not None
    assert found[0] == f"{found[1]}{figures(result)}{found[2]}", "run python -m tests.integration.test_strategies"
    assert f"{file.stem}.yaml" in page


@pytest.mark.parametrize("name", sampled(["supertrend", "rsi2"], often=1))
@pytest.mark.slow
def test_hour_by_hour_it_is_the_same_journal(name: str, tmp_path: Path) -> None:
    quick, _, _ = run(FOLDER / f"{name}.yaml", tmp_path)
    slow, _, _ = run(FOLDER / f"{name}.yaml", tmp_path, every_candle=True)
    assert slow.journal_hash == quick.journal_hash


def main() -> None:
    for file in FILES:
        with tempfile.TemporaryDirectory() as folder:
            result, _, _ = run(file, Path(folder))
        page = file.with_suffix(".md")
        before, begins, rest = page.read_text(encoding="utf-8").partition("<!-- figures -->\n")
        _, ends, after = rest.partition("<!-- end of figures -->")
        page.write_text(f"{before}{begins}{figures(result)}{ends}{after}", encoding="utf-8")
        print(file.name, result.to_json()["trades"])


if __name__ == "__main__":
    main()
