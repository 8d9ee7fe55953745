"""Takes up edits of rules.yaml and config.yaml while running: whole, stable, checked, committed, then in force.

A file that does not pass, whose tests fail, that is gone, or allows more by what it no longer says changes nothing and
is told once. Open trades keep the rules that they were opened under.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from fsm.config import Config, Settings, changes, read_settings, reloaded, settings_hash
from fsm.core.model.decision import Rejected
from fsm.live.context.entry_blocks import ALL, FILES_UNUSABLE
from fsm.live.operator.accepted import digest_of, loosened, waits_in_rules, waits_in_settings
from fsm.live.operator.news import edited_rules_news, listed, new_settings_news, refused_file_news
from fsm.live.operator.proposals import FROM_THE_BROWSER, PROPOSED, checked, is_proposed, valid, write_whole
from fsm.live.operator.waiting_edits import WAITING, Waiting
from fsm.live.process import documents
from fsm.live.process.daemon import Daemon
from fsm.live.process.newness import LOOSER_EDIT, is_wanted, small_steps_news
from fsm.live.trading.market import Market
from rules.load import Ruleset, load_rules
from rules.looseness import shown
from rules.source.yaml_source import Problem, Source, SourceError, contents, read_source
from rules.testing.beside import TESTS_GONE, Stamp, is_guarded, problems_beside, stamp_beside
from rules.testing.file import path_of_tests
from store.batch import Batch
from store.errors import StoreError
from store.rows import ConfigVersionRow, RuleVersionRow

log = structlog.get_logger("fsm.reload")

POLL_S = 2.0
LOOKS_TO_JUDGE = 2
"""A file is judged once it was the same at so many looks."""
PROBLEMS_TOLD = 5
TESTS_S_MAX = 20.0
"""For all tests of a rules file together; other tasks go on meanwhile."""
CONFIG, RULES = "config", "rules"
EDIT = "edit"


@dataclass(slots=True)
class _Watched:
    """One file. ``settled`` is the text that was judged last, ``candidate`` one that has been seen once so far.
    ``is_usable`` False: the start could not use the files, and this one has not been right since. ``failed_by``: the
    tests that refused it; once they are edited it is judged again."""

    path: Path
    settled: str | None = None
    candidate: str | None = None
    waiting: Waiting | None = None
    told: str = ""
    is_usable: bool = True
    failed_by: Stamp = None


class Reload:
    """Watches two files; ``None`` watches neither. ``looked_ms`` is when both could be looked at last."""

    def __init__(self, daemon: Daemon, *, config: Config, config_path: Path | None, rules_path: Path | None) -> None:
        self._daemon = daemon
        self._config = config
        paths = {CONFIG: config_path, RULES: rules_path}
        self._watched = {name: _Watched(path) for name, path in paths.items() if path is not None}
        self._is_guarded = rules_path is not None and is_guarded(rules_path)
        self._begin()
        self.looked_ms: int | None = None
        self._looks = 0
        daemon.commands.on_edit = self.decide
        daemon.files_looked_ms = lambda: self.looked_ms

    def _begin(self) -> None:
        """Files are compared with what was accepted; those that a start could not use are judged whatever they say."""
        for name, file in self._watched.items():
            file.is_usable = not self._is_blocked
            file.settled = self._accepted_text(name) if file.is_usable else None

    @property
    def _is_blocked(self) -> bool:
        return self._daemon.live.blocks.holds(ALL, FILES_UNUSABLE)

    def _unblock(self) -> None:
        """Both files are right again: entries need no longer wait for them."""
        if not self._is_blocked or not all(file.is_usable for file in self._watched.values()):
            return
        live = self._daemon.live
        live.blocks.clear(ALL, FILES_UNUSABLE)
        at_ms = live.clock.now_ms()
        self._daemon.say("rules_changed", "Both files can be used again: entries are allowed.", key=f"usable {at_ms}")

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The edits that wait for the operator's word."""
        return tuple(each.waiting for each in self._watched.values() if each.waiting is not None)

    async def run(self) -> None:
        """Look every two seconds."""
        await self._daemon.started.wait()
        while True:
            await self.look()
            await self._daemon.live.clock.sleep(POLL_S)

    async def look(self) -> None:
        """Judge what differs from what was judged last, once it was the same at two looks."""
        for name, file in self._watched.items():
            text = self._read(file)
            if text is None or (text == file.settled and not _tests_edited(file)):
                file.candidate = None if text is not None else file.candidate
                continue
            if text != file.candidate:
                file.candidate = text
                continue
            await self._judge(name, file, text)
        self._unblock()
        self._looks += 1
        self.looked_ms = self._daemon.live.clock.wall_ms()

    def _accepted_text(self, name: str) -> str:
        accepted = self._daemon.live.active.accepted
        return accepted.text if name == CONFIG else accepted.rules.text

    def _read(self, file: _Watched) -> str | None:
        """The text as bytes stand in it, or None after saying once why there is none."""
        try:
            text = contents(file.path).decode("utf-8", "surrogateescape")
        except OSError as error:
            problem = Problem(str(file.path), 1, 1, f"cannot be read ({error.strerror})")
            if file.told != problem.message:
                file.told = problem.message
                self._refused(file.path, SourceError([problem]))
            return None
        file.told = ""
        return text

    async def _judge(self, name: str, file: _Watched, text: str) -> None:
        """A file that fails in a way nobody foresaw is refused like any other; only a lost journal gets through."""
        had, file.waiting, file.failed_by = file.waiting, None, None
        try:
            await (self._rules if name == RULES else self._settings)(file, text)
            file.is_usable = True
        except StoreError:
            raise
        except SourceError as error:
            self._refused(file.path, error)
        except Exception as error:
            log.error("reload_failed", reason=type(error).__name__, file=str(file.path), exc_info=error)
            told = f"could not be taken up ({type(error).__name__}: {error})"
            self._refused(file.path, SourceError([Problem(str(file.path), 1, 1, told)]))
        file.settled, file.candidate = text, None
        if had != file.waiting:
            self._leave_document()

    async def _rules(self, file: _Watched, text: str) -> None:
        rules = load_rules(file.path)
        _unchanged_since(file, text, rules.text)
        active = self._daemon.live.active
        if rules.hash == active.accepted.rules.hash and file.is_usable:
            return
        await self._ask_tests(file, rules)
        if rules.hash == active.accepted.rules.hash:
            return
        waits: list[object] = [*waits_in_rules(active.accepted, rules, is_real_money=self._is_real_money)]
        if self._is_real_money and is_proposed(self._daemon.live.journal.store, text):
            waits.append(FROM_THE_BROWSER)
        if self._is_guarded and not is_guarded(file.path):
            waits.append(TESTS_GONE)
        if waits:
            self._wait(file, text, waits)
        else:
            await self._take_rules(rules)

    async def _ask_tests(self, file: _Watched, rules: Ruleset) -> None:
        """Raises SourceError where a test beside the file fails, or where they take too long."""
        self._is_guarded |= is_guarded(file.path)
        clock, stamp = self._daemon.live.clock, stamp_beside(file.path)
        until = clock.monotonic() + TESTS_S_MAX
        try:
            for found in problems_beside(rules, file.path):
                if found:
                    raise SourceError(found)
                if clock.monotonic() > until:
                    told = f"took more than {TESTS_S_MAX:.0f} s: `rules test` runs them; leave fewer beside the rules"
                    raise SourceError([Problem(str(path_of_tests(file.path)), 1, 1, told)])
                await clock.sleep(0)
        except SourceError:
            file.failed_by = stamp
            raise

    async def _settings(self, file: _Watched, text: str) -> None:
        source = read_source(file.path)
        _unchanged_since(file, text, source.text)
        wanted, accepted = read_settings(source), self._daemon.live.active.accepted
        if wanted == accepted.settings:
            return
        waits = waits_in_settings(accepted, wanted, source.text, is_real_money=self._is_real_money)
        if waits:
            self._wait(file, text, waits)
        else:
            self._take_settings(source, wanted)

    @property
    def _is_real_money(self) -> bool:
        return self._config.environment.is_real_money

    # --- what waits ---------------------------------------------------------------------------
    def _wait(self, file: _Watched, text: str, waits: Sequence[object]) -> None:
        live = self._daemon.live
        at_ms = live.clock.now_ms()
        file.waiting = waiting = Waiting(
            file=file.path.name, digest=digest_of(text), changes=tuple(map(str, waits)), since_ms=at_ms
        )
        live.journal.note(at_ms, "RELOAD_WAITS", file.path.name, digest=waiting.digest, changes=waiting.changes)
        log.warning("reload_waits", reason="LOOSER", file=str(file.path), changes=list(waiting.changes))
        self._daemon.say("rules_changed", waiting.told, key=f"waits {at_ms} {waiting.digest}")

    async def decide(self, verb: str, digests: Sequence[str]) -> str:
        """The operator's word on the edits of these digests. Raises Rejected when one does not wait any more."""
        await self._until_judged()
        if verb == EDIT:
            return await self._edited(*digests)
        waiting = {each.waiting.digest: name for name, each in self._watched.items() if each.waiting is not None}
        gone = [digest for digest in digests if digest not in waiting]
        if gone or not digests:
            raise Rejected("NOTHING_WAITS", f"no edit {', '.join(gone)} waits: the file was changed again, or taken")
        told = [await self._decided(verb, waiting[digest]) for digest in digests]
        self._leave_document()
        return "; ".join(told)

    async def _edited(self, based_on: str, packed: str) -> str:
        """An edit of the dashboard: written over what it was made from, then judged like any other, or put back."""
        live, file = self._daemon.live, self._watched.get(RULES)
        if file is None or self._read(file) != file.settled or file.waiting is not None:
            raise Rejected("FILE_CHANGED", "the file itself is being edited, or an edit of it waits")
        text, rules = checked(packed, based_on, live.active.accepted.rules, is_allowed=live.active.settings.reload)
        await valid(self._ask_tests(file, rules))  # before it is written, or a bot that died would find what it refuses
        before, digest = file.settled or "", digest_of(text)
        live.journal.note(live.clock.now_ms(), PROPOSED, digest, based_on=based_on, rules=rules.hash)
        write_whole(file.path, text)
        await self._judge(RULES, file, text)
        if live.active.accepted.rules.hash == rules.hash:
            return f"{file.path.name} {rules.hash[:12]} is in force"
        if digest in {each.digest for each in self.waiting}:
            return f"{file.path.name} waits: `reload confirm` at the terminal takes it ({digest})"
        write_whole(file.path, before)
        file.settled, file.candidate = before, None
        raise Rejected("REFUSED", f"{file.path.name} was not taken and stands as before; the alert has the reason")

    async def _until_judged(self) -> None:
        """Just after a start no file has been. It is waited for and not hurried: a file that is being written is the
        same at two looks in a row."""
        for _ in range(2 * LOOKS_TO_JUDGE):
            if self._looks >= LOOKS_TO_JUDGE:
                return
            await self._daemon.live.clock.sleep(POLL_S / 2)

    async def _decided(self, verb: str, name: str) -> str:
        file = self._watched[name]
        waiting, live = file.waiting, self._daemon.live
        assert waiting is not None
        if verb == "reject":
            live.journal.note(live.clock.now_ms(), "RELOAD_REJECTED", file.path.name, digest=waiting.digest)
            file.waiting = None
            return f"{file.path.name} was rejected: what was accepted last stays in force; put the file back"
        if self._read(file) != file.settled:
            raise Rejected("FILE_CHANGED", f"{file.path.name} has been changed since: look at what waits now")
        try:
            if name == RULES:
                rules = load_rules(file.path)
                await self._ask_tests(file, rules)
                await self._take_rules(rules)
                self._is_guarded = is_guarded(file.path)
            else:
                source = read_source(file.path)
                self._take_settings(source, read_settings(source))
        except SourceError as error:
            raise Rejected("INVALID", str(error)) from error
        file.waiting = None
        return f"{file.path.name} is in force"

    def _leave_document(self) -> None:
        """For whoever asks what waits."""
        live = self._daemon.live
        live.journal.document(WAITING, live.clock.now_ms(), {"edits": self.waiting})

    # --- what is taken ------------------------------------------------------------------------
    async def _take_rules(self, rules: Ruleset) -> None:
        """New rules hold from the next close on."""
        live = self._daemon.live
        old = live.active.rules
        entry = live.active.settings.timeframes.entry
        if rules.for_symbol("").entry_timeframe is not entry:
            raise SourceError([Problem(rules.name, 1, 1, f"the entry timeframe must stay {entry} until a restart")])
        unnamed = live.active.settings.timeframes.unnamed(rules.timeframes)
        if unnamed:
            told = f"candles of {', '.join(unnamed)} are not among the timeframes of config.yaml until a restart"
            raise SourceError([Problem(rules.name, 1, 1, told)])
        markets, store = self._daemon.markets, live.journal.store
        known = list(markets)
        others = await self._under(rules, known)
        text = edited_rules_news(rules, old)
        async with self._daemon.schedule.turn:
            others |= await self._under(rules, [symbol for symbol in markets if symbol not in known])
            at_ms = live.clock.now_ms()
            self._step_small(at_ms, live.active.accepted.settings, live.active.accepted.text, rules)
            batch = Batch(rule_versions=[RuleVersionRow(at_ms=at_ms, rules_hash=rules.hash, text=rules.text)])
            self._commit(batch, at_ms, "RULES", text, rules_hash=rules.hash)
            live.active.swap_rules(rules)
            live.active.accepted = replace(live.active.accepted, rules=rules)
            live.journal.rules_hash = rules.hash
            for symbol, market in markets.items():
                wanted = live.rules_of(symbol)  # a trade's own go on being read, until a close finds it ended
                if symbol in others and others[symbol].rules is wanted:
                    market.become(others[symbol], store)
                elif market.rules.reads_as(wanted):
                    market.follow(wanted)
        self._accepted("RULES", text)

    async def _under(self, rules: Ruleset, symbols: Sequence[str]) -> dict[str, Market]:
        """Markets that these rules read in another way, built beside the old ones; symbols come and go meanwhile."""
        found, store = {}, self._daemon.live.journal.store
        for symbol in symbols:
            market, own = self._daemon.markets.get(symbol), rules.for_symbol(symbol)
            is_free = market is not None and self._daemon.live.engine.record(symbol).trade is None
            if market is not None and is_free and not market.rules.reads_as(own):
                found[symbol] = await market.under(own, store)
        return found

    def _take_settings(self, source: Source, wanted: Settings) -> None:
        """Committed as they will be, then in force; what only a start can build is accepted and waits for one."""
        live = self._daemon.live
        found = changes(live.active.settings, wanted)
        partly = reloaded(live.active.settings, wanted)
        hashes = dict.fromkeys((settings_hash(partly), settings_hash(wanted)))
        now = [f"{each.path} {shown(each.old)} → {shown(each.new)}" for each in found if each.reloadable]
        later = [f"{each.path} {shown(each.old)} → {shown(each.new)}" for each in found if not each.reloadable]
        text = new_settings_news(listed(now), listed(later))
        at_ms = live.clock.now_ms()
        self._step_small(at_ms, wanted, source.text, live.active.accepted.rules)
        versions = [ConfigVersionRow(at_ms=at_ms, config_hash=each, text=source.text) for each in hashes]
        self._commit(Batch(config_versions=versions), at_ms, "CONFIG", text, config_hash=settings_hash(wanted))
        live.active.swap_settings(partly)
        live.active.accepted = replace(live.active.accepted, text=source.text, settings=wanted)
        live.journal.config_hash = live.active.config_hash
        live.engine.policy = live.active.settings
        self._accepted("CONFIG", text)

    def _step_small(self, at_ms: int, settings: Settings, text: str, rules: Ruleset) -> None:
        """Before an edit that allows more is in force, as a death in between must not lose it; by the settings until
        now, or the edit could forbid it."""
        live = self._daemon.live
        if not is_wanted(live.engine.policy, is_real_money=self._is_real_money):
            return
        if loosened(live.active.accepted, settings, text, rules):
            live.engine.begin_small_steps(at_ms, LOOSER_EDIT)
            news = small_steps_news(LOOSER_EDIT, live.engine.policy)
            self._daemon.say("rules_changed", news, key=f"small steps {at_ms}")

    def _commit(
        self, batch: Batch, at_ms: int, what: str, text: str, *, config_hash: str = "", rules_hash: str = ""
    ) -> None:
        """The version and the word that it was accepted, in one transaction; before any of it is in force."""
        live = self._daemon.live
        accepted = live.active.accepted
        config_hash = config_hash or settings_hash(accepted.settings)
        versions = {"config": config_hash, "rules": rules_hash or accepted.rules.hash}
        batch.system_events.append(live.journal.event(at_ms, "RELOAD", what, text=text, accepted=versions))
        live.journal.journal.commit(batch)

    def _accepted(self, what: str, text: str) -> None:
        live = self._daemon.live
        at_ms = live.clock.now_ms()
        live.journal.document("config", at_ms, documents.config(self._config, live))
        log.info("reloaded", reason=what, text=text)
        self._daemon.say("rules_changed", text, key=f"reload {at_ms} {what}")

    def _refused(self, path: Path, error: SourceError) -> None:
        live = self._daemon.live
        at_ms = live.clock.now_ms()
        told = "; ".join(str(problem) for problem in error.problems[:PROBLEMS_TOLD])
        live.journal.note(at_ms, "RELOAD_REFUSED", path.name, problems=told)
        log.error("reload_refused", reason="INVALID", file=str(path), problems=told)
        news = refused_file_news(path.name, told)
        self._daemon.say("rules_changed", news, key=f"refused {at_ms} {path.name}")


def _tests_edited(file: _Watched) -> bool:
    return file.failed_by is not None and file.failed_by != stamp_beside(file.path)


def _unchanged_since(file: _Watched, seen: str, read: str) -> None:
    """What was checked must be what was seen twice. Raises SourceError."""
    if seen.encode("utf-8", "surrogateescape").removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace") != read:
        told = "was changed while it was read: it is read again when it rests"
        raise SourceError([Problem(str(file.path), 1, 1, told)])
