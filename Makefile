# The two commands of the README. Each needs only Python >= 3.11 and PyPI.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test
demo: .venv/installed
	rm -rf demo
	$(BIN)/paint-search demo demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@
