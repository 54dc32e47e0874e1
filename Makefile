# Every target does its own set-up in .venv, on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo test check fix docs bench-data
help:
	@echo "make demo    clean the embedded dialogues, make pairs of the embedded ratings, train a small model on both"
	@echo "make test    run all tests"
	@echo "make check   format, lint, types, import contracts"
	@echo "make fix     format and repair what ruff can"
	@echo "make docs    write docs/cli.md from the commands' help"
	@echo "make bench-data   measure everything against peers, write docs/benchmarks.md (a quarter of an hour)"
	@echo "make setup   only the set-up that the others do themselves"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	touch $(READY)

demo: $(READY)
	$(BIN)/zephyr data clean-ultrachat --recipe tiny --overwrite
	@echo; echo "== the rules and their examples"
	$(BIN)/zephyr data audit --recipe tiny
	@echo; echo "== the story of a dropped row"
	$(BIN)/zephyr data why b-0035 --recipe tiny
	@echo; echo "== the story of a rewritten row"
	$(BIN)/zephyr data why a-0158 --recipe tiny
	@echo; $(BIN)/zephyr data verify --recipe tiny
	@echo; echo "== preference pairs of rated answers"
	$(BIN)/zephyr data binarize --recipe tiny --overwrite
	@echo; echo "== what the gates found"
	$(BIN)/zephyr data audit --recipe tiny --step binarize
	@echo; echo "== the story of a pair"
	$(BIN)/zephyr data why r-069 --recipe tiny --step binarize
	@echo; $(BIN)/zephyr data verify --recipe tiny --step binarize
	@echo; echo "== dSFT: a small model learns from the dialogues"
	$(BIN)/zephyr train sft --recipe tiny --fresh
	@echo; echo "== dDPO: it learns from the pairs, held by its own frozen start"
	$(BIN)/zephyr train dpo --recipe tiny --fresh
	@echo; echo "== pairs that training could not agree with"
	$(BIN)/zephyr train suspects runs/tiny/dpo --top 3
	@echo; echo "curves: runs/tiny/sft/curves.png and runs/tiny/dpo/curves.png; models: runs/tiny/sft/model, runs/tiny/dpo/model"

test: $(READY)
	$(BIN)/python -m pytest -n auto

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/make_cli.py --check
	$(BIN)/python docs/make_fields.py --check

bench-data: $(READY)
	$(BIN)/python -m benchmarks.data

docs: $(READY)
	$(BIN)/python docs/make_cli.py
	$(BIN)/python docs/make_fields.py

fix: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
