# Every target does its own set-up in .venv, on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
READY_SLOW := $(VENV)/.ready-slow

.PHONY: help setup demo test test-slow check fix docs bench-data bench-train
help:
	@echo "make demo    run the whole recipe on embedded data and a small model; minutes on a CPU"
	@echo "make test    run the fast tests (a quarter of an hour on two cores)"
	@echo "make test-slow    run the tests in a browser, on full disks, of two processes, and of the docs' blocks (half an hour more)"
	@echo "make check   format, lint, types, import contracts"
	@echo "make fix     format and repair what ruff can"
	@echo "make docs    write docs/cli.md and docs/recipe.md from commands and options"
	@echo "make bench-data   measure cleaning and pairs against peers, write docs/benchmarks.md (a quarter of an hour)"
	@echo "make bench-train  measure dDPO against TRL's trainer, write its part \"Training\" (half an hour)"
	@echo "make setup   only the set-up that the others do themselves"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps mistral-common
	touch $(READY)

$(READY_SLOW): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[slow]'
	touch $(READY_SLOW)

demo: $(READY)
	$(BIN)/zephyr run --recipe tiny
	@echo; echo "== the rules and their examples"
	$(BIN)/zephyr data audit --recipe tiny
	@echo; echo "== the story of a dropped row"
	$(BIN)/zephyr data why b-0035 --recipe tiny
	@echo; echo "== the story of a rewritten row"
	$(BIN)/zephyr data why a-0158 --recipe tiny
	@echo; echo "== the story of a pair"
	$(BIN)/zephyr data why r-069 --recipe tiny --step binarize
	@echo; echo "== pairs that training could not agree with"
	$(BIN)/zephyr train suspects runs/tiny/dpo --top 3
	@echo; echo "== the models on held-out pairs"
	$(BIN)/zephyr train measure runs/tiny/sft runs/tiny/dpo --pairs runs/tiny/dpo --start runs/tiny/sft
	@echo; $(BIN)/zephyr status --recipe tiny
	@echo; echo "the run's page: runs/tiny/report.html"

test: $(READY)
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(READY_SLOW)
	$(BIN)/python -m pytest -n auto -m slow

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/make_cli.py --check
	$(BIN)/python docs/make_fields.py --check
	$(BIN)/python docs/make_recipe.py --check

bench-data: $(READY)
	$(BIN)/python -m benchmarks.data

bench-train: $(READY)
	$(BIN)/python -m benchmarks.train

docs: $(READY)
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_fields.py
	$(BIN)/python docs/make_recipe.py

fix: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
