#!/usr/bin/env bash
# Guess: a study that is kept in a database and goes on with the same seeded sampler goes on where it was: the seed makes
# the whole search repeatable, broken off or not.
# What happens: the seed is of the process, not of the study. TPE and random search begin their sequence again, so each
# of the four points after the break is one of the four before it, and half of the budget is spent twice. QMC, which
# counts the trials of the study, goes on with new points.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0 scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'EOF'
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
print("optuna", optuna.__version__)


def points(sampler):
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            study = optuna.create_study(
                storage=f"sqlite:///{Path(folder) / chr(97)}", study_name="one", sampler=sampler(seed=1), load_if_exists=True
            )
            study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=4)
        return [round(trial.params["x"], 4) for trial in study.trials]


found = {name: points(getattr(optuna.samplers, name)) for name in ("TPESampler", "RandomSampler", "QMCSampler")}
for name, values in found.items():
    print(f"{name:<14} four trials {values[:4]}, then four more {values[4:]}")
assert found["TPESampler"][:4] == found["TPESampler"][4:]
assert found["RandomSampler"][:4] == found["RandomSampler"][4:]
assert len(set(found["QMCSampler"])) == 8
EOF
