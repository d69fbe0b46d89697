SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# PYTHON=/path/to/python chooses the interpreter, ARGS and DATA are handed on (see the help).
PYTHON ?=
ARGS ?=
DATA ?=
UPGRADE ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SAY = if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then on=$$'\033[1;36m'; off=$$'\033[0m'; else on=''; off=''; fi; \
printf '%s==>%s %s\n' "$$on" "$$off"

##@ Use it

.PHONY: demo
demo: install ## The daemon on bundled data, nothing to configure (ARGS=--once)
	@exec $(BIN)/python -m shifter.demo.foreground $(BIN)/shifter demo $(ARGS)

.PHONY: install
install: $(VENV)/.project ## shifter and its locked dependencies, into .venv

##@ Work on it

# Three on two cores: for a third of its time a test waits for a server, a browser or a clock.
.PHONY: test
test: install-dev ## Every check that CI makes: lint, types, imports, tests (ARGS=-k battery)
	@$(SAY) 'Looking for a browser'
	@bash tests/setup.sh
	@$(MAKE) lint
	@$(SAY) 'pytest'
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile $(ARGS)

.PHONY: lint
lint: install-dev ## ruff, mypy and the import contracts
	@$(SAY) 'ruff check'
	@$(BIN)/ruff check .
	@$(SAY) 'ruff format --check'
	@$(BIN)/ruff format --check .
	@$(SAY) 'mypy'
	@$(BIN)/mypy
	@$(SAY) 'import contracts'
	@$(BIN)/lint-imports

.PHONY: format
format: install-dev ## Format the code, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: bench
bench: install ## The benchmarks (DATA=folder of data, ARGS=further options)
	@$(BIN)/python -m benchmarks $(if $(DATA),--data '$(DATA)') $(ARGS)

.PHONY: install-dev
install-dev: $(VENV)/.installed-dev $(VENV)/.project ## The same as install, and the tools for developers

##@ Keep it

.PHONY: lock
lock: ## Write both lock files from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(find_python); \
	tools="$$(mktemp -d)"; trap 'rm -rf "$$tools"' EXIT; \
	$(SAY) 'Fetching uv'; \
	"$$python" -m venv "$$tools"; \
	"$$tools/bin/python" -m pip --disable-pip-version-check install --quiet uv; \
	compile() { UV_CUSTOM_COMPILE_COMMAND='make lock' "$$tools/bin/uv" pip compile pyproject.toml --no-config --quiet \
	  --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	  --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade) "$$@" >/dev/null; }; \
	$(SAY) 'requirements.lock'; \
	compile --group build --output-file requirements.lock; \
	$(SAY) 'requirements-dev.lock'; \
	compile --group build --group dev --extra postgres --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean: ## Remove .venv, caches and what was built
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## This list
	@bold=''; cyan=''; plain=''; \
	if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then bold=$$'\033[1m'; cyan=$$'\033[36m'; plain=$$'\033[0m'; fi; \
	printf '\n%sshifter%s: deferrable inference, moved to the cheap and clean hours of the grid\n' "$$bold" "$$plain"; \
	awk -v bold="$$bold" -v cyan="$$cyan" -v plain="$$plain" ' \
	  /^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
	  /^[a-z][a-z-]*:.*## / { name = $$0; sub(/:.*/, "", name); text = $$0; sub(/^.*## /, "", text); \
	    printf "  %smake %-12s%s %s\n", cyan, name, plain, text }' $(firstword $(MAKEFILE_LIST)); \
	printf '\n'

# Stamps: a file in .venv says that a step is done, and is older than its lock file when it must be done again.

define find_python
python=''; \
for candidate in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14; do \
  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
    python="$$candidate"; break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'shifter needs Python 3.11 or newer with its venv module, and found none on the PATH.' >&2; \
  echo 'On Debian or Ubuntu: apt-get install python3 python3-venv. Elsewhere: make PYTHON=/path/to/python3.11 install' >&2; \
  exit 1; \
fi
endef

define pip_sync
$(SAY) "Installing $(1) (the first time takes a minute or two)"; \
fetched=0; total="$$(grep -c '^[a-z0-9].*==' $(1))"; \
if ! $(PIP) install --require-hashes --requirement $(1) 2>$(VENV)/pip.log | while IFS= read -r line; do \
  case "$$line" in \
    Ignoring*|'Requirement already'*) total=$$((total - 1)); continue ;; \
    Collecting*) fetched=$$((fetched + 1)) ;; \
    'Installing collected'*) if [ -t 1 ]; then printf '\r    unpacking %d packages\033[K' "$$fetched"; fi; continue ;; \
    *) continue ;; \
  esac; \
  if [ -t 1 ]; then printf '\r    fetching %d of %d packages\033[K' "$$fetched" "$$total"; fi; \
done; then \
  echo; grep -v '^WARNING' $(VENV)/pip.log >&2 || true; \
  echo 'The packages could not be installed: all that pip had to say is in $(VENV)/pip.log' >&2; exit 1; \
fi; \
if [ -t 1 ]; then printf '\r\033[K'; fi
endef

$(VENV)/.created:
	@$(find_python); $(SAY) "Making .venv with $$("$$python" --version)"; "$$python" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.lock | $(VENV)/.created
	@$(call pip_sync,requirements.lock)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@$(call pip_sync,requirements-dev.lock)
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.installed
	@$(SAY) 'Installing shifter itself'
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
