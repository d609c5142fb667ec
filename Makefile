PYTHON := .venv/bin/python
READY := .venv/.ready
RENDERED := "{{cookiecutter.project_slug}}"
OURS := ["accounts", "config", "dev", "orders", "tests", "workers"]
SOURCES := topology.py hooks scripts tests benchmarks

.PHONY: help demo test test-long test-docker bench faults faults-full faults-controls matrix lint format golden servers

help:  ## Show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

demo: $(READY)  ## Render the default project and watch it take an order; KEEP=1 leaves it running
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) scripts/demo.py

test: $(READY)  ## Run the tests; as root on Debian or Ubuntu, install missing servers first
	@scripts/servers --if-root
	@# A folder of its own: a second run would lock the first one's away from PostgreSQL, which
	@# runs as somebody else where we are root.
	@root=$$(mktemp -d) && trap 'rm -rf "$$root"' EXIT && \
		PYTEST_DEBUG_TEMPROOT="$$root" PATH="$(CURDIR)/.venv/bin:$$PATH" \
		$(PYTHON) -m pytest $(ARGS)

test-long:  ## Run what `make test` leaves for longer: further choices through the same tests
	@$(MAKE) test ARGS="-m long $(ARGS)"

test-docker:  ## Run what needs a Docker Engine
	@$(MAKE) test ARGS="-m docker --numprocesses=0 -v $(ARGS)"

bench: $(READY)  ## Measure against plain Django and Celery; ARGS="select" one measure, ARGS=--quick in short
	@scripts/servers --if-root
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m benchmarks $(ARGS)

faults: $(READY)  ## Break a project in each way while orders come in, and count; ARGS="W4 B2-redis" these alone
	@scripts/servers --if-root
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m tests.faults $(ARGS)

faults-full:  ## The same on every pool, with more orders, for docs/faults.md; takes hours
	@$(MAKE) faults ARGS="--full $(ARGS)"

faults-controls:  ## Switch each mechanism off: its cell must fail
	@$(MAKE) faults ARGS="--controls $(ARGS)"

matrix: $(READY)  ## Run every strategy, database and pool, and write down the connections
	@scripts/servers --if-root
	@root=$$(mktemp -d) && trap 'rm -rf "$$root"' EXIT && \
		PYTEST_DEBUG_TEMPROOT="$$root" PATH="$(CURDIR)/.venv/bin:$$PATH" \
		$(PYTHON) -m pytest tests/test_matrix.py --matrix --numprocesses=0 --capture=no -q

lint: $(READY)  ## Check style and types
	@$(PYTHON) -m ruff check $(SOURCES)
	@$(PYTHON) -m ruff format --check $(SOURCES)
	@$(PYTHON) -m mypy

format: $(READY)  ## Mend what the formatter and the linter can, in the template's sources too
	@$(PYTHON) -m ruff format $(SOURCES)
	@$(PYTHON) -m ruff check --fix $(SOURCES)
	@$(PYTHON) -m ruff check --isolated --no-cache --line-length 100 --select I --fix \
		--config 'lint.isort.known-first-party = $(OURS)' $(RENDERED) templates
	@# Named one by one: conditional names end in a way that the formatter would pass over.
	@find $(RENDERED) templates -name '*.py*' -print0 | \
		xargs -0 $(PYTHON) -m ruff format --isolated --no-cache --line-length 100
	@# It ends with 1 where it changed a file.
	@find $(RENDERED) -name '*.html' -exec .venv/bin/djade --target-version 5.2 {} + || true

golden: $(READY)  ## Render the golden trees anew, for a reviewer to see what changed
	@$(PYTHON) -m pytest tests/test_golden.py --refresh-golden

servers:  ## Install the servers that the tests start (Debian, Ubuntu; needs root)
	@scripts/servers

$(READY): pyproject.toml
	@python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check uv
	@.venv/bin/uv pip install --quiet --python $(PYTHON) --group dev
	@touch $@
