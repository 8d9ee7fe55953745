"""Writes the top of the page of proofs: what always holds, what proves it, and which proof catches which broken bot.

``python -m fsm.proofs.overview [PAGE]`` writes it anew from the sections below it, which the proofs wrote.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fsm.proofs.crashsweep.broken_bots import VARIANTS as BROKEN_SHELLS
from fsm.proofs.crashsweep.invariants import CLAIMS as CRASH_CLAIMS
from fsm.proofs.modelcheck.invariants import CLAIMS as MODEL_CLAIMS
from fsm.proofs.testkit.broken_engines import VARIANTS as BROKEN_ENGINES
from fsm.proofs.torture import promises
from fsm.proofs.torture.page import CAUGHT as CAUGHT_BY_TORTURE

BEGIN, END = "<!-- overview: generated -->", "<!-- overview: end -->"
PAGE = Path("docs/proofs.md")
ANY_EXCHANGE_LIVES = 320
"""Lives in one run of tests/unit/fsm/core/test_any_exchange.py; a test holds the number."""


class Proof(msgspec.Struct, frozen=True):
    """One way of proving: its name here, the command that repeats it, and the claims it checks, in words."""

    name: str
    command: str
    claims: dict[str, str]


MODEL, SWEEP, TORTURE, ANY, TESTS = "model check", "crash sweep", "torture", "any exchange", "tests"
PROOFS = (
    Proof(MODEL, "python -m fsm modelcheck", MODEL_CLAIMS),
    Proof(SWEEP, "python -m fsm crashsweep", CRASH_CLAIMS),
    Proof(TORTURE, "python -m fsm torture --seeds 1..300", promises.CLAIMS),
    Proof(ANY, "python -m pytest -n 0 tests/unit/fsm/core/test_any_exchange.py", {}),
    Proof(TESTS, "make test", {}),
)


class Invariant(msgspec.Struct, frozen=True):
    """Something that always holds, and per proof the claims that check it (or for tests, where they are)."""

    words: str
    checked: dict[str, tuple[str, ...]]


INVARIANTS = (
    Invariant(
        "An open position has a stop at the exchange. Where one is missing, the deadline runs; when it is over, an "
        "emergency close repeats until the exchange says flat.",
        {
            MODEL: ("PROTECTED_OR_CLOSING", "STOP_SEEN", "STOP_KEPT", "STOP_FIRST", "NO_STUCK_STATE"),
            SWEEP: ("COVERED_IN_TIME", "COMES_TO_REST"),
            TORTURE: ("NAKED_TOO_LONG", "NAKED_UNSEEN", "STOP_KEPT", "COMES_TO_REST"),
            ANY: ("no_position_goes_unwatched", "the_deadline_passes"),
        },
    ),
    Invariant(
        "No order leaves before the row that wants it is written, and none is carried out twice.",
        {
            MODEL: ("COMMIT_FIRST", "ONE_ENTRY", "SAME_ID_WHILE_UNKNOWN"),
            SWEEP: ("INTENT_FIRST", "SENT_ONCE", "ENDS_ALIKE"),
            TORTURE: ("COMMITTED_FIRST", "SENT_ONCE"),
            ANY: ("no_trade_has_two_entries", "every_row_agrees_with_the_sheet"),
        },
    ),
    Invariant(
        "Leverage, margin type, open positions, open risk and exposure stay within config.yaml, counting what is in "
        "flight, also where the operator moves a stop; whatever is not an entry can only reduce.",
        {
            MODEL: (
                "REDUCE_ONLY",
                "NO_ENTRY_WHILE_BLOCKED",
                "NEVER_LOOSER",
                "MEANS_TO_LEAVE",
                "SMALL_STEPS",
                "LIST_TOUCHES_NOTHING",
            ),
            TORTURE: ("LIMITS", "REDUCE_ONLY", "SMALL_STEPS"),
            ANY: ("no_entry_risks_more_than_allowed",),
            TESTS: ("tests/unit/fsm/core/test_sizing.py", "tests/unit/fsm/core/test_means.py"),
        },
    ),
    Invariant(
        "An order that leaves obeys every filter of its symbol.",
        {TORTURE: ("FILTERS",), TESTS: ("tests/unit/fsm/core/test_planning.py", "tests/unit/fsm/core/test_sizing.py")},
    ),
    Invariant(
        "Halts, pauses, quarantines and high-water marks survive any restart, and a halt ends by its cause's rule.",
        {
            MODEL: ("HALT_BY_ITS_RULE", "NO_ENTRY_WHILE_BLOCKED"),
            TORTURE: ("SURVIVES_RESTART", "NO_ENTRY_WHILE_BLOCKED", "LIMIT_ENDS_IN_TIME", "NO_LIMIT_ON_TRANSFER"),
            ANY: ("state_and_trade_agree", "every_row_agrees_with_the_sheet"),
        },
    ),
    Invariant(
        "The journal replayed gives the state, bit for bit, and recorded facts decided again give the same decisions.",
        {
            MODEL: ("JSON_ROUND_TRIP",),
            SWEEP: ("JOURNAL_VERIFIES", "REPLAYS"),
            TORTURE: ("JOURNAL_VERIFIES", "REPLAY_IDENTICAL"),
            TESTS: ("tests/unit/fsm/core/test_lives.py",),
        },
    ),
    Invariant(
        "Starting twice is starting once, and a start touches no position and no order that is not ours.",
        {
            MODEL: ("HANDS_OFF",),
            SWEEP: ("STARTS_AGAIN", "RECOVERED_TWICE", "HANDS_OFF"),
            TORTURE: ("RECOVERY_IDEMPOTENT", "OURS_ONLY"),
        },
    ),
    Invariant(
        "An exception in a decision leaves its symbol protected and stopped, and the others running.",
        {
            MODEL: ("NO_EXCEPTION",),
            TORTURE: ("NO_EXCEPTION",),
            ANY: ("no_handler_failed",),
            TESTS: ("tests/integration/scenarios/test_broken_handlers.py", "tests/unit/fsm/core/test_engine.py"),
        },
    ),
    Invariant(
        "What the journal says was won equals what the exchange paid: profit, fees and funding.",
        {SWEEP: ("BOOKS_AGREE",), TORTURE: ("MONEY", "FLAT_IS_FLAT"), ANY: ("_books_are_right",)},
    ),
)
"""What the bot promises at every instant; the numbers of the table are their places here."""


def write_overview(path: Path) -> None:
    """Replace the overview; the sections below it stay as they are."""
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text:
        title, _, below = text.partition("\n\n")
        text = f"{title}\n\n{BEGIN}\n{END}\n\n{below}"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{overview(text)}\n{END}{after}", encoding="utf-8")


def overview(page: str) -> str:
    """The overview as Markdown, with the figures that the sections of this page give."""
    promises = [
        f"| {number} | {invariant.words} | {_checked(invariant)} |" for number, invariant in enumerate(INVARIANTS, 1)
    ]
    proofs = [
        f"| {proof.name} | `{proof.command}` | {_figures(proof, page)} |" for proof in PROOFS if proof.name != TESTS
    ]
    return "\n".join(
        (
            "| | what always holds | what proves it |",
            "|---|---|---|",
            *promises,
            "",
            "| proof | how to repeat it | how much was tried |",
            "|---|---|---|",
            *proofs,
            "",
            "Each of these bots was broken on purpose, and is caught by the proofs named beside it. The first part are",
            "broken engines (`modelcheck --variant NAME`), the second broken shells (`crashsweep --variant NAME`).",
            "",
            "| broken bot | what is wrong with it | caught by |",
            "|---|---|---|",
            *_broken(page),
        )
    )


def _checked(invariant: Invariant) -> str:
    parts = [f"{name}: {', '.join(f'`{claim}`' for claim in claims)}" for name, claims in invariant.checked.items()]
    return "<br>".join(parts)


def _figures(proof: Proof, page: str) -> str:
    """What the proof's own section says it tried, up to its table of claims."""
    if proof.name == ANY:
        return f"{ANY_EXCHANGE_LIVES} lives of up to 50 steps in every run of the tests, the same ones each time"
    mark = proof.command.split()[3]
    section = page.partition(f"<!-- {mark}: generated -->\n")[2].partition(f"<!-- {mark}: end -->")[0]
    figures = section.partition("\n\n")[0].partition("`: ")[2]
    return " ".join(figures.split()).removesuffix(".") or "see its section"


def _broken(page: str) -> Iterator[str]:
    for name, variant in BROKEN_ENGINES.items():
        caught = [f"{MODEL} ({claim})" for claim in _caught_by_model(name, page)]
        caught += [ANY] if name in BROKEN_BY_ANY_EXCHANGE else []
        caught += [f"{TORTURE} (`{CAUGHT_BY_TORTURE[name][2]}`)"] if name in CAUGHT_BY_TORTURE else []
        yield f"| `{name}` | {variant.fault} | {', '.join(caught) or 'nothing'} |"
    for name, variant in BROKEN_SHELLS.items():
        yield f"| `{name}` | {variant.fault} | {SWEEP} |"


def _caught_by_model(name: str, page: str) -> list[str]:
    """From the section of the model check, which finds it anew each time it is written."""
    section = page.partition("<!-- modelcheck: generated -->")[2].partition("<!-- modelcheck: end -->")[0]
    return re.findall(rf"^\| `{re.escape(name)}` \| .* \| (`[A-Z_]+`) \|$", section, re.MULTILINE)


BROKEN_BY_ANY_EXCHANGE = (
    "stop-after-targets",
    "not-found-is-cancelled",
    "deadline-ignored",
    "deadline-not-armed",
    "sweep-before-flat",
    "targets-are-protection",
    "one-piece-only",
    "refused-close-pending",
    "close-can-open",
    "absent-entry-resent",
    "unknown-entry-is-refused",
    "halt-forgotten-when-flat",
    "quarantine-drops-protection",
    "refused-stop-is-placed",
    "vanished-stop-accepted",
    "old-stop-first",
)
"""Broken engines that the state machine of tests/unit/fsm/core/test_any_exchange.py catches too: a test holds it."""


if __name__ == "__main__":
    write_overview(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE)
