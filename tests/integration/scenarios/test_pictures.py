"""Pictures for the chat: what is open is on them, they are whole files, and nothing to draw is said."""

from __future__ import annotations

import struct
import zlib

import pytest

from fsm.live.operator.canvas import Canvas, Ink
from fsm.live.operator.pictures import HEIGHT, WIDTH, NothingToDraw, day_picture, symbol_picture
from fsm.proofs.testkit.in_process_bot import InProcessBot
from store import queries
from store.database import open_store
from tests.integration.scenarios.acting import CALM, Make, record, to_trade


def pixels(png: bytes) -> tuple[int, int, set[int]]:
    """Width, height and the colours that are there, of a file whose parts are as they should be."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    place, parts = 8, {}
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        assert struct.unpack(">I", png[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        parts[kind] = body
        place += 12 + length
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    rows = zlib.decompress(parts[b"IDAT"])
    assert len(rows) == height * (width + 1)
    return width, height, set(rows)


def test_of_a_symbol_have_its_candles_and_what_is_open(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        trade = record(r).trade
        with open_store(r.db, mode="read") as store:
            picture = symbol_picture(store, "BTCUSDT")
            candles = queries.candles(store, "BTCUSDT", "1h", limit=1)
        width, height, inks = pixels(picture.png)
        assert (width, height) == (WIDTH, HEIGHT)
        assert inks >= {Ink.UP, Ink.ENTRY, Ink.STOP, Ink.TARGET, Ink.TEXT, Ink.GRID}
        assert f"BTCUSDT {float(candles[-1].close):.7g}, LONG {trade.open_quantity.normalize():f}" in picture.caption
        assert picture.caption.endswith(f"stop {trade.stop.trigger_price.normalize():f}")

    r.run(script)


def test_of_a_symbol_without_a_trade_say_so(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await r.start()
        await r.hours(1)

    r.run(script)
    with open_store(r.db, mode="read") as store:
        picture = symbol_picture(store, "BTCUSDT")
        assert picture.caption.endswith("nothing is open there")
        assert not pixels(picture.png)[2] & {Ink.ENTRY, Ink.STOP, Ink.TARGET}
        with pytest.raises(NothingToDraw, match="there are no candles of NOPEUSDT yet"):
            symbol_picture(store, "NOPEUSDT")


def test_of_a_day_have_its_result_as_the_database_has_it(rehearse: Make) -> None:
    r = rehearse(BTCUSDT=CALM)

    async def script(r: InProcessBot) -> None:
        await to_trade(r)
        await r.hours(4)

    r.run(script)
    day_ms = 86_400_000
    now_ms = r.venue.now_ms // day_ms * day_ms + day_ms + 1_000
    with open_store(r.db, mode="read") as store:
        picture = day_picture(store, now_ms)
        found = queries.pnl(store, since_ms=now_ms // day_ms * day_ms - day_ms, until_ms=now_ms // day_ms * day_ms)
        newest = queries.equity(store)[-1].equity
        with pytest.raises(NothingToDraw, match="not read often enough"):
            day_picture(store, now_ms + 90 * day_ms)
    assert f"{found.net_pnl:+,.2f} USDT, {found.trades} trades, {found.wins} won" in picture.caption
    assert f"equity {newest:,.2f} USDT, 1 position open." in picture.caption
    assert Ink.ENTRY in pixels(picture.png)[2]


def test_what_lies_outside_of_the_paper_is_not_drawn() -> None:
    canvas = Canvas(20, 10)
    for left, top, right, bottom in ((-5, -5, -1, -1), (30, 30, 40, 40), (-5, 3, 40, 3)):
        canvas.box(left, top, right, bottom, Ink.UP)
    canvas.text(15, 8, "É€ 42", Ink.TEXT)
    canvas.line(-10, -10, 30, 20, Ink.STOP)
    width, height, inks = pixels(canvas.png())
    assert (width, height) == (20, 10)
    assert {Ink.PAPER, Ink.UP, Ink.STOP} <= inks
