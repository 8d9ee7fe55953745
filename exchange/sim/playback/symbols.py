"""The rules of the symbols: filters and brackets, read from this package's own data or a folder beside candles.

The files have the exchange's shapes (GET /fapi/v1/exchangeInfo and /fapi/v1/leverageBracket, checked 2026-11). They are
read by these lines alone: what the client makes of the same fields is its own affair, and may be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from pathlib import Path

import msgspec

from exchange.errors import MalformedReply
from exchange.filters import SymbolFilters
from exchange.types import Bracket

Row = Mapping[str, object]


def shipped_folder() -> Path:
    """The folder of shipped candles, for CandleFolders."""
    return Path(str(resources.files("exchange.sim") / "data"))


def shipped_exchange_info() -> Row:
    """The shipped snapshot in the shape of GET /fapi/v1/exchangeInfo."""
    found = decoded(shipped_folder() / "symbols.json")
    assert isinstance(found, dict)
    return found


def shipped_filters() -> dict[str, SymbolFilters]:
    """Filters by symbol."""
    return filters_of(shipped_exchange_info())


def shipped_brackets() -> dict[str, tuple[Bracket, ...]]:
    """Leverage brackets by symbol, lowest notional first."""
    return brackets_of(decoded(shipped_folder() / "brackets.json"))


def decoded(path: Path) -> object:
    """The JSON of a file. Raises MalformedReply."""
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise MalformedReply(f"{path}: not JSON ({error})") from None


def symbol_rows(info: object) -> list[Row]:
    """The rows of ``symbols``. Raises MalformedReply."""
    try:
        return [*msgspec.convert(msgspec.convert(info, dict[str, object])["symbols"], list[dict[str, object]])]
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise MalformedReply(f"the rules of the symbols have no list of symbols ({error!r})") from None


def filters_of(info: object) -> dict[str, SymbolFilters]:
    """Filters by symbol; a symbol whose rules are incomplete is left out, as on an exchange that does not list it."""
    found: dict[str, SymbolFilters] = {}
    for row in symbol_rows(info):
        try:
            filters = _filters(row)
        except (KeyError, TypeError, ArithmeticError):
            continue
        found[filters.symbol] = filters
    return found


def _filters(row: Row) -> SymbolFilters:
    listed: list[dict[str, object]] = row["filters"]  # type: ignore[assignment]
    rules = {str(rule["filterType"]): rule for rule in listed}
    price, lot, market_lot = rules["PRICE_FILTER"], rules["LOT_SIZE"], rules["MARKET_LOT_SIZE"]
    percent, count = rules.get("PERCENT_PRICE", {}), rules.get("MAX_NUM_ORDERS", {})
    return SymbolFilters(
        symbol=str(row["symbol"]),
        status=str(row.get("status", "UNRECOGNISED")),
        contract_type=str(row.get("contractType", "UNRECOGNISED")),
        base_asset=str(row.get("baseAsset", "")),
        quote_asset=str(row.get("quoteAsset", "")),
        margin_asset=str(row.get("marginAsset", "")),
        tick_size=_step(price["tickSize"]),
        price_min=_number(price.get("minPrice", 0)),
        price_max=_number(price.get("maxPrice", 0)),
        step_size=_step(lot["stepSize"]),
        quantity_min=_number(lot["minQty"]),
        quantity_max=_number(lot["maxQty"]),
        market_step_size=_step(market_lot["stepSize"]),
        market_quantity_min=_number(market_lot["minQty"]),
        market_quantity_max=_number(market_lot["maxQty"]),
        notional_min=_number(rules["MIN_NOTIONAL"]["notional"]),
        multiplier_up=_number(percent.get("multiplierUp", 0)),
        multiplier_down=_number(percent.get("multiplierDown", 0)),
        orders_max=int(_number(count.get("limit", 0))),
        market_take_bound=_number(row.get("marketTakeBound", 0)),
        trigger_protect=_number(row.get("triggerProtect", 0)),
        liquidation_fee=_number(row.get("liquidationFee", 0)),
    )


def brackets_of(payload: object) -> dict[str, tuple[Bracket, ...]]:
    """Brackets by symbol, lowest notional first. Raises MalformedReply."""
    try:
        rows = msgspec.convert(payload, list[dict[str, object]])
        return {str(row["symbol"]): _brackets(row["brackets"]) for row in rows}
    except (msgspec.ValidationError, KeyError, TypeError, ArithmeticError) as error:
        raise MalformedReply(f"the leverage brackets cannot be read ({error!r})") from None


def _brackets(listed: object) -> tuple[Bracket, ...]:
    rows = msgspec.convert(listed, list[dict[str, object]])
    found = (
        Bracket(
            bracket=int(_number(row["bracket"])),
            initial_leverage=int(_number(row["initialLeverage"])),
            notional_floor=_number(row["notionalFloor"]),
            notional_cap=_number(row["notionalCap"]),
            maintenance_margin_ratio=_number(row["maintMarginRatio"]),
            cumulative=_number(row["cum"]),
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda bracket: bracket.notional_floor))


def _number(value: object) -> Decimal:
    """As text, a float by its shortest one: 0.0065 is 0.0065."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is no number")
    return Decimal(str(value))


def _step(value: object) -> Decimal:
    step = _number(value)
    if step <= 0:
        raise TypeError(f"orders cannot be rounded to {value!r}")
    return step
