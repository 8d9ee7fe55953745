"""Says in words how much of the best variant of a study is luck: for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fsm.optimise.luck import DAYS_MIN, TRADES_MIN


def told_of_luck(found: dict[str, Any], trials: int) -> Iterator[tuple[str, str]]:
    """(name, sentence) for each look at it. ``found`` is what a study remembers as ``honesty``."""
    yield "tried", f"{found['variants_tried']:,} variants on these data in all studies, {trials:,} of them in this one"
    yield from _deflated(found["deflated_sharpe"])
    if found["overfitting"] is not None:
        yield "overfitting", _overfitting(found["overfitting"])
    if found["judged"] and found["out_of_sample_probability"] is None:
        yield "out of sample", f"fewer than {TRADES_MIN} trades or {DAYS_MIN} days: too few to tell"
    elif found["judged"]:
        yield "out of sample", f"Sharpe above 0 with a probability of {found['out_of_sample_probability']:.1%}"
    if found["costs_doubled"] is not None:
        yield (
            "costs doubled",
            f"{found['costs_doubled']['return_pct']:+.2f} %, Sharpe {found['costs_doubled']['sharpe']:.2f}",
        )
    if found["entry_delay"] is not None:
        yield "entered later", _delay(found["entry_delay"])
    if found["trade_order"] is not None:
        yield from _order(found["trade_order"])
    for kind, made in (found["made_markets"] or {}).items():
        yield kind, _made(made)


def _deflated(found: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if found is None:
        yield "Sharpe", "too few days, or no trade, to tell"
        return
    yield (
        "Sharpe",
        f"{found['sharpe']:.2f} a year; the best of {found['trials']:,} without any edge: {found['luck_alone']:.2f}",
    )
    few = f", and {found['trades']} trades are too few to tell" if found["trades"] < TRADES_MIN else ""
    verdict = "SIGNIFICANT" if found["significant"] else "NOT significant"
    yield (
        "deflated Sharpe",
        f"{found['probability']:.1%}, {verdict} (at 95 %{few}); {found['edge_found']:.2f} a year would be found",
    )


def _overfitting(found: Any) -> str:
    return (
        f"{found['probability']:.0%}: so often what was best in half of the days was below the median in the others; "
        f"it lost there in {found['loss']:.0%}"
    )


def _delay(found: dict[str, Any]) -> str:
    later = ", ".join(f"{found[f'return_pct_{delay}_later']:+.2f} %" for delay in (1, 2, 3))
    return f"{found['return_pct']:+.2f} % becomes {later} with entries 1, 2, 3 candles later"


def _order(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        "other orders",
        f"drawdown {found['max_drawdown_pct']:.2f} % at the ends of trades; of {found['draws']:,} orders 5 % are above "
        f"{found['max_drawdown_pct_95']:.2f} %",
    )
    yield (
        "drawn again",
        f"return {found['return_pct_5']:+.2f} % to {found['return_pct_95']:+.2f} % in 9 of 10, "
        f"a loss in {found['loss_share']:.0%}",
    )


def _made(found: dict[str, Any]) -> str:
    if found["median"] is None:
        return f"no trade in {found['runs']} of them"
    return (
        f"{found['figure']} {found['median']:.2f} in the middle of {found['runs']}, at best {found['best']:.2f}, here "
        f"{found['real']:.2f}: {found['as_good']} were as good"
    )
