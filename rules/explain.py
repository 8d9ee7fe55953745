"""Says why rules did, or did not, call for a trade: each condition, its numbers, its distance from the threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from rules.compiled_rules import CompiledRules, Route
from rules.conditions import ComparisonTrace, ConditionTrace
from rules.language.scalar import Facts
from rules.language.truth import Truth
from rules.regime import RegimeState, RegimeTrace
from rules.strategy import Reason, SideTrace, SignalReading

_ANSWERS = {Truth.TRUE: "yes", Truth.FALSE: "no", Truth.UNKNOWN: "unknown"}

_SENTENCES = {
    Reason.NO_SETUP: "no setup",
    Reason.BOTH_SIDES: "the setups of both sides hold, which contradict each other: nothing is done",
    Reason.UNKNOWN_FACTS: "something that is needed is unknown (warming up, or missing)",
    Reason.STOP_WRONG_SIDE: "the stop is not on the losing side of the entry",
    Reason.TARGET_WRONG_SIDE: "a target is not on the winning side of the entry",
    Reason.TARGETS_OUT_OF_ORDER: "a later target is nearer than an earlier one",
    Reason.NOT_ACCEPTED: "the plan is not accepted",
    Reason.REWARD_RISK_LOW: "the reward is too small for the risk",
}


class Row(msgspec.Struct, frozen=True):
    """One line of a table of conditions, as text. ``distance`` is empty for yes-or-no values."""

    id: str
    condition: str
    result: str
    numbers: str
    distance: str


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Everything behind one decision of the rules; ``summary`` is the one sentence to show where there is no room."""

    summary: str
    state: RegimeState
    hysteresis: str
    regimes: tuple[RegimeTrace, ...]
    route: Route
    signal: SignalReading | None


def why(rules: CompiledRules, facts: Facts, state: RegimeState) -> Why:
    """What the rules say to these facts in this regime, and why."""
    route = rules.route(state.regime)
    signal = rules.seek(route, facts)
    return Why(
        summary=summary(state, route, signal),
        state=state,
        hysteresis=hysteresis(rules, state),
        regimes=rules.explain_regime(facts, state),
        route=route,
        signal=signal,
    )


def summary(state: RegimeState, route: Route, signal: SignalReading | None) -> str:
    """The reason in one sentence."""
    if signal is None and route.reason == "STRATEGY_DISABLED":
        return f"{state.regime}: the strategy of this regime is switched off"
    if signal is None:
        asking = f"{state.pending} asks to follow" if state.pending is not None else "no regime can be told"
        return f"{state.regime}: nothing is traded; {asking}"
    regime = f"{state.regime} (confidence {state.confidence:.2f})"
    return f"{regime}, {signal.strategy}: {_signal_sentence(signal)}"


def hysteresis(rules: CompiledRules, state: RegimeState) -> str:
    """How the regime stands against a change."""
    classifier = rules.classifier
    lasted = f"{state.regime} for {_count(state.candles_in_regime, 'candle')} of {classifier.timeframe}"
    if state.pending is None:
        return f"{lasted}, and nothing else asks to follow"
    parts = [
        f"{state.pending} asks to follow: seen {state.pending_count} of {classifier.confirmations} times",
    ]
    if classifier.override_confidence is not None:
        parts.append(f"confidence {state.candidate_confidence:.2f} of {classifier.override_confidence:.2f}")
    if state.candles_in_regime < classifier.dwell_candles:
        parts.append(f"and not before {_count(classifier.dwell_candles, 'candle')} have passed")
    return f"{lasted}; {', '.join(parts)}"


def rows(traces: Iterable[ConditionTrace]) -> list[Row]:
    """A table of conditions; each with several comparisons takes a line for each of these after its own."""
    return [row for trace in traces for row in _condition_rows(trace)]


def render(reasons: Why) -> str:
    """The whole explanation as plain text."""
    lines = [reasons.summary, "", reasons.hysteresis]
    for regime in reasons.regimes:
        lines += ["", f"{regime.regime}  confidence {regime.confidence:.2f}"]
        for title, result, traces in (
            ("enter", regime.enter, regime.enter_conditions),
            ("stay", regime.stay, regime.stay_conditions),
        ):
            lines.append(f"  {title}: {_ANSWERS[result]}")
            lines += _table(rows(traces))
        for ramp in regime.ramps:
            ends = f"0 at {number(ramp.zero_at)}, 1 at {number(ramp.full_at)}"
            lines.append(f"  score {ramp.score:.2f}: {ramp.text} is {number(ramp.value)} ({ends})")
    for side in reasons.signal.traces if reasons.signal else ():
        lines += ["", f"{side.side}  setup: {_ANSWERS[side.result]}", *_table(rows(side.setup))]
        if side.accept:
            lines += ["  accept:", *_table(rows(side.accept))]
    return "\n".join(lines)


def number(value: float | None) -> str:
    """A measured value for people: 10 significant digits, or a question mark for UNKNOWN."""
    return "?" if value is None else f"{value:.10g}"


def _signal_sentence(signal: SignalReading) -> str:
    if signal.reason is Reason.SIGNAL:
        prices = f"entry {number(signal.entry)}, stop {number(signal.stop)}"
        if not signal.targets:
            return f"{signal.side} signal: {prices}, no target"
        targets = ", ".join(f"{number(price)} ({portion:.0%})" for price, portion in signal.targets)
        return f"{signal.side} signal: {prices}, targets {targets}, {signal.reward_risk or 0:.2f} R"
    sentence = _SENTENCES[signal.reason]
    if signal.reason is Reason.REWARD_RISK_LOW:
        sentence += f" ({signal.reward_risk or 0:.2f} R)"
    if signal.wanted is not None:
        return f"{signal.wanted} setup, but {sentence}"
    missing = [_missing(side) for side in signal.traces if side.result is not Truth.TRUE]
    return f"{sentence}; {'; '.join(missing)}" if missing else sentence


def _missing(side: SideTrace) -> str:
    """What keeps a side's setup from holding. Of alternatives, none held: the first stands for all."""
    held = {trace.group for trace in side.setup if trace.result is Truth.TRUE}
    first: dict[int, ConditionTrace] = {}
    for trace in side.setup:
        if trace.group not in held:
            first.setdefault(trace.group, trace)
    return f"{side.side} lacks {', '.join(_lack(trace) for trace in first.values())}"


def _lack(trace: ConditionTrace) -> str:
    failing = [comparison for comparison in trace.comparisons if comparison.result is not Truth.TRUE]
    if len(failing) != 1 or failing[0].distance is None:
        return trace.id
    return f"{trace.id} (by {_about(abs(failing[0].distance))})"


def _about(value: float) -> str:
    """A distance in a sentence: 4 significant digits say how near it was; the table has them all."""
    return number(float(f"{value:.4g}"))


def _condition_rows(trace: ConditionTrace) -> Iterator[Row]:
    comparisons = trace.comparisons
    if len(comparisons) == 1 and comparisons[0].text == trace.text:
        yield _row(trace.id, comparisons[0])
        return
    yield Row(trace.id, trace.text, _ANSWERS[trace.result], "", "")
    for comparison in comparisons:
        yield _row("", comparison)


def _row(name: str, comparison: ComparisonTrace) -> Row:
    numbers = number(comparison.left)
    is_flag = comparison.right is None and comparison.distance is None and comparison.result is not Truth.UNKNOWN
    if not is_flag:
        numbers += f" against {number(comparison.right)}"
    distance = "" if comparison.distance is None else f"{comparison.distance:+.10g}"
    return Row(name, comparison.text, _ANSWERS[comparison.result], numbers, distance)


def _table(lines: list[Row]) -> list[str]:
    cells = [(row.id, row.result, row.condition, row.numbers, row.distance) for row in lines]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(4)]
    return [
        "    " + "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4])).rstrip()
        for row in cells
    ]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
