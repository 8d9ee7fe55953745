#!/usr/bin/env bash
# Guess: a schema that schemathesis reads from a pytest fixture (schemathesis.pytest.from_fixture, so that nothing is made up
# while tests are collected) is tried operation by operation as with a schema that is there at once; pip sees no conflict
# between the two packages.
# What happens with the newest of both: the same test passes with pytest 8.4, and with pytest 9.2 it fails before its first
# request, since it sets the node's id under a name that is no longer there. A schema that is there at once works with both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/test_schema.py" <<'EOF_TEST'
import pytest
import schemathesis

RAW = {
    "openapi": "3.1.0",
    "info": {"title": "clock", "version": "1"},
    "paths": {"/time": {"get": {"responses": {"200": {"description": "the time"}}}}},
}
AT_ONCE = schemathesis.openapi.from_dict(RAW)
LATER = schemathesis.pytest.from_fixture("made")


@pytest.fixture
def made():
    return schemathesis.openapi.from_dict(RAW)


@AT_ONCE.parametrize()
def test_at_once(case):
    assert case.path == "/time"


@LATER.parametrize()
def test_later(case):
    assert case.path == "/time"
EOF_TEST
told() { # a version of pytest, what is to be seen
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5 "pytest==$1"
    "$folder/venv/bin/pip" check >"$folder/check"
    (cd "$folder" && "$folder/venv/bin/python" -m pytest -q --no-header -p no:cacheprovider test_schema.py >"$folder/said" 2>&1) || true
    echo "schemathesis 4.32.5 with pytest $1: $(tail -n 1 "$folder/said")"
    grep -q "$2" "$folder/said"
}
told 8.4.2 "2 passed"
told 9.2.0 "1 failed, 1 passed"
grep -q "AttributeError: 'Function' object has no attribute '_nodeid'" "$folder/said"
cat "$folder/check"
