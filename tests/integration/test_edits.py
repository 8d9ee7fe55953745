"""R73: an edit is whole and stable, and never allows more by what it does not say; what allows more can wait (docs)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from exchange.types import Order
from fsm.config import Settings, read_settings
from fsm.config.looseness import loosenings
from fsm.live.operator.accepted import last_accepted
from fsm.live.operator.reload import Reload
from fsm.live.operator.waiting_edits import waiting
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, TO_SIGNAL, jump, quiet
from rules.load import parse_rules
from rules.looseness import loosenings as of_rules
from rules.source.yaml_source import parse_source
from store import queries
from store.database import open_store
from store.inbox import Inbox
from tests.effort import FULL

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config.yaml").read_text("utf-8")
SHIPPED_RULES = (ROOT / "rules.yaml").read_text("utf-8")
ALWAYS = SHIPPED.replace("confirm_looser: mainnet ", "confirm_looser: always ")
STRICT = (
    ALWAYS.replace("max_open_positions: 3 ", "max_open_positions: 1 ")
    .replace("risk_per_trade_pct: 0.5 ", "risk_per_trade_pct: 0.2 ")
    .replace("daily_loss_pct: 3.0 ", "daily_loss_pct: 1.0 ")
    .replace("drawdown_pct: 25.0 ", "drawdown_pct: 12.5 ")
    .replace("action: BLOCK_ENTRIES ", "action: FLATTEN ")
)
MARKET = [jump(60_000.0), *quiet(60_600.0, 6)]
SEED = 20261129


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    paths["rules"].write_text(RULES)
    paths["config"].write_text(SHIPPED)
    return paths


def watching(r: InProcessBot, files: dict[str, Path]) -> Reload:
    return Reload(r.running, config=r.config, config_path=files["config"], rules_path=files["rules"])


async def taken_up(reload: Reload) -> None:
    await reload.look()
    await reload.look()


async def wished(r: InProcessBot, kind: str) -> str:
    """Post a command as the command line does, and give what became of it."""
    assert r.store is not None
    number = Inbox(r.store).post(kind, None, "cli", 0)
    await r.seconds(2)
    found = Inbox(r.store).get(number)
    assert found is not None
    return f"{found.state} {found.guard or ''} {found.detail}"


def events(r: InProcessBot, kind: str) -> list[str]:
    with open_store(r.db, mode="read") as store:
        return [row.facts_json for row in queries.system_events(store, kind=kind, limit=1000)]


def settings_of(text: str) -> Settings:
    return read_settings(parse_source(text, "config.yaml"))


def test_an_edit_is_taken_when_two_looks_have_shown_the_same(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload, policy = watching(r, files), r.running.live.engine
        await taken_up(reload)
        files["config"].write_text(SHIPPED.replace("max_open_positions: 3 ", "max_open_positions: 2 "))
        await reload.look()
        assert policy.policy.risk.max_open_positions == 3, "it may still be being written"
        files["config"].write_text(SHIPPED.replace("max_open_positions: 3 ", "max_open_positions: 1 "))
        await reload.look()
        assert policy.policy.risk.max_open_positions == 3
        await reload.look()
        assert policy.policy.risk.max_open_positions == 1

    r.run(script)
    assert any("max_open_positions 3 → 1" in told for told in events(r, "RELOAD")), "the old and the new value are told"


def test_a_section_that_is_cut_off_waits_everywhere_and_its_limits_stay(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)
    strict = SHIPPED.replace("max_open_positions: 3 ", "max_open_positions: 1 ")

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload, engine = watching(r, files), r.running.live.engine
        files["config"].write_text(strict)
        await taken_up(reload)
        files["config"].write_text(strict[: strict.index("# [live] What one trade")])
        await taken_up(reload)
        assert engine.policy.risk.max_open_positions == 1
        [edit] = reload.waiting
        assert "risk.max_open_positions 1 → not in the file: 3" in edit.changes
        assert "reload confirm" in edit.told
        await taken_up(reload)
        assert len(events(r, "RELOAD_WAITS")) == 1, "told once"
        files["config"].write_text(strict)
        await taken_up(reload)
        assert reload.waiting == ()

    r.run(script)


def test_a_confirmation_waits_for_the_looks_of_a_start_and_makes_none_itself(
    rehearse: Make, files: dict[str, Path]
) -> None:
    """Two looks in a row would take the other file for whole in the middle of its being written."""
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        assert "refused" not in await wished(r, "reload confirm 12345678"), "nothing has been looked at yet"
        assert reload.looked_ms is None
        await taken_up(reload)
        assert "refused NOTHING_WAITS" in await wished(r, "reload confirm 12345678")

    r.run(script)


def test_the_operator_confirms_exactly_what_waits(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)
    looser = ALWAYS.replace("max_open_positions: 3 ", "max_open_positions: 4 ")

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload, engine = watching(r, files), r.running.live.engine
        files["config"].write_text(ALWAYS)
        await taken_up(reload)
        files["config"].write_text(looser)
        await taken_up(reload)
        [edit] = reload.waiting
        assert r.store is not None
        assert waiting(r.store) == (edit,), "readers see it"
        files["config"].write_text(looser.replace("max_open_positions: 4 ", "max_open_positions: 40 "))
        assert "refused FILE_CHANGED" in await wished(r, f"reload confirm {edit.digest}")
        assert engine.policy.risk.max_open_positions == 3
        files["config"].write_text(looser)
        await taken_up(reload)
        assert "refused NOTHING_WAITS" in await wished(r, "reload confirm 12345678")
        assert "done" in await wished(r, f"reload confirm {edit.digest}")
        assert engine.policy.risk.max_open_positions == 4
        assert reload.waiting == ()
        assert waiting(r.store) == ()

    r.run(script)


def test_what_was_rejected_does_not_wait_any_more_and_changes_nothing(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        files["config"].write_text(ALWAYS)
        await taken_up(reload)
        files["config"].write_text(ALWAYS.replace("daily_loss_pct: 3.0", "daily_loss_pct: 4.0"))
        await taken_up(reload)
        [edit] = reload.waiting
        assert "done" in await wished(r, f"reload reject {edit.digest}")
        await taken_up(reload)
        assert reload.waiting == ()
        assert r.running.live.engine.policy.limits.daily_loss_pct == 3

    r.run(script)


def test_a_start_does_not_take_what_waits_either(rehearse: Make, files: dict[str, Path]) -> None:
    """The start is given the looser file: what was accepted last is in force, and the edit goes on waiting."""
    r = rehearse(BTCUSDT=MARKET)
    strict = SHIPPED.replace("max_open_positions: 3 ", "max_open_positions: 1 ")
    cut = strict[: strict.index("# [live] What one trade")]

    async def script(r: InProcessBot) -> None:
        await r.start()
        files["config"].write_text(strict)
        await taken_up(watching(r, files))
        files["config"].write_text(cut)
        await r.kill()
        r.config = type(r.config)(settings=settings_of(cut), environment=r.config.environment, text=cut)
        await r.start()
        assert r.running.live.engine.policy.risk.max_open_positions == 1
        reload = watching(r, files)
        await taken_up(reload)
        [edit] = reload.waiting
        assert "done" in await wished(r, f"reload confirm {edit.digest}")
        assert r.running.live.engine.policy.risk.max_open_positions == 3
        await r.kill()
        await r.start()
        assert r.running.live.engine.policy.risk.max_open_positions == 3, "what was confirmed stays"

    r.run(script)


def test_settings_that_wait_for_a_restart_are_accepted_before_it(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)
    wanted = SHIPPED.replace("leverage: 2 ", "leverage: 1 ")

    async def script(r: InProcessBot) -> None:
        await r.start()
        files["config"].write_text(wanted)
        await taken_up(watching(r, files))
        assert r.running.live.active.settings.account.leverage == 2
        assert r.store is not None
        accepted = last_accepted(r.store)
        assert accepted is not None
        assert accepted.settings.account.leverage == 1

    r.run(script)


def test_rules_that_lose_a_condition_or_an_exit_wait(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)
    exit_when = '      exit_when: [{id: falls, when: "close_1h < 0.997 * open_1h"}]\n'
    condition = '{id: jumps, when: "close_1h > 1.008 * open_1h"}'
    more = RULES.replace(f"[{condition}]", f'[{condition}, {{id: far, when: "high_1h > 0"}}]')

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload, active = watching(r, files), r.running.live.active
        files["rules"].write_text(more)
        await taken_up(reload)
        held = active.rules.hash
        assert held == parse_rules(more, "x").hash
        for less, gone in (
            (RULES, "setup.far high_1h > 0 → not in the file"),
            (more.replace(exit_when, ""), "exit_when"),
        ):
            files["rules"].write_text(less)
            await taken_up(reload)
            assert active.rules.hash == held
            [edit] = reload.waiting
            assert len(edit.changes) == 1
            assert gone in edit.changes[0]

    r.run(script)


def test_a_file_that_is_gone_is_told_once_and_nothing_changes(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        await taken_up(reload)
        before = r.running.live.active.settings
        text = files["config"].read_text()
        files["config"].unlink()
        for _ in range(5):
            await reload.look()
        assert len([told for told in events(r, "RELOAD_REFUSED") if "cannot be read" in told]) == 1
        files["config"].write_text(text)
        await taken_up(reload)
        assert r.running.live.active.settings == before

    r.run(script)


def test_a_trade_is_managed_while_files_change_under_it(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = watching(r, files)
        await r.hours(TO_SIGNAL + 0.5)
        files["config"].write_text("version: 1")
        files["rules"].write_text("")
        await taken_up(reload)
        assert r.running.workers["BTCUSDT"].looking.stop_seen is not None
        algos: list[Order] = list(await r.port.open_algos("BTCUSDT"))  # type: ignore[arg-type]
        assert algos

    r.run(script)


# --- every prefix, and mutations ------------------------------------------------------------------
def prefixes(text: str, step: int) -> Iterator[str]:
    """The text cut off after every so many bytes, and at each end of a line, before and after it in turn."""
    breaks = [index for index, char in enumerate(text) if char == "\n"]
    ends = {index + number % 2 for number, index in enumerate(breaks)}
    yield from (text[:end] for end in sorted(ends | set(range(0, len(text), step))))


def mutations(text: str, count: int, seed: int) -> Iterator[str]:
    """Lines lost, doubled, swapped, moved; digits changed; characters lost; the tail lost; each alone and together."""
    chance = random.Random(seed)
    plain = [line for line in text.splitlines(keepends=True) if line.split("#")[0].strip()]
    for _ in range(count):
        lines = list(plain)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            value = lines[at].split("#")[0]
            match chance.randrange(8):
                case 0:
                    del lines[at]
                case 1:
                    lines[at], lines[other] = lines[other], lines[at]
                case 2 | 3 | 4:
                    digits = "".join(chance.choice("0123456789") if c.isdigit() else c for c in value)
                    lines[at] = digits.rstrip() + "\n"
                case 5:
                    cut = chance.randrange(len(value))
                    lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
                case 6:
                    lines = lines[: max(at, 1)]
                case _:
                    lines.insert(other, lines[at])
            if not lines:
                break
        yield "".join(lines)


def hammer(r: InProcessBot, files: dict[str, Path], texts: dict[str, Iterator[str]]) -> int:
    """Save each text under the running bot: what is in force never allows more than before; how many were taken."""
    taken = 0
    r.config = type(r.config)(settings=settings_of(STRICT), environment=r.config.environment, text=STRICT)
    files["config"].write_text(STRICT)

    async def script(r: InProcessBot) -> None:
        nonlocal taken
        await r.start()
        reload, active = watching(r, files), r.running.live.active
        files["rules"].write_text(SHIPPED_RULES)
        await taken_up(reload)
        for edit in reload.waiting:
            await reload.decide("confirm", [edit.digest])
        assert active.rules.hash == parse_rules(SHIPPED_RULES, "x").hash
        for name, edits in texts.items():
            for text in edits:
                settings, rules, accepted = active.settings, active.rules, active.accepted
                files[name].write_text(text)
                await taken_up(reload)
                more = loosenings(settings, active.settings, was_given={}, is_given={})
                assert more == (), (text, more)
                assert of_rules(rules.definition, active.rules.definition) == ()
                if active.accepted is not accepted:
                    taken += 1
                    files[name].write_text(STRICT if name == "config" else SHIPPED_RULES)
                    await taken_up(reload)
                    for edit in reload.waiting:
                        await reload.decide("confirm", [edit.digest])
        assert r.is_alive

    r.run(script)
    assert not [told for told in events(r, "RELOAD_REFUSED") if "could not be taken up" in told]
    return taken


def test_no_prefix_of_config_allows_more(rehearse: Make, files: dict[str, Path]) -> None:
    r = rehearse(BTCUSDT=MARKET)
    hammer(r, files, {"config": prefixes(STRICT, 61)})
    assert any("not in the file" in told for told in events(r, "RELOAD_WAITS"))


def test_no_prefix_of_rules_allows_more(rehearse: Make, files: dict[str, Path]) -> None:
    hammer(rehearse(BTCUSDT=MARKET), files, {"rules": islice(prefixes(SHIPPED_RULES, 997), 0, None, 1 if FULL else 5)})


@pytest.mark.parametrize(("name", "text", "count"), [("config", STRICT, 200), ("rules", SHIPPED_RULES, 20)])
def test_no_mutation_allows_more(rehearse: Make, files: dict[str, Path], name: str, text: str, count: int) -> None:
    assert hammer(rehearse(BTCUSDT=MARKET), files, {name: mutations(text, count, SEED)}) >= max(count // 100, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text", "count"), [("config", STRICT, 8_000), ("rules", SHIPPED_RULES, 2_000)])
def test_no_byte_prefix_and_none_of_ten_thousand_mutations_allows_more(
    rehearse: Make, files: dict[str, Path], name: str, text: str, count: int
) -> None:
    texts = {name: iter([*prefixes(text, 1), text, *mutations(text, count, SEED + 1)])}
    assert hammer(rehearse(BTCUSDT=MARKET), files, texts) >= max(count // 100, 1)


def test_rules_are_compared_by_what_they_mean() -> None:
    """Renamed or reworded conditions are changes, not absences; those that are gone are named with what they said."""
    old = parse_rules(SHIPPED_RULES, "rules.yaml").definition
    renamed = SHIPPED_RULES.replace("{id: back_inside, when", "{id: inside_again, when")
    assert of_rules(old, parse_rules(renamed, "rules.yaml").definition) == ()
    less = SHIPPED_RULES.replace('        - {id: back_inside, when: "mr_lower <= mr_close < mr_middle"}\n', "")
    [found] = of_rules(old, parse_rules(less, "rules.yaml").definition)
    assert found.vanished
    assert found.path == "strategies.bollinger_mean_reversion.long.setup.back_inside"
    assert found.old == "mr_lower <= mr_close < mr_middle"


@pytest.mark.parametrize(
    ("was", "becomes", "path"),
    [
        ("cooldown: {losses: 3, candles: 24}", "cooldown: {losses: 4, candles: 24}", "router.cooldown.losses"),
        ("cooldown: {losses: 3, candles: 24}", "cooldown: {losses: 3, candles: 12}", "router.cooldown.candles"),
        ("  cooldown: {losses: 3, candles: 24}", "", "router.cooldown"),
        (
            "exit_after_candles: 48",
            "exit_after_candles: 49",
            "strategies.bollinger_mean_reversion.manage.exit_after_candles",
        ),
        ('      trail: "day_high_1h - 2.5 * atr_4h"\n', "", "strategies.squeeze_breakout.long.trail"),
        ("confirmations: 3", "confirmations: 2", "regimes.confirmations"),
        ("reward_risk_min: 1.8", "reward_risk_min: 1.7", "strategies.squeeze_breakout.reward_risk_min"),
    ],
)
def test_numbers_of_rules_that_allow_more_are_known(was: str, becomes: str, path: str) -> None:
    assert was in SHIPPED_RULES
    old = parse_rules(SHIPPED_RULES, "rules.yaml").definition
    new = parse_rules(SHIPPED_RULES.replace(was, becomes, 1), "rules.yaml").definition
    assert [found.path for found in of_rules(old, new)] == [path]
    assert of_rules(new, old) == ()
