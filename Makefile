# `make` prints the targets. CI runs .ci/run, as `make test` does.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SHELL = /bin/bash

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | column -t -s $$'\t'

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is required; choose one with PYTHON=/path/to/python3 make ...")'
	@echo "creating $(VENV) with the package and its development dependencies: one or two minutes, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	touch $@

.PHONY: install
install: $(VENV)/.installed ## create .venv with the package and its development dependencies

.PHONY: demo
demo: $(VENV)/.installed ## run the example under traffic and show its telemetry in the terminal; needs no Docker, no Go
	$(BIN)/python -m examples.demo

.PHONY: stack-demo
stack-demo: $(VENV)/.installed ## the same through the Collector, Prometheus and Jaeger as local processes
	$(BIN)/python -m examples.stack_demo $(ARGS)

.PHONY: ai-demo
ai-demo: $(VENV)/.installed ## call the packages openai, google-genai, anthropic on local servers: spans, tokens, cost; a minute of pip, once
	$(BIN)/python -m examples.ai_demo

.PHONY: stack
stack: ## build the Collector, Prometheus, Alertmanager, Jaeger (Go 1.26) and a Kafka broker (Java 17, Maven): minutes, once
	$(PYTHON) stack/build.py

.PHONY: check
check: $(VENV)/.installed ## check format, lint, types and layers, and run the fast tests: a few minutes
	.ci/run format lint types layers fast

.PHONY: test
test: $(VENV)/.installed ## run every check and test except the long ones
	.ci/run all

.PHONY: test-long
test-long: $(VENV)/.installed ## run the long tests: many kills, long outages, many forks
	.ci/run long

PYTHONS ?= python3.10 python3.11 python3.12 python3.13 python3.14 python3.15
.PHONY: test-pythons
test-pythons: ## run the fast tests on each supported Python (PYTHONS="/path/to/python3.10 ..." to name them)
	@for python in $(PYTHONS); do \
		venv=.venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1; \
		$(MAKE) --no-print-directory install VENV=$$venv PYTHON=$$python && VENV=$$venv .ci/run fast || exit 1; \
	done

.PHONY: test-versions
test-versions: $(VENV)/.installed ## run the fast tests with the oldest, middle and newest supported versions of dependencies
	$(BIN)/python -m pytest -q tests/versions

.PHONY: test-peers
test-peers: $(VENV)/.installed ## run the test suites of other projects with telemetry active (ARGS="structlog httpx" for some)
	$(BIN)/python -m tools.peer_suites $(ARGS)

.PHONY: boards
boards: $(VENV)/.installed ## generate and verify boards, rules and runbooks (pictures: python -m monitoring render)
	$(BIN)/python -m monitoring generate
	$(BIN)/python -m monitoring report

.PHONY: page
page: ## build the page of blogauto-otel dev from its sources (Node 20; pictures: python -m tools.inspector_pictures)
	cd inspector-page && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent types && npm run --silent build

.PHONY: chart
chart: $(VENV)/.installed ## copy collector/ into the Helm chart, and render it as plain files (Go 1.26; builds Helm once)
	$(BIN)/python -m tools.kubernetes

.PHONY: bench
bench: $(VENV)/.installed ## measure request, SQL, log, import and exit costs as ratios to stock OpenTelemetry
	$(BIN)/python -m benchmarks

.PHONY: soak
soak: $(VENV)/.installed ## run 20 minutes of load while the Collector fails, workers restart, children fork (ARGS="--minutes 1" to try)
	$(BIN)/python -m benchmarks soak $(ARGS)

.PHONY: scale
scale: $(VENV)/.installed ## agents to backends on this machine: sent = received through kills (Java 17, Maven; ARGS=--long for all)
	$(BIN)/python -m tests.scale $(ARGS)

.PHONY: redaction-rates
redaction-rates: $(VENV)/.installed ## how many secrets are missed and how many clean texts are cut (ARGS="--collector --list")
	$(BIN)/python -m tests.redaction.corpus.rates $(ARGS)

.PHONY: docs
docs: $(VENV)/.installed ## regenerate the generated pages and the golden telemetry
	$(BIN)/python -m pytest -q tests/golden --update-golden
	$(BIN)/python tools/generate_docs.py
	$(BIN)/python -m tools.generate_collector_redaction
	$(BIN)/python -m tools.metrics_table
	$(BIN)/python -m tools.module_table

.PHONY: site
site: $(VENV)/.installed ## build the documentation as a site into build/site; fails on a broken link
	$(BIN)/python -m tools.site

.PHONY: clean
clean: ## remove what the targets created here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
