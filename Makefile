# Two commands on a fresh machine: `make demo` and `make test`. Each makes its own environment in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLES := sample_images
# Two processes, each with whole files: some fixtures are a study long. In the order of tests/conftest.py: the long first.
ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder

# CI installs exactly what the list of its Python names (`make test LOCKED=1`); a colleague gets the newest releases.
LOCKED ?=
LIST = requirements/ci-$(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint pytest docs system samples clean

demo: $(VENV)/.installed
	$(BIN)/cher2 run $(SAMPLES)/images -o demo_study --protocol $(SAMPLES)/protocol.toml --clinical $(SAMPLES)/clinical.csv
	@echo "To use cher2 in this shell: source $(VENV)/bin/activate"

test: system $(VENV)/.installed-test lint docs pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The window tests need a screen: a virtual one, with Qt's X11 platform.
pytest: $(VENV)/.installed-test
	env -u QT_QPA_PLATFORM xvfb-run -a -s "-screen 0 1600x1200x24" $(BIN)/python -m pytest $(ARGS)

# The documentation as a site: a warning, a broken link or a page outside the navigation ends it. Not --quiet: what is
# not printed is not counted.
docs: $(VENV)/.installed-test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Documentation: site/index.html"

system:
	sh tests/install_system_packages.sh

# The study in sample_images, made anew: the same seed gives the same bytes.
samples: $(VENV)/.installed
	rm -rf $(SAMPLES)
	$(BIN)/cher2 simulate $(SAMPLES) --scenario sample

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "cher2 needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tests/install_system_packages.sh python3-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml napari.yaml
	@echo "Installing cher2 and its libraries into $(VENV): one to three minutes, 1.1 GB ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: $(BIN)/python pyproject.toml napari.yaml
	$(if $(LOCKED),$(PIP) --require-hashes --requirement $(LIST) \
	  || echo "$(LIST) cannot be installed from this index: the newest releases are taken instead")
	$(PIP) -e ".[docs,test]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo_study site
