# Everything is installed into .venv and nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test fuzz lint types format docs clean

# Half a second of each digit through a window of 10 x 10 pixels, learned by the papers' rule: by one compartment and by
# ten, each of which answer with ten, and both side by side. Chosen on the validation part (docs/results.md).
DEMO := --recipe paper --crop 8,8,10x10 --steps 20 --warm-up 0.2 --epochs 2 --votes 10

demo: $(VENV)/.installed
	rm -rf runs/demo runs/demo-one
	$(BIN)/gemsnn train $(DEMO) --compartments 1 --out runs/demo-one
	$(BIN)/gemsnn train $(DEMO) --compartments 10 --out runs/demo
	$(BIN)/gemsnn report runs/demo --beside runs/demo-one

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

# Runs the tutorials, which takes minutes the first time; what has not changed is not run again. Nothing is fetched.
docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -c docs -d docs/_build/doctrees . docs/_build/html

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

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(BIN)/python -c 'import sys; sys.exit("the site needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(INSTALL) -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV)
