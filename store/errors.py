"""Every way the store can fail, as types; each carries a hint that says what to do now.

StoreError
├── DatabaseMissing     there is no database at that path
├── DatabaseDamaged     the file cannot be read as a database of this bot
├── SchemaMismatch      the database is of an older or a newer version of the program
├── WrongDatabase       the database belongs to another environment or account
├── LockHeld            another process is the writer
└── WriteFailed         nothing of the write was applied
    └── JournalError    the same, for a journal commit: nothing may be acted upon
        └── JournalGone the files of the journal are no longer those that are open
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of everything the store raises. ``hint`` is one sentence for the operator."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class DatabaseMissing(StoreError):
    """There is no database where one was expected."""


class DatabaseDamaged(StoreError):
    """The file is no SQLite database, is not one of ours, or cannot be read."""


class SchemaMismatch(StoreError):
    """``found`` is the version in the file, ``known`` the newest one that this program understands."""

    def __init__(self, message: str, hint: str, *, found: int, known: int) -> None:
        super().__init__(message, hint)
        self.found = found
        self.known = known


class WrongDatabase(StoreError):
    """The database remembers another environment, account or id than the one it is asked to serve."""


class LockHeld(StoreError):
    """Another living process holds the lock; ``pid`` is None when it has not written its number yet."""

    def __init__(self, message: str, hint: str, *, pid: int | None) -> None:
        super().__init__(message, hint)
        self.pid = pid


class WriteFailed(StoreError):
    """A write was rolled back whole: the database is as it was before."""


class JournalError(WriteFailed):
    """A journal commit was rolled back whole; what it recorded has not happened and must not be acted upon."""


class JournalGone(JournalError):
    """The database was removed or replaced while it was open: what is written now is on no disk."""
