# The commands of the README and of CONTRIBUTING. Each needs only Python >= 3.11 and PyPI.
PYTHON ?= python3
# Every interpreter has an environment of its own: make test PYTHON=python3.13
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
LOWEST := $(VENV)-lowest

.PHONY: demo test test-lowest bench constraints
demo: $(VENV)/light
	rm -rf demo
	$(BIN)/paint-search demo demo

test: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

# The suite with the oldest libraries that pyproject.toml admits.
test-lowest: $(LOWEST)/installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -n auto --dist loadfile

# Has anything become slower? Ten minutes on a quiet machine.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/guard.py

# The newest versions that pyproject.toml admits, for every Python and system.
constraints: $(VENV)/installed
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras \
		--no-annotate --custom-compile-command "make constraints" \
		--output-file constraints.txt pyproject.toml

# Modules of the light one are compiled when they are imported: all at once takes half of its time.
$(VENV)/light: QUICK := --no-compile
$(VENV)/light: WHAT := .
$(VENV)/installed: WHAT := .[all,dev]
$(VENV)/light $(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(QUICK) --constraint constraints.txt --editable '$(WHAT)'
	touch $@

$(LOWEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python \
		--resolution lowest-direct --editable '.[all,dev]'
	touch $@
