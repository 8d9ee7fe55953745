"""The wheel that is built of this repository holds everything that the program reads, and the command `fsm`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked; built of what git tracks, in a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in ("fsm", "rules", "indicators", "exchange", "store", "web"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "config.yaml", "rules.yaml", ".env.example"):
        shutil.copy(ROOT / name, source / name)
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(target), str(source)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    (wheel,) = target.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(target)
    return target


def test_init_works_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fsm", "init", "bot"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    for name in ("config.yaml", "rules.yaml", ".env.example"):
        written = (tmp_path / "bot" / name).read_text("utf-8").splitlines()
        assert written[1:] == (ROOT / name).read_text("utf-8").splitlines()[1:]
        if name != ".env.example":
            assert str(installed) in written[0]


def test_what_the_program_reads_is_in_it(installed: Path) -> None:
    for folder in ("fsm", "rules"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                assert (installed / file.relative_to(ROOT)).is_file(), file


def test_it_brings_the_command(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    assert "fsm = fsm.__main__:main" in entry_points.read_text("utf-8")
