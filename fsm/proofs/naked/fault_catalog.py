"""The rows of the table: what can go wrong, in a trader's words, and what it may cost in time without a stop."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from exchange.sim.server.gateway import Answer
from exchange.sim.server.memory import Asked, Blow, Broken
from fsm.proofs.naked.acts import Acts
from fsm.proofs.naked.stroke import (
    ALGO,
    HURRY_S,
    Ban,
    Both,
    ByHand,
    HardToClose,
    Make,
    Once,
    OnWire,
    Scene,
    StalledCommit,
    Standstill,
    Stroke,
    Which,
    WhileMoving,
    is_entry,
    is_stop,
)
from fsm.proofs.wire.answers import UNKNOWN, error, unavailable

HTML = {"content-type": "text/html"}
FORBIDDEN = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body><h1>403 Forbidden</h1></body>\r\n</html>"
TIMED_OUT = 6.0
"""Longer than the client waits for any answer about an order."""

MOMENTS = ("stop", "stop", "stop", "stop", "read-back", "entry")
"""Two strikes in three come while the position has no stop yet."""


Says = Callable[[float], Answer]
Making = Callable[[Scene, Acts], Stroke]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. ``is_pause``: it asks for a wait without saying how long, so a probe may be waited for; ``is_ban``:
    that pause is a ban's. ``is_out``: nothing is answered while it lasts. ``must_protect``: it ends before the
    deadline, so that positions are to end protected."""

    name: str
    says: str
    make: Making
    is_pause: bool = False
    is_ban: bool = False
    is_out: bool = False
    must_protect: bool = False
    rising: bool = False
    changes_form: bool = False
    stays_halted: bool = False
    waits_s: float = 30.0


def _moment(scene: Scene) -> str:
    return scene.chance.choice(MOMENTS)


def _instead(answer: Answer, *, arrives: bool = False) -> Make:
    return lambda chance, asked: Blow(instead=answer, arrives=arrives)


def _span(make: Make, seconds: float) -> Making:
    """Every request, for so many seconds from some moment on."""
    return lambda scene, acts: OnWire(scene, make, moment=_moment(scene), seconds=seconds)


def _each(
    make: Make, which: Which, *, moment: str = "stop", count: int = 1, lasts_s: float = 0.0, stream_late_s: float = 0.0
) -> Making:
    """So many requests of a kind, of each symbol."""
    return lambda scene, acts: OnWire(
        scene, make, moment=moment, which=which, count=count, each=True, lasts_s=lasts_s, stream_late_s=stream_late_s
    )


def _ban(says: Says, seconds: float, *, stated: bool, grows: bool = True) -> Making:
    return lambda scene, acts: Ban(scene, says, moment=_moment(scene), seconds=seconds, stated=stated, grows=grows)


def _once(says: Says) -> Making:
    return lambda scene, acts: Once(scene, says, moment=_moment(scene), seconds=0.001, stated=False)


def _firewall(left_s: float) -> Answer:
    return Answer(403, FORBIDDEN, HTML)


def _limited(left_s: float) -> Answer:
    return error(429, -1003, "Too many requests; current limit of IP(127.0.0.1) is 2400 requests per minute.")


def _limited_until(left_s: float) -> Answer:
    return error(429, -1003, "Too many requests.", retry_after=f"{left_s:.0f}")


def _banned(left_s: float) -> Answer:
    return error(418, -1003, "Way too many requests; IP banned.")


def _banned_until(left_s: float) -> Answer:
    return error(418, -1003, "Way too many requests; IP banned.", retry_after=f"{left_s:.0f}")


def _orders(left_s: float) -> Answer:
    return error(429, -1015, "Too many new orders; current limit is 300 orders per TEN_SECONDS.")


def _orders_until(left_s: float) -> Answer:
    return error(429, -1015, "Too many new orders.", retry_after=f"{left_s:.0f}")


def _dropped(chance: Random, asked: Asked) -> Blow:
    return Blow(broken=Broken.DROPPED, arrives=chance.random() < 0.5)


def _slow(chance: Random, asked: Asked) -> Blow:
    """Any subset of requests, by seconds, on the way there or back."""
    if chance.random() < 0.4:
        return Blow()
    return Blow(request_s=chance.uniform(0.0, 1.0), answer_s=chance.uniform(0.0, 1.5))


def _unknown(chance: Random, asked: Asked) -> Blow:
    return Blow(instead=error(503, -1000, UNKNOWN), arrives=chance.random() < 0.5)


NOT_LISTED = error(400, -4999, "Order is rejected.")
INTERNAL = error(503, -1001, "Internal error; unable to process your request. Please try again.")
WOULD_TRIGGER = error(400, -2021, "Order would immediately trigger.")
NEEDS_POSITION = error(400, -4509, "Time in Force (TIF) GTE can only be used with open positions.")
TOO_LARGE = error(400, -4005, "Quantity greater than max quantity.")
REDUCE_ONLY = error(400, -2022, "ReduceOnly Order is rejected.")
NO_PRICE = error(400, -4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.")


def _too_large(chance: Random, asked: Asked) -> Blow:
    """The largest lot has been lowered: what is larger is refused however often it comes."""
    return Blow(instead=TOO_LARGE) if float(asked.params["quantity"]) > LARGEST else Blow()


LARGEST = 200.0


def _route_gone(scene: Scene, acts: Acts) -> Stroke:
    """Nor is a probe, so that the route cannot be proved while flat."""
    silent: Make = lambda chance, asked: Blow(broken=Broken.SILENT)  # noqa: E731 - a row's shape
    return OnWire(scene, silent, moment="stop", which=lambda asked: asked.what == f"POST {ALGO}", count=1_000_000)


def _mixed(scene: Scene, acts: Acts) -> Stroke:
    first, second = scene.chance.sample(MIXABLE, 2)
    by_name = {row.name: row for row in ROWS}
    return Both(scene, by_name[first].make(scene, acts), by_name[second].make(scene, acts))


MIXABLE = ("firewall-once", "limit-stated", "hang-stop", "slow", "dropped-3s", "internal-4s", "unknown-entry",
           "position-lags", "stream-late")  # fmt: skip

ROWS: tuple[Row, ...] = (
    Row(name="none", says="nothing goes wrong", make=lambda scene, acts: Stroke(scene), must_protect=True),
    Row(name="firewall-once", says="one request is answered by the firewall (403 with a page of HTML)",
        make=_once(_firewall), is_pause=True, must_protect=True),
    Row(name="firewall-2s", says="the firewall answers every request for 2 s",
        make=_ban(_firewall, 2.0, stated=False, grows=False), is_pause=True, must_protect=True),
    Row(name="firewall-8s", says="the firewall answers every request for 8 s",
        make=_ban(_firewall, 8.0, stated=False, grows=False), is_pause=True, is_out=True),
    Row(name="limit-once", says="one 429 that does not say how long to wait",
        make=_once(_limited), is_pause=True, must_protect=True),
    Row(name="limit-stated", says="429 with Retry-After, 3 s; each request made meanwhile makes it longer",
        make=_ban(_limited_until, 3.0, stated=True), must_protect=True),
    Row(name="limit-8s", says="429 without a time for 8 s; each request made meanwhile makes it longer",
        make=_ban(_limited, 8.0, stated=False), is_pause=True, is_out=True),
    Row(name="ban-stated", says="banned (418) with Retry-After, 20 s; each request made meanwhile makes it longer",
        make=_ban(_banned_until, 20.0, stated=True), waits_s=90.0),
    Row(name="ban-once", says="one 418 that does not say how long to wait",
        make=_once(_banned), is_pause=True, is_ban=True, waits_s=200.0),
    Row(name="orders-once", says="one -1015 (too many orders) that does not say how long to wait",
        make=_once(_orders), is_pause=True),
    Row(name="orders-stated", says="-1015 (too many orders) with Retry-After, 3 s",
        make=lambda scene, acts: Ban(scene, _orders_until, moment="stop", seconds=3.0, stated=True,
                                     which=lambda asked: asked.method == "POST"), must_protect=True),
    Row(name="hang-stop", says="one request for a stop never gets an answer and never arrived",
        make=_each(lambda chance, asked: Blow(broken=Broken.SILENT), is_stop, lasts_s=HURRY_S),
        must_protect=True),
    Row(name="hang-stop-done", says="one request for a stop is carried out and never gets an answer",
        make=_each(lambda chance, asked: Blow(broken=Broken.SILENT, arrives=True), is_stop, lasts_s=HURRY_S),
        must_protect=True),
    Row(name="late-answers", says="for 4 s, answers come later than anybody waits for them",
        make=_span(lambda chance, asked: Blow(answer_s=TIMED_OUT), 4.0), must_protect=True),
    Row(name="slow", says="for 20 s, any of the requests and answers take up to a second and a half longer",
        make=_span(_slow, 20.0)),
    Row(name="dropped-3s", says="connections are dropped for 3 s, requests done or not",
        make=_span(_dropped, 3.0), must_protect=True),
    Row(name="refused-3s", says="no connection can be made for 3 s",
        make=_span(lambda chance, asked: Blow(broken=Broken.REFUSED), 3.0), must_protect=True),
    Row(name="refused-20s", says="no connection can be made for 20 s",
        make=_span(lambda chance, asked: Blow(broken=Broken.REFUSED), 20.0), is_out=True, waits_s=60.0),
    Row(name="internal-4s", says="-1001 (internal error) for 4 s",
        make=_span(_instead(INTERNAL), 4.0), must_protect=True),
    Row(name="unavailable-4s", says='503 "Service Unavailable" for 4 s',
        make=_span(unavailable, 4.0), must_protect=True),
    Row(name="not-listed-3s", says="every stop is refused for 3 s, with a number that no list of errors has",
        make=lambda scene, acts: OnWire(scene, _instead(NOT_LISTED), moment="stop", which=is_stop, seconds=3.0),
        must_protect=True),
    Row(name="unknown-4s", says="503 that leaves open whether it was done, for 4 s",
        make=_span(_unknown, 4.0), must_protect=True),
    Row(name="unknown-entry", says="the answer to an entry is late by 6 s, and the stream told of the fill at once",
        make=_each(lambda chance, asked: Blow(answer_s=TIMED_OUT), is_entry, moment="entry"), must_protect=True),
    Row(name="unknown-entry-deaf", says="the answer to an entry is late by 6 s, and the stream is silent",
        make=_each(lambda chance, asked: Blow(answer_s=TIMED_OUT), is_entry, moment="entry", stream_late_s=-1.0),
        must_protect=True),
    Row(name="stream-late", says="the stream tells everything 3 s late",
        make=_each(lambda chance, asked: Blow(), is_entry, moment="entry", stream_late_s=3.0), must_protect=True),
    Row(name="position-lags", says="the position lags behind its fill: two stops are refused with -4509",
        make=_each(_instead(NEEDS_POSITION), is_stop, count=2), must_protect=True),
    Row(name="stop-refused", says="every stop is refused with -2021, and reads take up to four seconds longer",
        make=lambda scene, acts: HardToClose(scene, WOULD_TRIGGER, read_s=scene.chance.uniform(0.8, 4.0))),
    Row(name="close-expires", says="every stop is refused, and the first three closes expire unfilled",
        make=lambda scene, acts: HardToClose(scene, WOULD_TRIGGER, unfilled=3), changes_form=True),
    Row(name="close-too-large", says="every stop is refused, and closes above a lowered largest lot are too",
        make=lambda scene, acts: HardToClose(scene, WOULD_TRIGGER, close=_too_large, close_count=1_000),
        changes_form=True),
    Row(name="close-refused", says="every stop is refused, and the first three closes are refused with -2022",
        make=lambda scene, acts: HardToClose(scene, WOULD_TRIGGER, close=_instead(REDUCE_ONLY), close_count=3)),
    Row(name="close-unknown", says="every stop is refused, and nobody knows what became of the first two closes",
        make=lambda scene, acts: HardToClose(scene, WOULD_TRIGGER, close=_unknown, close_count=2)),
    Row(name="stop-vanishes", says="a resting stop vanishes", make=lambda scene, acts: ByHand(scene, acts.cancel_stop)),
    Row(name="stop-vanishes-deaf", says="a resting stop vanishes, and the stream is silent",
        make=lambda scene, acts: ByHand(scene, acts.cancel_stop, stream_late_s=-1.0)),
    Row(name="flipped", says="a hand turns the position round: it is not the bot's then, so until an alert names it",
        make=lambda scene, acts: ByHand(scene, acts.flip)),
    Row(name="added", says="somebody adds to the position by hand", make=lambda scene, acts: ByHand(scene, acts.add)),
    Row(name="closed-while-moving", says="somebody closes the position by hand while its stop moves",
        make=lambda scene, acts: WhileMoving(scene, acts.close), rising=True),
    Row(name="commit-3s", says="the commit after a fill takes 3 s",
        make=lambda scene, acts: StalledCommit(scene, 3.0), must_protect=True),
    Row(name="commit-30s", says="the commit after a fill takes 30 s",
        make=lambda scene, acts: StalledCommit(scene, 30.0)),
    Row(name="suspended-10s", says="the process stands still for 10 s right after a fill",
        make=lambda scene, acts: Standstill(scene, 10.0, after_s=0.0)),
    Row(name="route-gone", says="no request for a stop is answered any more, for hours", make=_route_gone,
        stays_halted=True),
    Row(name="mixed", says="two faults of the others at once, by chance", make=_mixed, is_pause=True),
)  # fmt: skip
