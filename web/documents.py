"""What the daemon leaves for the window: the documents that this room reads, by name and shape.

The daemon writes each with ``store.rows.DocumentRow(name, at_ms, body_json)``. Everything has a default, so that a
reader can be newer or older than the writer; a document that is missing or not as described counts as not there, and
what depends on it is shown as unknown.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from store import queries
from store.database import Store

MACHINE, LIMITS, HEALTH, CONFIG, TELEGRAM = "machine", "limits", "health", "config", "telegram"
SHADOWS = "shadows"


class MachineDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The table the engine runs on: state → trigger → a state, or stay, ignore, reject, impossible, flat_home.

    ``triggers`` says in words what each trigger means; ``mermaid`` is the diagram.
    """

    states: tuple[str, ...] = ()
    triggers: dict[str, str] = {}
    table: dict[str, dict[str, str]] = {}
    mermaid: str = ""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One loss limit, in USDT. ``name`` is LIMIT_DAY, _WEEK, _MONTH or _DRAWDOWN; ``left`` is below zero beyond it."""

    name: str
    period: str
    allowed: Decimal
    used: Decimal
    left: Decimal

    @property
    def exceeded(self) -> bool:
        return self.used >= self.allowed


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A cap that counts what is open and what is in flight."""

    allowed: Decimal
    used: Decimal


class Together(msgspec.Struct, frozen=True, kw_only=True):
    """How far positions are risks of their own: ``correlation`` is the mean of all pairs' returns, ``independent`` how
    many independent positions those that are open are, ``independent_max`` those that may be, in one direction."""

    correlation: Decimal | None
    positions_max: int
    independent_max: Decimal | None
    positions: int
    independent: Decimal
    risk: Decimal


class LimitsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Limits as they stand, and what the kill switch does: BLOCK_ENTRIES or FLATTEN (R34)."""

    action: str | None = None
    losses: tuple[Loss, ...] = ()
    open_positions: Room | None = None
    open_risk: Room | None = None
    exposure: Room | None = None
    correlated_risk: Room | None = None
    same_direction_risk: Room | None = None
    together: Together | None = None


class SeenStop(msgspec.Struct, frozen=True, kw_only=True):
    """The look that last read a position's stop back from the exchange; ``verified_wall_ms`` is real time."""

    client_id: str | None = None
    trigger_price: Decimal | None = None
    verified_wall_ms: int


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """How many took longer than the bucket before and at most ``le_ms``; None in the last: longer than all."""

    le_ms: int | None
    count: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Real time from first fill to confirmed stop since the daemon started; ``late`` counts passed deadlines."""

    count: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    late: int = 0
    sum_ms: float = 0.0
    buckets: tuple[Bucket, ...] = ()


class ClockDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How far the exchange's clock is ahead of the machine's wall clock, and the measurement that says so."""

    offset_ms: int
    measured_ms: int
    measured_age_ms: int
    round_trip_ms: int


class TaskDocument(msgspec.Struct, frozen=True):
    """One of the tasks beside trading: how often it failed since the start, why last, and whether it is at work."""

    failures: int = 0
    last: str = ""
    last_wall_ms: int | None = None
    is_working: bool = False


class OutputDocument(msgspec.Struct, frozen=True):
    """What one of the bot's streams did not take since the start."""

    dropped: int = 0
    errors: int = 0


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's signs of life, about once in a real second.

    ``wall_ms`` is the real time of writing and ``stops`` what was last seen of each symbol's stop; without them ages in
    real time are unknown. ``files_looked_wall_ms`` is when config.yaml and rules.yaml could be looked at last.
    ``stream`` says how the user data stream is: connected, down or off. ``clock`` is None in a
    simulation, whose clock is not measured.
    """

    at_ms: int | None = None
    wall_ms: int | None = None
    decided_ms: int | None = None
    equity_age_ms: int | None = None
    exchange_failures: int | None = None
    speed: float | None = None
    stream: str | None = None
    loop_lag_ms: float | None = None
    protection: Measured = Measured()
    stops: dict[str, SeenStop] = {}
    clock: ClockDocument | None = None
    tasks: dict[str, TaskDocument] = {}
    output: dict[str, OutputDocument] = {}
    files_looked_wall_ms: int | None = None


class TelegramDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What passed between the bot and Telegram since the daemon started, left about twice a minute.

    ``conflicts`` counts how often another program was found reading the bot's messages (409); ``undelivered`` is why
    the oldest message that waits could not be delivered, empty where nothing waits for that.
    """

    sent: int = 0
    failures: int = 0
    commands: int = 0
    conflicts: int = 0
    strangers: int = 0
    undelivered: str = ""


class ShadowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How one shadow did up to ``to_ms``, beside the bot in the same time; ``problem`` is why there is no more."""

    name: str
    file: str = ""
    rules_hash: str = ""
    began_ms: int | None = None
    to_ms: int | None = None
    balance_usdt: Decimal | None = None
    trades: int = 0
    open: int = 0
    net_pnl_usdt: Decimal = Decimal(0)
    r: float = 0.0
    live_trades: int = 0
    live_net_pnl_usdt: Decimal = Decimal(0)
    database: str = ""
    problem: str = ""


class ShadowsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Rules files that run beside the live one, as they did after the newest close."""

    shadows: tuple[ShadowDocument, ...] = ()


Document = TypeVar("Document")


def _read(store: Store, name: str, shape: type[Document]) -> Document | None:
    row = queries.document(store, name)
    if row is None:
        return None
    try:
        return msgspec.json.decode(row.body_json, type=shape, strict=False)
    except msgspec.DecodeError:  # ValidationError is one of these
        return None


def machine(store: Store) -> MachineDocument | None:
    found = _read(store, MACHINE, MachineDocument)
    return found if found is not None and found.table else None


def limits(store: Store) -> LimitsDocument:
    return _read(store, LIMITS, LimitsDocument) or LimitsDocument()


def health(store: Store) -> HealthDocument:
    """The pulse; its ``at_ms`` is when it was written, on the exchange's clock."""
    row, found = queries.document(store, HEALTH), _read(store, HEALTH, HealthDocument)
    if row is None or found is None:
        return HealthDocument()
    return msgspec.structs.replace(found, at_ms=row.at_ms)


def telegram(store: Store) -> TelegramDocument:
    """Nothing has happened where no Telegram is set up."""
    return _read(store, TELEGRAM, TelegramDocument) or TelegramDocument()


def shadows(store: Store) -> ShadowsDocument:
    """There are none where the bot has not told of any."""
    return _read(store, SHADOWS, ShadowsDocument) or ShadowsDocument()


def config(store: Store) -> dict[str, Any] | None:
    """What is in force as the daemon left it: environment with secrets masked, settings, hashes; None without it."""
    return _read(store, CONFIG, dict[str, Any])


def setting(store: Store, section: str, key: str) -> Any:
    """One value of config.yaml that is in force, None when it is not known."""
    settings = (config(store) or {}).get("config")
    values = settings.get(section) if isinstance(settings, dict) else None
    return values.get(key) if isinstance(values, dict) else None


def enabled_symbols(store: Store) -> frozenset[str]:
    """The symbols that may be entered by config.yaml or its list, empty when that is not known."""
    settings = (config(store) or {}).get("config")
    named = settings.get("symbols") if isinstance(settings, dict) else None
    if not isinstance(named, dict):
        return frozenset()
    found = symbol_list(store)
    if found is not None:
        return frozenset(found.listed)
    return frozenset(name for name, given in named.items() if isinstance(given, dict) and given.get("enabled", True))


def symbols(store: Store) -> frozenset[str]:
    """The symbols that config.yaml names, or those of its list; empty when that is not known."""
    settings = (config(store) or {}).get("config")
    names = settings.get("symbols") if isinstance(settings, dict) else None
    if not isinstance(names, dict):
        return frozenset()
    found = symbol_list(store)
    return frozenset(names) if found is None else frozenset(found.listed)


def symbol_list(store: Store, *, by_ms: int | None = None) -> queries.ListInForce | None:
    """The list of symbols, where config.yaml has a rule for one; the newest that was made by then."""
    settings = (config(store) or {}).get("config")
    names = settings.get("symbols") if isinstance(settings, dict) else None
    has_rule = isinstance(names, dict) and "top_by" in names
    return queries.symbol_list(store, by_ms=by_ms) if has_rule else None


class StrategyDrift(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a strategy still does what its backtest promised; ``words`` say it to a person."""

    strategy: str
    standing: str
    words: str = ""
    live_trades: int = 0
    live_mean_r: float | None = None
    promised_trades: int = 0
    promised_mean_r: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One trade that is not as in a backtest of what the bot saw, and the cause that was found."""

    symbol: str
    signal_candle_ms: int
    kind: str
    source: str
    told: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Signals of [from_ms, to_ms) were compared with a backtest; those that differ."""

    from_ms: int
    to_ms: int
    differences: list[Difference] = []


class LiveVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What a running bot found when it last held its trades against what was planned; null where it has not yet."""

    at_ms: int | None = None
    drift: list[StrategyDrift] | None = None
    compared: Compared | None = None


class TradeVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison with a backtest said of one trade."""

    at_ms: int | None
    same: bool
    source: str | None
    words: str


def live_verdicts(store: Store) -> LiveVerdicts:
    return _read(store, "live_verdicts", LiveVerdicts) or LiveVerdicts()


def live_verdict(store: Store, symbol: str, candle_ms: int) -> TradeVerdict | None:
    """Of the trade whose signal came at a candle; None where no comparison has looked at it."""
    told = live_verdicts(store)
    if told.compared is None or not told.compared.from_ms <= candle_ms < told.compared.to_ms:
        return None
    for each in told.compared.differences:
        if (each.symbol, each.signal_candle_ms) == (symbol, candle_ms):
            return TradeVerdict(at_ms=told.at_ms, same=False, source=each.source, words=each.told)
    words = "as in a backtest of the bot's own candles, rules and settings"
    return TradeVerdict(at_ms=told.at_ms, same=True, source=None, words=words)


def rules_in_force(store: Store) -> str | None:
    """The hash of the rules of the newest event of the system: a version that comes back is not stored twice."""
    named = next((event.rules_hash for event in queries.system_events(store) if event.rules_hash), None)
    if named is not None:
        return named
    versions = queries.rule_versions(store)
    return versions[0].rules_hash if versions else None


class WaitingEdit(msgspec.Struct, frozen=True, kw_only=True):
    """An edit of a file that waits for the operator's word, and in what it differs."""

    file: str
    digest: str
    changes: list[str] = []
    since_ms: int = 0


class _Waiting(msgspec.Struct, frozen=True):
    edits: list[WaitingEdit] = []


def waiting_edits(store: Store) -> list[WaitingEdit]:
    found = _read(store, "waiting", _Waiting)
    return found.edits if found else []
