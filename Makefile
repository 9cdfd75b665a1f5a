.DEFAULT_GOAL := help
.PHONY: help train test test-rest test-all lint wheel clean venv lock
.NOTPARALLEL:
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DIST ?= dist
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Only packages with a hash in the lock, and no source packages, since building one runs its code.
PIP_INSTALL_LOCKED := $(PIP_INSTALL) --require-hashes --only-binary :all: --requirement
PIP_INSTALL_PROJECT := $(PIP_INSTALL) --no-deps --no-build-isolation --editable .

help: ## show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

train: $(VENV)/.installed ## train a small network on generated shapes, and test it
	@$(BIN)/python train.py --model=mlp --dataset=shapes

# Tests that need missing data or programs are deselected, with a message before and after the run.
DATA := $(strip $(TFCORE_DATA_DIR))
BROWSER := $(and $(shell command -v chromium),$(shell command -v chromedriver))
AVAILABLE := $(if $(DATA),, and not real_data)$(if $(BROWSER),, and not browser)
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
define LEFT_OUT
$(if $(DATA),,@echo "The real-data tests are not run, because TFCORE_DATA_DIR is not set. To run them: make $@ TFCORE_DATA_DIR=FOLDER" \
	"(FOLDER contains mnist/ and cifar-10-batches-bin/, as published)")
$(if $(BROWSER),,@echo "The browser tests are not run, because chromium and chromedriver are not installed. On Debian and Ubuntu:" \
	"apt-get install chromium chromium-driver")
endef

test: lint ## check style and types, then run the main tests (five to ten minutes on two cores)
	$(LEFT_OUT)
	@$(PYTEST) -m "not thorough$(AVAILABLE)"
	$(LEFT_OUT)
	@echo "The thorough tests are not run here. To run them: make test-rest"

test-rest: $(VENV)/.installed-test ## run the thorough tests, which make test does not run
	$(LEFT_OUT)
	@$(PYTEST) -m "thorough$(AVAILABLE)"
	$(LEFT_OUT)

test-all: test test-rest ## run everything: make test, then make test-rest

lint: $(VENV)/.installed-test ## check the style and types only
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet --diff .
	@$(BIN)/python -m mypy

wheel: $(VENV)/.installed-test ## build a wheel into dist/
	@rm -rf build
	@$(BIN)/python -m build --wheel --no-isolation --outdir $(DIST) . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@ls $(DIST)/*.whl

clean: ## remove build products and caches (runs and .venv are kept)
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find tfcore tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(VENV)/.installed-test ## install the project with its test tools into .venv

lock: $(VENV)/.created ## update requirements/ to the newest versions within the bounds of setup.cfg, with their hashes
	@$(PIP_INSTALL) 'uv>=0.13,<0.14'
	@$(BIN)/uv pip compile --quiet --upgrade setup.cfg --extra test --output-file requirements/test.txt
	@$(BIN)/uv pip compile --quiet --upgrade setup.cfg --constraint requirements/test.txt --output-file requirements/runtime.txt

# Stamps are written last: an interrupted step is repeated, a completed one is not.
$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found. Install Python 3.11, 3.12 or 3.13, or name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "tfcore needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12 …" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) comes without its venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created setup.cfg pyproject.toml requirements/runtime.txt
	@echo "Installing tfcore into $(VENV). The first time this downloads TensorFlow (over 250 MB) and takes a few minutes."
	@$(PIP_INSTALL_LOCKED) requirements/runtime.txt
	@$(PIP_INSTALL_PROJECT)
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created setup.cfg pyproject.toml requirements/test.txt
	@echo "Installing tfcore and its test tools into $(VENV). The first time this downloads TensorFlow (over 250 MB)" \
	  "and takes a few minutes."
	@$(PIP_INSTALL_LOCKED) requirements/test.txt
	@$(PIP_INSTALL_PROJECT)
	@touch $(VENV)/.installed $@
