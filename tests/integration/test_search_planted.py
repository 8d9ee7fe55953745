"""The comparison of the search mode with the backtest notices mistakes: each of these is planted, and found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from exchange.sim.playback.candle_path import Bias
from fsm.backtest.result import Result
from fsm.backtest.run import Request, run_backtest
from fsm.search import Prepared, evaluate, evaluation, prepare, sizing
from fsm.search.account import Account
from fsm.search.open_trade import OpenTrade
from fsm.search.orders import Orders
from fsm.search.seat import Seat
from fsm.search.straight.compiled import PLAIN, Form, Wanted, copied
from fsm.search.terms import Terms
from tests.effort import sampled
from tests.integration.generated_runs import case
from tests.integration.generated_variants import variant
from tests.integration.test_search import differing, generated, of_one_symbol

CASES, VARIANTS = (2, 21, 32, 35, 39), (7, 12)

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def backtests(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Prepared, Result]]:
    folders = iter(tmp_path_factory.mktemp(str(number)) for number in range(len(CASES) + len(VARIANTS)))
    requests = [case(number, next(folders)).request for number in CASES]
    requests += [variant(number, next(folders))[0] for number in VARIANTS]
    return [(prepare(request), run_backtest(request)) for request in requests]


def told(backtests: list[tuple[Prepared, Result]], form: Wanted = None) -> list[str]:
    """Every difference of all of them."""
    return [
        difference
        for prepared, expected in backtests
        for difference in differing(
            evaluate(prepared, prepared.request.rules, prepared.request.config.settings, form), expected
        )
    ]


def no_slippage(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Terms, "taken", lambda terms, side, last, mark: last)


def stops_at_their_trigger(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Terms, "stop_price", lambda terms, side, quote, candle: quote.last)


def free_funding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenTrade, "pay_funding", lambda trade, mark, rate: Decimal(0))


def high_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Seat, "bias", lambda seat: Bias.HIGH_FIRST)


def one_step_more(patch: pytest.MonkeyPatch) -> None:
    right = sizing._tradable
    patch.setattr(sizing, "_tradable", lambda terms, quantity: right(terms, quantity) + terms.filters.market_step_size)


def no_limits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Account, "_exceeded", lambda account, equity: None)


def no_rest(patch: pytest.MonkeyPatch) -> None:
    right = Seat.after

    def after(seat: Seat, *arguments: object) -> None:
        right(seat, *arguments)  # type: ignore[arg-type]
        seat.resting_until_ms = 0

    patch.setattr(Seat, "after", after)


def stops_that_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evaluation, "moved_stop", lambda trade, wanted, prices: None)


def no_liquidation(patch: pytest.MonkeyPatch) -> None:
    right = OpenTrade._margin_changed

    def changed(trade: OpenTrade) -> None:
        right(trade)
        trade.liquidation = None

    patch.setattr(OpenTrade, "_margin_changed", changed)


def a_portfolio_that_forgets(patch: pytest.MonkeyPatch) -> None:
    right = evaluation.room_for
    patch.setattr(evaluation, "room_for", lambda *arguments: right(*arguments)._replace(open_positions=0))


def a_millisecond_late(patch: pytest.MonkeyPatch) -> None:
    right = Orders._strike
    patch.setattr(Orders, "_strike", lambda run, seat, rank, number, now_ms: right(run, seat, rank, number, now_ms + 1))


def whole_shares(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sizing, "_sized", lambda terms, quantity, targets: [(price, None) for price, _ in targets[-1:]])


def fees_of_a_maker(patch: pytest.MonkeyPatch) -> None:
    right = OpenTrade.enter
    patch.setattr(OpenTrade, "enter", lambda trade, price, now_ms, *, maker: right(trade, price, now_ms, maker=True))


PLANTS: tuple[Plant, ...] = (
    no_slippage,
    stops_at_their_trigger,
    free_funding,
    high_first,
    one_step_more,
    no_limits,
    no_rest,
    stops_that_stay,
    no_liquidation,
    a_portfolio_that_forgets,
    a_millisecond_late,
    whole_shares,
    fees_of_a_maker,
)


def test_without_a_mistake_nothing_differs(backtests: list[tuple[Prepared, Result]]) -> None:
    assert told(backtests) == []


@pytest.mark.parametrize("plant", sampled(PLANTS, often=4), ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_noticed(
    plant: Plant, backtests: list[tuple[Prepared, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert told(backtests)


KERNEL_CASES = (3, 13, 36, 45, 77, 78, 83, 90)
MISTAKES = {
    "no slippage": ("pricing", "last * t.slip_sell", "last * t.slip_of"),
    "stops at their trigger": ("pricing", "last += (worst - last) * t.depth", "last += 0"),
    "free funding": ("kernel", "s[WALLET] -= paid", "s[WALLET] -= 0"),
    "a millisecond late": ("kernel", "fork_ms + ms,", "fork_ms + ms + 1,"),
    "one lot more": ("plan", "lots = int(exact)", "lots = int(exact) + 1"),
    "no limits": ("account", "return bool(equity > s[FLOOR])", "return True"),
    "limits unseen on the way": ("kernel", "if now <= floor or now > top", "if now > top"),
    "funding unseen on the way": ("kernel", " or rates[bar] != NEVER", ""),
    "marks unseen on the way": ("kernel", "(mark_opens[bar] - entry) * per_unit", "0"),
    "no rest": ("closing", "streak >= t.losses", "streak > t.losses"),
    "no rest of its own": ("closing", "s[RESTING] = max(s[RESTING], at_ms + k.rest_ms[kind])", "pass"),
    "fees rounded down": ("closing", "-(-price * lots * t.fee // t.fee_of)", "price * lots * t.fee // t.fee_of"),
    "whole shares": ("closing", "lots = s[HELD] if share < 0 else min(share, s[HELD])", "lots = s[HELD]"),
    "targets first": ("kernel", "if sign * (worst - stop) <= 0:", "if not is_target(c, s, sign, best):"),
    "days unread": ("kernel", "while day_ms < now_ms:", "while day_ms < 0:"),
    "numbers left out": ("plan", "s[OPENED] += 1", "s[OPENED] += 2"),
    "prices of long ago": ("kernel", "s[TOLD] = 2 * bar + 1", "s[TOLD] = 1"),
}
"""In the text of the kernel: the module, what it says, and what it says by mistake."""


def mistaken(name: str) -> Form:
    """The kernel with this mistake."""
    place, right, wrong = MISTAKES[name]

    def edit(part: str, text: str) -> str:
        assert part != place or right in text
        return text.replace(right, wrong) if part == place else text

    return PLAIN._replace(live=copied(lambda function: function, edit)["kernel"].live)


def with_little_to_lose(request: Request) -> Request:
    """The same with limits that are hit on the way, and not by what is realised alone."""
    settings = request.config.settings
    limits = msgspec.structs.replace(
        settings.limits,
        daily_loss_pct=Decimal("0.3"),
        weekly_loss_pct=Decimal(3),
        monthly_loss_pct=Decimal(6),
    )
    return replace(request, config=replace(request.config, settings=msgspec.structs.replace(settings, limits=limits)))


@pytest.fixture(scope="module")
def of_one_symbol_each(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Prepared, Result]]:
    folders = ((number, tmp_path_factory.mktemp(f"one{number}")) for number in KERNEL_CASES)
    requests = [of_one_symbol(generated(number, folder)[0]) for number, folder in folders]
    requests.append(with_little_to_lose(requests[0]))
    return [(prepare(request), run_backtest(request)) for request in requests]


@pytest.mark.slow
def test_without_a_mistake_in_the_kernel_nothing_differs(of_one_symbol_each: list[tuple[Prepared, Result]]) -> None:
    assert told(of_one_symbol_each, PLAIN._replace(live=copied(lambda function: function)["kernel"].live)) == []


@pytest.mark.parametrize("name", sampled(MISTAKES, often=1))
def test_a_mistake_in_the_kernel_is_noticed(name: str, of_one_symbol_each: list[tuple[Prepared, Result]]) -> None:
    assert told(of_one_symbol_each, mistaken(name))
