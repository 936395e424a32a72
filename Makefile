# The development commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

HOST ?= http://localhost:4545
SIZE ?=
TOKEN ?=

VENV := .venv
BENCH_VENV := benches/.venv
PYTHON := $(VENV)/bin/python
PYTEST = $(PYTHON) -m pytest -q
# For tests that can run in parallel: one process per processor. Tests that share an expensive fixture
# are marked with `xdist_group` and stay in one process.
PYTEST_PARALLEL = -n auto --maxprocesses 8 --dist loadgroup --no-loadscope-reorder
export GCS_UPLOADER_BIN ?= $(CURDIR)/target/debug/gcs-uploader

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-zA-Z0-9_-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: ## Build and serve on http://localhost:4545 with the embedded emulator of Cloud Storage
	cargo run --locked -- serve --emulator

.PHONY: upload-file
upload-file: ## Upload a random file through the running server (SIZE=10MiB HOST=… TOKEN=…), or a customer's (CUSTOMER=…)
ifdef CUSTOMER
	@$(MAKE) deploy-upload
else
	@curl --silent --show-error --fail-with-body --request POST \
	  $(if $(TOKEN),--header 'Authorization: Bearer $(TOKEN)') \
	  '$(HOST)/api/upload-random$(if $(SIZE),?size=$(SIZE))' && echo
endif

##@ Build

.PHONY: build
build: ## Build the release binary, target/release/gcs-uploader
	cargo build --locked --release

##@ Test

.PHONY: test
test: test-rust test-page test-clients test-api test-readme test-docs test-terraform test-deploy test-workflows ## Run all tests

# A fixed seed, so that the property tests of a commit have the same result every time. `make soak` uses
# new seeds.
.PHONY: test-rust
test-rust: export PROPTEST_RNG_SEED ?= 20260101
test-rust: $(VENV) ## Run the unit, property and end-to-end tests of the binary
	FAKE_GCS_SERVER="$$($(PYTHON) tests/tools/fake_gcs_server.py)" cargo test --locked

.PHONY: test-clients
test-clients: $(VENV) build-debug ## Test the emulator with Google's own client, the random files with archivers, the benchmark's report
	$(PYTEST) $(PYTEST_PARALLEL) tests/google_client tests/content tests/bench

.PHONY: test-readme
test-readme: $(VENV) ## Run the README's commands as written
	$(PYTEST) tests/readme

.PHONY: test-api
test-api: $(VENV) build-debug ## Test the server against its own OpenAPI description
	$(PYTEST) tests/api

.PHONY: test-docs
test-docs: $(VENV) build-debug ## Run the documentation's commands, follow its links; test completions, manual and spelling
	$(PYTEST) tests/docs tests/shell

.PHONY: test-page
test-page: build-debug ## Test the page in a real browser (node, npm and Chromium)
	@tests/page/run node --test --test-reporter=spec

.PHONY: screenshots
screenshots: build-debug ## Take the pictures of the page that the documentation shows
	@tests/page/run node screenshots.mjs

.PHONY: soak
soak: ## Make 100,000 uploads under random faults, and the property tests with new seeds (MODEL_SEED=… MODEL_UPLOADS=…)
	cargo test --locked --release --lib
	MODEL_SEED="$${MODEL_SEED:-$$RANDOM$$RANDOM}" MODEL_UPLOADS="$${MODEL_UPLOADS:-100000}" \
	  cargo test --locked --release --test model -- --nocapture

.PHONY: bench-recovery
bench-recovery: build ## Measure the cost of faults: bytes sent relative to the object's size, peak memory
	GCS_UPLOADER_BIN=$(CURDIR)/target/release/gcs-uploader python3 benches/recovery.py

.PHONY: bench
bench: build $(BENCH_VENV) ## Measure against peers, for docs/performance.md (QUICK=1: two short rounds); needs wrk and curl
	cargo build --locked --release --manifest-path benches/rig/Cargo.toml
	cd benches && GCS_UPLOADER_BIN=$(CURDIR)/target/release/gcs-uploader \
	  .venv/bin/python -m compare $(if $(QUICK),--rounds 2 --seconds 2 --gib 1) $(BENCH_OPTIONS)

.PHONY: bench-micro
bench-micro: ## Measure the generator, the checksum and the session overhead separately
	cargo bench --manifest-path benches/micro/Cargo.toml

# With --all-targets, so that crates have the same features as for `cargo test`, and are not compiled
# twice.
.PHONY: build-debug
build-debug:
	cargo build --locked --all-targets

.PHONY: lint
lint: ## Check format, lints, documentation, and dependencies where cargo-deny is installed
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	  else echo 'cargo-deny is not installed: dependencies were not checked'; fi

.PHONY: fmt
fmt: ## Format the code
	cargo fmt

$(VENV): tests/requirements.txt
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --requirement tests/requirements.txt
	@touch $(VENV)

$(BENCH_VENV): benches/requirements.txt
	python3 -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --quiet --requirement benches/requirements.txt
	@touch $(BENCH_VENV)

# The tests of the manifests need the virtual environment and the debug binary.
test-deploy: $(VENV) build-debug

include deploy.mk
include terraform.mk
include ci.mk
