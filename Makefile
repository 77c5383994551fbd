# Everything there is to type; `make` alone lists it. Needs Python >= 3.11, nothing else:
# each target installs what it uses into .venv, once. `make PYTHON=python3.12 test` chooses the interpreter.

export PYTHON
BIN := .venv/bin
ARGS :=
# Outside the project, so that tests of the plugin do not find this project's settings above their own.
TEMPORARY = room=$$(mktemp -d) && trap 'rm -rf "$$room"' EXIT INT TERM HUP

.DEFAULT_GOAL := help
.PHONY: help demo test example lint format types docs bench changelog clean

help: ## Say what there is to type
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

demo: ## Show what a found race, a lost update and a missed objective look like
	@scripts/environment demo
	@$(BIN)/python demo/run.py

test: ## Run every test (ARGS="tests/slo -x" for fewer)
	@scripts/environment tests
	@$(TEMPORARY) && $(BIN)/python -m pytest -n 2 --basetemp="$$room/pytest" $(ARGS)

example: ## Run the example application's own tests
	@scripts/environment tests example
	@$(TEMPORARY) && cd examples/residency && ../../$(BIN)/python -m pytest -n 2 -m "not slow" --basetemp="$$room/pytest" $(ARGS)

lint: ## Check style, formatting and spelling
	@scripts/environment lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: ## Mend what style and formatting can be mended by machine
	@scripts/environment lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: ## Check the types: ours, and that every public name has one
	@scripts/environment types
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" python scripts/complete_types.py 94.5

docs: ## Build the documentation into docs/_build/html
	@scripts/environment docs
	$(BIN)/sphinx-build -n -W --keep-going -q docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

bench: ## Measure: import cost, idle cost, skew, beside other plugins
	@scripts/environment bench
	@for script in benchmarks/*.py; do echo; echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

changelog: ## Show the next release's notes, from the fragments in changelog.d
	@scripts/environment docs
	$(BIN)/towncrier build --draft

clean: ## Remove what the other targets made
	rm -rf .venv .tox build dist docs/_build .coverage .coverage.* .*_cache .hypothesis
