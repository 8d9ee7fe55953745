"""Asks the exchange and this machine whether the bot may start: one line a check, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fsm.cli import output
from fsm.cli.errors import NotReady
from fsm.cli.inputs import loose_secrets, read_inputs
from fsm.cli.logs import configure_logs
from fsm.cli.options import Options, command, current

if TYPE_CHECKING:
    from fsm.live.preflight.findings import Finding

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": None}


@command()
def doctor() -> None:
    """Ask whether the bot is ready to start here. Looks at the machine, the account and the exchange; exit 3 if not.

    Changes nothing, but for one far stop on a flat symbol that is placed, read back and cancelled.
    """
    from fsm.bootstrap import Run
    from fsm.live.preflight.preflight import examine
    from store.lock import holder

    options = current()
    inputs = read_inputs(options, needs_keys=False)
    configure_logs(json=options.json, level="error", environment=inputs.config.environment.mark)
    path = options.db or inputs.config.environment.database_path
    run = Run(config=inputs.config, rules=inputs.rules, db=path, on_step=lambda step: None)
    findings = [*_of_secrets(options, inputs.config.environment.secret_files.values()), *examine(run)]
    ready = all(found.verdict.value != "fail" for found in findings)
    if options.json:
        environment = inputs.config.environment.name.value
        output.document({"ready": ready, "environment": environment, "database": str(path), "checks": findings})
    else:
        output.banner(inputs.config.environment.name.value)
        name = inputs.config.environment.name.value
        fine = f"Nothing is wrong with what runs on {name}" if holder(path) is not None else f"Ready to start on {name}"
        _print(findings, fine if ready else f"NOT READY to start on {name}")
    if not ready:
        raise NotReady


def _of_secrets(options: Options, files: Iterable[Path]) -> Iterator[Finding]:
    from fsm.live.preflight.findings import ok, warn

    for path in (options.env_path, *files):
        loose = loose_secrets(path)
        if loose is not None:
            yield warn("secrets", f"{path} is not yours alone", loose)
        elif path.exists():
            yield ok("secrets", f"{path} is yours alone")


def _print(findings: list[Finding], conclusion: str) -> None:
    width = max(len(found.check) for found in findings)
    for found in findings:
        mark = click.style(f"{found.verdict.value:<4}", fg=_COLORS[found.verdict.value])
        output.hanging(f"{mark}  {found.check:<{width}}  ", found.seen)
        if found.advice:
            output.hanging(f"{'':4}  {'':<{width}}  → ", found.advice)
    count = Counter(found.verdict.value for found in findings)
    summary = ", ".join(f"{count[name]} {name}" for name in _COLORS if count[name])
    output.line()
    output.line(f"{conclusion}: {summary}")
