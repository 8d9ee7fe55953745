"""Changes how the account trades: leverage and margin type; hedge mode and joint margin exist only to be refused."""

from __future__ import annotations

from exchange.errors import Refusal
from exchange.sim import margin
from exchange.sim.server.emulator import Emulator
from exchange.sim.server.endpoint import Endpoint, signed
from exchange.sim.server.numerals import plain
from exchange.sim.server.params import Params
from exchange.sim.server.refusals import not_modelled
from exchange.types import MarginType

_DONE = {"code": 200, "msg": "success"}


def set_leverage(emulator: Emulator, params: Params) -> object:
    symbol, leverage = emulator.symbol(params), params.whole("leverage")
    changed = emulator.write(lambda: emulator.venue.set_leverage(symbol, leverage))
    most = margin.notional_max(changed.leverage, emulator.state.brackets[symbol])
    return {"leverage": changed.leverage, "maxNotionalValue": plain(most), "symbol": symbol}


def set_margin_type(emulator: Emulator, params: Params) -> object:
    symbol = emulator.symbol(params)
    wanted = params.choice("marginType", MarginType, Refusal(-4044, "Invalid Balance Type."))
    emulator.write(lambda: emulator.venue.set_margin_type(symbol, wanted))
    return _DONE


def position_mode(_: Emulator, __: Params) -> object:
    return {"dualSidePosition": False}


def set_position_mode(_: Emulator, params: Params) -> object:
    params.text("dualSidePosition")
    if params.flag("dualSidePosition"):
        raise not_modelled("hedge mode")
    raise Refusal(-4059, "No need to change position side.")


def assets_mode(_: Emulator, __: Params) -> object:
    return {"multiAssetsMargin": False}


def set_assets_mode(_: Emulator, params: Params) -> object:
    params.text("multiAssetsMargin")
    if params.flag("multiAssetsMargin"):
        raise not_modelled("multi-assets mode")
    raise Refusal(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly")


def change_position_margin(_: Emulator, __: Params) -> object:
    raise not_modelled("moving margin in and out of an isolated position")


ENDPOINTS: tuple[Endpoint, ...] = (
    signed("POST", "/fapi/v1/leverage", set_leverage, 1),
    signed("POST", "/fapi/v1/marginType", set_margin_type, 1),
    signed("GET", "/fapi/v1/positionSide/dual", position_mode, 30),
    signed("POST", "/fapi/v1/positionSide/dual", set_position_mode, 1),
    signed("GET", "/fapi/v1/multiAssetsMargin", assets_mode, 30),
    signed("POST", "/fapi/v1/multiAssetsMargin", set_assets_mode, 1),
    signed("POST", "/fapi/v1/positionMargin", change_position_margin, 1),
)
