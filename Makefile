# Two commands from nothing but Python 3.11 and a C compiler: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
# One compute thread per process: two threads on a busy two-core machine run many times slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: demo serve test check systems page clean
demo: .venv/demo
	$(BIN)/oration demo

# Talk to the small model in a browser, at http://127.0.0.1:8710/ (docs/serving.md).
serve: .venv/serve
	$(BIN)/oration serve --port 8710

test: .venv/test
	$(BIN)/python -m pytest -q -m "not slow" -n 2

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trains every system at its smallest size and compares with other implementations; hours on two cores. A test that fails
# is told on the page.
systems: .venv/test
	-$(BIN)/python -m pytest -q -m "slow or parity" -n 2 --systems out/systems.json tests/conformance/test_recipes_work.py tests/parity
	$(BIN)/python docs/systems.py out/systems.json
	$(BIN)/python docs/codecs.py out/systems.json
	$(BIN)/python docs/layouts.py

# The page that `oration serve` shows; only who changes web/ needs this, and Node.
page:
	cd web && npm ci && npm run check && npm test && npm run build

# The constraints file holds the versions that passed, so that pip neither searches nor surprises.
.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,eval]'
	touch $@

.venv/serve: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[serve]'
	touch $@

# Other implementations, to compare with, come without what only their training needs.
.venv/test: pyproject.toml constraints.txt tests/parity/references.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[train,eval,serve,dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r tests/parity/references.txt
	touch $@

clean:
	rm -rf .venv build dist out
