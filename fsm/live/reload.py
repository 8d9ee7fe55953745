"""Takes up edits of rules.yaml and config.yaml while running: checked, compared, journalled, swapped between events.

A file that does not pass changes nothing and says so. Open trades keep the rules that they were opened under.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from fsm.config import Config, changes, read_settings, reloaded
from fsm.live import documents
from fsm.live.daemon import Daemon
from rules.load import Ruleset, load_rules
from rules.yaml_source import Problem, SourceError, read_source
from store.batch import Batch
from store.rows import ConfigVersionRow, RuleVersionRow

log = structlog.get_logger("fsm.reload")

POLL_S = 2.0
PROBLEMS_TOLD = 5


class Reload:
    """Watches two files by their time of change; ``None`` watches neither."""

    def __init__(self, daemon: Daemon, *, config: Config, config_path: Path | None, rules_path: Path | None) -> None:
        self._daemon = daemon
        self._config = config
        self._paths = {"config": config_path, "rules": rules_path}
        self._seen = {name: _stamp(path) for name, path in self._paths.items()}

    async def run(self) -> None:
        """Look every two seconds."""
        await self._daemon.started.wait()
        while True:
            await self.look()
            await self._daemon.shared.clock.sleep(POLL_S)

    async def look(self) -> None:
        """Take up what has changed since the last look."""
        for name, path in self._paths.items():
            stamp = _stamp(path)
            if path is None or stamp is None or stamp == self._seen[name]:
                continue
            self._seen[name] = stamp
            try:
                if name == "rules":
                    await self._take_rules(load_rules(path))
                else:
                    self._take_config(path)
            except SourceError as error:
                self._refused(path, error)

    async def _take_rules(self, rules: Ruleset) -> None:
        """New rules hold from the next close on; regime counters begin again from the last stable regime."""
        shared = self._daemon.shared
        old = shared.in_force.rules
        if rules.hash == old.hash:
            return
        entry = shared.in_force.settings.timeframes.entry
        if rules.for_symbol("").entry_timeframe is not entry:
            raise SourceError([Problem(rules.name, 1, 1, f"the entry timeframe must stay {entry} until a restart")])
        unnamed = shared.in_force.settings.timeframes.unnamed(rules.timeframes)
        if unnamed:
            told = f"candles of {', '.join(unnamed)} are not among the timeframes of config.yaml until a restart"
            raise SourceError([Problem(rules.name, 1, 1, told)])
        markets, store = self._daemon.markets, shared.books.store
        wanted = {symbol: rules.for_symbol(symbol) for symbol in markets}
        others = {
            symbol: await market.under(wanted[symbol], store)
            for symbol, market in markets.items()
            if not market.rules.reads_as(wanted[symbol])
        }
        async with self._daemon.schedule.turn:
            at_ms = shared.clock.now_ms()
            version = RuleVersionRow(at_ms=at_ms, rules_hash=rules.hash, text=rules.text)
            shared.books.journal.commit(Batch(rule_versions=[version]))
            shared.in_force.swap_rules(rules)
            shared.books.rules_hash = rules.hash
            for symbol, market in markets.items():
                if symbol in others:
                    market.become(others[symbol], store)
                else:
                    market.follow(wanted[symbol])
        self._accepted("RULES", f"new rules {rules.hash[:8]} in place of {old.hash[:8]}")

    def _take_config(self, path: Path) -> None:
        shared = self._daemon.shared
        source = read_source(path)
        wanted = read_settings(source)
        found = changes(shared.in_force.settings, wanted)
        if not found:
            return
        at_ms = shared.clock.now_ms()
        shared.in_force.swap_settings(reloaded(shared.in_force.settings, wanted))
        version = ConfigVersionRow(at_ms=at_ms, config_hash=shared.in_force.config_hash, text=source.text)
        shared.books.journal.commit(Batch(config_versions=[version]))
        shared.books.config_hash = shared.in_force.config_hash
        shared.engine.policy = shared.in_force.policy
        now = [change.path for change in found if change.reloadable]
        later = [change.path for change in found if not change.reloadable]
        text = f"in force: {', '.join(now) or 'nothing new'}"
        self._accepted("CONFIG", text + (f"; after a restart: {', '.join(later)}" if later else ""))

    def _accepted(self, what: str, text: str) -> None:
        shared = self._daemon.shared
        at_ms = shared.clock.now_ms()
        shared.books.note(at_ms, "RELOAD", what, text=text)
        shared.books.document("config", at_ms, documents.config(self._config, shared))
        log.info("reloaded", reason=what, text=text)
        self._daemon.say("rules_changed", text, key=f"reload {at_ms} {what}")

    def _refused(self, path: Path, error: SourceError) -> None:
        shared = self._daemon.shared
        at_ms = shared.clock.now_ms()
        told = "; ".join(str(problem) for problem in error.problems[:PROBLEMS_TOLD])
        shared.books.note(at_ms, "RELOAD_REFUSED", path.name, problems=told)
        log.error("reload_refused", reason="INVALID", file=str(path), problems=told)
        self._daemon.say("rules_changed", f"{path.name} was not taken up: {told}", key=f"refused {at_ms} {path.name}")


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Time of change and size; None when there is no such file at this moment."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size)
