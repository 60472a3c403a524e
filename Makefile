# Every target makes .venv first, from pyproject.toml and the pinned versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test slow covered fuzz check site benchmark clean

DEVELOPING := $(VENV)/developing

run: $(VENV)/installed
	$(BIN)/duchenne run quick --out runs/quick --resume

test: $(DEVELOPING)
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(DEVELOPING)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

covered: $(DEVELOPING)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow" --cov --cov-report=term-missing:skip-covered --cov-fail-under=95

fuzz: $(DEVELOPING)
	$(BIN)/python -m pytest -k more_than_a_line --hypothesis-profile thorough
	$(BIN)/python -m benchmarks.fuzz 20000

check: $(DEVELOPING)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m benchmarks.readability --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

site: $(DEVELOPING)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo $(CURDIR)/site/index.html

benchmark: $(DEVELOPING)
	$(BIN)/python -m benchmarks

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(DEVELOPING): $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[app,dev,hf,timm,onnx,ray,dask,tensorboard]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache site
