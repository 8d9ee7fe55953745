"""R74: stored candles that the exchange tells otherwise open nothing; a journal that was cut off shows."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import TO_SIGNAL, jump, quiet, triggers
from store import queries
from store.database import open_store
from store.inbox import Inbox
from store.migrations.m0002_seals import apply as seal_anew
from store.verify import verify

Make = Callable[..., InProcessBot]
BTC = 60_000.0
MARKET = [*quiet(BTC, 8), jump(BTC), *quiet(BTC * 1.01, 60)]


def tamper(path: Path, *, seals_too: bool) -> None:
    """Eleven stored candles of BTCUSDT times 1.25, as the attack did; with the seals made to fit, or not."""
    raw = apsw.Connection(str(path))
    with raw:
        opens = raw.execute(
            "SELECT open_time_ms FROM candles WHERE symbol = 'BTCUSDT' AND timeframe = '1h'"
            " ORDER BY open_time_ms DESC LIMIT 11 OFFSET 3"
        ).fetchall()
        for (open_ms,) in opens:
            raw.execute(
                "UPDATE candles SET open = CAST(open * 1.25 AS TEXT), high = CAST(high * 1.25 AS TEXT),"
                " low = CAST(low * 1.25 AS TEXT), close = CAST(close * 1.25 AS TEXT)"
                " WHERE symbol = 'BTCUSDT' AND timeframe = '1h' AND open_time_ms = ?",
                (open_ms,),
            )
        if seals_too:
            raw.execute("DROP TABLE seals")
            seal_anew(raw)
    raw.close()


def told_reasons(r: InProcessBot) -> list[tuple[str | None, str]]:
    with open_store(r.db, mode="read") as store:
        return [(row.symbol, row.reason) for row in queries.system_events(store, kind="CANDLES_DIFFER", limit=100)]


@pytest.mark.parametrize("seals_too", [False, True])
def test_r74_candles_that_were_changed_in_the_database_open_nothing(rehearse: Make, seals_too: bool) -> None:
    """They were times 1.25, the audit said fine, and the bot decided on them."""
    r = rehearse(BTCUSDT=MARKET, ETHUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(TO_SIGNAL + 5)
        await r.kill()
        tamper(r.db, seals_too=seals_too)
        found = {problem.table for problem in verify(r.db).problems}
        assert found == (set() if seals_too else {"candles"})
        await r.start()
        assert set(r.running.live.blocks.all()) == {"BTCUSDT"}
        await r.hours(6)
        assert [step for step in triggers(r, "BTCUSDT") if step.startswith("signal")] == []
        assert [step for step in triggers(r, "ETHUSDT") if step.startswith("signal")] == ["signal jump LONG"]
        Inbox(r.running.live.journal.store).post("resume", "BTCUSDT", "cli", r.venue.now_ms)
        await r.seconds(2)
        assert r.running.live.blocks.all() == {}

    r.run(script)
    wanted = {("BTCUSDT", "EXCHANGE"), ("BTCUSDT", "ACCEPTED")} | (set() if seals_too else {("BTCUSDT", "SEAL")})
    assert set(told_reasons(r)) == wanted
    with open_store(r.db, mode="read") as store:
        texts = [row.text for row in queries.alerts(store, limit=1_000) if "candles are not" in row.text]
    assert any("`resume BTCUSDT` if you know why" in text for text in texts)


def test_r74_candles_that_are_the_exchanges_block_nothing_at_a_start(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(4)
        await r.restart()
        assert r.running.live.blocks.all() == {}
        await r.hours(1)

    r.run(script)
    assert told_reasons(r) == []
    assert verify(r.db).fine


def test_r74_a_head_goes_out_every_day_and_shows_a_tail_that_was_cut_off_consistently(
    rehearse: Make, tmp_path: Path
) -> None:
    """The database as it was before, as after a lost -wal: by itself it is whole, and no hash of later is in it."""
    r = rehearse(BTCUSDT=quiet(BTC, 70), alerts={"heartbeat": "off"})
    earlier = tmp_path / "earlier.sqlite"

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(26)
        await r.kill()
        shutil.copyfile(r.db, earlier)
        await r.start()
        await r.hours(26)

    r.run(script)
    heads = Path(f"{r.db}.heads")
    lines = heads.read_text("utf-8").splitlines()
    days = [line[:10] for line in lines]
    assert len(days) == len(set(days)) >= 2
    assert stat.S_IMODE(heads.stat().st_mode) == 0o600
    *_, kept = lines[-1].split()
    with open_store(r.db, mode="read") as store:
        rows = queries.system_events(store, kind="JOURNAL_HEAD", limit=100)
        texts = [row.text for row in queries.alerts(store, limit=1_000)]
    assert [row.hash for row in reversed(rows)] == [line.split()[-1] for line in lines]
    assert any(kept in text for text in texts)
    assert verify(r.db, head=kept).fine
    assert verify(earlier).fine
    (problem,) = verify(earlier, head=kept).problems
    assert problem.table == "journal"
    assert verify(earlier, head=lines[0].split()[-1]).fine


def test_r74_one_chain_cannot_be_cut_behind_a_head_that_is_journalled(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=quiet(BTC, 40))

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(26)

    r.run(script)
    raw = apsw.Connection(str(r.db))
    raw.execute("DROP TRIGGER equity_snapshots_delete")
    newest = raw.execute("SELECT facts_json FROM system_events WHERE kind = 'JOURNAL_HEAD' ORDER BY id DESC").get
    assert "equity_snapshots" in newest
    raw.execute("DELETE FROM equity_snapshots")
    raw.close()
    assert any("a daily head names it" in problem.what for problem in verify(r.db).problems)
