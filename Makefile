# stablessm: `make verify` on a fresh machine installs what is needed into .venv and checks the theory.
#   PYTHON=python3.12     the interpreter that .venv is made with
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu     take torch for the CPU alone, without gigabytes of CUDA
#   ARGS="..."            arguments of the command behind verify, figures, report, demo, test and bench
PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=

BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv verify figures report demo test lint bench clean

help: ## show this help
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16
	@sed -n 's/^#  /  /p' Makefile

venv: $(INSTALLED) ## create or renew .venv

verify: $(INSTALLED) ## check every statement of the paper and write build/verify/report.html
	@$(BIN)/python -m stablessm verify $(ARGS)

figures: $(INSTALLED) ## make every figure and table into build/figures; ARGS="modulus table-1" for some
	@$(BIN)/python -m stablessm figures $(ARGS)

report: $(INSTALLED) ## gather verdicts, figures and tables into build/report/report.html and .pdf
	@$(BIN)/python -m stablessm report $(ARGS)

demo: $(INSTALLED) ## open the interactive lessons in a browser; ARGS=curse for one
	@$(BIN)/python -m stablessm demo $(ARGS)

test: $(INSTALLED) ## run the tests; ARGS="-m full" runs those left out by default
	$(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED) ## run ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: $(INSTALLED) ## measure speed and tightness of enclosures, brackets, training tables and fits
	$(BIN)/python -m tests.benchmarks.bench_enclosure
	$(BIN)/python -m tests.benchmarks.bench_models
	$(BIN)/python -m tests.benchmarks.bench_training
	$(BIN)/python -m stablessm bench $(ARGS)

clean: ## remove reports, builds and caches, and keep .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# A copied or moved checkout would still import the old place, so the stamp remembers where it was made.
ifneq "$(shell cat $(INSTALLED) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(INSTALLED)
endif

$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: Python 3.11 or newer is needed, but $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing); try make PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear .venv || { \
	    echo "error: $(PYTHON) -m venv failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -c constraints.txt -e '.[dev]'
	@printf '%s' "$(CURDIR)" > $@
