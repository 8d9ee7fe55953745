"""What must hold after every step of torture, by name and in words."""

from __future__ import annotations

CLAIMS: dict[str, str] = {
    "NAKED_TOO_LONG": "at the exchange, no position is without a live stop that covers it for longer than it takes "
    "until the bot is told of it, the protection deadline, and the time in which calls went wrong, in every state",
    "NAKED_UNSEEN": "while the exchange answers, a position without a live stop is noticed within a minute",
    "COMMITTED_FIRST": "no order leaves before its intent stands in the database, as another connection reads it; "
    "but for a stop whose id and price follow from the plan that stands there",
    "SENT_ONCE": "no entry is sent twice, no trade has two entries that were accepted, and no client id is ever filled "
    "twice (a close that was shown absent may be sent again under its own id)",
    "REDUCE_ONLY": "every order but the entry can only reduce",
    "FILTERS": "every order that leaves obeys the filters of its symbol",
    "LIMITS": "when an entry leaves, positions, open risk, exposure, leverage and margin type are within config.yaml, "
    "counting what is in flight",
    "SMALL_STEPS": "an entry in small steps is the smallest that the filters allow, with one target at most, whatever "
    "edits and restarts there were",
    "NO_ENTRY_WHILE_BLOCKED": "no signal and no entry is decided while halted, paused or quarantined",
    "LIMIT_ENDS_IN_TIME": "a limit of a day, week or month ends only with its period on the exchange's clock, by the "
    "operator, or because it was hit by a transfer, whatever becomes of this machine's clocks",
    "NO_LIMIT_ON_TRANSFER": "no limit is hit by money that only came or went, however late the ledger shows it",
    "STOP_KEPT": "the last live stop of an open position of ours is never cancelled by us",
    "OURS_ONLY": "only orders of ours are cancelled, and closes of a trade take no more than its entry brought",
    "FLAT_IS_FLAT": "a trade is booked only when nothing of it is open",
    "NO_EXCEPTION": "no handler raises, and the daemon does not die while its database works",
    "SURVIVES_RESTART": "every record of symbols and account, with halts, pauses, quarantines and the highest equity, "
    "is the same after a start as before its end",
    "COMES_TO_REST": "once nothing goes wrong any more, every symbol is flat with no order of ours left, or protected",
    "RECOVERY_IDEMPOTENT": "starting again at rest changes no record and sends no order that opens, closes or protects",
    "JOURNAL_VERIFIES": "every hash, chain and projection of the database is as it was written",
    "REPLAY_IDENTICAL": "every recorded decision comes out the same when it is taken again",
    "MONEY": "the result of all trades equals the exchange's income, symbol by symbol",
    "NEVER_LOOSER": "while config.yaml is cut off, no limit in force is looser than it was or the whole file says",
    "HANDED_OVER": "a position that the operator took over is left alone: nothing is opened or closed there, and its "
    "last stop stays unless he said otherwise",
    "NOTHING_ON_HOLES": "no signal is taken on a candle that was never listed, or shortly behind one",
    "CANDLES_GO_ON": "in the end every symbol has taken its newest candle, where that is listed as it should be",
    "TASKS_GO_ON": "every task that raised is at work again",
    "MEMORY_FLAT": "in a long run, memory grows by no more than the bound that is printed",
    "DESCRIPTORS_FLAT": "in a long run, the number of open file descriptors does not grow",
}
"""Each claim by its name, in a sentence."""
