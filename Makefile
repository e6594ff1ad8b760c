# Every target sets up .venv by itself; a second run takes no set-up time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup browser page weight demo test test-install audit sim sim-planted seeds fuzz contract crash intents campaign kill power matrix bench lan lint format lock clean

setup: $(READY)

$(READY): requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

demo: $(READY)
	$(BIN)/gateway demo

test: $(READY) browser
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Debian's Chromium, for the tests of the page.
browser:
	@tests/browser/install.sh

# The page's picture in the README, anew.
page: $(READY) browser
	$(BIN)/python -m tests.browser.picture docs/page.png

# What the first screen weighs and takes with 200 stays.
weight: $(READY)
	$(BIN)/python -m tests.browser.weight

# A thousand simulated months; `make test` lives through the first fifty.
sim: $(READY)
	$(BIN)/python -m tests.simulation.sim

# Which seed catches which planted bug: the table of docs/reliability.md.
sim-planted: $(READY)
	$(BIN)/python -m tests.simulation.sim --planted

# Two thousand schedules of faults; `make test` runs the first two hundred.
seeds: $(READY)
	GATEWAY_SEEDS=2000 $(BIN)/python -m pytest -n 2 --dist worksteal tests/simulation/test_fault_schedules.py

# A hundred thousand inputs for each decoder of frames, reports, lists and broadcasts.
fuzz: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal --timeout 3600 --hypothesis-profile fuzz tests/properties/test_tuya_decoders.py

# Two thousand generated requests against a running daemon; `make test` sends some two hundred.
contract: $(READY)
	GATEWAY_REQUESTS=2000 $(BIN)/python -m pytest -n 0 tests/integration/test_openapi.py

# Killed at every write to disk and socket of every story; `make test` kills at each sixth.
crash: $(READY)
	GATEWAY_CRASH_POINTS_EVERY=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/simulation/test_crash_points.py

# Two thousand examples of bookings, faults and kills against a model; `make test` tries twenty-five.
intents: $(READY)
	GATEWAY_INTENTS=2000 $(BIN)/python -m pytest -n 0 tests/simulation/test_intents.py

# 450 stays, thirty kills, locks of which 15 % fail; `make test` plays a fifth of it.
campaign: $(READY)
	GATEWAY_CAMPAIGN_STAYS=450 $(BIN)/python -m pytest -n 0 tests/simulation/test_campaign.py

# Three hundred rounds of `kill -9` on the daemon under load, with a summary.
kill: $(READY)
	$(BIN)/python -m tests.kill 300

# Forty power cuts that keep only what was synced, and what a day of thirty stays writes.
power: $(READY)
	$(BIN)/python -m tests.power

# What is known after a create, for every profile, way, version and fault: the table of docs/locks.md.
matrix: $(READY)
	$(BIN)/python -m tests.matrix

# What it costs, each row beside its floor or rival: the table of docs/performance.md. Needs strace.
bench: $(READY)
	$(BIN)/python -m tests.benchmarks --growth

# Locks found by real broadcasts, in network namespaces of Linux; needs root.
lan: $(READY)
	$(BIN)/python tests/lan/lan.py

# As root, in bootstrapped Debian trees with a systemd of their own; takes minutes and a mirror of Debian.
test-install:
	tests/install/run.sh bookworm trixie

# Known vulnerabilities of the pinned dependencies; needs a network.
audit:
	$(PYTHON) -m venv .audit && .audit/bin/python -m pip install --quiet pip-audit
	.audit/bin/pip-audit --require-hashes --disable-pip --requirement requirements.txt
	rm -rf .audit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Hashes of every wheel and sdist, no addresses; run it after a change of pyproject.toml.
lock:
	$(PYTHON) -m venv .lock && .lock/bin/python -m pip install --quiet pip-tools
	.lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --allow-unsafe --no-header --output-file requirements.txt pyproject.toml
	.lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --allow-unsafe --no-header --extra dev --all-build-deps --output-file requirements-dev.txt --constraint requirements.txt pyproject.toml
	.lock/bin/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --allow-unsafe --no-header --only-build-deps --all-build-deps --output-file requirements-build.txt --constraint requirements-dev.txt pyproject.toml
	rm -rf .lock

clean:
	rm -rf $(VENV) .lock .audit .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
