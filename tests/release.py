"""Makes what would be published, twice, and tries it: ``python -m tests.release [FOLDER]`` (``make release``).

Source archive and wheel are built without a network from what git tracks, the wheel out of the archive, each twice in
another folder: the bytes must be the same. Times in them are the last commit's (or SOURCE_DATE_EPOCH). Then the wheel
is installed beside the libraries that are here, and a stranger's first commands are run in an empty folder.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import Parser
from pathlib import Path

from tests.materials import bill

ROOT = Path(__file__).parents[1]
ROOMS = {"fsm", "rules", "indicators", "exchange", "store", "web"}
_BUILD = (
    "import sys; from setuptools import build_meta; print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"
)
_WALK = (
    ("--version",),
    ("init", "."),
    ("check",),
    ("backtest", "--symbols", "BTCUSDT", "--from", "2024-10-01", "--to", "2024-10-31", "--db", "bt.sqlite"),
    ("audit", "verify", "--db", "bt.sqlite"),
    ("replay", "bt.sqlite"),
)


def main(arguments: Sequence[str]) -> int:
    if any(each.startswith("-") for each in arguments) or len(arguments) > 1:
        print(__doc__, file=sys.stderr)  # an option is no folder
        return 2
    target = Path(arguments[0]) if arguments else ROOT / "dist"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = (built(folder / each) for each in ("first", "second"))
        same = [one.read_bytes() == two.read_bytes() for one, two in zip(first, second, strict=True)]
        if not all(same):
            print("two builds differ", file=sys.stderr)
            return 1
        problems = [*problems_of_sdist(first[0]), *problems_of_wheel(first[1])]
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            return 1
        for words in walked(first[1], folder / "stranger"):
            print(f"fsm {' '.join(words)}: fine")
        target.mkdir(parents=True, exist_ok=True)
        for path in first:
            shutil.copy(path, target)
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {target / path.name}")
        (target / "sbom.json").write_text(json.dumps(bill(), indent=1, sort_keys=True) + "\n", "utf-8")
    return 0


def built(folder: Path) -> tuple[Path, Path]:
    """Source archive and wheel, out of a folder of their own."""
    source, made = folder / "source", folder / "made"
    made.mkdir(parents=True)
    for name in tracked():
        place = source / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)  # a link as what it leads to: no archive of a release has links
        place.chmod(0o644)
    raw = build("sdist", source, folder / "raw")
    archive = made / raw.name
    archive.write_bytes(settled(raw))
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    unpacked = folder / raw.name.removesuffix(".tar.gz")
    return archive, Path(shutil.copy(build("wheel", unpacked, folder / "wheel"), made))


def tracked() -> list[str]:
    """What belongs to a release: all that git tracks and a build reads."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name]


def moment() -> str:
    """Seconds: when the newest change was made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build(kind: str, source: Path, to: Path) -> Path:
    to.mkdir(parents=True)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": moment(), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, kind, str(to)],
        cwd=source,
        env=environment,
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return to / done.stdout.splitlines()[-1]


def settled(raw: Path) -> bytes:
    """A source archive whose bytes depend on its content alone: names in order, one time, nobody's files."""
    out = io.BytesIO()
    with tarfile.open(raw) as source, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target:
        for found in sorted(source.getmembers(), key=lambda member: member.name):
            entry = tarfile.TarInfo(found.name)
            entry.type, entry.size, entry.mtime = found.type, found.size, int(moment())
            entry.mode = 0o755 if found.isdir() else 0o644
            target.addfile(entry, source.extractfile(found) if found.isfile() else None)
    return gzip.compress(out.getvalue(), compresslevel=9, mtime=int(moment()))


def problems_of_sdist(path: Path) -> Iterator[str]:
    with tarfile.open(path) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    for needed in (
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "fsm/templates/config.yaml",
        "rules/language",
    ):
        if needed not in names:
            yield f"{path.name}: {needed} is missing"


def problems_of_wheel(path: Path) -> Iterator[str]:
    """What an index would refuse, and what does not belong into a release."""
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        headers = Parser().parsestr(opened.read(metadata).decode())
    for header in ("Name", "Version", "Summary", "Requires-Python", "Description-Content-Type"):
        if not headers[header]:
            yield f"{path.name}: no {header} in its metadata"
    if not (headers["License-Expression"] or headers["License"]):
        yield f"{path.name}: no licence in its metadata"
    if not str(headers.get_payload()).startswith("# "):
        yield f"{path.name}: its description is not the README"
    rooms = {name.partition("/")[0] for name in names}
    strangers = {room for room in rooms if not room.endswith(".dist-info")} - {
        "fsm",
        "rules",
        "indicators",
        "exchange",
        "store",
        "web",
    }
    if strangers:
        yield f"{path.name}: {', '.join(sorted(strangers))} does not belong into it"
    if any(name.endswith((".pyc", ".env")) for name in names):
        yield f"{path.name}: compiled or private files are in it"


def walked(wheel: Path, folder: Path) -> Iterator[tuple[str, ...]]:
    """A stranger's first commands, with the command that the wheel brings, in an empty folder."""
    work = folder / "work"
    work.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    here = next(path for path in sys.path if path.endswith("site-packages"))
    there = next((folder / "venv").glob("lib/python*/site-packages"))
    offline = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet", "--no-compile")
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", there, wheel], check=True)
    # Behind the wheel, so that what is installed here in the place of it is not looked at.
    (there / "beside.pth").write_text(f"{here}\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    command = (folder / "venv" / "bin" / "python", "-c", "from fsm.__main__ import main; raise SystemExit(main())")
    for words in _WALK:
        done = subprocess.run(
            [*command, *words], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"fsm {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        yield words
    outside = [path.name for path in folder.iterdir() if path.name not in ("venv", "work")]
    if outside:
        raise SystemExit(f"it wrote outside of its folder: {outside}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
