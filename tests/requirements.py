"""What this bot promises, and which tests hold it to that; ``python -m tests.requirements`` writes the page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "requirements.md"
NUMBER = re.compile(r"(?:\bR|_r)(\d{1,2})(?![0-9])")
LISTED_MAX = 5

CHAPTERS = {
    1: "Positions and their stops",
    16: "Orders of unknown fate, and whose they are",
    24: "What the exchange shows, and what is remembered",
    34: "Money, limits and sizes",
    47: "Backtests, edits, messages and operation",
}

PROMISES = {
    1: "Stops go to the endpoint for conditional orders under ids of our own; before the first entry of a session it "
    "is proved that one can be placed, found and cancelled, and where that route is closed nothing is opened.",
    2: "That one answer does not show an order proves nothing: it is placed again only on lasting evidence, under "
    "the same id, and a stop too many is cancelled.",
    3: "While a stop moves, the new one rests before the old one goes: at every instant stops cover all of it.",
    4: "A stop that the exchange would refuse is known before the entry; one that would trigger at once closes.",
    5: "From the first fill to a stop that was read back there is a deadline; after it the position is closed.",
    6: "A stop lies well before the price of liquidation, or there is no entry.",
    7: "Protection is compared with the exchange at every look, whichever way a state was reached.",
    8: "After being killed at any moment the bot finds its position, and the stop is there.",
    9: "No stop needs this process: the exchange closes the position while the bot is stopped or frozen.",
    10: "A stop counts when the exchange shows it with its side, price, reference and size, not when it said yes.",
    11: "The only stop is STOP_MARKET, and one that fired without closing the position is followed by a market close.",
    12: "A stop that the exchange cancels is placed again within the deadline.",
    13: "Which price a stop is compared with is configured, sent, recorded and used by the simulator alike.",
    14: "Resting targets do not stand in the way of a close.",
    15: "Reduce-only orders never enlarge or turn a position, also not those that rest while it shrinks.",
    16: "What may have happened is looked for and never sent again under another id; a duplicate id means accepted.",
    17: "Each kind of 503 is told apart: executed, not executed, nobody knows.",
    18: "An order's id is on the disk before the order leaves.",
    19: "Where the database is locked or the disk full, nothing leaves unwritten; readers never block.",
    20: "Time alone decides nothing about an order: until its fate is known the symbol takes no entries, and its stop "
    "is sent.",
    21: "Fills and orders belong to a trade by id and epoch, never by their time.",
    22: "An order that cannot be fetched is not cancelled, however old it is.",
    23: "One bot for a database and an account: a second one is refused, and foreign orders of our name stop entries.",
    24: "Starting twice is starting once.",
    25: "The position is the truth, history only explains it; a symbol that cannot be explained stops, others go on.",
    26: "Orders without a quantity, or with nulls and empty texts for it, are seen as what they are.",
    27: "An account in hedge mode is refused, and a reconciliation accounts for everything that it was shown.",
    28: "A position that is taken over walks the same road as any other.",
    29: "Something foreign on a symbol is a state that blocks entries, not a line in a log.",
    30: "A close by hand, a liquidation or a deleveraging is noticed within one look and booked at its real price.",
    31: "A stream that expires, is refused, is cut or falls silent is replaced, and what was missed is read.",
    32: "Whatever the order in which events and answers come, the books are the same.",
    33: "Decisions are taken on candles that are confirmed to have closed.",
    34: "A loss limit blocks entries or closes positions, as configured, and says which.",
    35: "Losses include open positions and are counted by UTC day, ISO week, month and from the highest equity.",
    36: "A restart raises no limit.",
    37: "Deposits, withdrawals and funding are told apart from profit and loss.",
    38: "Old equity blocks entries at once, and closes positions only after a while.",
    39: "Accounts without history, with one fill, or with ten years of it start alike.",
    40: "After a restart protection comes first, however long the history is.",
    41: "Every part of a trade can be traded by itself, and dust is closed.",
    42: "Quantities are rounded down: never more is risked than configured, never more closed than held.",
    43: "The journal's result equals what the exchange booked.",
    44: "Settings are written only where they differ; signals that never become entries raise an alarm, with a reason.",
    45: "Requests have a budget with a reserve for protection; a ban stops entries, one refusal twice is a pause.",
    46: "Requests are signed when they leave; a wrong clock costs one measurement and one more try.",
    47: "A decision at a moment is the same whatever comes after it.",
    48: "What a candle leaves open is decided against us, and counted.",
    49: "A trade keeps the rules it was opened under; rules that do not pass change nothing.",
    50: "Pause and halt survive a restart.",
    51: "Messages wait in the database until they are delivered, and nothing waits for them.",
    52: "Databases are upgraded after a backup, wholly or not at all, and a newer one is refused.",
    53: "A fault of ours in any handler stops one symbol, covered, and no other.",
    54: "What is not ours is not touched.",
    55: "Why a symbol was not traded is one row for each symbol, and can be asked for any moment.",
    56: "A pause of the exchange costs a naked position at most the probe step in force, or the stated end: its "
    "stop or close is the first request in it and after it, and one answer ends it for all that protects.",
    57: "The protection deadline may hurry a close or a stop that is on its way, and never undoes it.",
    58: "Any word of a fill, also while the entry's own answer is outstanding, starts the deadline and sends the stop.",
    59: "A position that goes while its stop moves or is placed costs one refusal and one look; that it is gone is "
    "believed only with its closing fills or a second source, and until then its stop goes on being tried.",
    60: "After a position that got no stop nothing is entered before it is proved again that one can be placed, with "
    "the smallest size where only a fill can show it; a second time, no stop confirmed between, halts the account.",
    61: "A refusal is lasting only by its nature; every other one is tried again, with pauses, and told once.",
    62: "A close never leaves again in the form that failed: it changes until it is through, and is told once.",
    63: "A symbol with a trade of ours is managed to its end, whatever config.yaml, exchangeInfo or its brackets "
    "say: the rules known last serve its stops and closes, and nothing is entered.",
    64: "One bad item never stops the others: it costs its own symbol, with a reason and one alert.",
    65: "Rules of symbols are read again daily, before an entry when older than an hour, and after refusals "
    "that doubt them; a stop that is refused for its tick is rounded anew within the deadline.",
    66: "Candles with a hole or a contradiction have one answer everywhere, touch only their own series, open nothing, "
    "and stop no symbol for long.",
    67: "Accounts and symbols that are not supported are refused by name when flat; a trade that is open is "
    "managed, and nothing is entered.",
    68: "Words of the exchange are matched whole: a settlement is no liquidation, and a liquidation is one whatever we "
    "were doing.",
    69: "Alerts wait until they are taken: only faults of a text itself are final. They are sentences with amounts.",
    70: "After a close that was not ours the symbol does what config says: it rests, waits for the operator, or goes "
    "on.",
    71: "What observes can neither stop nor delay what it observes; what it could not take is counted and said later.",
    72: "Whatever runs beside trading is started, restarted, counted and told in one place; no fault ends it for good.",
    73: "An edit is taken when it is whole and stable; what it no longer says never allows more, and what allows more "
    "waits where the settings say so.",
    74: "Whatever a decision reads is covered by the audit, candles included; a journal that was cut off shows "
    "against a head that was kept elsewhere.",
    75: "An exchange that begins anew under the same key is noticed and said, and its counters with it.",
    76: "Time is the exchange's: no step, drift or sleep of this machine ends a limit or ages a candle.",
    77: "No limit acts on a transfer; a fall that nothing explains is looked up first, and a real loss acts at once.",
    78: "A database that is older than the exchange is noticed: no id is used again, no stop loosened, later fills are "
    "booked or named, and entries wait for the operator.",
    79: "A database that is removed, replaced or cut off under the bot is noticed within seconds: the last stops "
    "leave, the operator is told, and the bot ends.",
    80: "What a hand leaves is told with size, side, its stop and what to type; it counts in every cap, and a stop of "
    "ours that covers it stays.",
    81: "Position mode, assets mode, margin mode and leverage that change in mid-trade are noticed within a minute and "
    "named once; a close and a stop find the form that the new mode takes.",
    82: "A message is carried out once; a command that waited for a bot has an age, and is bound to its trade.",
    83: "The promised versions of Python are tested, each that is there.",
    84: "While a position has no stop, one without an answer leaves again under its id, on another connection, until "
    "it rests or the deadline passes; only what can never rest closes at once, and what hangs holds up nothing.",
}


@dataclass(frozen=True, order=True)
class Naming:
    """A test, or all tests of a file, that name a requirement."""

    file: str
    test: str


def namings() -> dict[int, list[Naming]]:
    """Every test that names a requirement in its name, its docstring, or that of its class or file."""
    found: dict[int, list[Naming]] = {number: [] for number in PROMISES}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.name == "test_requirements.py":
            continue
        for number, naming in _in_file(path):
            found.setdefault(number, []).append(naming)
    return found


def _in_file(path: Path) -> Iterator[tuple[int, Naming]]:
    tree, file = ast.parse(path.read_text("utf-8")), str(path.relative_to(ROOT))
    yield from ((number, Naming(file, "")) for number in _numbers(ast.get_docstring(tree)) if not _is_range(tree))
    for node in ast.walk(tree):
        is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        if is_test or (isinstance(node, ast.ClassDef) and node.name.startswith("Test")):
            for number in _numbers(f"{node.name} {ast.get_docstring(node) or ''}"):
                yield number, Naming(file, node.name)


def _is_range(tree: ast.Module) -> bool:
    """ "R1 to R15" opens a file whose tests name their own."""
    return " to R" in (ast.get_docstring(tree) or "")


def _numbers(text: str | None) -> list[int]:
    return sorted({int(found) for found in NUMBER.findall(text or "")})


def page() -> str:
    """docs/requirements.md as it should be now."""
    lines = [
        "# What the bot promises, and the tests that hold it to that",
        "",
        "Each number stands for something that has gone wrong in trading bots. The tests named here fail if it goes",
        "wrong in this one; a search for a number in `tests/` finds the others. `python -m tests.requirements` writes",
        "this page.",
    ]
    found = namings()
    for number, promise in sorted(PROMISES.items()):
        if number in CHAPTERS:
            lines += ["", f"## {CHAPTERS[number]}"]
        tests = sorted(found[number], key=lambda naming: ("scenarios" not in naming.file, not naming.test, naming))
        lines += ["", f"**R{number}.** {promise}", ""]
        lines += [f"- `{naming.file}`{f' `{naming.test}`' if naming.test else ''}" for naming in tests[:LISTED_MAX]]
        if len(tests) > LISTED_MAX:
            lines.append(f"- and {len(tests) - LISTED_MAX} more")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
