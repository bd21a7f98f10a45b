# Each target does its own set-up. Python 3.11 or newer; another one: make test PYTHON=python3.13
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types frameworks docs bench soak clean

demo: $(VENV)/.demo ## rotations under load on a real PostgreSQL
	@$(BIN)/smclient demo

test: $(VENV)/.dev ## the whole suite, real servers included
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev ## style, and who may import whom
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.dev ## mypy --strict, and basedpyright on the public API
	@$(BIN)/mypy && $(BIN)/mypy tests/typing && $(BIN)/basedpyright

frameworks: $(VENV)/.dev ## the integrations under every version of their frameworks that can be run here
	@$(BIN)/python tests/integrations/environments.py

docs: $(VENV)/.dev ## run every example in the documentation
	@$(BIN)/python -m pytest tests/packaging -k docs

bench: $(VENV)/.dev ## ratios beside the peers; see benchmarks/README.md
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

soak: $(VENV)/.dev ## minutes of bad requests, and of kill -9 under write load
	@for script in benchmarks/soak/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .venv-frameworks build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "smclient needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 2; }

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo
