# `make demo` runs the system in simulation, `make test` proves it; both set up what is missing.
# Variables: TASK, EPISODES, VIEW=1 (viewer), PYTHON=python3.12, TRAIN=1 (torch, for training),
# MINUTES=60 and ONLY='sim' (a part of the results), PYTEST_ARGS='-k chunk'.
SHELL := /bin/bash
PYTHON ?= python3
TASK ?= cube_lift
EPISODES ?= 10
VIEW ?=
TRAIN ?=
MINUTES ?= 60
ONLY ?= *
OUT ?= out/demo
export MUJOCO_GL ?= egl
export PYTHON TRAIN PYTEST_ARGS
.DEFAULT_GOAL := help
.PHONY: help setup demo test results lint lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile
	@sed -n '/^# Variables/,/[.]$$/s/^# //p' Makefile

setup: ## make .venv match requirements/lock (TRAIN=1: with torch)
	@tools/setup.sh

demo: setup ## run TASK in simulation, EPISODES per policy, and write $(OUT)/report.html
	@.venv/bin/ocrrl demo --task $(TASK) --episodes $(EPISODES) --out "$(OUT)" $(if $(filter-out 0,$(VIEW)),--view)

test: ## colcon build, colcon test, and pytest's own summary
	@TRAIN=$(or $(TRAIN),maybe) tools/setup.sh
	@tools/test.sh

results: ## run what is missing of the protocol for MINUTES, then rebuild docs/results.md
	@TRAIN=1 tools/setup.sh
	@.venv/bin/ocrrl results --max-minutes $(MINUTES) --only '$(ONLY)'; \
		code=$$?; .venv/bin/ocrrl report && exit $$code

lint: setup ## the style and layer tests alone
	@.venv/bin/python -m pytest -q test/test_flake8.py test/test_pep257.py test/test_layering.py

lock: setup ## pin requirements/lock anew (needs uv)
	@requirements/lock.sh

clean: ## remove everything that make made
	rm -rf .venv build install log out ocrrl.egg-info .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
