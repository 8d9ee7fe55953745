"""What `doctor` says of a good account and of twenty broken ones: ``python -m tests.doctor_page`` writes the page."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exchange.client_ids import Leg, client_id
from exchange.sim.server.launch import launched
from store.database import open_store
from tests.integration.test_doctor import OURS, Bench

PAGE = Path(__file__).parents[1] / "docs" / "doctor-examples.md"
HEAD = """# What `doctor` says of broken accounts

A good account first, then twenty that are not: only what is not fine is shown of them. Each was made on the emulator
and examined by the command itself; `python -m tests.doctor_page` writes this page, and a test compares.
[doctor.md](doctor.md) says what each check looks at.
"""
_MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
_LIMIT = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "20000", "timeInForce": "GTC"
}  # fmt: skip
_NOT_TAKEN = {"code": -4120, "msg": "Order type not supported for this endpoint."}

Broken = Callable[[Bench], tuple[str, ...] | None]
"""Breaks something, and gives further arguments of the command where it takes some."""


def _modes(**modes: object) -> Broken:
    return lambda bench: bench.act(action="modes", modes=modes) and None


def _env(**values: str | None) -> Broken:
    def change(bench: Bench) -> None:
        for name, value in values.items():
            bench.env.pop(name, None)
            if value is not None:
                bench.env[name] = value

    return change


def _database(environment: str, account: str | None) -> Broken:
    def make(bench: Bench) -> tuple[str, ...]:
        with open_store(bench.folder / "other.sqlite", mode="write") as store:
            store.bind(environment=environment, account=account, at_ms=0)
        return ("--db", "other.sqlite")

    return make


def _margined_otherwise(bench: Bench) -> None:
    bench.act(action="rules", symbol="ETHUSDT", marginAsset="USDC")


def _leverage(bench: Bench) -> None:
    bench.enable("ETHUSDT", leverage=125)
    effect = {"merge": {"brackets": {"initialLeverage": 50}}}
    bench.fault(match={"path": "/fapi/v1/leverageBracket"}, when="after", effect=effect)


BROKEN: dict[str, Broken] = {
    "The key is unknown": _env(BINANCE_API_KEY="k" * 64),
    "The secret is of another key": _env(BINANCE_API_SECRET="s" * 64),
    "There is no key": _env(BINANCE_API_KEY=None, BINANCE_API_SECRET=None),
    "The key may only read": _modes(key_trades=False),
    "The key may withdraw": _modes(key_withdraws=True),
    "The key works from every address": _modes(key_restricted=False),
    "The account may not trade": _modes(can_trade=False),
    "The account is in hedge mode": _modes(hedge=True),
    "The account is in multi-assets mode": _modes(multi_assets=True),
    "A symbol that is margined in something else": _margined_otherwise,
    "A symbol that the exchange does not know": lambda bench: bench.enable("BTCUSDT", "NOPEUSDT"),
    "A leverage that is not allowed": _leverage,
    "A position that is not the bot's": lambda bench: bench.act(action="order", params=_MARKET) and None,
    "Another copy of the bot": lambda bench: (
        bench.act(
            action="order",
            params={**_LIMIT, "newClientOrderId": client_id("0badc0de", "BTCUSDT", 3, Leg.ENTRY, 0, 1)},
        )
        and None
    ),
    "Stops are not taken": lambda bench: bench.fault(
        match={"path": "/fapi/v1/algoOrder", "method": "POST"}, effect={"status": 400, "body": _NOT_TAKEN}
    ),
    "The exchange tells no filters": lambda bench: bench.fault(
        match={"path": "/fapi/v1/exchangeInfo"}, when="after", effect={"merge": {"symbols": {"filters": []}}}
    ),
    "The database is of another environment": _database("mainnet", None),
    "The database is of another account": _database("sim", "someone else"),
    "The exchange cannot be reached": _env(SIM_REST_URL="http://127.0.0.1:9"),
    "The machine's clock is off": lambda bench: bench.fault(
        match={"path": "/fapi/v1/time"}, when="before", times=1, effect={"clock_jump_ms": -3_600_000}
    ),
}


def page() -> str:
    return "\n".join([HEAD, *_parts()]) + "\n"


def _parts() -> Iterator[str]:
    with _plain_environment(), launched("--symbols", "BTCUSDT,ETHUSDT", "--seed", "7") as emulator:
        for name, broken in {"A good account": None, **BROKEN}.items():
            with tempfile.TemporaryDirectory() as folder:
                before = Path.cwd()
                os.chdir(folder)
                try:
                    bench = Bench(Path(folder), emulator)
                    arguments = (broken(bench) or ()) if broken is not None else ()
                    ended = bench.run(*arguments)
                    lines = ended.stdout.splitlines()
                    bench.env["SIM_REST_URL"] = emulator.rest
                    bench.act(action="rules", symbol="ETHUSDT", marginAsset="USDT")
                    bench.restore()
                finally:
                    os.chdir(before)
                shown = lines if broken is None else [*_not_fine(lines), *lines[-2:]]
                yield f"## {name}\n\n```text\n{_settled(shown, Path(folder))}\n```\n"


def _not_fine(lines: list[str]) -> Iterator[str]:
    is_shown = False
    for line in lines[:-2]:
        if line[:4].strip():
            is_shown = line.startswith(("warn", "fail"))
        if is_shown:
            yield line


def _settled(lines: list[str], folder: Path) -> str:
    """What is otherwise on every machine and at every moment, as something that could stand there."""
    text = "\n".join(line.rstrip() for line in lines).strip("\n")
    text = text.replace(str(folder), "/home/you/bot")
    for what, instead in (
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:8600"),
        (r"[\d,]+ MB free", "48,211 MB free"),
        (r"(?<![\d,])\d{1,3} ms (behind|ahead of)", "12 ms behind"),
        (r"\b\d,\d{3},\d{3} ms", "3,600,012 ms"),
        (r"id [0-9a-f]{8}\b", "id a1b2c3d4"),
        (r"-P\d+\.", "-P1727654400."),
        (r"\(\d+ ms\)|in \d+ ms", "in 4 ms"),
        (r"\b\d+ of ([\d,]+)", r"57 of \1"),
    ):
        text = re.sub(what, instead, text)
    return text


@contextmanager
def _plain_environment() -> Iterator[None]:
    """Without keys and addresses of whoever runs this."""
    taken = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(OURS)}
    try:
        yield
    finally:
        os.environ.update(taken)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
