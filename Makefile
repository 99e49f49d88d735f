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
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
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
