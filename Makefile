# The commands of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(shell test -x $(VENV)/bin/python && echo $(VENV)/bin/python || echo python3)
PROTOS := $(shell find protos/enchain -name '*.proto' | sort)
SERVICES := $(shell grep -l '^service ' $(PROTOS))

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: protos
protos: ## generate Python from protos/ (committed; tests check that it is fresh)
	$(PY) -m grpc_tools.protoc -I protos --python_out=. --mypy_out=quiet:. $(PROTOS)
	$(PY) -m grpc_tools.protoc -I protos --grpc_python_out=. --mypy_grpc_out=quiet:. $(SERVICES)
