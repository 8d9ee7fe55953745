"""Changes how the account trades: leverage and margin type; hedge mode and joint margin are told and not modelled."""

from __future__ import annotations

from msgspec.structs import replace

from exchange.errors import Refusal
from exchange.sim.core import margin
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


def position_mode(emulator: Emulator, _: Params) -> object:
    return {"dualSidePosition": emulator.modes.hedge}


def set_position_mode(emulator: Emulator, params: Params) -> object:
    params.text("dualSidePosition")
    if params.flag("dualSidePosition") == emulator.modes.hedge:
        raise Refusal(-4059, "No need to change position side.")
    if params.flag("dualSidePosition"):
        raise not_modelled("hedge mode")
    emulator.modes = replace(emulator.modes, hedge=False)
    return _DONE


def assets_mode(emulator: Emulator, _: Params) -> object:
    return {"multiAssetsMargin": emulator.modes.multi_assets}


def set_assets_mode(emulator: Emulator, params: Params) -> object:
    params.text("multiAssetsMargin")
    if params.flag("multiAssetsMargin") == emulator.modes.multi_assets:
        raise Refusal(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly")
    if params.flag("multiAssetsMargin"):
        raise not_modelled("multi-assets mode")
    emulator.modes = replace(emulator.modes, multi_assets=False)
    return _DONE


def fee_burn(emulator: Emulator, _: Params) -> object:
    return {"feeBurn": emulator.modes.bnb_price is not None}


def key_permissions(emulator: Emulator, _: Params) -> object:
    """Of the exchange's other half, at its host ``api.``; here both have one address (checked 2026-11)."""
    modes = emulator.modes
    return {
        "ipRestrict": modes.key_restricted,
        "createTime": 1_700_000_000_000,
        "enableReading": True,
        "enableWithdrawals": modes.key_withdraws,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableMargin": False,
        "enableFutures": modes.key_trades,
        "enableVanillaOptions": False,
        "enableSpotAndMarginTrading": False,
        "enablePortfolioMarginTrading": False,
    }


def change_position_margin(_: Emulator, __: Params) -> object:
    raise not_modelled("moving margin in and out of an isolated position")


ENDPOINTS: tuple[Endpoint, ...] = (
    signed("GET", "/sapi/v1/account/apiRestrictions", key_permissions, 1),
    signed("POST", "/fapi/v1/leverage", set_leverage, 1),
    signed("POST", "/fapi/v1/marginType", set_margin_type, 1),
    signed("GET", "/fapi/v1/positionSide/dual", position_mode, 30),
    signed("POST", "/fapi/v1/positionSide/dual", set_position_mode, 1),
    signed("GET", "/fapi/v1/multiAssetsMargin", assets_mode, 30),
    signed("POST", "/fapi/v1/multiAssetsMargin", set_assets_mode, 1),
    signed("GET", "/fapi/v1/feeBurn", fee_burn, 30),
    signed("POST", "/fapi/v1/positionMargin", change_position_margin, 1),
)
