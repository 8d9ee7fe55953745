"""Counterexamples that the model check once found, replayed choice by choice: each must hold now and come to rest."""

from __future__ import annotations

import pytest

from exchange.types import OrderType
from fsm.proofs.modelcheck.search import replay_story

PROTECTED = """
a candle closes: go long
the setup is done
the entry is filled
the stop rests
the target 1 rests
the target 2 rests
a look
"""

GIVEN_UP = """
a candle closes: go long
the setup is done
the entry is still on its way, and nobody hears
a patient look
a patient look
"""

STORIES = {
    "R80 a target whose cancel was lost does not stay beside what was released": PROTECTED
    + """
the operator releases it
the cancel of -T0.1 never arrives, and nobody hears
the cancel of -T1.1 is carried out
a look
""",
    "R80 nor one whose cancel a death kept from being sent, while the stop was moved": PROTECTED
    + """
a candle closes: the stop follows
the operator releases it
the bridge is carried out, and the bot dies
""",
    "R80 nor the stop, where it was to go too": PROTECTED
    + """
the operator releases it without its stop
the cancel of -T0.1 is carried out
the cancel of -T1.1 is carried out
the cancel of -S1.1 never arrives, and nobody hears
""",
    "R80 an entry that may still fill goes before what was released counts as closed": """
a candle closes: go long
the setup is done
the entry is filled in part
somebody closes the position
the operator releases it
the bot is started again
a patient look
a patient look
the sweep is carried out
""",
    "R20 an entry that was given up is still taken over when a later signal came to nothing": GIVEN_UP
    + """
a candle closes: go long
the setup is refused (-1111)
the late entry arrives
""",
    "R20 an entry that was given up is taken over after the trade that it came beside": GIVEN_UP
    + """
a candle closes: go long
the setup is done
the late entry arrives
the entry is filled
the stop rests
""",
    "R28 what somebody added to a position is not taken over with it": GIVEN_UP
    + """
the late entry arrives
somebody adds to the position
a look
the stop is refused: no permission (-2015)
the close is filled
""",
    "R8 targets wait for a stop that a crash may have kept from being sent": """
a candle closes: go long
the setup is done
the entry is filled in part
the bot is started again
the entry fills
a patient look
""",
    "R2 a look that shows no position does not sweep the stop of a close that was never sent": PROTECTED
    + """
a candle closes: the rules leave
the bot is started again
a look that shows no position
""",
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_that_went_wrong_once_ends_well_now(name: str) -> None:
    replay_story([line for line in STORIES[name].splitlines() if line], OrderType.MARKET, must_rest=True)
