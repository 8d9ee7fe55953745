"""Shadows beside a bot: their trades are those of a backtest of their file, no edit of the live rules changes them,
and one that is promoted takes the road of every edit."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fsm.backtest.comparing.matching import differing
from fsm.backtest.shadows import ShadowError, ShadowFolder
from fsm.cli.app import app
from fsm.journal.replay import replay
from fsm.live.operator.shadow_rounds import ShadowRounds
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet
from rules.load import parse_rules
from store import queries
from store.database import open_store
from store.trade_rows import TradeRow
from store.verify import verify
from tests.recorded import recorded

ROOT = Path(__file__).parents[2]
Make = Callable[..., InProcessBot]
BTC = 60_000.0
TOP = BTC * 1.01
DOWN = [(TOP, TOP, 60_300.0, 60_300.0), (60_300.0, 60_300.0, BTC, BTC)]
ROUND = [jump(BTC), *quiet(TOP, 2), (TOP, TOP * 1.013, TOP * 0.9995, TOP), *quiet(TOP, 2), *DOWN]
FAR = RULES.replace("entry + 3 * risk", "entry + 6 * risk")
NEVER = RULES.replace("close_1h > 1.008 * open_1h", "close_1h > 1.08 * open_1h")


def trades(path: Path) -> list[TradeRow]:
    with open_store(path, mode="read") as store:
        return queries.trades(store, limit=1_000)[::-1]


async def three_rounds(bot: InProcessBot) -> None:
    """Two shadows begin after the first jump, and the market jumps twice more."""
    await bot.start()
    await bot.hours(TO_SIGNAL + 5.5)
    folder = ShadowFolder(bot.db)
    for name, text in (("same", RULES), ("far", FAR), ("never", NEVER)):
        folder.add(name, bot.db.parent / f"{name}.yaml", parse_rules(text, name), bot.config.text, Decimal(10_000))
    assert folder.figures("same").problem == "no candle has closed since it was added"
    await bot.hours(17)


@pytest.fixture
def ran(rehearse: Make) -> InProcessBot:
    bot = rehearse(BTCUSDT=ROUND * 3)
    bot.run(three_rounds)
    return bot


def test_a_shadow_of_the_live_rules_makes_the_trades_that_the_bot_makes_from_then_on(ran: InProcessBot) -> None:
    found = ShadowFolder(ran.db).refresh("same", ())
    assert found.problem == ""
    own, live = trades(Path(found.database)), trades(ran.db)[1:]
    assert len(own) == len(live) == 2 == found.live_trades
    assert own[-1].flagged == "END_OF_DATA", "it is open now"
    own, live = own[:-1], live[:-1]
    for mine, theirs in zip(own, live, strict=True):
        assert (mine.signal_candle_ms, mine.side, mine.entry_price) == (
            theirs.signal_candle_ms, theirs.side, theirs.entry_price,
        )  # fmt: skip
        assert (mine.exit_price, mine.exit_reason) == (theirs.exit_price, theirs.exit_reason)


def test_each_has_its_own_book_journal_and_answers(ran: InProcessBot) -> None:
    folder = ShadowFolder(ran.db)
    far, never = folder.refresh("far", ()), folder.refresh("never", ())
    assert never.trades == never.open == 0
    assert far.trades + far.open > 0
    path = Path(far.database)
    assert verify(path).fine
    assert replay(path).different == 0
    with open_store(path, mode="read") as store:
        first = store.connection.execute("SELECT balance FROM equity_snapshots ORDER BY id LIMIT 1").get
        assert Decimal(str(first)) == 10_000
        assert queries.rule_versions(store)[0].rules_hash == parse_rules(FAR, "far").hash
    assert verify(ran.db).fine
    assert replay(ran.db).different == 0


def test_what_is_decided_stays_decided_when_more_candles_come(rehearse: Make) -> None:
    """Each refresh makes the journal anew, and what had happened is in it unchanged."""
    bot = rehearse(BTCUSDT=ROUND * 3)
    seen: list[list[TradeRow]] = []

    async def script(bot: InProcessBot) -> None:
        await three_rounds(bot)
        for _ in range(2):
            found = ShadowFolder(bot.db).refresh("same", ())
            seen.append([row for row in trades(Path(found.database)) if row.flagged is None])
            await bot.hours(3)

    bot.run(script)
    before, after = seen
    assert before
    for old, new in zip(before, after, strict=False):
        assert not differing(old, new)


def test_a_running_bot_brings_them_up_to_date_in_processes_of_their_own(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=ROUND * 3)
    asked: list[str] = []

    async def ask(args: Sequence[str]) -> Any:
        asked.append(" ".join(args))
        found = ShadowFolder(bot.db).refresh(args[2], ())
        return {"shadows": [{"name": found.name, "trades": found.trades, "problem": found.problem}]}

    async def script(bot: InProcessBot) -> None:
        await three_rounds(bot)
        rounds = ShadowRounds(bot.running, bot.db, ask)
        task = asyncio.create_task(rounds.run())
        await bot.hours(1)
        await bot.seconds(60)
        await bot.hours(1)
        await bot.seconds(60)
        task.cancel()

    bot.run(script)
    assert asked == [f"shadow refresh {name}" for name in ("far", "never", "same")] * 3
    with open_store(bot.db, mode="read") as store:
        document = queries.document(store, "shadows")
    assert document is not None
    assert [row["name"] for row in json.loads(document.body_json)["shadows"]] == ["far", "never", "same"]


def test_names_that_are_taken_or_none_are_refused_and_what_is_removed_is_gone(ran: InProcessBot) -> None:
    folder = ShadowFolder(ran.db)
    rules = parse_rules(RULES, "r")
    for name in ("same", "no/name", ""):
        with pytest.raises(ShadowError):
            folder.add(name, Path("r.yaml"), rules, ran.config.text, None)
    folder.refresh("same", ())
    folder.remove("same")
    assert folder.names() == ["far", "never"]
    assert not [path for path in folder.folder.iterdir() if path.name.startswith("same.")]
    with pytest.raises(ShadowError, match="there are far, never"):
        folder.remove("same")


def test_a_first_candle_that_decides_nothing_yet_is_no_error(rehearse: Make) -> None:
    bot = rehearse(BTCUSDT=ROUND)
    told: list[str] = []

    async def script(bot: InProcessBot) -> None:
        await bot.start()
        await bot.hours(TO_SIGNAL + 0.5)
        folder = ShadowFolder(bot.db)
        folder.add("same", bot.db.parent / "same.yaml", parse_rules(RULES, "same"), bot.config.text, Decimal(10_000))
        for _ in range(3):
            await bot.hours(1)
            told.append(folder.refresh("same", ()).problem)

    bot.run(script)
    assert told == ["nothing was decided since it was added", "", ""]


@pytest.mark.parametrize(
    ("read", "named"), [("ETHUSDT.close_1h", "ETHUSDT at 1h"), ("close_4h", "BTCUSDT at 4h"), ("BTCUSDT.close_1h", "")]
)
def test_what_reads_candles_that_the_bot_does_not_keep_is_refused_by_name(
    ran: InProcessBot, read: str, named: str
) -> None:
    """It would have decided on UNKNOWN for ever, and nobody would have known."""
    text = RULES.replace("  open_1h:", "  close_4h: {indicator: close, timeframe: 4h}\n  open_1h:").replace(
        "close_1h > 1.008 * open_1h", f"close_1h > 1.008 * open_1h and {read} > 0"
    )
    folder, rules = ShadowFolder(ran.db), parse_rules(text, "r")
    if not named:
        folder.add("reads", Path("r.yaml"), rules, ran.config.text, None)
        assert folder.refresh("reads", ()).problem == "no candle has closed since it was added"
        return
    with pytest.raises(ShadowError, match=f"keeps no candles of {named}"):
        folder.add("reads", Path("r.yaml"), rules, ran.config.text, None)
    assert "reads" not in folder.names()


@pytest.fixture(scope="module")
def journal_of_two_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shadows") / "bot.sqlite"
    return recorded(path, from_ms=1_722_470_400_000, to_ms=1_727_740_800_000)


class TestPromoting:
    """On the command line, with the shipped files and a database with two months of trades."""

    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal_of_two_months: Path) -> Path:
        for name in ("config.yaml", "rules.yaml", "rules.tests.yaml"):
            shutil.copy(ROOT / name, tmp_path / name)
        shutil.copy(journal_of_two_months, tmp_path / "bot.sqlite")
        monkeypatch.chdir(tmp_path)
        text = (ROOT / "rules.yaml").read_text("utf-8")
        (tmp_path / "new.yaml").write_text(text.replace("adx_trend: 25 ", "adx_trend: 26 "), "utf-8")
        return tmp_path

    def call(self, *args: str) -> Any:
        return CliRunner().invoke(app, ["shadow", *args, "--db", "bot.sqlite"])

    def test_the_old_file_is_kept_and_the_new_one_is_whole(self, project: Path) -> None:
        before = (project / "rules.yaml").read_text("utf-8")
        assert self.call("add", "new.yaml").exit_code == 0
        (project / "new.yaml").write_text("an edit of the file changes nothing", "utf-8")
        refused = self.call("promote", "new", "--json")
        assert refused.exit_code == 3
        assert (project / "rules.yaml").read_text("utf-8") == before
        done = self.call("promote", "new", "--yes", "--json")
        assert done.exit_code == 0, done.output
        assert (project / "rules.yaml").read_text("utf-8") == before.replace("adx_trend: 25 ", "adx_trend: 26 ")
        assert (project / "rules.yaml.before-new").read_text("utf-8") == before
        assert json.loads(done.stdout)["kept"] == ["rules.yaml.before-new"]

    def test_rules_whose_tests_fail_are_not_taken_up(self, project: Path) -> None:
        tests = (ROOT / "rules.tests.yaml").read_text("utf-8").replace("guard: false", "guard: true")
        (project / "new.tests.yaml").write_text(tests, "utf-8")
        before = (project / "rules.yaml").read_text("utf-8")
        assert self.call("add", "bold", "new.yaml").exit_code == 0
        ended = self.call("promote", "bold", "--yes", "--json")
        assert ended.exit_code == 4
        assert "nothing was changed" in ended.stderr
        assert (project / "rules.yaml").read_text("utf-8") == before

    def test_a_file_that_cannot_be_used_is_no_shadow(self, project: Path) -> None:
        (project / "new.yaml").write_text("version: 1\nstrategies: 7\n", "utf-8")
        ended = self.call("add", "new.yaml")
        assert ended.exit_code == 2
        assert "new.yaml:2:" in ended.stderr
        assert json.loads(self.call("list", "--json").stdout)["shadows"] == []
