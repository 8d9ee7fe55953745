"""Everything that runs beside trading raises once, in a whole bot with all its tasks, and is at work again (R72)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.sim.server.launch import launched
from fsm.bootstrap import Run, run_daemon
from fsm.cli.dashboard import Dashboard
from fsm.cli.inputs import Inputs
from fsm.config import load_config
from fsm.live.process.supervisor import Supervisor, name_of
from fsm.proofs.testkit.scripted_market import RULES, jump
from rules.load import load_rules
from store import queries
from store.database import open_store
from tests.integration.messenger_server import CHAT, TOKEN, messenger_server
from tests.integration.stories import CONFIG, NOON_MS, write_market

PATIENCE_S = 300.0
LASTING = {
    "accountdesk",
    "accountwatch",
    "bookkeeper",
    "chat",
    "commands",
    "presence",
    "dailylook",
    "daemon.heartbeat",
    "delivery",
    "lifeline.keep_beating",
    "listening",
    "ownaudit.hand_out_daily",
    "pacedclock.keep_right",
    "pulse.feel",
    "proofofstops",
    "reconciler",
    "reload",
    "routeproof",
    "set_aside",
    "shadowrounds",
    "symboldesk",
    "troubles",
    "userstream",
    "window",
}
"""What goes on for ever. What is done once, such as the verification of the journal, is begun again until it is."""

ONCE = {"announce", "ownaudit.compare_later", "ownaudit.verify_all", "symbollists"}


class RaisesOnce:
    """Stands before a task and fails in its place, the first time that it is begun."""

    def __init__(self, work: Callable[[], Awaitable[None]], raised: set[str], name: str) -> None:
        self._work, self._raised, self._name = work, raised, name

    async def __call__(self) -> None:
        if self._name not in self._raised:
            self._raised.add(self._name)
            raise RuntimeError("a task that fails once")
        await self._work()


def test_each_task_that_fails_is_begun_again_counted_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R72: a bare future that failed was gone for good, without a line."""
    raised: set[str] = set()
    begin = Supervisor.begin

    def begun(
        supervisor: Supervisor, work: Callable[[], Awaitable[None]], name: str = "", *, needs_journal: bool = False
    ) -> asyncio.Task[None]:
        name = name or name_of(work)
        return begin(supervisor, RaisesOnce(work, raised, name), name, needs_journal=needs_journal)

    monkeypatch.setattr(Supervisor, "begin", begun)
    db = tmp_path / "bot.sqlite"
    seen: dict[str, Any] = {}

    async def until_all_are_back() -> None:
        """Reads what anybody can read; a signal ends the bot, as it does in life."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not is_back(seen):
                    await asyncio.sleep(0.2)
                    seen.update(tasks_of(db))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    write_market(tmp_path, [jump(60_000.0)])
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text(RULES)
    with (
        launched("--data", str(tmp_path), "--start", str(NOON_MS), "--speed", "1") as sim,
        messenger_server() as chat,
        ExitStack() as windows,
    ):
        given = {
            "BINANCE_ENV": "sim",
            "SIM_REST_URL": sim.rest,
            "SIM_WS_URL": sim.ws,
            "BINANCE_API_KEY": sim.api_key,
            "BINANCE_API_SECRET": sim.api_secret,
            "TG_BOT_TOKEN": TOKEN,
            "TG_CHAT_ID": CHAT,
            "TG_BASE_URL": chat.url,
        }
        inputs = Inputs(load_config(tmp_path / "config.yaml", None, given), load_rules(tmp_path / "rules.yaml"), ())
        window = Dashboard(windows, inputs, db, 0, tell=lambda address: None, is_json=True)
        run_daemon(
            Run(
                config=inputs.config,
                rules=inputs.rules,
                db=db,
                on_step=lambda step: None,
                config_path=tmp_path / "config.yaml",
                rules_path=tmp_path / "rules.yaml",
                on_ready=lambda network, address, blocked: window.may_open.set(),
                further=(until_all_are_back, window.run),
            )
        )
        assert any(
            "reload failed (RuntimeError: a task that fails once); the task starts again" in t for t in chat.texts
        )
    assert set(seen) - {"until_all_are_back"} == LASTING | ONCE
    assert is_back(seen)
    with open_store(db, mode="read") as store:
        assert {row.component for row in queries.errors(store, limit=100)} >= LASTING | ONCE
        assert queries.system_events(store, limit=1)[0].kind == "STOP"


def is_back(tasks: dict[str, Any]) -> bool:
    """Each failed once, and those that last are at work."""
    return tasks.keys() >= LASTING | ONCE and all(
        tasks[name]["failures"] == 1 and tasks[name]["is_working"] is (name in LASTING) for name in LASTING | ONCE
    )


def tasks_of(db: Path) -> dict[str, Any]:
    with open_store(db, mode="read") as store:
        found = queries.document(store, "health")
    tasks: dict[str, Any] = {} if found is None else msgspec.json.decode(found.body_json)["tasks"]
    return tasks
