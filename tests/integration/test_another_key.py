"""A key is renewed: the database goes on with its account's new key, and with nobody else's."""

from __future__ import annotations

import asyncio
import gzip
from decimal import localcontext
from pathlib import Path

import msgspec
import pytest

from exchange.secrets import Credentials, Secret
from exchange.sim.server.launch import Launched, launched
from fsm.bootstrap import Run, account_of
from fsm.config import load_config
from fsm.core.model.money import MONEY
from fsm.core.model.records import State
from fsm.live.preflight.meeting import StartRefused
from fsm.proofs.parity.run import stepped
from fsm.proofs.parity.stepped import stepped_daemon
from fsm.proofs.testkit.scripted_market import QUIET_HOURS, RULES, START_MS, jump, quiet
from rules.load import parse_rules
from store.database import open_store
from store.errors import WrongDatabase
from store.verify import verify

ROOT = Path(__file__).parents[2]
HOUR_MS = 3_600_000
SYMBOL = "BTCUSDT"
BTC = 60_000.0
FIRST_MS = START_MS + QUIET_HOURS * HOUR_MS


def run_in(folder: Path) -> Run:
    config = stepped(load_config(ROOT / "config.yaml", None, {"BINANCE_ENV": "sim"}), (SYMBOL,))
    rules = parse_rules(RULES, "rules of the small market")
    return Run(config=config, rules=rules, db=folder / "bot.sqlite", on_step=lambda step: None)


def whose(simulator: Launched) -> str:
    return account_of(Credentials(api_key=Secret(simulator.api_key), api_secret=Secret(simulator.api_secret)))


def remembered(run: Run) -> str | None:
    with open_store(run.db, mode="read") as store:
        assert store.identity is not None
        return store.identity.account


async def to_trade(run: Run, simulator: Launched) -> None:
    """Live through the hour that brings a position, and end in order."""
    async with stepped_daemon(run, simulator) as stepper:
        await stepper.close(FIRST_MS)
        await stepper.close(FIRST_MS + HOUR_MS)
        assert stepper.daemon.live.engine.record(SYMBOL).state is State.PROTECTED


async def state_of_trade(run: Run, simulator: Launched) -> State:
    async with stepped_daemon(run, simulator) as stepper:
        await stepper.close(FIRST_MS + 2 * HOUR_MS)
        return stepper.daemon.live.engine.record(SYMBOL).state


def test_a_new_key_of_the_same_account_goes_on_and_a_stranger_s_is_refused(tmp_path: Path) -> None:
    """The account is told by what it knows: an order whose id carries this database's own."""
    with gzip.open(tmp_path / f"{SYMBOL}-1h.csv.gz", "wt") as file:
        file.write("open_time_ms,open,high,low,close,volume\n")
        for number, hour in enumerate([*quiet(BTC, QUIET_HOURS), jump(BTC), *quiet(BTC * 1.01, 5)]):
            file.write(f"{START_MS + number * HOUR_MS},{','.join(f'{price:.1f}' for price in hour)},1000.0\n")
    run, state = run_in(tmp_path), str(tmp_path / "account")
    options = ["--data", str(tmp_path), "--start", str(FIRST_MS - HOUR_MS), "--speed", "0", "--clock-slack-ms", "-1"]
    with localcontext(MONEY):
        with launched(*options, "--state", state, "--seed", "1") as simulator:
            asyncio.run(to_trade(run, simulator))
            first = whose(simulator)
        assert remembered(run) == first
        with launched(*options, "--seed", "2") as stranger:
            assert whose(stranger) != first
            with pytest.raises(WrongDatabase, match="belongs to account"):
                asyncio.run(state_of_trade(run, stranger))
        assert remembered(run) == first, "a refusal changes nothing"
        with launched(*options, "--seed", "2") as deaf, pytest.raises(StartRefused, match="cannot be asked"):
            asyncio.run(state_of_trade(run, msgspec.structs.replace(deaf, api_secret="wrong")))
        assert remembered(run) == first, "nothing is concluded from an answer that did not come"
        with open_store(run.db, mode="write") as store:
            store.change_key("a key that was renewed since")
        with launched(*options, "--state", state) as simulator:
            assert asyncio.run(state_of_trade(run, simulator)) is State.PROTECTED
            assert remembered(run) == first
    assert verify(run.db).fine
