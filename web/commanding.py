"""Takes the operator's wishes: checks what the stored state already forbids, and leaves the rest for the daemon."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Any, Literal, get_args

import msgspec

from store import queries
from store.database import Store
from store.hand_wishes import WHY_MAX, hand_wish
from store.jobs import NAME, Job
from store.rules_edits import JOBS, KIND, TEXT_MAX, line_of, named
from web import documents
from web.endpoint import Name
from web.errors import ApiError, not_found, unprocessable
from web.views import Periods

Kind = Literal["pause", "resume", "flatten", "halt"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What may be meant for one symbol, or for all of them."""

BODY_MAX = 4_096
"""Bytes of a request's body: a command is a symbol, a login is a token."""


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a command; without a symbol it is meant for all of them."""

    symbol: Name | None = None


_ABOVE_ZERO = r"[0-9]{0,9}[1-9][0-9]{0,10}(\.[0-9]{1,20})?|0{1,9}\.[0-9]{0,9}[1-9][0-9]{0,10}"
_SHARE = r"(100(\.0{1,9})?|[1-9][0-9]?(\.[0-9]{1,9})?|0\.[0-9]{0,9}[1-9][0-9]{0,9})%"


class AccountWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of what is about the account as a whole: nothing."""


ACCOUNT_KINDS = ("ack", "full-size")

Number = Annotated[str, msgspec.Meta(pattern=f"^({_ABOVE_ZERO})$")]
Amount = Annotated[str, msgspec.Meta(pattern=f"^({_ABOVE_ZERO}|{_SHARE})$")]


WHOLE = {"type": "integer"}
"""In JSON 17.0 is a whole number too."""


class ReleaseWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a release: whose position is handed over, and whether its stop goes too."""

    symbol: Name
    cancel_stop: bool = False

    def line(self) -> str:
        return "release cancel-stop" if self.cancel_stop else "release"


class ReduceWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a partial close: a quantity, or a share of what is open as in "25%"."""

    symbol: Name
    amount: Amount

    def line(self) -> str:
        return _line("reduce", self.amount)


class MoveStopWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a stop's move. Away from safety it takes ``looser`` and a ``reason``."""

    symbol: Name
    price: Number
    looser: bool = False
    reason: Annotated[str, msgspec.Meta(max_length=WHY_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""

    def line(self) -> str:
        why = "".join(letter for letter in " ".join(self.reason.split()) if letter.isprintable())
        if self.looser and not why:
            raise ApiError(409, "REFUSED", "a looser stop takes a reason", "send one along", guard="LOOSER")
        return _line("move-stop", self.price, looser=self.looser, why=why)


class MoveTargetWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a target's move; ``target`` is its number, from 1, needed where several rest."""

    symbol: Name
    price: Number
    target: Annotated[float, msgspec.Meta(ge=1, le=99, multiple_of=1, extra_json_schema=WHOLE)] | None = None

    def line(self) -> str:
        return _line("move-target", self.price, number=None if self.target is None else int(self.target))


TradeWish = ReleaseWish | ReduceWish | MoveStopWish | MoveTargetWish

TRADE_WISHES: dict[str, type[TradeWish]] = {
    "release": ReleaseWish,
    "reduce": ReduceWish,
    "move-stop": MoveStopWish,
    "move-target": MoveTargetWish,
}
"""What is about one open position, with the body that it takes."""


def _line(kind: str, words: str, *, number: int | None = None, looser: bool = False, why: str = "") -> str:
    try:
        return hand_wish(kind, words, number=number, looser=looser, why=why).words()
    except ValueError as error:
        raise unprocessable(str(error), "prices and quantities are decimal text") from error


Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]
RULES_BODY_MAX = 8 * TEXT_MAX
"""Bytes of a body with rules in it, each letter written as JSON may write it."""


class RulesText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a check: rules that nobody has taken."""

    text: Text


class RulesEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of an edit: the whole text, and the hash of the rules that it was made from."""

    based_on: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8,64}$")]
    text: Text

    def line(self) -> str:
        return line_of(self.based_on, self.text)


DAY_MS = 86_400_000
Day = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
Varied = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[a-z][a-z0-9_]*=[A-Za-z0-9_.,:+-]+$")]


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise unprocessable(f"{name} {text!r} is no day", "give a day such as 2026-11-23") from error


def _begins_ms(day: date | None) -> int | None:
    """When a day begins, UTC; days before 1970 begin then."""
    return None if day is None else max(0, (day - date(1970, 1, 1)).days) * DAY_MS


class BacktestWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a backtest of the rules in force: the name under which it is kept, of which symbols (without any:
    the bot's), and from the first through the last day, UTC (without: all candles). ``to`` is not before ``from``."""

    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    symbols: Annotated[list[Name], msgspec.Meta(max_length=100)] = []
    from_: Day | None = msgspec.field(name="from", default=None)
    to: Day | None = None

    def job(self) -> Job:
        if self.name.endswith(".sqlite"):
            raise unprocessable(f"{self.name} is a file, not a name", "leave .sqlite out")
        first, last = _day(self.from_, "from"), _day(self.to, "to")
        if first and last and last < first:
            raise unprocessable(f"to {last} lies before from {first}", "the last day may be the first, or a later one")
        last_ms = _begins_ms(last)
        return Job(
            name=self.name,
            symbols=tuple(self.symbols),
            from_ms=_begins_ms(first),
            to_ms=None if last_ms is None else last_ms + DAY_MS,
        )


class StudyWish(BacktestWish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same for a search: how many variants it tries, what it varies (nothing: the ranges in the rules), and how
    many made-up markets of each kind say what luck alone would give."""

    vary: Annotated[list[Varied], msgspec.Meta(max_length=20)] = []
    trials: Annotated[float, msgspec.Meta(ge=1, le=2_000, multiple_of=1, extra_json_schema=WHOLE)] = 50
    luck: Annotated[float, msgspec.Meta(ge=0, le=100, multiple_of=1, extra_json_schema=WHOLE)] = 20

    def job(self) -> Job:
        return msgspec.structs.replace(
            super().job(), vary=tuple(self.vary), trials=int(self.trials), luck=int(self.luck)
        )


JOB_WISHES: dict[str, type[BacktestWish]] = {"backtest": BacktestWish, "study": StudyWish}
"""What a worker is asked for, with the body that it takes."""


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a login."""

    token: str


def parsed(body: bytes, shape: Any) -> Any:
    """A request's body as ``shape``; an empty one is an empty object. Raises ApiError with 422."""
    try:
        found = msgspec.json.decode(body or b"{}", type=shape)
        json.loads(body or b"{}", object_pairs_hook=_each_once)  # else the last of two would count, unseen
        return found
    except (msgspec.DecodeError, ValueError) as error:
        fields = ", ".join(shape.__struct_encode_fields__)
        # What was sent may be a token: it is not repeated.
        raise unprocessable(f"the body is not as expected: {error}", f"send a JSON object with: {fields}") from error


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")


def check(store: Store, kind: Kind, symbol: str | None) -> None:
    """Raises ApiError with 404 for a symbol that is not traded, 409 where the machine would refuse for certain.

    Everything else is the machine's own to judge when it takes the command.
    """
    if symbol is not None:
        _check_known(store, symbol)
    if kind != "resume":
        return
    row = queries.symbol(store, symbol) if symbol is not None else None
    if row is not None and row.state == "FLATTEN":
        raise _refused("STATE", f"{symbol} is being closed in an emergency: it resumes when that is done")
    exceeded = next((loss.name for loss in documents.limits(store).losses if loss.exceeded), None)
    if exceeded is not None:
        raise _refused(exceeded, f"the loss limit {exceeded} is exceeded: nothing resumes while it is")


def check_account(store: Store, kind: str) -> None:
    """409 where there is certainly nothing to end."""
    account = queries.account(store)
    if kind == "full-size" and account is not None and Periods.of(account).steps is None:
        raise _refused("NO_SMALL_STEPS", "trades are of their full size already")


def check_trade(store: Store, kind: str, symbol: str) -> None:
    """The same for what is about an open position: 409 where the stored state shows that there is none, or that it is
    on its way out."""
    _check_known(store, symbol)
    row = queries.symbol(store, symbol)
    if kind == "release" or row is None or row.state == "PROTECTED":
        return
    if row.state in ("IDLE", "HALT"):
        raise _refused("NOTHING_OPEN", f"this bot holds nothing in {symbol}")
    raise _refused("STATE", f"{symbol} is in {row.state}: this needs a protected position")


def check_rules_edit(store: Store, based_on: str) -> None:
    """409 where editing is off, or where other rules are in force than those that the edit was made from."""
    if documents.setting(store, "reload", "edit_in_browser") is not True:
        raise _refused("EDITING_OFF", "config.yaml does not allow to edit here: reload.edit_in_browser is false")
    in_force = documents.rules_in_force(store)
    if in_force is not None and in_force != based_on:
        told = f"the rules have changed meanwhile: {in_force[:12]} are in force, this edit is of {based_on[:12]}"
        raise _refused("CHANGED", told)


def check_jobs(store: Store) -> None:
    """409 where jobs are off."""
    if documents.setting(store, "web", "jobs") is not True:
        raise _refused("JOBS_OFF", "config.yaml does not allow to start jobs here: web.jobs is false")


def _check_known(store: Store, symbol: str) -> None:
    known = documents.symbols(store) | {row.symbol for row in queries.symbols(store)}
    known |= {row.symbol for row in queries.latest_decisions(store)}
    # A daemon that has just been started for the first time has said nothing yet: then it is the one to refuse.
    if known and symbol not in known:
        raise not_found(f"{symbol} is not traded here", f"symbols: {', '.join(sorted(known))}")


def _refused(guard: str, message: str) -> ApiError:
    return ApiError(409, "REFUSED", message, "GET /api/machine and /api/summary show the state", guard=guard)


def note(kind: str, symbol: str | None, daemon_running: bool) -> str:
    """What will happen, for a person."""
    kind = named(kind)
    what = kind if kind in ACCOUNT_KINDS or kind.startswith(KIND) else f"{kind} for {symbol or 'all symbols'}"
    if kind.startswith(JOBS):
        shown = " ".join(word[:64] for word in kind.split())
        return f"{shown} waits for `fsm worker`, which does it in a process of its own"
    if daemon_running:
        return f"{what} was handed to the bot; ask what became of it"
    return f"no bot is running: {what} is kept and will be applied when it starts"
