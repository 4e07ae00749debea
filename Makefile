# Every target sets up what it needs in a virtual environment of its own; `make` alone lists them.
# ARGS is passed on to the program behind the target: make train ARGS="--dataset ml-1m".

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
PORT ?= 8000
COVERAGE ?= 95
# A Python >= 3.11 that can make virtual environments; some distributions package that part separately.
USABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(python) -c '$(USABLE)' 2>/dev/null && echo $(python))))
# The lower bounds have no wheels for later Pythons.
OLDEST_PYTHON ?= python3.11

PY := $(VENV)/bin/python
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
MINIMUM := $(VENV)-minimum
PEERS := $(VENV)-peers
PIP := -m pip --disable-pip-version-check --quiet
PYTEST := $(PY) -m pytest
# Threads that wait for work sleep: test processes share the processors. What pytest makes of test files is kept.
TEST := PYTHONDONTWRITEBYTECODE= OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1 $(PYTEST) -n auto --maxprocesses=4 --dist worksteal

##@ Use
.PHONY: train
train: $(RUN) ## cross-validate and train a model, on MovieLens 100K if it can be had, else on demo data
	@$(PY) -m nmf_scratch train $(ARGS)

.PHONY: recommend
# USER is also the login name in most shells, so only a value given to make itself counts.
ifeq ($(origin USER),command line)
recommend: $(RUN) ## recommend items to a user of the last trained model: make recommend USER=196
	@$(PY) -m nmf_scratch recommend $(ARGS) -- '$(USER)'
else
recommend:
	@echo 'usage: make recommend USER=196   (a user id of the ratings file; train a model first: make train)' >&2; exit 2
endif

.PHONY: compare
compare: $(RUN) ## run every solver on one problem, on the same folds: table, compare.csv and figures in runs/compare
	@$(PY) -m nmf_scratch compare $(ARGS)

.PHONY: report
report: $(RUN) ## one HTML page about the last trained model, with figures and reasons; trains one first if there is none
	@test -e runs/latest || $(PY) -m nmf_scratch train
	@$(PY) -m nmf_scratch report $(ARGS)

.PHONY: figures
figures: $(RUN) ## draw all figures: of the data in runs/figures, of the last trained model (made if there is none) beside it
	@test -e runs/latest || $(PY) -m nmf_scratch train
	@$(PY) -m nmf_scratch plot dataset $(ARGS)
	@$(PY) -m nmf_scratch plot convergence --longer 10
	@for family in factors predictions animations; do $(PY) -m nmf_scratch plot $$family || exit; done

.PHONY: data
data: $(RUN) ## list the datasets and which are at hand: make data ARGS="download ml-100k"
	@$(PY) -m nmf_scratch data $(or $(ARGS),list)

##@ Develop
.PHONY: test
test: $(DEV) ## run the tests, kernels compiled: a few minutes
	$(if $(ARGS),,@$(PY) tests/warm_up.py)
	$(TEST) $(ARGS)

.PHONY: test-long
test-long: $(DEV) ## run all tests, also the long forms of those that have a short one: before a release
	@$(PY) tests/warm_up.py
	$(TEST) -m '' $(ARGS)

.PHONY: test-interpreted
test-interpreted: $(DEV) ## run the tests without Numba, measuring coverage
	NUMBA_DISABLE_JIT=1 $(TEST) --cov --cov-report=term --cov-fail-under=$(COVERAGE) $(ARGS)

.PHONY: test-bounds
test-bounds: $(DEV) ## run the tests with every array access of the kernels checked
	NUMBA_BOUNDSCHECK=1 $(TEST) $(ARGS)

.PHONY: test-minimum
# Old versions warn about what newer ones of their own dependencies deprecate; that is not ours to mend.
test-minimum: $(MINIMUM)/.dev ## run the tests with the oldest supported versions (needs Python 3.11)
	$(TEST:$(PY)%=$(MINIMUM)/bin/python%) -W default $(ARGS)

.PHONY: bench
bench: $(DEV) ## time reading, encoding, each solver and top-N; compares with the stored run and replaces it
	@raw=$$(mktemp) && trap 'rm -f "$$raw"' EXIT && \
	$(PYTEST) benchmarks --benchmark-only --benchmark-quiet --benchmark-json="$$raw" $(ARGS) && \
	$(PY) benchmarks/report.py "$$raw"

.PHONY: bench-quick
bench-quick: $(DEV) ## the same in under a minute, with fewer solvers, ranks and rounds; results in runs/bench
	@raw=$$(mktemp) && trap 'rm -f "$$raw"' EXIT && \
	$(PYTEST) benchmarks --quick --benchmark-only --benchmark-quiet --benchmark-json="$$raw" $(ARGS) && \
	$(PY) benchmarks/report.py --quick "$$raw"

.PHONY: bench-scale
bench-scale: $(RUN) ## time epochs of 1M to 100M ratings against the machine's limits; a quick look: make bench-scale ARGS=--quick
	@$(PY) benchmarks/scale.py $(ARGS)

.PHONY: bench-peers
bench-peers: $(RUN) $(PEERS)/.made ## time, and compare lists, against other libraries; a quick look: make bench-peers ARGS=--quick
	@$(PY) benchmarks/peers.py --peers $(PEERS)/bin/python $(ARGS)
	@$(PY) benchmarks/lists.py --peers $(PEERS)/bin/python $(ARGS)

.PHONY: results
results: $(RUN) ## measure accuracy on the folds of MovieLens 100K; rewrites the README's table and figures
	@$(PY) benchmarks/accuracy.py
	@$(PY) -m nmf_scratch compare --dataset ml-100k --folds u1-u5 --output runs/compare
	@cp runs/compare/objective.png runs/compare/test-error.png docs/figures
	@$(PY) -m nmf_scratch plot dataset --dataset ml-100k --output runs/figures/ml-100k
	@cp runs/figures/ml-100k/treemap.png docs/figures/treemap.png

# Always from nothing: a page may change with any module. Sphinx's own warnings and what pages print are errors alike.
.PHONY: docs
docs: $(DOCS) ## build the site in build/docs, running every page and script on it; warnings are errors
	@rm -rf build/docs docs/auto_gallery
	@$(PY) -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --quiet docs build/docs $(ARGS)
	@echo 'The site is in build/docs: open build/docs/index.html, or make docs-serve'

.PHONY: docs-serve
docs-serve: $(VENV)/.made ## show the site on http://localhost:8000; another port: make docs-serve PORT=8080
	@test -f build/docs/index.html || $(MAKE) docs
	@$(PY) -m http.server $(PORT) --bind localhost --directory build/docs

.PHONY: lint
lint: $(DEV) ## check style, format and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

.PHONY: format
format: $(DEV) ## mend style and format
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

.PHONY: clean
clean: ## remove environments, builds and caches; runs and data stay
	rm -rf $(VENV) $(MINIMUM) $(PEERS) build dist src/*.egg-info
	rm -rf .benchmarks .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf docs/auto_gallery
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Environments: a stamp file is as new as what it stands for, so nothing is installed twice.
$(VENV)/.made:
	@test -n '$(PYTHON)' || { echo 'make: no Python >= 3.11 with venv was found; install one, or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@'$(PYTHON)' -c '$(USABLE)' 2>/dev/null || { echo 'make: $(PYTHON) is not a Python >= 3.11 with venv' >&2; exit 2; }
	@echo 'Setting up $(VENV), once; this takes a minute ...'
	@'$(PYTHON)' -m venv --clear $(VENV)
	@$(PY) $(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(RUN): $(VENV)/.made pyproject.toml constraints.txt
	@$(PY) $(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(DEV): $(RUN)
	@$(PY) $(PIP) install --constraint constraints.txt --group dev
	@touch $@

$(DOCS): $(RUN)
	@$(PY) $(PIP) install --constraint constraints.txt --group docs
	@touch $@

$(MINIMUM)/.dev: pyproject.toml constraints-minimum.txt
	@$(OLDEST_PYTHON) -c '$(USABLE)' 2>/dev/null || { echo 'make: $(OLDEST_PYTHON) was not found; name a Python 3.11: make test-minimum OLDEST_PYTHON=/path/to/python3.11' >&2; exit 2; }
	@$(OLDEST_PYTHON) -m venv --clear $(MINIMUM)
	@$(MINIMUM)/bin/python $(PIP) install --upgrade 'pip>=25.1'
	@$(MINIMUM)/bin/python $(PIP) install --constraint constraints-minimum.txt --editable . --group test
	@touch $@

# LIBMF's own Makefile switches on AVX and OpenMP; its Python package leaves that to the environment (CFLAGS or CXXFLAGS,
# depending on setuptools' version). What cannot be installed here is left out, and the report says so.
PEER_FLAGS ?= -O3 -march=native -fopenmp -DUSEOMP $(if $(filter x86_64 amd64,$(shell uname -m)),-DUSEAVX)
PEER_NAMES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["peers"])
$(PEERS)/.made: pyproject.toml
	@echo 'Setting up $(PEERS), once; some libraries are compiled, which takes minutes ...'
	@'$(PYTHON)' -m venv --clear $(PEERS)
	@$(PEERS)/bin/python $(PIP) install --upgrade 'pip>=25.1'
	@export CFLAGS='$(PEER_FLAGS)' CXXFLAGS='$(PEER_FLAGS)' LDFLAGS='-fopenmp'; \
	for peer in $$('$(PYTHON)' -c '$(PEER_NAMES)'); do \
		echo "  $$peer"; $(PEERS)/bin/python $(PIP) install --no-binary=libmf --no-cache-dir "$$peer" || \
		echo "  $$peer cannot be installed here and is left out" >&2; done
	@touch $@
