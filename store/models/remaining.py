"""The remaining tables: letters in and out, market data that was used, and what the database knows of itself."""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, Model, TextField


class Command(Model):
    """An operator's wish. ``state``: posted, taken, done or refused (then ``guard`` names what refused it)."""

    id = IntegerField(primary_key=True)
    kind = TextField()
    symbol = TextField(null=True)
    source = TextField()
    state = TextField()
    posted_ms = IntegerField()
    taken_ms = IntegerField(null=True)
    finished_ms = IntegerField(null=True)
    guard = TextField(null=True)
    detail = TextField(null=True)

    class Meta:
        table_name = "commands"


class Alert(Model):
    """A message for the operator, kept until it is delivered. ``state``: PENDING, SENT or DROPPED."""

    id = IntegerField(primary_key=True)
    at_ms = IntegerField()
    kind = TextField()
    severity = TextField()
    symbol = TextField(null=True)
    text = TextField()
    dedupe_key = TextField(unique=True)
    repeats = IntegerField()
    state = TextField()
    due_ms = IntegerField()
    attempts = IntegerField()
    sent_ms = IntegerField(null=True)
    last_error = TextField(null=True)

    class Meta:
        table_name = "alerts"


class Candle(Model):
    """A closed candle as it was first used; numbers as the shortest decimal text that gives the same float."""

    symbol = TextField()
    timeframe = TextField()
    open_time_ms = IntegerField()
    open = TextField()
    high = TextField()
    low = TextField()
    close = TextField()
    volume = TextField()

    class Meta:
        table_name = "candles"
        primary_key = CompositeKey("symbol", "timeframe", "open_time_ms")


class SeriesAnchor(Model):
    """The first candle that indicators of a symbol and timeframe were fed; restarts feed again from there."""

    symbol = TextField()
    timeframe = TextField()
    first_ms = IntegerField()

    class Meta:
        table_name = "series_anchors"
        primary_key = CompositeKey("symbol", "timeframe")


class Document(Model):
    """What the daemon leaves for its readers (machine table, limits, config in force, health), by name."""

    name = TextField(primary_key=True)
    at_ms = IntegerField()
    body_json = TextField()

    class Meta:
        table_name = "documents"


class Seal(Model):
    """How many rows a table (or a block of candles) has, and what their hashes add up to: 64 hex digits."""

    name = TextField(primary_key=True)
    count = IntegerField()
    sum = TextField()

    class Meta:
        table_name = "seals"


class SchemaVersion(Model):
    """The migrations that this database has been through."""

    version = IntegerField(primary_key=True)
    name = TextField()
    applied_ms = IntegerField(null=True)

    class Meta:
        table_name = "schema_version"
