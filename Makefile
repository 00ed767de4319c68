# Every target first sets up its requirements; when everything is up to date, the set-up is silent.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup broker demo compare dev test check bench lock clean
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# Without this, pyright asks the network whether it is the newest.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

bin := .venv/bin

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup:
	@PYTHON='$(PYTHON)' deploy/setup.sh

broker:
	@deploy/rabbitmq.sh

demo: setup broker ## Run the example sagas, in both styles, on real servers
	@$(bin)/python -m examples.compare demo

compare: setup broker ## Run the same orders in both styles, and write what each costs to .sagas/compare.html
	@$(bin)/python -m examples.compare run --json .sagas/compare.json --html .sagas/compare.html $(ARGS)

dev: setup broker ## Run a durable Temporal server with its Web UI, and a RabbitMQ broker, until Ctrl-C
	@$(bin)/sagas dev

test: setup broker ## Run every test; choose some with ARGS="-k name"
	@$(bin)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: setup ## Check format, lint and types
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/pyright

bench: setup ## Measure what sagas cost
	@$(bin)/python -m benchmarks

lock: ## Pin requirements.lock anew from pyproject.toml
	@PYTHON='$(PYTHON)' deploy/setup.sh lock

clean: ## Remove the environment, caches and local data
	rm -rf .venv .setup .sagas dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
