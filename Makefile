# Everything is installed into .venv and nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test fuzz lint types format clean

demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/gemsnn train --recipe best --out runs/demo

test: lint types
	$(BIN)/python -m pytest -n 2 --dist worksteal

fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/fuzz/run.py --inputs 1000000

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/basedpyright

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("gemsnn needs Python 3.10 or newer; try make PYTHON=python3.12" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing gemsnn and what it needs into $(VENV) (a minute or two)"
	$(INSTALL) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV)
