"""R73: whatever stands in place of the two files, limits stay as they were accepted; it is told once; nothing dies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fsm.live.operator.reload import Reload
from fsm.proofs.testkit.in_process_bot import InProcessBot
from fsm.proofs.testkit.scripted_market import RULES, jump, quiet
from store import queries
from store.database import open_store

Make = Callable[..., InProcessBot]
ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "config.yaml").read_text("utf-8")
STRICT = SHIPPED.replace("max_open_positions: 3 ", "max_open_positions: 1 ").replace(
    "daily_loss_pct: 3.0 ", "daily_loss_pct: 1.0 "
)
MARKET = [jump(60_000.0), *quiet(60_600.0, 6)]
Deed = Callable[[Path], None]


def text(old: str, new: str) -> Deed:
    assert old in STRICT

    def write(path: Path) -> None:
        path.write_text(STRICT.replace(old, new))

    return write


def raw(content: bytes) -> Deed:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


POSITIONS = "max_open_positions: 1 "
ODD: dict[str, Deed] = {
    "directory": directory,
    "dangling": dangling,
    "loop": loop,
    "pipe": pipe,
    "device": device,
    "empty": raw(b""),
    "zeros": raw(b"\0" * 4096),
    "utf16": raw(STRICT.encode("utf-16")),
    "null": raw(b"null\n"),
    "list": raw(b"- 1\n"),
    "two documents": raw(STRICT.encode() + b"---\n" + SHIPPED.encode()),
    "not utf-8": raw(STRICT.replace("# ", "# \udcff", 1).encode("utf-8", "surrogateescape")),
    "nan": text(POSITIONS, "max_open_positions: .nan "),
    "inf": text("daily_loss_pct: 1.0 ", "daily_loss_pct: .inf "),
    "huge": text(POSITIONS, f"max_open_positions: {'9' * 5000} "),
    "exponent": text("daily_loss_pct: 1.0 ", "daily_loss_pct: 1e3 "),
    "negative": text("daily_loss_pct: 1.0 ", "daily_loss_pct: -1 "),
    "null value": text(POSITIONS, "max_open_positions: null "),
    "tilde": text(POSITIONS, "max_open_positions: ~ "),
    "text": text(POSITIONS, 'max_open_positions: "1" '),
    "twice": text(POSITIONS, "max_open_positions: 1\n  max_open_positions: 9 "),
    "section twice": raw(STRICT.encode() + b"\nrisk: {max_open_positions: 9}\n"),
    "anchor": text(POSITIONS, "max_open_positions: &x 1 "),
    "merge": text(POSITIONS, "<<: {max_open_positions: 9} "),
    "tag": text(POSITIONS, "max_open_positions: !!int 9 "),
    "octal": text(POSITIONS, "max_open_positions: 011 "),
    "underscore": text(POSITIONS, "max_open_positions: 1_0 "),
    "sexagesimal": text(POSITIONS, "max_open_positions: 1:30 "),
    "renamed": text(POSITIONS, "max_open_position: 1 "),
    "deep": raw(b"[" * 100_000),
    "long": raw(STRICT.encode() + b"# " + b"x" * 5_000_000),
    "bom": raw(b"\xef\xbb\xbf" + STRICT.replace(POSITIONS, "").encode()),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["config", "rules"])
def test_whatever_stands_in_place_of_a_file_limits_stay_and_it_is_told_once(
    rehearse: Callable[..., InProcessBot], tmp_path: Path, odd: str, name: str
) -> None:
    paths = {"rules": tmp_path / "rules.yaml", "config": tmp_path / "config.yaml"}
    paths["rules"].write_text(RULES)
    paths["config"].write_text(STRICT)
    r = rehearse(BTCUSDT=MARKET)

    async def script(r: InProcessBot) -> None:
        await r.start()
        reload = Reload(r.running, config=r.config, config_path=paths["config"], rules_path=paths["rules"])
        for _ in range(2):
            await reload.look()
        active = r.running.live.active
        before = active.settings, active.rules.hash
        assert r.running.live.engine.policy.risk.max_open_positions == 1
        ODD[odd](paths[name])
        for _ in range(6):
            await reload.look()
        assert (active.settings, active.rules.hash) == before
        assert r.is_alive

    r.run(script)
    with open_store(r.db, mode="read") as store:
        told = [
            row
            for kind in ("RELOAD_REFUSED", "RELOAD_WAITS")
            for row in queries.system_events(store, kind=kind, limit=100)
            if row.reason == paths[name].name
        ]
    assert not [row.facts_json for row in told if "could not be taken up" in row.facts_json]
    assert len(told) == 1, [row.facts_json[:300] for row in told]
