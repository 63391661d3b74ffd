# `make demo` and `make test` need nothing but Python (3.10 to 3.13) and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
WORKSTATION := .venv
DEVICE := .venv-device
# What depends on the TFLite runtime is tested on the workstation's too.
OTHER_RUNTIMES := $(addprefix tests/edge_runtime/test_,\
  backends.py classifier.py cli.py doctor.py hostile.py probe.py score.py tune.py)

.PHONY: help setup demo test device-test device-test-short fuzz lint format wheel clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(WORKSTATION)/ready $(DEVICE)/ready  ## make both environments

demo: $(WORKSTATION)/ready  ## the whole toolkit on drawn faces; leaves demo/
	rm -rf demo
	$(WORKSTATION)/bin/emo-bench demo --out demo

test: $(WORKSTATION)/ready $(DEVICE)/ready  ## all tests; the device's in an environment without TensorFlow
	$(DEVICE)/bin/python -m pytest -n 2 tests/edge_runtime
	$(WORKSTATION)/bin/python -m pytest -n 2 tests --ignore tests/edge_runtime
	$(WORKSTATION)/bin/python -m pytest -n 2 $(OTHER_RUNTIMES)

device-test: $(WORKSTATION)/ready  ## the package on emulated boards (docs/device-tests.md)
	$(WORKSTATION)/bin/python -m pytest tests/device

device-test-short: $(WORKSTATION)/ready  ## the part of it that continuous integration runs
	$(WORKSTATION)/bin/python -m pytest -m short tests/device

FUZZ_RUNS ?= 100000
FUZZ_SEED ?= 1

fuzz: $(WORKSTATION)/ready  ## FUZZ_RUNS damaged files, pictures, streams and requests; FUZZ_SEED
	PYTHONPATH=tests $(WORKSTATION)/bin/python -m fuzz --runs $(FUZZ_RUNS) --seed $(FUZZ_SEED)

lint: $(WORKSTATION)/ready  ## ruff, mypy --strict, import-linter
	$(WORKSTATION)/bin/ruff format --check .
	$(WORKSTATION)/bin/ruff check .
	$(WORKSTATION)/bin/mypy
	$(WORKSTATION)/bin/lint-imports

format: $(WORKSTATION)/ready  ## let ruff format and mend
	$(WORKSTATION)/bin/ruff format .
	$(WORKSTATION)/bin/ruff check --fix .

wheel: $(WORKSTATION)/ready  ## build dist/*.whl
	$(WORKSTATION)/bin/python -m build --wheel --installer pip

clean:  ## remove the environments and everything built
	rm -rf $(WORKSTATION) $(DEVICE) dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# An environment is ready when its last step is done; a change of the pins makes it anew.
$(WORKSTATION)/ready: EXTRAS := workstation,dev
$(DEVICE)/ready: EXTRAS := test
%/ready: pyproject.toml
	@echo "setting up $* (minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "emo-toolkit needs Python 3.10 to 3.13: make PYTHON=python3.11 ..." >&2; exit 1; }
	rm -rf $*
	$(PYTHON) -m venv $*
	$*/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$*/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	touch $@
