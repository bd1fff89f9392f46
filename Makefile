# Two commands do it all on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# the notebooks' tests make a small workspace of their own here, whatever a demo has left behind
NOTEBOOK := $(CURDIR)/.cache/notebook

.PHONY: setup demo test lint bench quality clean

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "shopgraph needs Python 3.11 or newer; $(PYTHON) is older. Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the dependencies into $(VENV) (torch is large: a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[train,demo,plot,notebooks,dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/shopgraph demo

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m bench.febrl || test "$$CI" != true  # without a network its tests are skipped, but not in CI
	$(BIN)/python -m pytest -n 2 --dist loadfile  # a file's tests share what they build; each process has its own server
	@rm -rf $(NOTEBOOK) && mkdir -p $(NOTEBOOK)
	SHOPGRAPH_NOTEBOOK_BUDGET=small SHOPGRAPH_WORKSPACE=$(NOTEBOOK)/none TMPDIR=$(NOTEBOOK) \
		$(BIN)/python -m pytest --nbmake --nbmake-timeout=900 notebooks

lint: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m bench.main_job

quality: setup
	$(BIN)/python -m bench.quality --search

clean:
	rm -rf $(VENV) build *.egg-info
