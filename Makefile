# Every target sets itself up. The two commands of the README are `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CORES ?= all
CONFIG ?= config/demo.yaml
export PYTHONPATH := $(CURDIR)/src
export OMP_WAIT_POLICY := passive

# open3d loads these at import; a bare Debian has none of them.
SYSTEM_LIBRARIES := libusb-1.0-0 libgl1 libegl1 libgomp1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-browser test-slurm test-faults test-hostile lint bench envs config clean clean-intermediate

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## make the virtual environment and install system libraries that are missing

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Facemill needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	@workflow/tools/install_system_libraries.sh $(SYSTEM_LIBRARIES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[workflow,test,lint]'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps anny
	touch $@

demo: setup  ## reconstruct the demo's photographs, show a short training: results/demo/report.html
	$(BIN)/snakemake --cores $(CORES) --configfile config/demo.yaml
	@echo "open results/demo/report.html"

test: setup  ## all tests but the slow and the browser ones
	$(BIN)/pytest -n 2

test-slow: setup  ## the slow tests
	$(BIN)/pytest -m slow

test-browser: setup  ## open the report in headless Chromium
	@workflow/tools/install_system_libraries.sh chromium chromium-driver
	FACEMILL_REQUIRE_BROWSER=1 $(BIN)/pytest -m browser tests/browser

test-slurm: setup  ## run the workflow on a Slurm cluster of its own (root; installs Debian's packages)
	@workflow/tools/install_system_libraries.sh munge slurmctld slurmd slurm-client
	FACEMILL_REQUIRE_SLURM=1 timeout --kill-after=60 600 $(BIN)/pytest -m slurm tests/slurm

test-faults: setup  ## kill, fill, forbid, damage, turn the clock, stop: what runs survive (root; an hour)
	@workflow/tools/install_system_libraries.sh faketime
	$(BIN)/pytest -m faults tests/faults tests/workflow/test_kill.py

test-hostile: setup  ## give hostile files to every reader; FACEMILL_HOSTILE_INPUTS=N mutants each (200)
	$(BIN)/pytest -m hostile tests/hostile

lint: setup  ## linter, formatter, type checker, Snakemake's own linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

bench: setup  ## measure, as ratios to a peer in the same run
	$(BIN)/python tests/benchmarks/run_all.py

envs: setup  ## write envs/*.yaml from pyproject.toml and constraints.txt
	$(BIN)/python workflow/tools/generate_envs.py

config: setup  ## write config/config.yaml, config/schema.json and config/README.md from the settings
	$(BIN)/python workflow/tools/generate_config.py

clean-intermediate: setup  ## CONFIG=file: remove what a finished run no longer needs
	$(BIN)/python workflow/tools/remove_intermediates.py $(CONFIG)

clean:  ## remove all results
	rm -rf results .snakemake
