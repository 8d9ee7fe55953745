"""Joins what speaks with the world beside the exchange: the messenger, and the ping to who watches over the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fsm.config import Environment
from fsm.live.context.clock import Clock, ExchangeClock, MachineClock
from fsm.live.operator.alerts import Alerts
from fsm.live.operator.answers import Answers
from fsm.live.operator.apprised import delivery, name_of
from fsm.live.operator.channel import Channel
from fsm.live.operator.chat import Chat
from fsm.live.operator.courier import Courier
from fsm.live.operator.delivery import Delivery
from fsm.live.operator.escalation import Escalation
from fsm.live.operator.messenger import Tally
from fsm.live.process.daemon import Daemon
from fsm.live.process.dead_man import DeadMan, ask, by_courier, find_room
from fsm.live.process.supervisor import Background
from store.alerts import AlertBox
from store.database import Store

ALERT_AGE_MS_MAX = 3 * 86_400_000
"""Older messages that were never delivered are news no more; they stay in the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Who speaks, and how: ``banner`` stands before every text."""

    daemon: Daemon
    alerts: Alerts
    banner: str

    @property
    def wall(self) -> Clock:
        """Who is spoken to lives in real time."""
        clock = self.daemon.live.clock
        return clock if isinstance(clock, ExchangeClock) else MachineClock()


@asynccontextmanager
async def outside(
    environment: Environment, store: Store, db: Path, spoken: Spoken
) -> AsyncIterator[Sequence[Background]]:
    """What has to run for it; nothing where nothing is configured."""
    async with telegram_of(environment, store, db, spoken) as messaging:
        couriers: list[Courier] = []
        try:
            beside = (*ping_of(environment, db, spoken, couriers), *channels_of(environment, spoken, couriers))
            yield (*messaging, *beside)
        finally:
            for courier in couriers:
                courier.end()


def ping_of(environment: Environment, db: Path, spoken: Spoken, couriers: list[Courier]) -> Sequence[Background]:
    """The dead man's switch, where there is somebody to ping."""
    url, daemon = environment.secrets.ping_url, spoken.daemon
    if url is None:
        return ()
    courier = Courier("ping")
    couriers.append(courier)
    dead_man = DeadMan(
        daemon.live,
        daemon.workers,
        send=by_courier(courier, lambda: ask(url.reveal())),
        room=by_courier(courier, lambda: find_room(db.absolute().parent)),
        clock=spoken.wall,
        count=daemon.troubles.count,
    )
    return (partial(dead_man.run, daemon.started),)


def channels_of(environment: Environment, spoken: Spoken, couriers: list[Courier]) -> Sequence[Background]:
    """The second way to the operator, an address each, and what tells again where nobody acknowledges."""
    secrets, live = environment.secrets, spoken.daemon.live
    addresses = {url.reveal(): False for url in secrets.alert_urls}
    addresses |= {url.reveal(): True for url in secrets.escalation_urls if url.reveal() not in addresses}
    if not addresses:
        return ()
    escalation = Escalation(
        journal=live.journal, alerts=spoken.alerts, active=live.active, clock=live.clock, wall=spoken.wall
    )
    spoken.daemon.commands.on_ack = escalation.acknowledge
    found: list[Background] = [escalation.run]
    for url, only_escalated in addresses.items():
        courier = Courier(name_of(url))
        couriers.append(courier)
        channel = Channel(
            name_of(url),
            delivery(url, courier),
            journal=live.journal,
            active=live.active,
            clock=live.clock,
            wall=spoken.wall,
            only_escalated=only_escalated,
            count=spoken.daemon.troubles.count,
        )
        found.append(channel.run)
    return found


@asynccontextmanager
async def telegram_of(
    environment: Environment, store: Store, db: Path, spoken: Spoken
) -> AsyncIterator[Sequence[Background]]:
    """What delivers alerts and hears commands, where there is a token; its library is loaded only then."""
    live, tally, wall = spoken.daemon.live, Tally(), spoken.wall
    token, chat = environment.secrets.tg_bot_token, environment.secrets.tg_chat_id
    if token is None or chat is None:
        yield ()
        return
    from fsm.live.operator.telegram import Telegram

    async def last_word(text: str) -> None:
        await telegram.send(f"{spoken.banner}{text}", silent=False)

    box, answers = AlertBox(store), Answers(db, live.clock.now_ms)
    box.expire(live.clock.now_ms() - ALERT_AGE_MS_MAX, "older than three days when Telegram was there again")
    telegram = Telegram(environment.tg_base_url, token=token, chat=chat, secrets=environment.secrets, clock=wall)
    spoken.daemon.last_word = last_word
    heard = Chat(
        messenger=telegram,
        answers=answers,
        journal=live.journal,
        alerts=spoken.alerts,
        clock=live.clock,
        wall=wall,
        tally=tally,
        banner=spoken.banner,
    )
    try:
        yield (Delivery(box, telegram, live.active, wall, tally, spoken.daemon.troubles.count).run, heard.run)
    finally:
        await telegram.aclose()
