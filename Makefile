# Everything runs from .venv, which `setup` makes and keeps up to date; nothing needs root.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check lint types arch pytest format bench bench-dispatch bench-labels bench-acquisition chaos docs constraints clean

help: ## List every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv and install labelloop with all extras, pinned

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "labelloop needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "no venv module: on Debian and Ubuntu install python3-venv"; exit 1; }
	@echo "Installing into .venv (a minute or two the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## Run the whole loop on real data: three annotators, retraining, a report (KEEP=1 leaves it running)
	@$(BIN)/labelloop demo $(if $(KEEP),--keep) $(DEMO_ARGS)

up: setup ## Start the service with everything it needs and leave it running
	@$(BIN)/labelloop up

test: check pytest ## Lint, types, import contracts and all tests

check: lint types arch ## The fast half of test

lint: setup ## Style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## Types
	@$(BIN)/mypy

arch: setup ## The walls: who may import whom
	@$(BIN)/lint-imports

# What starts services or watches the clock runs by itself, the rest side by side; both are run, whatever the first says.
pytest: setup ## The tests alone (PYTEST_ARGS="-k name" for some)
ifdef PYTEST_ARGS
	@$(BIN)/pytest $(PYTEST_ARGS)
else
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q --durations=5 -m 'not alone' --numprocesses logical --dist loadfile; first=$$?; \
	$(BIN)/pytest -q --durations=10 -m alone && exit $$first
endif

format: setup ## Put the code into the house format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: setup ## All benchmarks; results in benchmarks/results
	@for name in acquisition pool rounds dispatch rerank simulate; do $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-dispatch: setup ## A million items, a hundred annotators: speed of leases and answers, and what a new order costs
	@$(BIN)/python benchmarks/dispatch.py
	@$(BIN)/python benchmarks/rerank.py

bench-labels: setup ## Labels that each strategy needs, on all sets of $LABELLOOP_DATA: hours; goes on where it stopped
	@$(BIN)/python benchmarks/labels.py $(LABELS_ARGS)
	@$(BIN)/python benchmarks/labels.py --docs
	@$(BIN)/python benchmarks/rare_start.py

bench-acquisition: setup ## What choosing costs, beside the field's libraries (FULL=1 for the whole grid)
	@$(BIN)/python benchmarks/acquisition.py $(if $(FULL),--full) $(BENCH_ARGS)

chaos: setup ## Kill everything at random under load and check every promise (MINUTES=5 DATABASE=sqlite|postgresql)
	@$(BIN)/python benchmarks/chaos.py --minutes $(or $(MINUTES),5) --database $(or $(DATABASE),sqlite)

docs: setup ## Regenerate the reference pages and pictures
	@$(BIN)/python docs/generate.py

constraints: ## Renew constraints.txt from the newest versions that fit
	@$(PYTHON) -m venv --clear build/constraints
	@build/constraints/bin/pip install --quiet 'torch==2.13.0' --editable '.[dev]'
	@(echo '# Exact versions that `make setup` and CI install; pyproject.toml has the ranges. Renew with `make constraints`.'; build/constraints/bin/pip freeze --exclude-editable | sed 's/+cpu$$//') > constraints.txt

clean: ## Remove what was built; keeps .venv and the data of services
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo src/*.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
