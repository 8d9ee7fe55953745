"""The database's schema through the versions: making it, upgrading it, checking it, backing it up.

Peewee's own runner (playhouse.migrations) is not used: it makes no backup, does not know a schema that is
newer than the program, stamps its history with the wall clock, and finds its scripts by directory. What is
left is this list: a new version is a new module, added here, and never a change to an old one.
"""

from __future__ import annotations

from store.migrations.backup import backup
from store.migrations.schema import SCHEMA_VERSION, STEPS, SchemaReport, Step, check, differences, found_version
from store.migrations.upgrade import Upgrade, create, upgrade

__all__ = [
    "SCHEMA_VERSION",
    "STEPS",
    "SchemaReport",
    "Step",
    "Upgrade",
    "backup",
    "check",
    "create",
    "differences",
    "found_version",
    "upgrade",
]
