"""Shadows: rules files that run beside the live one without orders, each over the candles that the bot has used.

A shadow keeps the rules and settings that it began with and a book of its own. Its journal is that of a backtest of
that file from that moment, made anew when candles have come: so its trades are those of a backtest, by construction.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from fsm.backtest.comparing.rerun import CannotRepeat, Repeater
from fsm.backtest.comparing.side import CannotCompare, Side, Span, net, read_side
from fsm.config.loading import stored_settings
from fsm.config.settings import Settings
from fsm.journal.shadow_folder import NOTE, shadow_folder, shadow_names
from indicators.candle import Timeframe
from rules.features import length_of, symbol_of
from rules.load import Ruleset, stored_rules
from rules.testing.file import path_of_tests
from store import queries
from store.database import Store, open_store

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
FLAGGED_OPEN = "END_OF_DATA"
"""How a backtest flags what is still open at its end: of a shadow, what is open now."""


class ShadowError(Exception):
    """It cannot be done; the message says why and what to do."""


class Shadow(msgspec.Struct, frozen=True, kw_only=True):
    """``file`` is where the rules came from; ``began_ms``: signals of candles that closed by then are not its own."""

    name: str
    file: str
    rules_hash: str
    began_ms: int
    balance_usdt: Decimal


class ShadowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a shadow came to up to ``to_ms``, beside the bot in the same time; ``problem`` is why there is no more."""

    name: str
    file: str
    rules_hash: str
    began_ms: int
    to_ms: int | None = None
    balance_usdt: Decimal
    trades: int = 0
    open: int = 0
    net_pnl_usdt: Decimal = Decimal(0)
    r: float = 0.0
    live_trades: int = 0
    live_net_pnl_usdt: Decimal = Decimal(0)
    database: str = ""
    problem: str = ""


class ShadowFolder:
    """The shadows of one bot, beside its database."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.folder = shadow_folder(db)

    def names(self) -> list[str]:
        return shadow_names(self.db)

    def rules_path(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def database(self, name: str) -> Path:
        return self.folder / f"{name}.sqlite"

    def _config_path(self, name: str) -> Path:
        return self.folder / f"{name}.config.yaml"

    def _note(self, name: str) -> Path:
        return self.folder / f"{name}{NOTE}"

    def read(self, name: str) -> Shadow:
        """Raises ShadowError where there is none."""
        try:
            return msgspec.json.decode(self._note(name).read_bytes(), type=Shadow)
        except OSError as error:
            known = ", ".join(self.names()) or "none yet: `shadow add NAME FILE`"
            raise ShadowError(f"there is no shadow {name}; there are {known}") from error

    def rules(self, name: str) -> Ruleset:
        return stored_rules(self.rules_path(name).read_text("utf-8"), str(self.rules_path(name)))

    def settings(self, name: str) -> Settings:
        return stored_settings(self._config_path(name).read_text("utf-8"), str(self._config_path(name)))

    def add(self, name: str, file: Path, rules: Ruleset, config_text: str, balance: Decimal | None) -> Shadow:
        """Keep copies of the files, so that no later edit changes what it does. Raises ShadowError."""
        if not NAME.fullmatch(name):
            raise ShadowError(f"{name!r} is no name: use up to 32 letters, digits, dashes and underscores")
        if self._note(name).exists():
            raise ShadowError(f"there is a shadow {name} already: `shadow remove {name}` ends it")
        with open_store(self.db, mode="read") as store:
            began_ms, equity = _now(store)
            _need_kept(rules, stored_settings(config_text, "config.yaml"), read_side("the bot", store))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rules_path(name).write_text(rules.text, "utf-8")
        self._config_path(name).write_text(config_text, "utf-8")
        if path_of_tests(file).exists():
            shutil.copyfile(path_of_tests(file), path_of_tests(self.rules_path(name)))
        found = Shadow(
            name=name,
            file=str(file),
            rules_hash=rules.hash,
            began_ms=began_ms,
            balance_usdt=equity if balance is None else balance,
        )
        self._note(name).write_bytes(msgspec.json.encode(found))  # last: a shadow is there when this is
        return found

    def remove(self, name: str) -> None:
        """Raises ShadowError where there is none."""
        self.read(name)
        self._note(name).unlink()  # first: what is left of a removal that was cut short is no shadow
        for path in self.folder.glob(f"{name}.*"):
            path.unlink()

    def refresh(self, name: str, folders: tuple[Path, ...]) -> ShadowFigures:
        """Decide up to the newest candle that the bot has decided on; ``folders`` have marks and funding of then."""
        shadow = self.read(name)
        with open_store(self.db, mode="read") as store, TemporaryDirectory(dir=self.folder) as scratch:
            try:
                live = read_side("the bot", store)
                to_ms = live.span.to_ms - 1 + self.rules(name).for_symbol("").entry_timeframe.ms
                if to_ms > shadow.began_ms:
                    self._run(shadow, live, Span(shadow.began_ms, to_ms), folders, Path(scratch))
            except (CannotRepeat, CannotCompare, ShadowError) as error:
                return msgspec.structs.replace(self.figures(name), problem=str(error))
        return self.figures(name)

    def _run(self, shadow: Shadow, live: Side, span: Span, folders: tuple[Path, ...], scratch: Path) -> None:
        settings = self.settings(shadow.name)
        simulation = msgspec.structs.replace(settings.simulation, balance_usdt=shadow.balance_usdt)
        settings = msgspec.structs.replace(settings, simulation=simulation)
        again = Repeater(live, live, span, folders, folders, scratch)
        fresh = scratch / "fresh.sqlite"
        rules = self.rules(shadow.name)
        _need_kept(rules, settings, live)
        again.with_rules(rules, settings, _symbols(settings, live), fresh)
        os.replace(fresh, self.database(shadow.name))

    def figures(self, name: str) -> ShadowFigures:
        """As they were after the last refresh."""
        shadow = self.read(name)
        found = ShadowFigures(
            name=name,
            file=shadow.file,
            rules_hash=shadow.rules_hash,
            began_ms=shadow.began_ms,
            balance_usdt=shadow.balance_usdt,
        )
        if not self.database(name).exists():
            return msgspec.structs.replace(found, problem="no candle has closed since it was added")
        with open_store(self.database(name), mode="read") as store:
            if not queries.decided_symbols(store):
                return msgspec.structs.replace(found, problem="nothing was decided since it was added")
            own = read_side(name, store)
        closed = [row for row in own.trades if row.flagged != FLAGGED_OPEN]
        assert own.ran is not None, "its journal is that of a backtest"
        with open_store(self.db, mode="read") as store:
            live = [row for row in read_side("the bot", store).trades if row.opened_ms >= shadow.began_ms]
        return msgspec.structs.replace(
            found,
            to_ms=own.ran.to_ms,
            trades=len(closed),
            open=len(own.trades) - len(closed),
            net_pnl_usdt=net(closed),
            r=round(sum(float(row.r) for row in closed if row.r is not None), 6),
            live_trades=len(live),
            live_net_pnl_usdt=net(live),
            database=str(self.database(name)),
        )

    def all(self) -> Iterator[ShadowFigures]:
        for name in self.names():
            yield self.figures(name)


def _symbols(settings: Settings, live: Side) -> list[str]:
    return [symbol for symbol in live.symbols if settings.allows(symbol)]


def _need_kept(rules: Ruleset, settings: Settings, live: Side) -> None:
    """Raises ShadowError where rules read candles that the bot does not keep: what reads them would never be known."""
    for symbol in _symbols(settings, live):
        for read in sorted(rules.for_symbol(symbol).candles, key=str):
            of, timeframe = symbol_of(read, symbol), length_of(read)
            if not _is_kept(timeframe, [Timeframe(each) for each in live.timeframes(of)]):
                raise ShadowError(
                    f"the bot keeps no candles of {of} at {timeframe}, which these rules read, and a shadow decides on "
                    "what the bot keeps: let the live rules read them too, or take that out"
                )


def _is_kept(timeframe: Timeframe, kept: list[Timeframe]) -> bool:
    """A bot's candles of more than an hour are the exchange's own; shorter ones may be made of those shorter still."""
    return timeframe in kept or (timeframe.ms <= Timeframe.H1.ms and any(each.ms < timeframe.ms for each in kept))


def _now(store: Store) -> tuple[int, Decimal]:
    """The end of the newest candle that was decided on, and the equity. Raises ShadowError before the first one."""
    decided, equity = queries.latest_decisions(store), queries.latest_equity(store)
    if not decided or equity is None:
        raise ShadowError(f"{store.path}: nothing was decided in it yet: start the bot first")
    newest = max(decided, key=lambda row: row.last_ms)
    rules = stored_rules(queries.rules_text(store, newest.rules_hash) or "", "the rules in force")
    return newest.last_ms + rules.for_symbol("").entry_timeframe.ms, equity.equity
