# Everything works on a fresh clone with Python >= 3.11 (with venv) and make: no root, no keys, no other tools.
# The virtual environment is made and kept up to date by itself; `make clean` removes what make has made.

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
IN_VENV := $(VENV)/bin/python
# What is imported is compiled then: most of what tests install never is.
PIP := $(IN_VENV) -m pip --disable-pip-version-check --no-input install --no-compile --quiet --constraint constraints.txt
# For its axe-core file alone, without the browser driver that it asks for.
AXE := --no-deps axe-playwright-python
SOURCES_OF_INSTALL := setup.cfg pyproject.toml constraints.txt
# Tests of whole bots wait for them now and then: one worker more than there are cores.
TEST_WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
SOAK_SEEDS ?= 300

# What says most of a version of Python in a minute or two: pure code and its edges, without daemons, browsers and
# processes. What makes up thousands of cases is run once, on the version of `make test`.
QUICK := tests/unit/store tests/unit/rules tests/unit/fsm/config tests/unit/fsm/core tests/unit/fsm/live \
    tests/unit/exchange/binance/test_user_stream.py
NOT_QUICK := fsm/core/test_any_broken_engine.py fsm/core/test_any_exchange.py store/test_verify.py \
    store/test_pruning.py store/test_seals.py rules/test_batch.py rules/test_fuzzed_files.py rules/source/test_schema_fit.py

.PHONY: help run test quick check lint bench soak docs release audit mutants editor clean

help:
	@echo 'make run        starts the bot and its dashboard on the embedded exchange (FRESH=1: from the beginning)'
	@echo 'make test       runs every test that needs nothing else (COVERAGE=1: with branch coverage)'
	@echo 'make quick      the quick part of them; for another Python: make quick PYTHON=python3.13 VENV=.venv/python3.13'
	@echo 'make check      format, lint, types, architecture, prose'
	@echo 'make bench      measures'
	@echo 'make soak       every test as far as it goes, and torture: hours'
	@echo 'make audit      asks whether a fault is known of any library of the locked install (needs the internet)'
	@echo 'make mutants    changes fsm/core in thousands of places and looks which tests notice (SAMPLE=300: so many; ROOM=exchange/sim)'
	@echo 'make editor     makes the editor of the page of rules again from its locked packages (needs Node and the internet)'
	@echo 'make docs       the documentation as a site, in build/site'
	@echo 'make release    builds, checks and tries what would be published, twice, without a network; it is in dist/ then'
	@echo 'make clean      removes the virtual environment and all caches; databases in var/ stay'

run: $(VENV)/installed-run
	@if [ -n "$(FRESH)" ]; then $(MAKE) --no-print-directory set-aside; fi
	@exec env BINANCE_ENV=sim $(IN_VENV) -m fsm run --log text

# The simulated account, its clock and the journal lie beside one another and only make sense together.
.PHONY: set-aside
set-aside:
	@if ls var/sim* >/dev/null 2>&1; then \
	    aside="var/aside-$$(date -u +%Y%m%dT%H%M%SZ)"; mkdir -p "$$aside"; mv var/sim* "$$aside"/; \
	    echo "the earlier simulation was set aside in $$aside"; \
	fi

test: $(VENV)/installed-test
	@$(IN_VENV) -m pytest -n $(TEST_WORKERS) --dist worksteal $(if $(COVERAGE),--cov --cov-report=term:skip-covered)

quick: $(VENV)/installed-quick
	@$(IN_VENV) -m pytest -p no:cacheprovider $(QUICK) $(NOT_QUICK:%=--ignore tests/unit/%)

check: lint
	@$(IN_VENV) -m pytest -n 0 tests/test_architecture.py tests/test_prose.py

lint: $(VENV)/installed-check
	@$(IN_VENV) -m ruff format --check .
	@$(IN_VENV) -m ruff check .
	@$(IN_VENV) -m mypy

bench: $(VENV)/installed-test
	@set -e; for script in $(filter-out benchmarks/_%,$(sort $(wildcard benchmarks/*.py))); do \
	    echo "== $$script"; $(IN_VENV) -m "$$(echo "$${script%.py}" | tr / .)"; \
	done

soak: $(VENV)/installed-test
	@FULL=1 $(IN_VENV) -m pytest -n $(TEST_WORKERS) --dist worksteal -m 'not testnet'
	@$(IN_VENV) -m fsm torture --seeds 1..$(SOAK_SEEDS) --days 30 --symbols 3 --jobs $(TEST_WORKERS)
	@$(IN_VENV) -m fsm torture --seeds 365 --days 365 --symbols 20

docs: $(VENV)/installed-test
	@NO_MKDOCS_2_WARNING=1 $(IN_VENV) -m mkdocs build --strict --quiet
	@echo 'the documentation is in build/site/index.html'

release: check docs
	@$(IN_VENV) -m pytest -n 0 -q -m 'not testnet' tests/integration/test_release.py tests/integration/test_docs.py tests/test_requirements.py
	@$(IN_VENV) -m tests.release dist

audit: $(VENV)/audit/bin/pip-audit
	@$< --requirement requirements.lock --require-hashes --disable-pip $(if $(DRY_RUN),--dry-run)

mutants: $(VENV)/installed-mutants
	@$(IN_VENV) -m tests.mutants $(ROOM) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

# Byte for byte the file that is kept: `git status` shows nothing afterwards.
editor:
	@cd web/editor && npm ci --ignore-scripts --no-audit --no-fund --silent && npm run --silent build
	@rm -rf web/editor/node_modules

clean:
	@rm -rf mutants $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] \
	    + "; name another with make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed-run: $(VENV)/made $(SOURCES_OF_INSTALL)
	@echo 'installing into $(VENV) …'
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-quick: $(VENV)/made $(SOURCES_OF_INSTALL)
	@echo 'installing into $(VENV) …'
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable '.[quick]'
	@touch $(VENV)/installed-run $@

$(VENV)/installed-test: $(VENV)/installed-run
	@$(PIP) --no-build-isolation --editable '.[test]'
	@$(PIP) $(AXE)
	@touch $@

# Everything in one go: asking what fits takes as long as installing it.
$(VENV)/installed-check: $(VENV)/made $(SOURCES_OF_INSTALL)
	@echo 'installing into $(VENV) …'
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable '.[test,dev]'
	@$(PIP) $(AXE)
	@touch $(VENV)/installed-run && touch $(VENV)/installed-test && touch $@

# In an environment of its own: what it needs is nothing that the bot should ever meet.
$(VENV)/audit/bin/pip-audit: $(VENV)/made
	@$(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/python -m pip --disable-pip-version-check --no-input install --quiet pip-audit==2.10.1

$(VENV)/installed-mutants: $(VENV)/installed-test
	@$(PIP) --no-build-isolation --editable '.[test,mutants]'
	@touch $@
