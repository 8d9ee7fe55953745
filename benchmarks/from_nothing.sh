#!/usr/bin/env bash
# What a stranger waits for: from an empty home without caches to a protected position, and the first questions after it.
#   benchmarks/from_nothing.sh checkout   a fresh clone, python and make: `make run`
#   benchmarks/from_nothing.sh wheel      the wheel in a venv: `fsm init`, `fsm run`
# It needs a package index (whatever pip is configured for), and prints seconds. Nothing outside its folder is written.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/home"
pure=(env -i HOME="$folder/home" PATH="$PATH" LANG=C.UTF-8 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1)
timed() { # what, command …
    local began=$EPOCHREALTIME what=$1
    shift
    "${pure[@]}" "$@" >"$folder/out" 2>&1 || { echo "$what: exit $?"; tail -n 5 "$folder/out"; exit 1; }
    awk -v a="$began" -v b="$EPOCHREALTIME" -v what="$what" 'BEGIN { printf "%-34s %6.1f s\n", what, b - a }'
}
until_protected() { # the command that runs the bot
    local began=$EPOCHREALTIME
    (exec "${pure[@]}" setsid "$@" >"$folder/run" 2>"$folder/errors") &
    local pid=$! dashboard=""
    while ! grep -q "at risk" "$folder/run"; do
        kill -0 "$pid" 2>/dev/null || { tail -n 5 "$folder/errors"; exit 1; }
        if [ -z "$dashboard" ] && grep -q "dashboard is at" "$folder/run"; then dashboard=$EPOCHREALTIME; fi
        sleep 0.1
    done
    awk -v a="$began" -v d="$dashboard" -v b="$EPOCHREALTIME" 'BEGIN {
        printf "%-34s %6.1f s\n%-34s %6.1f s\n", "until the dashboard", d - a, "until a protected position", b - a }'
    kill -INT -- "-$pid"
    wait "$pid" || true
}
case ${1:-wheel} in
checkout)
    git -C "$here" archive --prefix=bot/ HEAD | tar -x -C "$folder"
    cd "$folder/bot"
    fsm=".venv/bin/python -m fsm"
    timed "make (venv and install)" make --no-print-directory .venv/installed-run
    until_protected make --no-print-directory run
    ;;
wheel)
    (cd "$here" && .venv/bin/python -c "import sys; from pathlib import Path; from tests.release import built; print(built(Path(sys.argv[1]))[1])" \
        "$folder/built") >"$folder/wheel"
    mkdir "$folder/bot" && cd "$folder/bot"
    timed "python -m venv" python3 -m venv .venv
    timed "pip install, no cache" .venv/bin/python -m pip --disable-pip-version-check install --quiet "$(cat "$folder/wheel")"
    fsm=".venv/bin/fsm"
    timed "fsm init" $fsm init
    until_protected $fsm run --log text --port 0
    ;;
*)
    echo "checkout or wheel?" >&2
    exit 2
    ;;
esac
find "$folder/home" -mindepth 1 | sort >"$folder/before" # pip asks tools such as rustc for their versions, which may write there
timed "doctor" $fsm doctor
timed "check" $fsm check
timed "backtest, 18 months of 5 symbols" $fsm backtest
timed "replay" $fsm replay var/sim.sqlite
timed "audit verify" $fsm audit verify
outside=$(find "$folder/home" -mindepth 1 | sort | comm -13 "$folder/before" -)
[ -z "$outside" ] || { echo "it wrote outside of its folder: $outside"; exit 1; }
echo "nothing was written outside of its folder"
