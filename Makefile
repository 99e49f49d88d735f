# Every command a person needs, and nothing that another target already does. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PYPROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
# Folders too: their times change when a file is taken away.
PROTOS := $(shell find protos -mindepth 1 -type d -o -name '*.proto')
INSTALLED := .venv/.installed
GENERATED := libs/contracts/src/pools/py.typed

.PHONY: help
help: ## list what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | \
	  while IFS=$$'\t' read -r target words; do printf '  make %-18s %s\n' "$$target" "$$words"; done

.PHONY: setup
setup: $(INSTALLED) $(GENERATED) ## make .venv with everything pinned, and the stubs; instant when nothing changed
	@echo 'setup: ready'

$(INSTALLED): deploy/requirements/dev.txt deploy/requirements/install.py $(PYPROJECTS)
	@command -v $(PYTHON) >/dev/null || { echo "setup: there is no '$(PYTHON)' on the PATH; Python 3.11 or newer is all that is needed beforehand."; exit 1; }
	@$(PYTHON) deploy/requirements/install.py
	@touch $@

$(GENERATED): $(PROTOS) libs/contracts/generate.py $(INSTALLED)
	@$(BIN)/python libs/contracts/generate.py
	@touch $@

.PHONY: protos
protos: $(GENERATED) ## generate the gRPC stubs from protos/, when those changed
	@echo 'protos: the stubs are up to date'

.PHONY: demo
demo: setup ## start everything, watch a quote become ledger entries, stop everything
	@$(BIN)/poolctl demo

.PHONY: up
up: setup ## start the dev stack in the foreground (Ctrl-C stops it)
	@$(BIN)/poolctl up

.PHONY: down
down: setup ## stop a dev stack that runs detached
	@$(BIN)/poolctl down

# Folders of tests run beside each other, each in one process: most of the time is waiting for processes of a stack.
# The last line of `make test` is pytest's own.
.PHONY: test
test: lint ## everything that must hold: lint, types, unit, contract, integration, e2e, chaos
	@$(BIN)/pytest -m 'not long' --numprocesses 2 --dist loadscope --no-loadscope-reorder

.PHONY: test-unit
test-unit: setup ## what needs no other process: seconds
	@$(BIN)/pytest tests/unit tests/contract

.PHONY: test-integration
test-integration: setup ## one part at a time on a real database or broker
	@$(BIN)/pytest -m 'not long' tests/integration

.PHONY: test-e2e
test-e2e: setup ## the whole stack, seen from outside
	@$(BIN)/pytest -m 'not long' tests/e2e

.PHONY: test-mtls
test-mtls: setup ## the end-to-end tests again, and the rolling restarts, with mutual TLS between the services
	@$(BIN)/pytest -m 'not long' tests/e2e --mtls
	@$(BIN)/pytest tests/e2e/test_rolling.py --mtls

.PHONY: test-long
test-long: setup ## what takes longer than `make test` may
	@$(BIN)/pytest -m long

.PHONY: collector
collector: build/collector/otelcol ## build the traces' collector, where Go is, for `make test-long` to send spans through

build/collector/otelcol: deploy/observability/collector-build.yaml
	@command -v go >/dev/null || { echo "collector: there is no 'go' on the PATH; Go 1.25 or newer builds it."; exit 1; }
	@go run go.opentelemetry.io/collector/cmd/builder@v0.160.0 --config $<

.PHONY: lint
lint: setup ## ruff, mypy, import rules, migrations, buf: reads everything, runs nothing
	@$(BIN)/python .ci/lint.py

.PHONY: format
format: setup ## lay out the code and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: docs
docs: setup ## write anew what is written from the code: docs/errors.md, the reference in the services' READMEs
	@$(BIN)/python -m poolkit.errors.explained > docs/errors.md
	@$(BIN)/python services/readmes.py

.PHONY: bench
bench: setup ## measure against the floor; writes build/bench.json
	@$(BIN)/python -m tests.bench

.PHONY: skew
skew: setup ## run the services of BASE=<revision> beside the present ones, all 32 combinations under load: fifteen minutes
	@$(BIN)/python -m tests.skew '$(BASE)'

TRADES ?= 400000

.PHONY: bench-large
bench-large: setup ## time support's search among ten million rows, those of TRADES trades: some 6 GB of disk, ten minutes
	@$(BIN)/python -m tests.bench.large $(TRADES)

OWN := $(addprefix --no-emit-package=,pools-contracts poolkit poolctl)
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make requirements' $(OWN) $(UPGRADE)

.PHONY: requirements
requirements: setup ## pin anew what the pyproject.toml files name (UPGRADE=--upgrade for newer versions)
	@$(COMPILE) --group pyproject.toml:dev $(PYPROJECTS) -o deploy/requirements/dev.txt
	@$(COMPILE) --group pyproject.toml:build --constraints deploy/requirements/dev.txt -o deploy/requirements/build.txt
	@$(COMPILE) libs/poolctl/pyproject.toml --constraints deploy/requirements/dev.txt -o libs/poolctl/requirements.txt
	@for service in $(notdir $(patsubst %/,%,$(dir $(wildcard services/*/pyproject.toml)))); do \
	  $(COMPILE) services/$$service/pyproject.toml --constraints deploy/requirements/dev.txt \
	    -o services/$$service/requirements.txt; done
	@echo 'requirements: pinned; run `make setup` to install them'

.PHONY: clean
clean: ## remove what was made here: .venv, stubs, caches, builds (a dev stack's data stays: poolctl down first)
	@rm -rf .venv build dist libs/contracts/src/pools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
