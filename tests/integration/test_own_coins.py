"""A coin that nobody shipped, with rules of its own: backtested, checked, and played by the embedded exchange."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from exchange.candle_files import CandleFolders
from exchange.sim.playback.feed import SymbolFeed
from exchange.sim.playback.rulebook import Rulebook
from exchange.sim.playback.symbols import shipped_exchange_info, shipped_folder, symbol_rows
from exchange.sim.server.setup import SimulationSetup, build
from fsm.cli.app import app
from fsm.config import load_config
from fsm.live.process.embedded import embedded_command
from fsm.proofs.testkit.in_process_bot import InProcessBot
from indicators.candle import Timeframe
from tests.archives import klines, recorded
from tests.integration.test_timeframes import config_of, rules_of
from web.app import create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for httpx2; httpx is what we have
    from starlette.testclient import TestClient

ROOT = Path(__file__).parents[2]
COIN = "1000OWNUSDT"
SPAN = ("--from", "2024-11-15", "--to", "2024-12-20")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the coin's candles in its store, and no rules of it."""
    for name in ("config.yaml", "rules.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BINANCE_ENV", raising=False)
    (tmp_path / f"{COIN}-1h.csv").write_text(klines(recorded("SOLUSDT-1h"), header=True))
    assert call("data", "import", f"{COIN}-1h.csv")[0] == 0
    return tmp_path


def call(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(args))
    return done.exit_code, done.output


def give_rules(folder: Path, name: str = "symbols.json") -> None:
    rows = {str(row["symbol"]): row for row in symbol_rows(shipped_exchange_info())}
    (folder / name).write_text(json.dumps({"symbols": [{**rows["SOLUSDT"], "symbol": COIN}]}))
    tables = {row["symbol"]: row for row in json.loads((shipped_folder() / "brackets.json").read_text())}
    (folder / "brackets.json").write_text(json.dumps([{**tables["SOLUSDT"], "symbol": COIN}]))


def test_without_rules_it_is_said_what_is_missing(project: Path) -> None:
    code, said = call("backtest", "--symbols", COIN, *SPAN)
    assert code == 2
    assert f"no filters are known of {COIN}: `data download --symbols {COIN}` fetches them" in said
    assert f"no leverage brackets are known of {COIN}" in said


def test_with_rules_it_is_backtested_as_the_coin_that_it_was_made_of(project: Path) -> None:
    give_rules(project / "var" / "data")
    code, said = call("backtest", "--symbols", COIN, *SPAN, "--json", "--db", "own.sqlite")
    assert code == 0, said
    own = json.loads(said.splitlines()[-1])
    assert own["trades"] > 0
    assert own["symbol_rules"][COIN]["known_then"] is False
    assert "1000OWNUSDT" in call("trades", "--db", "own.sqlite")[1]
    code, said = call("backtest", "--symbols", COIN, *SPAN)
    assert f"those of 2024-11-15 are not known of {COIN}" in said


def test_rules_with_a_date_are_known_to_be_those_of_the_time(project: Path) -> None:
    store = project / "var" / "data"
    give_rules(store, "symbols-2024-06-01.json")
    (store / "brackets.json").rename(store / "brackets-2024-06-01.json")
    own = json.loads(call("backtest", "--symbols", COIN, *SPAN, "--json")[1].splitlines()[-1])
    assert own["symbol_rules"][COIN] == {
        "filters_since": "2024-06-01",
        "brackets_since": "2024-06-01",
        "known_then": True,
        "changed_on": [],
    }


def test_the_embedded_exchange_plays_it_beside_the_shipped_ones(project: Path) -> None:
    give_rules(project / "var" / "data")
    config = load_config(Path("config.yaml"), None, {})
    options = embedded_command(config, project / "state").options
    assert options[options.index("--instead") + 1] == str(Path("var/data"))
    emulator = build(
        SimulationSetup(folders=(shipped_folder(),), instead=(Path("var/data"),), start_ms=1_731_000_000_000)
    )
    assert {COIN, "BTCUSDT"} <= set(emulator.world.feeds)
    assert [row["symbol"] for row in emulator.listing.rows({COIN: None})] == [COIN]
    assert COIN in emulator.world.venue.state.filters


def test_the_daemon_trades_it_on_the_embedded_exchange_and_every_surface_shows_it(project: Path) -> None:
    """The bot's own wiring in one process: the coin's rules are those of its files, its brackets those of another."""
    store, db = project / "var" / "data", project / "var" / "sim.sqlite"
    give_rules(store)
    (store / "brackets.json").unlink()
    assert call("data", "brackets", COIN, "--like", "WIFUSDT")[0] == 0
    book, feed = Rulebook.read((store,)), SymbolFeed.read(CandleFolders((store,)), COIN, Timeframe.H1)
    start_ms = feed.start_ms + 1_000 * Timeframe.H1.ms
    bot = InProcessBot(
        config=config_of(project, "1h", "4h", symbols=(COIN,)),
        rules=rules_of("1h", "4h"),
        feeds={COIN: feed},
        db=db,
        start_ms=start_ms,
        filters={COIN: book.filters[COIN]},
        brackets={COIN: book.brackets[COIN]},
    )

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.until(start_ms + 100 * Timeframe.H1.ms)

    bot.run(script)
    (project / "rules.yaml").write_text(bot.rules.text)
    trades = json.loads(call("trades", "--json")[1].splitlines()[-1])["trades"]
    assert len(trades) > 3
    assert {trade["symbol"] for trade in trades} == {COIN}
    for shown in (("trades",), ("status",), ("why", COIN), ("audit", "--symbol", COIN)):
        code, said = call(*shown)
        assert (code, COIN in said) == (0, True), (shown, said)
    assert call("replay", str(db))[0] == 0
    app = create_app(db, token=None)
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)) as window:
        assert window.get("/api/trades").json()["trades"][0]["symbol"] == COIN
        assert window.get(f"/api/why/{COIN}").json()["symbol"] == COIN
        assert [row["machine"]["symbol"] for row in window.get("/api/symbols").json()["symbols"]] == [COIN]
        assert window.get(f"/api/panes/{COIN}").json()["symbol"] == COIN
