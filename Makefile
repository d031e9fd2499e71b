# The whole interface of the project; `make` alone lists it.
# Any target takes ARGS for the command behind it, for example: make test ARGS="-k upload"
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Progress is shown as it is made, into a pipe too.
export PYTHONUNBUFFERED := 1
# Where an image forbids Python to keep what it has compiled, every process compiles anew all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
PRESET ?= two_stage_compact
DATA ?= $(BONEAGE_DATA)
RUN ?= runs/$(PRESET)
ARGS ?=

BIN := .venv/bin
PORTAL := .venv/installed
DEVELOPMENT := .venv/installed-dev
RANDOM_KEY = $$($(BIN)/python -c "import secrets; print(secrets.token_urlsafe(50))")

# What .env.example describes, with a key of its own: lint never sees this machine's .env or data.
CHECKED_SETTINGS = ENV_FILE=.env.example SECRET_KEY=$(RANDOM_KEY) VAR_DIR=.venv/lint

.PHONY: help demo test lint audit format worker smoke train evaluate compare bench requirements clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(PORTAL) .env ## Start the portal with demo patients on this machine (Ctrl-C stops it)
	@$(BIN)/python manage.py demo $(ARGS)

test: $(DEVELOPMENT) ## Run every test that needs no server (browser tests need chromium)
	$(BIN)/pytest -n 2 --dist loadfile -m "not servers" -rs $(ARGS)

lint: $(DEVELOPMENT) ## Check style, templates, types, migrations and deployment settings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint templates --lint
	$(BIN)/djlint templates --check
	$(BIN)/mypy
	$(CHECKED_SETTINGS) $(BIN)/python manage.py makemigrations --check
	$(CHECKED_SETTINGS) $(BIN)/python manage.py check --deploy --fail-level WARNING

audit: $(DEVELOPMENT) ## Ask whether a pinned package is known to be vulnerable
	@$(BIN)/python .ci/audit.py $(ARGS)

format: $(DEVELOPMENT) ## Put code and templates into the common style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/djlint templates --reformat --quiet

worker: $(PORTAL) .env ## Start one more worker for the installation that .env describes
	$(BIN)/celery -A boneage_portal worker --queues inference --pool prefork --concurrency 1 \
	    --prefetch-multiplier 1 --loglevel INFO $(ARGS)

smoke: $(PORTAL) .env ## Upload a radiograph and wait for its bone age (a running portal: ARGS="--url ...")
	@$(BIN)/python manage.py smoke $(ARGS)

train: $(DEVELOPMENT) ## Train a model: PRESET=two_stage_compact DATA=folder RUN=runs/two_stage_compact
	$(BIN)/python -m inference.training.train --preset $(PRESET) $(if $(DATA),--data $(DATA)) --run $(RUN) $(ARGS)

evaluate: $(DEVELOPMENT) ## Measure an exported model on validation data: PRESET, DATA, RUN for what is found
	$(BIN)/python -m inference.training.evaluate --model $(PRESET) $(if $(DATA),--data $(DATA)) --out $(RUN)/evaluation $(ARGS)

compare: $(DEVELOPMENT) ## Every system in one table, docs/comparison.md (ARGS="--measure" takes costs as they are known)
	$(BIN)/python -m inference.training.compare $(ARGS)

bench: $(DEVELOPMENT) ## Measure: the engine, upload to result, worklist and dashboards when they are large
	$(BIN)/python -m benchmarks $(ARGS)

requirements: $(DEVELOPMENT) ## Pin the newest versions that fit (ARGS=--upgrade)
	$(BIN)/uv pip compile requirements.in -o requirements.txt --python-version 3.11 --quiet $(ARGS)
	$(BIN)/uv pip compile requirements-dev.in -o requirements-dev.txt --python-version 3.11 --quiet $(ARGS)

clean: ## Remove the environment and caches; the portal's data in var/ stays
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets stand on ------------------------------------------------------------------------------

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo \
	    "Bone Age Portal needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not one of them; name one with" \
	    "make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Creating .venv"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

$(PORTAL): requirements.txt | .venv/bin/python
	@$(call install,$<)

$(DEVELOPMENT): requirements-dev.txt $(PORTAL)
	@$(call install,$<)

# The files name every package with its version: there is nothing to resolve. Of their modules most are never imported,
# and those that are get compiled then.
define install
	echo "Installing $(1), a minute or two"; set -eo pipefail; \
	$(BIN)/python -m pip install --no-deps --no-compile --disable-pip-version-check --progress-bar off -r $(1) | \
	while read -r verb what _; do case "$$verb $$what" in \
	    "Collecting "*) echo "  $$what";; \
	    "Installing collected") echo "  unpacking";; \
	esac; done; \
	touch $@
endef

# Only an absent .env is made: one that is there may hold a hospital's keys.
.env: | $(PORTAL)
	@umask 077; sed -e "s|^SECRET_KEY=.*|SECRET_KEY=$(RANDOM_KEY)|" -e "s|^# *HTTPS=.*|HTTPS=off|" .env.example > .env
	@echo "Wrote .env for this machine"
