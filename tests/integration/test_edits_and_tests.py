"""R73: a running bot does not take up rules whose tests fail, and does once either file is mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fsm.cli.inputs import inputs_to_run
from fsm.cli.options import Options
from fsm.live.operator.reload import Reload
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet
from rules.source.yaml_source import SourceError
from rules.testing.file import read_tests
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
MARKET = [jump(60_000.0), *quiet(60_600.0, 6)]
TESTS = """\
version: 1
tests:
  - name: seven in a thousand are no jump
    facts: {close_1h: 100.75, open_1h: 100, low_1h: 99}
    strategy: jump
    expect: {silence: NO_SETUP}
  - {name: only the candles know, symbol: BTCUSDT, at: "2024-01-01T00:00", expect: {regime: RANGE}}
"""
EDITED = RULES.replace("1.008", "1.007")


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.yaml" for name in ("rules", "config", "rules.tests")}
    found["rules"].write_text(RULES)
    found["config"].write_text((ROOT / "config.yaml").read_text("utf-8"))
    found["rules.tests"].write_text(TESTS)
    return found


def refusals(r: InProcessBot) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.facts_json for row in queries.system_events(store, kind="RELOAD_REFUSED", limit=100)]


async def looks(reload: Reload) -> None:
    await reload.look()
    await reload.look()


def test_rules_whose_tests_fail_are_refused_until_rules_or_tests_are_mended(rehearse: Make, paths) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=paths["rules"])
        was = r.running.live.active.rules.hash
        paths["rules"].write_text(EDITED)
        await looks(reload)
        assert r.running.live.active.rules.hash == was
        [told] = refusals(r)
        assert "rules.tests.yaml:6:23" in told
        assert "seven in a thousand are no jump" in told
        await looks(reload)
        assert len(refusals(r)) == 1, "it is told once"
        paths["rules.tests"].write_text(TESTS.replace("100.75", "100.65"))
        await looks(reload)
        assert r.running.live.active.rules.hash != was, "the test was mended, and the same rules are taken"

    r.run(script)


def test_tests_that_do_not_guard_keep_no_edit_away(rehearse: Make, paths) -> None:
    """The shipped rules are there to be edited: their tests say what an edit changes, and only where they are asked."""
    r = rehearse(BTCUSDT=MARKET)
    paths["rules.tests"].write_text(TESTS.replace("version: 1\n", "version: 1\nguard: false\n"))

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=paths["rules"])
        was = r.running.live.active.rules.hash
        paths["rules"].write_text(EDITED)
        await looks(reload)
        assert r.running.live.active.rules.hash != was

    r.run(script)
    assert refusals(r) == []


def test_once_the_tests_are_gone_an_edit_waits_until_it_is_confirmed(rehearse: Make, paths) -> None:
    """They kept edits away until somebody, or a full disk, took them; nothing said that none did any more."""
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=paths["rules"])
        was = r.running.live.active.rules.hash
        paths["rules.tests"].unlink()
        await looks(reload)
        assert reload.waiting == (), "there is no edit yet"
        paths["rules"].write_text(EDITED)
        await looks(reload)
        [waiting] = reload.waiting
        assert "the tests beside the rules that kept edits away are gone" in waiting.told
        assert r.running.live.active.rules.hash == was
        await reload.decide("confirm", [waiting.digest])
        taken = r.running.live.active.rules.hash
        assert taken != was
        paths["rules"].write_text(RULES)
        await looks(reload)
        assert reload.waiting == ()
        assert r.running.live.active.rules.hash == was, "whoever confirmed knows that there are none"

    r.run(script)


def test_the_shipped_tests_do_not_guard() -> None:
    assert not read_tests(ROOT / "rules.tests.yaml").guard


def test_tests_that_cannot_be_read_keep_an_edit_away_as_well(rehearse: Make, paths) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=None, rules_path=paths["rules"])
        was = r.running.live.active.rules.hash
        paths["rules.tests"].write_text("version: 2\n")
        paths["rules"].write_text(EDITED)
        await looks(reload)
        assert r.running.live.active.rules.hash == was
        assert "rules.tests.yaml:1:10" in refusals(r)[0]
        paths["rules.tests"].unlink()
        await looks(reload)
        [waiting] = reload.waiting
        await reload.decide("confirm", [waiting.digest])
        assert r.running.live.active.rules.hash != was

    r.run(script)


def test_a_start_with_failing_tests_is_refused_unless_a_trade_is_open(rehearse: Make, paths, tmp_path) -> None:
    """An open trade is managed by the rules that were accepted last, and nothing is entered."""
    r = rehearse(BTCUSDT=MARKET)
    environment = tmp_path / ".env"
    environment.write_text("BINANCE_ENV=sim\n")
    paths["rules"].write_text(EDITED)

    def options(database: Path) -> Options:
        return Options(config=paths["config"], rules=paths["rules"], env_file=environment, db=database)

    async def script(r: InProcessBot) -> None:
        await r.start()
        with pytest.raises(SourceError, match="seven in a thousand are no jump"):
            inputs_to_run(options(r.db))
        await r.hours(TO_SIGNAL + 0.5)
        assert "seven in a thousand are no jump" in inputs_to_run(options(r.db)).unusable

    r.run(script)
