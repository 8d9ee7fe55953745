"""What is installed with the bot, and under which licence: ``python -m tests.materials`` writes docs/licences.md.

Read from what the packages say of themselves. ``bill()`` is the same as CycloneDX JSON, for those who collect it.
"""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
_LICENSE = "License :: OSI Approved :: "
_KNOWN = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
}
_SAID_ELSEWHERE = {"peewee": "MIT"}
"""Where the metadata is silent; read in the package's own file LICENSE (2026-11-29)."""
_WHERE = {
    "platform_system": "Linux",
    "sys_platform": "linux",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
}
"""The oldest Python that is promised needs the most packages."""
COPYLEFT = re.compile(r"\b(A?GPL)")
"""What would bind whoever passes the bot on; LGPL and MPL do not, as no file of theirs is changed here."""


@dataclass(frozen=True, slots=True)
class Package:
    """One library: ``purpose`` names the extra that brings it, empty for the plain install."""

    name: str
    version: str
    licence: str
    summary: str
    purpose: str = ""


def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", "utf-8")
    return parser


def packages(purpose: str = "") -> list[Package]:
    """Everything that the plain install brings, or that an extra adds to it, with what those need."""
    parser = setup()
    plain = _closure(parser["options"]["install_requires"].split("\n"))
    if not purpose:
        return [_package(found, "") for found in plain.values()]
    more = _closure(parser["options.extras_require"][purpose].split("\n"))
    return [_package(found, purpose) for name, found in more.items() if name not in plain]


def _closure(wanted: list[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [Requirement(line) for line in wanted if line.strip()]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found:
            continue
        found[name] = distribution(requirement.name)
        for line in found[name].requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra, **_WHERE}) for extra in ("", *requirement.extras)
            ):
                waiting.append(needed)
    return dict(sorted(found.items()))


def _package(found: Distribution, purpose: str) -> Package:
    metadata = found.metadata
    return Package(metadata["Name"], found.version, _licence(found), metadata["Summary"] or "", purpose)


def _licence(found: Distribution) -> str:
    metadata = found.metadata
    if metadata["License-Expression"]:
        return metadata["License-Expression"]
    said = (metadata["License"] or "").strip().split("\n")[0]
    classified = [
        line.removeprefix(_LICENSE) for line in metadata.get_all("Classifier") or () if line.startswith(_LICENSE)
    ]
    text = said if said and len(said) < 40 else "; ".join(classified)
    return _KNOWN.get(text, text) or _SAID_ELSEWHERE.get(metadata["Name"], "")


def bill() -> dict[str, Any]:
    """CycloneDX 1.6; no time and no number of its own, so that two of one release are the same."""
    parser = setup()
    name, version = parser["metadata"]["name"], parser["metadata"]["version"]
    components = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{found.name.lower()}@{found.version}",
            "name": found.name,
            "version": found.version,
            "purl": f"pkg:pypi/{found.name.lower()}@{found.version}",
            "licenses": [{"license": {"name": found.licence}}],
        }
        for found in packages()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": name, "name": name, "version": version}},
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": [found["bom-ref"] for found in components]}],
    }


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Licences"
    yield ""
    yield "The bot itself is under the MIT licence. This is what comes with it, as the packages say of themselves;"
    yield "`python -m tests.materials` writes this page, and a test compares. `make release` writes the same as a bill"
    yield "of materials (`dist/sbom.json`, CycloneDX). `requirements.lock` names the hash of each file"
    yield "([how to install by it](operating.md#locked-hashes))."
    yield ""
    yield "Two files under `web/static/vendor` come from others: Lightweight Charts 4.1.3 (Apache-2.0), and CodeMirror"
    yield "6 (MIT) in one file with what it stands on (MIT). Their licences lie beside them."
    for purpose, told in (("", "The plain install"), ("data", "With the extra `data`")):
        yield ""
        yield f"## {told}"
        yield ""
        yield "| package | version | licence | what it is |"
        yield "|---|---|---|---|"
        for found in packages(purpose):
            yield f"| {found.name} | {found.version} | {found.licence} | {found.summary.replace('|', '/')} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
