"""Saves config.yaml and rules.yaml as editors do in bad moments: cut off at any byte, and whole a little later."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from fsm.config import Settings
from fsm.live.context.live_context import LiveContext
from fsm.proofs.torture.plan import Disturbance, Plan, config_of, rules_text

WATCHED = (
    ("risk", "risk_per_trade_pct"),
    ("risk", "max_open_positions"),
    ("risk", "max_exposure_pct"),
    ("risk", "max_open_risk_pct"),
    ("limits", "daily_loss_pct"),
    ("limits", "weekly_loss_pct"),
    ("limits", "monthly_loss_pct"),
    ("limits", "drawdown_pct"),
    ("account", "leverage"),
)
"""Settings of which more is looser, and which a cut number can only make smaller."""

Check = Callable[[str, bool, str], None]


class Editor:
    """``base`` are the settings without a plan's own. What is cut off is saved whole once ``now_ms`` is there."""

    def __init__(self, plan: Plan, base: dict[str, Any], config: Path, rules: Path, check: Check) -> None:
        self._plan = plan
        self._base = base
        self._config, self._rules = config, rules
        self._check = check
        self._later: list[tuple[int, Path, str]] = []
        self._most: tuple[Decimal, ...] | None = None
        self._left_of_config = b""

    def edit(self, what: Disturbance, now_ms: int, live: LiveContext | None) -> None:
        whole_ms = now_ms + int(what.seconds * 1000)
        match what.what:
            case "cut-rules":
                self._cut(self._rules, rules_text(what.count), what.amount, whole_ms)
            case "cut-config":
                wanted = config_of(self._base, self._plan, what.count)
                self._begin_watch(wanted, live)
                self._cut(self._config, in_blocks(wanted), what.amount, whole_ms)
            case "disabled":
                wanted = config_of(self._base, self._plan)
                without = {**wanted, "symbols": {**wanted["symbols"], what.symbol: {"enabled": False}}}
                self._config.write_text(in_blocks(without), encoding="utf-8")
                self._later.append((whole_ms, self._config, in_blocks(wanted)))

    def _cut(self, path: Path, text: str, amount: float, whole_ms: int) -> None:
        data = text.encode()
        left = data[: int(amount * len(data))]
        path.write_bytes(left)
        if path == self._config:
            self._left_of_config = left
        self._later.append((whole_ms, path, text))

    def passed(self, now_ms: int, live: LiveContext | None) -> None:
        """Save what is due, and see that nothing in force is looser than it was, or than the whole file says.

        Where another hand has saved a whole file meanwhile, that one counts, and nothing is watched any more.
        """
        if not self._later:
            return
        if self._most is not None and self._config.read_bytes() != self._left_of_config:
            self._most = None
        if self._most is not None and live is not None:
            found = watched(live.active.settings.plain())
            names = [".".join(name) for name in WATCHED]
            looser = [f"{name} {now}" for name, now, most in zip(names, found, self._most, strict=True) if now > most]
            self._check("NEVER_LOOSER", not looser, f"a config.yaml that was cut off allows more: {', '.join(looser)}")
        for each in [each for each in self._later if each[0] <= now_ms]:
            self._later.remove(each)
            each[1].write_text(each[2], encoding="utf-8")
            self._most = None if each[1] == self._config else self._most

    def _begin_watch(self, wanted: dict[str, Any], live: LiveContext | None) -> None:
        if live is None:
            self._most = None
            return
        accepted: Settings = live.active.accepted.settings
        most = zip(watched(live.active.settings.plain()), watched(accepted.plain()), watched(wanted), strict=True)
        self._most = tuple(max(each) for each in most)

    def end_all(self) -> None:
        self._later.clear()
        self._most = None


def watched(settings: dict[str, Any]) -> tuple[Decimal, ...]:
    return tuple(Decimal(str(settings[section][key])) for section, key in WATCHED)


def in_blocks(value: dict[str, Any], indent: str = "") -> str:
    """Block YAML, of which most beginnings are YAML too, as a person writes it."""
    lines = []
    for key, each in value.items():
        if isinstance(each, dict) and each:
            lines.append(f"{indent}{key}:\n{in_blocks(each, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(each)}\n")
    return "".join(lines)
