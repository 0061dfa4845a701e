# The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Whole floods through the whole chain, without a page whose seconds are measured.
FLOODS := tests/e2e/test_recorded_floods.py
# Kept in the output of each stage: the slowest tests, and what took their time (set-up, call, tear-down).
SLOWEST := --durations=40 --durations-min=3
CODE := kawamori gateway ingest alerts api simulators tests deploy

.PHONY: help demo test check format lint types imports unit integration e2e faults bench screenshots wheel clean setup setup-test \
	setup-bench page audit renew

help: ## List the commands
	@grep -E '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-24s %s\n", $$1, $$2}'

demo: setup ## Watch a typhoon flood rise through a small city's rivers
	@exec $(BIN)/kawamori demo $(ARGS)

test: setup-test check ## Everything that must hold: style, types, imports, the page, all tests
	$(BIN)/python -m pytest $(SLOWEST) -m "not (slow or faults or e2e)" -n 3 --dist loadfile
	$(BIN)/python -m pytest $(SLOWEST) -m "not slow" -n 2 --dist load --maxschedchunk 1 tests/faults $(FLOODS)
	$(BIN)/python -m pytest $(SLOWEST) -m "e2e and not slow" --ignore $(FLOODS)

setup setup-test setup-bench:
	@$(PYTHON) deploy/setup.py $(patsubst setup,demo,$(@:setup-%=%))

check: lint types imports page audit ## What needs no server

format: ## Put the code in order
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

lint: ## Style and likely mistakes
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: ## mypy, strict
	$(BIN)/mypy

imports: ## What may import what
	$(BIN)/lint-imports

page: ## The page's own checks and tests
	@PATH="$(CURDIR)/$(BIN):$$PATH" && export PATH && cd dashboard && npm run --silent check && npm test --silent

audit: ## Known vulnerabilities of the pinned packages (asked once a day), and the SBOM into dist/
	@$(BIN)/python deploy/audit.py

renew: setup-test ## Renew the pinned versions of the Python and npm packages, then run everything
	$(PYTHON) deploy/renew.py
	$(MAKE) test

unit: TESTS = not integration and not e2e
integration e2e: TESTS = $@
unit integration e2e: ## Part of the tests: without servers, on real servers, the whole chain and the page
	$(BIN)/python -m pytest -m "($(TESTS)) and not slow"

faults: ## Kill, stop and fill everything, at length, and see that nothing is lost
	$(BIN)/python -m pytest -m faults -s tests/faults

bench: setup-bench ## Speed: every ratio within one run; table and pictures into docs/ (ARGS="--quick" is rough)
	$(BIN)/kawamori bench --json docs/performance.json --docs docs $(ARGS)

screenshots: setup-test ## Pictures of every view into tests/artefacts/screens (ARGS="--only REGEX", ARGS=--docs)
	$(BIN)/python -m pytest -q -s tests/e2e/screenshots.py $(ARGS)

wheel: setup-test ## Build the wheel, with the page and the SQL inside
	$(BIN)/python -m pip wheel -q --no-deps --no-build-isolation --no-index -w dist .

clean: ## Remove what the set-up put into this clone
	rm -rf .venv .setup dist dashboard/node_modules dashboard/dist tests/artefacts
