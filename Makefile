# The commands of the project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(shell test -x $(VENV)/bin/python && echo $(VENV)/bin/python || echo python3)
# protoc finds its plugins on PATH; this is what activating the environment would do.
export PATH := $(abspath $(VENV))/bin:$(PATH)
PROTOS := $(shell find protos/enchain -name '*.proto' | sort)
SERVICES := $(shell grep -l '^service ' $(PROTOS))
PACKAGES := enchain controlplane dataplane

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.ready ## make .venv with all that contributors need, from the lock file

$(VENV)/.ready: requirements.lock pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

.PHONY: lock
lock: ## pin what CI uses, from pyproject.toml
	$(PY) -m piptools compile --quiet --extra contrib --strip-extras --no-emit-options --no-header --no-annotate --output-file requirements.lock pyproject.toml
	sed -i '/^enchain @/d' requirements.lock

.PHONY: protos
protos: ## generate Python from protos/ (committed; tests check that it is fresh)
	$(PY) -m grpc_tools.protoc -I protos --python_out=. --mypy_out=quiet:. $(PROTOS)
	$(PY) -m grpc_tools.protoc -I protos --grpc_python_out=. --mypy_grpc_out=quiet:. $(SERVICES)

.PHONY: fix
fix: ## format, and mend what a machine can mend
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: check
check: ## lint, types, import contracts, protos, sizes
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(PACKAGES) tests examples benchmarks
	$(PY) -m pytest -q tests/tidy

TEST_WORKERS ?= 2

.PHONY: test
test: ## every test, on real etcd and real Terraform (some 10 minutes on 2 cores; TEST_WORKERS=0 for one by one)
	$(PY) -m pytest -q -n $(TEST_WORKERS) --dist worksteal

.PHONY: exhaustive
exhaustive: ## deaths of leaders at every moment, and other tests that only repeat (some 5 minutes)
	$(PY) -m pytest -q -m exhaustive

.PHONY: conformance
conformance: ## every engine of ours through the whole conformance suite, Ansible included (some 5 minutes)
	ENCHAIN_CONFORMANCE=full $(PY) -m pytest -q tests/conformance/engines/test_our_engines.py

FOLLOW_RUNS ?= 1000

.PHONY: follow-suite
follow-suite: ## followers under every fault, on real etcd, then recovery times (FOLLOW_RUNS=40 for less)
	$(PY) -m benchmarks.follow_suite --runs $(FOLLOW_RUNS)

SOAK_SCALE ?= full

.PHONY: soak
soak: ## what takes longer: 50 followers, seeded faults (SOAK_SCALE=small for less)
	$(PY) benchmarks/follow.py --loops 50 --changes $(if $(filter small,$(SOAK_SCALE)),60,200)
	$(PY) -m benchmarks.follow_suite --faults $(if $(filter small,$(SOAK_SCALE)),2 --runs 40,30 --runs 1000)

SEEDS ?= 10000

.PHONY: simulate
simulate: ## routers, journal and engine ledgers in virtual time under seeded faults (SEEDS=1000 for less)
	$(PY) -m tests.simulation --seeds $(SEEDS)

.PHONY: demo
demo: $(VENV)/.ready ## the whole story on this machine, in under 5 minutes
	$(VENV)/bin/python -m examples.demo

SCALING_ARGS ?=

.PHONY: demo-scaling
demo-scaling: $(VENV)/.ready ## scaling ahead of real demand on real engines, in under 10 minutes (SCALING_ARGS="--data DIR")
	$(VENV)/bin/python -m examples.demo_scaling $(SCALING_ARGS)

EXPERIMENT_ARGS ?=

.PHONY: demo-experiment
demo-experiment: $(VENV)/.ready ## an A/B test that harms is stopped, one that helps is promoted, in under 5 minutes
	$(VENV)/bin/python -m examples.demo_experiment $(EXPERIMENT_ARGS)

CHAOS_SCALE ?= full
CHAOS_SEED ?= 1
CHAOS_SCENARIO ?= chaos

.PHONY: chaos
chaos: ## 200 operations under 60 and more faults, ~6 minutes (CHAOS_SCALE=small: 1; CHAOS_SCENARIO=etcd-outage)
	$(PY) -m benchmarks.chaos --scenario $(CHAOS_SCENARIO) --scale $(CHAOS_SCALE) --seed $(CHAOS_SEED)

BENCH_DATA ?= $(ENCHAIN_BENCH_DATA)
BENCH_ARGS ?=

.PHONY: bench-scaling
bench-scaling: ## scaling ahead of demand against other scalers, on real traces (BENCH_DATA=folder of CSV files)
	@test -n "$(BENCH_DATA)" || { echo "error: name a folder of CSV files: make bench-scaling BENCH_DATA=DIR" >&2; exit 2; }
	$(PY) -m benchmarks.scaling --data $(BENCH_DATA) $(BENCH_ARGS)
