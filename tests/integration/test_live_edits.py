"""An edit is confirmed as a cause by a backtest that takes it up on the way; a fault of ours is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fsm.backtest.comparing.inputs import Source
from fsm.live.operator.reload import Reload
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL
from tests.effort import sampled
from tests.integration.test_live_causes import found_in, named
from tests.integration.test_live_differences import MARKET

Make = Callable[..., InProcessBot]
FAR = RULES.replace("entry + risk", "entry + 1.2 * risk")
NEVER = RULES.replace("close_1h > 1.008 * open_1h", "close_1h > 1.08 * open_1h")
WIDER = RULES.replace('stop: "low_1h"', 'stop: "low_4h"').replace(
    "  open_1h:", "  low_4h: {indicator: low, timeframe: 4h}\n  open_1h:"
)
"""It reads candles that the rules before it did not."""


def edited(
    rehearse: Make, tmp_path: Path, text: str, *, at_h: float, of: str = "rules", latency_s: float = 0.0
) -> InProcessBot:
    """A bot whose file was edited so many hours after it was started."""
    bot = rehearse(BTCUSDT=MARKET, latency_s=latency_s)
    files = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    files["rules"].write_text(RULES)
    files["config"].write_text(bot.config.text)

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(at_h)
        reload = Reload(bot.running, config=bot.config, config_path=files["config"], rules_path=files["rules"])
        await reload.look()
        files[of].write_text(text)
        await reload.look()
        await reload.look()
        await bot.hours(TO_SIGNAL + 10 - at_h)

    bot.run(script)
    return bot


@pytest.mark.parametrize("text", [FAR, NEVER, WIDER], ids=["other targets", "no setup", "other candles"])
@pytest.mark.parametrize("latency_s", sampled([0.0, 0.3], often=1))
def test_a_trade_after_an_edit_is_the_edits(rehearse: Make, tmp_path: Path, text: str, latency_s: float) -> None:
    bot = edited(rehearse, tmp_path, text, at_h=TO_SIGNAL - 1.5, latency_s=latency_s)
    findings = found_in(bot.db, tmp_path)
    assert named(findings) == {(Source.EDIT, True)}
    assert "rules.yaml" in findings[0].cause.path


def test_an_edit_of_settings_is_confirmed_too(rehearse: Make, tmp_path: Path) -> None:
    config = rehearse(BTCUSDT=MARKET).config.text
    halved = config.replace("risk_per_trade_pct: 0.5", "risk_per_trade_pct: 0.25")
    assert halved != config
    bot = edited(rehearse, tmp_path, halved, at_h=TO_SIGNAL - 1.5, of="config")
    assert named(found_in(bot.db, tmp_path)) == {(Source.EDIT, True)}


def test_a_trade_that_is_open_keeps_its_rules_in_both(rehearse: Make, tmp_path: Path) -> None:
    bot = edited(rehearse, tmp_path, FAR, at_h=TO_SIGNAL + 0.5, latency_s=0.3)
    assert named(found_in(bot.db, tmp_path)) == {(Source.LATENCY, True)}


def test_a_fault_of_ours_is_not_passed_off_as_an_edit(rehearse: Make, tmp_path: Path) -> None:
    bot = edited(rehearse, tmp_path, FAR, at_h=TO_SIGNAL - 1.5, latency_s=0.3)
    copy = Path(shutil.copy(bot.db, tmp_path / "copy.sqlite"))
    with sqlite3.connect(copy) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE trades SET stop_price_initial = '59939.9'")
    connection.close()
    assert named(found_in(copy, tmp_path)) == {(Source.UNEXPLAINED, False)}
