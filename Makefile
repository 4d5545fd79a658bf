# make demo    stylise images/inputs with images/styles into images/output
# make test    lint, then the tests on the Keras backends that are installed
# make bench   times and memory, as JSON
# make clean   remove what the others made
#
# Needs Python 3.11 or later with venv; another one: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/python stylize.py --content-path images/inputs --style-path images/styles \
		--out-path images/output --overwrite
	@echo "The pictures are in $(CURDIR)/images/output"

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

bench: $(VENV)/installed
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) images/output build dist *.egg-info .pytest_cache .ruff_cache
	find adain benchmarks tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11 or later; try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The files say what was installed last; a change of requirements installs anew.
$(VENV)/installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	@touch $@

$(VENV)/installed-test: requirements-test.txt requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-test.txt
	@touch $@
