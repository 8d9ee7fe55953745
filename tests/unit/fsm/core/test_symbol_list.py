"""The list of symbols by a rule: the most traded ones, in an order that answers alone decide."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.day_volumes import DayVolumes
from exchange.filters import SymbolFilters
from exchange.sim.playback.symbols import shipped_filters
from fsm.core.model.policy import ListRule
from fsm.core.symbol_list import Candidate, NoList, candidates, made, standing

ANY = shipped_filters()["BTCUSDT"]


def known(*names: str, **changed: Any) -> dict[str, SymbolFilters]:
    return {name: replace(ANY, symbol=name, **changed) for name in names}


def volumes(**told: int | str) -> DayVolumes:
    return DayVolumes({name: Decimal(volume) for name, volume in told.items()})


def listed(rule: ListRule, told: DayVolumes, filters: dict[str, SymbolFilters]) -> tuple[str, ...]:
    return made(rule, candidates(told, filters))


def test_the_most_traded_are_listed_in_the_order_of_the_alphabet() -> None:
    told = volumes(AAAUSDT=1, BBBUSDT=3, CCCUSDT=2)
    assert listed(ListRule(n=2), told, known("AAAUSDT", "BBBUSDT", "CCCUSDT")) == ("BBBUSDT", "CCCUSDT")


def test_of_those_that_are_traded_equally_the_first_of_the_alphabet_are_listed() -> None:
    told = volumes(CCCUSDT="5.0", BBBUSDT="5", AAAUSDT="5.00", DDDUSDT=9)
    assert listed(ListRule(n=2), told, known(*told.quote)) == ("AAAUSDT", "DDDUSDT")


def test_what_is_excluded_is_never_listed_and_takes_no_place() -> None:
    told = volumes(AAAUSDT=3, BBBUSDT=2, CCCUSDT=1)
    assert listed(ListRule(n=2, exclude=("AAAUSDT",)), told, known(*told.quote)) == ("BBBUSDT", "CCCUSDT")


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "SETTLING"},
        {"status": "TRADING_HALT"},
        {"contract_type": "CURRENT_QUARTER"},
        {"contract_type": "TRADIFI_PERPETUAL"},
        {"margin_asset": "USDC", "quote_asset": "USDC"},
        {"margin_asset": "BNFCR"},
        {"quote_asset": "BTC"},
    ],
)
def test_only_perpetuals_in_usdt_that_trade_are_listed(changed: dict[str, str]) -> None:
    told = volumes(AAAUSDT=1, BBBUSDT=100)
    assert listed(ListRule(n=2), told, known("AAAUSDT") | known("BBBUSDT", **changed)) == ("AAAUSDT",)


def test_a_symbol_without_filters_or_with_a_name_that_config_cannot_write_is_not_listed() -> None:
    told = DayVolumes({"AAAUSDT": Decimal(1), "BBBUSDT": Decimal(9), "币安人生USDT": Decimal(8)})
    assert listed(ListRule(n=3), told, known("AAAUSDT", "币安人生USDT")) == ("AAAUSDT",)


def test_a_volume_that_cannot_be_read_makes_no_list_until_its_symbol_is_excluded() -> None:
    told = DayVolumes({"AAAUSDT": Decimal(1), "BBBUSDT": Decimal(2)}, ("CCCUSDT",))
    filters = known("AAAUSDT", "BBBUSDT", "CCCUSDT")
    with pytest.raises(NoList, match="CCCUSDT cannot be read"):
        listed(ListRule(n=2), told, filters)
    assert listed(ListRule(n=2, exclude=("CCCUSDT",)), told, filters) == ("AAAUSDT", "BBBUSDT")
    gone = filters | known("CCCUSDT", status="CLOSE")
    assert listed(ListRule(n=2), told, gone) == ("AAAUSDT", "BBBUSDT"), "nobody asked for it"


def test_an_answer_that_was_cut_off_makes_no_list() -> None:
    filters = known("AAAUSDT", "BBBUSDT", "CCCUSDT")
    with pytest.raises(NoList, match="2 of 3 symbols have no volume"):
        listed(ListRule(n=2), volumes(AAAUSDT=1), filters)
    assert listed(ListRule(n=3), volumes(AAAUSDT=1, BBBUSDT=1), filters) == ("AAAUSDT", "BBBUSDT"), "a new one"


def test_where_nothing_trades_there_is_no_list() -> None:
    with pytest.raises(NoList, match="no perpetual contract"):
        listed(ListRule(n=2), volumes(AAAUSDT=1), known("AAAUSDT", status="SETTLING"))


def test_the_order_of_the_answers_does_not_matter() -> None:
    chance = random.Random(1)
    names = [f"{chr(65 + n // 26)}{chr(65 + n % 26)}AUSDT" for n in range(200)]
    told = {name: Decimal(chance.randrange(50)) for name in names}
    first = listed(ListRule(n=30), DayVolumes(told), known(*names))
    for _ in range(20):
        chance.shuffle(names)
        assert listed(ListRule(n=30), DayVolumes({name: told[name] for name in names}), known(*names)) == first
    assert first == tuple(sorted(sorted(told, key=lambda name: (-told[name], name))[:30]))


def test_where_a_symbol_stands_is_told() -> None:
    told = (Candidate("AAAUSDT", Decimal(1)), Candidate("BBBUSDT", Decimal(2)), Candidate("CCCUSDT", None, "CLOSE"))
    rule = ListRule(n=1, exclude=("DDDUSDT",))
    assert standing(rule, told, "AAAUSDT") == "it is number 2 of those that may be listed, and the list has 1"
    assert standing(rule, told, "CCCUSDT") == "it may not be listed: CLOSE"
    assert standing(rule, told, "DDDUSDT") == "it is excluded in config.yaml"
    assert standing(rule, told, "EEEUSDT") == "the exchange does not list it"
