# Everything a newcomer needs is python3 and make.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo test check format bench clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@sh .ci/venv.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

demo: install
	$(BIN)/sightline demo

# More processes than two cores, as tests wait as well; neighbours stay together, for their fixtures.
# The promises measure seconds: they get the machine, and those that compare times all of it.
test: install
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore=tests/promises
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/promises

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) test

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) out build dist
