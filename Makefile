# Every target first sets up its requirements; when everything is up to date, the set-up is silent.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup broker demo compare dev check test sweeps sweeps-all ci bench wheel lock clean
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

# The data of the project, also inside another folder with a data folder.
export SAGAS_DATA_FOLDER ?= .sagas

# Without this, pyright asks the network whether it is the newest.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

bin := .venv/bin
pytest := -m pytest --dist loadfile --no-loadscope-reorder
# Most tests wait for servers; sweeps keep the processors busy.
workers := -n 2
test: workers := -n 3

help: ## List all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Make the Python environment .venv
	@PYTHON='$(PYTHON)' deploy/setup.sh

broker: ## Install RabbitMQ where it is missing
	@deploy/rabbitmq.sh

demo: setup broker ## Run the example sagas, in both styles, on real servers
	@$(bin)/python -m examples.compare demo

compare: setup broker ## Run the same orders in both styles, and write what each costs to .sagas/compare.html
	@$(bin)/python -m examples.compare run --json .sagas/compare.json --html .sagas/compare.html $(ARGS)

dev: setup ## Run a durable Temporal server with its Web UI, and RabbitMQ where installed, until Ctrl-C
	@$(bin)/sagas dev

check: setup ## Check format, lint and types
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/pyright

test: setup broker ## Run the tests without the sweeps; choose some with ARGS="-k name"
	@$(bin)/python $(pytest) $(workers) -m "not sweep" $(ARGS)

sweeps: setup broker ## Run today's sample of the sweeps; repeat another day's with SWEEP_SEED=number
	@$(bin)/python $(pytest) $(workers) -m sweep $(if $(SWEEP_SEED),--sweep-seed $(SWEEP_SEED)) $(ARGS)

sweeps-all: setup broker ## Run all tests and all cases of the sweeps, also on CPython 3.12 and 3.13 of pyenv
	@deploy/each_python.sh $(pytest) $(workers) --sweep-all $(ARGS)

ci: check setup broker ## Check, and run the tests and today's sample of the sweeps
	@$(bin)/python $(pytest) $(workers) $(if $(SWEEP_SEED),--sweep-seed $(SWEEP_SEED)) $(ARGS)

bench: setup ## Measure what sagas cost
	@$(bin)/python -m benchmarks

wheel: setup ## Build the package into dist; PROJECT_URL=https://… names the page of the repository in its links
	@$(bin)/python -m hatchling build --target wheel

lock: ## Pin requirements.lock anew from pyproject.toml
	@PYTHON='$(PYTHON)' deploy/setup.sh lock

clean: ## Remove the environment, caches and local data
	rm -rf .venv .venv-* .setup .sagas dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
