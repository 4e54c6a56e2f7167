# What each target does stands beside it; `make` alone prints this list. CI runs .ci/run, which calls `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SHELL = /bin/bash

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | column -t -s $$'\t'

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed; PYTHON=/path/to/python3 make ... chooses one")'
	@echo "making $(VENV) with the package and everything its tests need: a minute or two, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev
	touch $@

.PHONY: install
install: $(VENV)/.installed ## make .venv with the package and everything its tests need

.PHONY: demo
demo: $(VENV)/.installed ## the example under traffic, shown in the terminal: no Docker, no Go
	$(BIN)/python -m examples.demo

.PHONY: stack-demo
stack-demo: $(VENV)/.installed ## the same through the real Collector, Prometheus and Jaeger as local processes
	$(BIN)/python -m examples.stack_demo $(ARGS)

.PHONY: stack
stack: ## build the Collector, Prometheus, Alertmanager and Jaeger (Go 1.26; minutes, once)
	$(PYTHON) stack/build.py

.PHONY: check
check: $(VENV)/.installed ## formatting, lint, types, layers and the fast tests: a few minutes
	.ci/run format lint types layers fast

.PHONY: test
test: $(VENV)/.installed ## everything
	.ci/run all

.PHONY: test-long
test-long: $(VENV)/.installed ## what takes minutes: many kills, long outages, many forks
	.ci/run long

.PHONY: test-versions
test-versions: $(VENV)/.installed ## the tests that depend on versions, with the lowest and the highest of each range (makes two environments)
	$(BIN)/python -m pytest -q tests/versions

PYTHONS ?= python3.10 python3.11 python3.12 python3.13
.PHONY: test-pythons
test-pythons: ## the fast tests with every Python that is supported (PYTHONS="/path/to/python3.10 ..." where they are elsewhere)
	@for python in $(PYTHONS); do \
		venv=.venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1; \
		$(MAKE) --no-print-directory install VENV=$$venv PYTHON=$$python && VENV=$$venv .ci/run fast || exit 1; \
	done

.PHONY: boards
boards: $(VENV)/.installed ## generate boards, rules and runbooks, and verify them (pictures: python -m monitoring render)
	$(BIN)/python -m monitoring generate
	$(BIN)/python -m monitoring report

.PHONY: bench
bench: $(VENV)/.installed ## request, SQL, log, import and exit costs as ratios to stock OpenTelemetry
	$(BIN)/python -m benchmarks

.PHONY: soak
soak: $(VENV)/.installed ## 20 minutes of load while the Collector flaps, workers come and go, children fork (ARGS="--minutes 1" to try)
	$(BIN)/python -m benchmarks soak $(ARGS)

.PHONY: redaction-rates
redaction-rates: $(VENV)/.installed ## how many secrets are missed and how many clean texts are cut (ARGS="--collector --list")
	$(BIN)/python -m tests.redaction.corpus.rates $(ARGS)

.PHONY: docs
docs: $(VENV)/.installed ## write the generated pages and the golden telemetry anew
	$(BIN)/python -m pytest -q tests/golden --update-golden
	$(BIN)/python tools/generate_docs.py
	$(BIN)/python -m tools.generate_collector_redaction
	$(BIN)/python -m tools.readme

.PHONY: clean
clean: ## remove what the targets made here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
