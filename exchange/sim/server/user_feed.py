"""Delivers user events to the private connections that may hear them, with the losses and repeats that faults ask for.

Forms of connecting (stream page, change notice and field probes, checked 2026-11): ``?listenKey=K&events=A/B`` hears
A and B and nothing else; ``?listenKey=K`` and a SUBSCRIBE of the key on /private hear all; the key as a path, a wrong
key and every other route connect and stay silent. With ``strict`` only the form with events hears anything.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from exchange.sim.server.faults import Effect, merged
from exchange.sim.server.hub import Connection, Hub, Route
from exchange.sim.server.listen_keys import ListenKeys
from exchange.sim.server.user_events import Message


class UserFeed:
    """``strict`` is the harder reading of how the exchange behaves; clients that pass it pass both."""

    def __init__(self, hub: Hub, keys: ListenKeys) -> None:
        self._hub = hub
        self._keys = keys
        self._held: list[tuple[int, Message]] = []
        self.strict = False

    def send(self, message: Message, effect: Effect | None) -> None:
        """One event, changed by a fault if there is one. A held one comes after so many later events."""
        due = [held for left, held in self._held if left <= 1]
        self._held = [(left - 1, held) for left, held in self._held if left > 1]
        if effect is None:
            self.deliver(message)
        elif effect.hold:
            self._held.append((effect.hold, message))
        elif not effect.drop:
            if effect.merge:
                message = Message(message.kind, message.symbol, _with(message.payload, effect.merge))
            for _ in range(1 + effect.duplicate):
                self.deliver(message)
        for late in due:
            self.deliver(late)

    def deliver(self, message: Message) -> None:
        """To everybody who listens with the living key and allows this kind of event."""
        key = self._keys.active()
        if key is None:
            return
        text = msgspec.json.encode(message.payload).decode()
        for connection in self._hub:
            if connection.route is Route.PRIVATE and self._hears(connection, key, message.kind):
                name = key if key in connection.asked_by_message else message.kind
                connection.publish(name, text)

    def close(self, key: str) -> None:
        """DELETE of the key closes its streams."""
        for connection in self._hub:
            if key in connection.keys:
                connection.close(1000)

    def _hears(self, connection: Connection, key: str, kind: str) -> bool:
        if key not in connection.keys:
            return False
        allowed = connection.keys[key]
        return not self.strict if allowed is None else kind in allowed


def _with(payload: Mapping[str, object], extra: Mapping[str, object]) -> dict[str, object]:
    found = merged(payload, extra)
    assert isinstance(found, dict)
    return found
