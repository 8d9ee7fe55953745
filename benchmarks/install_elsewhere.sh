#!/usr/bin/env bash
# Size of a plain install and the time of `fsm --help`, beside freqtrade's, in one run. Each has an environment of its own
# in a temporary folder. Needs a package index: run it by hand. Processor time, the median of nine.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
.venv/bin/python -m tests.release "$folder/dist" >/dev/null
for name in ours freqtrade; do python3 -m venv "$folder/$name"; done
"$folder/ours/bin/pip" install -q --require-hashes -r requirements.lock
"$folder/ours/bin/pip" install -q --no-deps "$folder"/dist/*.whl
"$folder/freqtrade/bin/pip" install -q freqtrade
rm -rf "$folder"/*/lib/python3*/site-packages/{pip,setuptools}*

python3 - "$folder" <<'PYTHON'
import resource, statistics, subprocess, sys

folder = sys.argv[1]


def spent_s(command):
    found = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)


def size_mb(name):
    done = subprocess.run(["du", "-sm", f"{folder}/{name}/lib"], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0])


ours, theirs = size_mb("ours"), size_mb("freqtrade")
print(f"install: {ours} MB, freqtrade {theirs} MB: {ours / theirs:.2f} (at most 0.25)")
ours, theirs = spent_s([f"{folder}/ours/bin/fsm", "--help"]), spent_s([f"{folder}/freqtrade/bin/freqtrade", "--help"])
print(f"--help: {ours * 1000:.0f} ms, freqtrade {theirs * 1000:.0f} ms: {ours / theirs:.2f} (at most 0.20)")
PYTHON
