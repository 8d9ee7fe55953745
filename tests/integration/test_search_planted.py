"""The comparison of the search mode with the backtest notices mistakes: each of these is planted, and found."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from exchange.sim.playback.candle_path import Bias
from fsm.backtest.result import Result
from fsm.backtest.run import run_backtest
from fsm.search import Prepared, evaluate, evaluation, prepare, sizing
from fsm.search.account import Account
from fsm.search.open_trade import OpenTrade
from fsm.search.orders import Orders
from fsm.search.seat import Seat
from fsm.search.terms import Terms
from tests.integration.generated_runs import case
from tests.integration.generated_variants import variant
from tests.integration.test_search import differing

CASES, VARIANTS = (2, 21, 32, 35, 39), (7, 12)

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def backtests(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Prepared, Result]]:
    folders = iter(tmp_path_factory.mktemp(str(number)) for number in range(len(CASES) + len(VARIANTS)))
    requests = [case(number, next(folders)).request for number in CASES]
    requests += [variant(number, next(folders))[0] for number in VARIANTS]
    return [(prepare(request), run_backtest(request)) for request in requests]


def told(backtests: list[tuple[Prepared, Result]]) -> list[str]:
    """Every difference of all of them."""
    return [
        difference
        for prepared, expected in backtests
        for difference in differing(
            evaluate(prepared, prepared.request.rules, prepared.request.config.settings), expected
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


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_noticed(
    plant: Plant, backtests: list[tuple[Prepared, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert told(backtests)
