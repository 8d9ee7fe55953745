"""What one call of the interface is: address, security, costs, and the function that answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.sim.server.emulator import Emulator
from exchange.sim.server.keys import Security
from exchange.sim.server.params import Params
from exchange.sim.server.weights import Weight, fixed

Handler = Callable[[Emulator, Params], object]
"""Does what is asked at once, and returns what is to be sent as JSON. Raises Refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """``orders`` is the cost on the 10 s and the 1 min order count. ``counted`` False: outside the weight limit."""

    method: str
    path: str
    handler: Handler
    security: Security
    weight: Weight
    orders: tuple[int, int] = (0, 0)
    counted: bool = True


def public(path: str, handler: Handler, weight: int | Weight = 1, *, counted: bool = True) -> Endpoint:
    return Endpoint(
        method="GET",
        path=path,
        handler=handler,
        security=Security.NONE,
        weight=fixed(weight) if isinstance(weight, int) else weight,
        counted=counted,
    )


def signed(
    method: str, path: str, handler: Handler, weight: int | Weight, *, orders: tuple[int, int] = (0, 0)
) -> Endpoint:
    return Endpoint(
        method=method,
        path=path,
        handler=handler,
        security=Security.SIGNED,
        weight=fixed(weight) if isinstance(weight, int) else weight,
        orders=orders,
    )


def keyed(method: str, path: str, handler: Handler) -> Endpoint:
    """Needs the API key and no signature (listen keys)."""
    return Endpoint(method=method, path=path, handler=handler, security=Security.KEY, weight=fixed(1))
