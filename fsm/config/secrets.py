"""All secrets of the process in one place, so that they can be handed out one by one and masked all at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from exchange.secrets import HIDDEN, Secret, redact


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """All secrets of the process; None is one that was not given."""

    api_key: Secret | None = None
    api_secret: Secret | None = None
    dashboard_token: Secret | None = None
    tg_bot_token: Secret | None = None
    tg_chat_id: Secret | None = None
    ping_url: Secret | None = None
    alert_urls: tuple[Secret, ...] = ()
    escalation_urls: tuple[Secret, ...] = ()

    def shown(self) -> dict[str, str | None]:
        """Which secrets there are, for a person to read."""
        return {field.name: HIDDEN if getattr(self, field.name) else None for field in fields(self)}

    def redact(self, text: str) -> str:
        """The text with every secret in it masked: for messages that others composed, such as a URL in an error."""
        for field in fields(self):
            given: Secret | tuple[Secret, ...] | None = getattr(self, field.name)
            for secret in given if isinstance(given, tuple) else filter(None, (given,)):
                text = text.replace(secret.reveal(), HIDDEN)
        return redact(text)
