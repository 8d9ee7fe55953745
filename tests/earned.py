"""What the shipped rules made of the shipped candles: ``python -m tests.earned`` writes it into the README."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from fsm.cli.app import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- earned -->\n", "<!-- /earned -->\n"


def measured() -> dict[str, Any]:
    """A backtest as anybody runs it, over everything that is shipped."""
    with tempfile.TemporaryDirectory() as folder:
        files = (
            "--config",
            str(ROOT / "config.yaml"),
            "--rules",
            str(ROOT / "rules.yaml"),
            "--env-file",
            f"{folder}/.env",
        )
        (Path(folder) / ".env").write_text("BINANCE_ENV=sim\n")
        done = CliRunner().invoke(app, ["backtest", "--json", "--db", f"{folder}/run.sqlite", *files])
    if done.exit_code:
        raise SystemExit(done.output)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(found: dict[str, Any]) -> str:
    return "\n".join(_lines(found)) + "\n"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield "| | trades | won | net USDT | fees USDT | R a trade | profit factor |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    named = sorted(
        {**found["per_strategy"], **found["per_symbol"]}.items(), key=lambda item: item[0] in found["per_symbol"]
    )
    for name, each in (*named, ("**all**", found)):
        factor = each["profit_factor"]
        cells = (
            name if name.startswith("**") else f"`{name}`",
            each["trades"],
            f"{each['win_rate_pct']:.0f} %",
            f"{each['net_pnl_usdt']:+,.0f}",
            f"{each['fees_usdt']:,.0f}",
            f"{each['expectancy_r']:+.2f}",
            "–" if factor is None else f"{factor:.2f}",
        )
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield (
        f"{found['from'][:10]} to {found['to'][:10]}, 10,000 USDT: {found['return_pct']:+.1f} % in all, the largest"
        f" fall {found['max_drawdown_pct']:.1f} %, {found['losses_in_a_row']} losses in a row, in a position"
        f" {found['exposure_pct']:.0f} % of the time."
    )


def written(page: str, text: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{text}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(written(README.read_text("utf-8"), table(measured())), "utf-8")
    sys.stdout.write(f"{README}\n")
