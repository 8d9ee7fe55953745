"""Where the shadows of a bot lie: beside its database, one set of files each."""

from __future__ import annotations

from pathlib import Path

NOTE = ".json"


def shadow_folder(db: Path) -> Path:
    return db.parent / "shadows" / db.stem


def shadow_names(db: Path) -> list[str]:
    """Those that are there, in order of their names."""
    return sorted(path.name.removesuffix(NOTE) for path in shadow_folder(db).glob(f"*{NOTE}"))
