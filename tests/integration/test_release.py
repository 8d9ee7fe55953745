"""What would be published: the same bytes twice, whole, tried from the wheel; its licences, its hashes, its site."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from tests import materials, release

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return release.built(tmp_path_factory.mktemp("first"))


@pytest.mark.slow
def test_two_builds_have_the_same_bytes_whatever_the_folder_and_the_umask(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        again = release.built(tmp_path / "elsewhere")
    finally:
        os.umask(before)
    for one, two in zip(made, again, strict=True):
        assert one.name == two.name
        assert one.read_bytes() == two.read_bytes(), one.name


def test_an_archive_has_no_owner_and_one_time(made: tuple[Path, Path]) -> None:
    with tarfile.open(made[0]) as opened:
        members = opened.getmembers()
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert {member.mtime for member in members} == {int(release.moment())}
    assert not any(member.issym() or member.islnk() for member in members)
    with zipfile.ZipFile(made[1]) as opened_wheel:
        assert len({found.date_time for found in opened_wheel.infolist()}) == 1


def test_nothing_is_missing_and_nothing_is_too_much(made: tuple[Path, Path]) -> None:
    assert [*release.problems_of_sdist(made[0]), *release.problems_of_wheel(made[1])] == []


def test_an_option_is_no_folder_and_nothing_that_was_built_is_tracked() -> None:
    assert release.main(["--help"]) == 2
    assert [name for name in release.tracked() if name.endswith((".whl", ".tar.gz")) or name.startswith("-")] == []


@pytest.mark.slow
def test_a_wheel_with_what_does_not_belong_is_told(made: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / made[1].name
    path.write_bytes(made[1].read_bytes())
    with zipfile.ZipFile(path, "a") as opened:
        opened.writestr("tests/secret.env", "BINANCE_API_KEY=k")
    assert len(list(release.problems_of_wheel(path))) == 2


@pytest.mark.slow
def test_a_strangers_first_commands_run_from_the_wheel_alone(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert [words[0] for words in release.walked(made[1], tmp_path)] == [
        "--version", "init", "check", "backtest", "audit", "replay"
    ]  # fmt: skip


@pytest.fixture(scope="module")
def unpacked(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    zipfile.ZipFile(made[1]).extractall(folder)
    return folder


def test_init_works_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "fsm", "init", "bot"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked)},
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
            assert str(unpacked) in written[0]


def test_what_the_program_reads_is_in_the_wheel(unpacked: Path) -> None:
    for folder in ("fsm", "rules"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                assert (unpacked / file.relative_to(ROOT)).is_file(), file


def test_the_wheel_brings_the_command(unpacked: Path) -> None:
    (entry_points,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "fsm = fsm.__main__:main" in entry_points.read_text("utf-8")


def test_the_page_of_licences_is_as_the_packages_say() -> None:
    assert materials.PAGE.read_text("utf-8") == materials.page(), "write it anew: python -m tests.materials"


def test_every_licence_is_known_and_none_binds_who_passes_the_bot_on() -> None:
    for found in (*materials.packages(), *materials.packages("data")):
        assert found.licence, found.name
        assert not re.search(materials.COPYLEFT, found.licence), f"{found.name}: {found.licence}"


def test_the_bill_of_materials_names_every_package_once() -> None:
    found = materials.bill()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    references = [component["bom-ref"] for component in found["components"]]
    assert len(references) == len(set(references)) > 20
    assert found["dependencies"][0]["dependsOn"] == references
    json.dumps(found)


def test_the_lock_is_of_the_pinned_versions_and_of_all_that_is_installed() -> None:
    pinned = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8")))
    versions = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    text = (ROOT / "requirements.lock").read_text("utf-8")
    locked = dict(re.findall(r"(?m)^([\w.-]+)==([^\s;]+)", text))
    for name, version in locked.items():
        assert versions[re.sub(r"[-_.]+", "-", name).lower()] == version
    needed = {re.sub(r"[-_.]+", "-", found.name).lower() for found in materials.packages()}
    assert needed | {"setuptools"} == {re.sub(r"[-_.]+", "-", name).lower() for name in locked}
    for block in re.split(r"(?m)^(?=[\w.-]+==)", text)[1:]:
        assert "--hash=sha256:" in block


class _Loaded(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        loads = tag in ("script", "img", "iframe", "source", "audio", "video")
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect", "modulepreload"):
            self.found.append(given.get("href") or "")
        elif loads and given.get("src"):
            self.found.append(given["src"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does: a broken link or anchor, or a page that is in no menu, ends it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_is_built_without_a_warning_and_has_every_page(site: Path) -> None:
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
    assert "backtest" in (site / "search" / "search_index.js").read_text("utf-8")


def test_no_page_of_the_site_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        parser = _Loaded()
        parser.feed(page.read_text("utf-8"))
        assert parser.found
        for address in parser.found:
            assert "//" not in address, f"{page.name} loads {address}"
            target = site / address.lstrip("/") if page.name == "404.html" else page.parent / address
            assert target.resolve().is_file(), f"{page.name} loads {address}"


def test_no_page_stands_in_the_menu_twice_and_all_of_them_are_there() -> None:
    menu = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    named = re.findall(r"[\w/-]+\.md", menu)
    assert len(named) == len(set(named))
    assert all((ROOT / "docs" / name).is_file() for name in named)
    kinds = [name for part in yaml.safe_load(f"nav:\n{menu}")["nav"] for name in part]
    assert kinds == ["Begin", "How to", "Reference", "Explanation"]
