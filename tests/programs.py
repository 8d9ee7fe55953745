"""Programs of others that some tests run: `.ci/run` installs them where it may; elsewhere these tests are skipped."""

from __future__ import annotations

import shutil

import pytest


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program} (.ci/run installs it)")


needs_promtool = needs("promtool")
needs_systemd = needs("systemd-analyze")
