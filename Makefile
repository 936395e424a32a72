# Everything a person does here. `make help` lists it.
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
# For tests that can run side by side: a process for each processor. What shares an expensive fixture
# is marked with `xdist_group` and stays in one process.
PYTEST_PARALLEL = -n auto --maxprocesses 8 --dist loadgroup --no-loadscope-reorder
export GCS_UPLOADER_BIN ?= $(CURDIR)/target/debug/gcs-uploader

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-zA-Z0-9_-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Use

.PHONY: run
run: ## Build and serve on http://localhost:4545 with the embedded stand-in for Cloud Storage
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

##@ Prove

.PHONY: test
test: test-rust test-page test-clients test-api test-readme test-docs test-terraform test-deploy test-workflows ## Run everything that proves the project

# What chance decides in a property test is decided alike each time: a commit passes, or it does not.
# `make soak` draws anew.
.PHONY: test-rust
test-rust: export PROPTEST_RNG_SEED ?= 20260101
test-rust: $(VENV) ## Run the unit, property and end-to-end tests of the binary
	FAKE_GCS_SERVER="$$($(PYTHON) tests/tools/fake_gcs_server.py)" cargo test --locked

.PHONY: test-clients
test-clients: $(VENV) build-debug ## Hold the stand-in to Google's own client, the files to archivers, the benchmark to its figures
	$(PYTEST) $(PYTEST_PARALLEL) tests/google_client tests/content tests/bench

.PHONY: test-readme
test-readme: $(VENV) ## Run the README's commands as written
	$(PYTEST) tests/readme

.PHONY: test-api
test-api: $(VENV) build-debug ## Ask the server by its own description, and hold its answers to it
	$(PYTEST) tests/api

.PHONY: test-docs
test-docs: $(VENV) build-debug ## Run the documentation's commands, follow its links; completions, manual, spelling
	$(PYTEST) tests/docs tests/shell

.PHONY: test-page
test-page: build-debug ## Test the page in a real browser (node, npm and Chromium)
	@tests/page/run node --test --test-reporter=spec

.PHONY: screenshots
screenshots: build-debug ## Take the pictures of the page that the documentation shows
	@tests/page/run node screenshots.mjs

.PHONY: soak
soak: ## Make 100,000 uploads under random faults, and run the property tests anew (MODEL_SEED=… MODEL_UPLOADS=…)
	cargo test --locked --release --lib
	MODEL_SEED="$${MODEL_SEED:-$$RANDOM$$RANDOM}" MODEL_UPLOADS="$${MODEL_UPLOADS:-100000}" \
	  cargo test --locked --release --test model -- --nocapture

.PHONY: bench-recovery
bench-recovery: build ## Measure what faults cost: bytes sent over the object's size, peak memory
	GCS_UPLOADER_BIN=$(CURDIR)/target/release/gcs-uploader python3 benches/recovery.py

.PHONY: bench
bench: build $(BENCH_VENV) ## Measure against peers, for docs/performance.md (QUICK=1: two short rounds); needs wrk and curl
	cargo build --locked --release --manifest-path benches/rig/Cargo.toml
	cd benches && GCS_UPLOADER_BIN=$(CURDIR)/target/release/gcs-uploader \
	  .venv/bin/python -m compare $(if $(QUICK),--rounds 2 --seconds 2 --gib 1) $(BENCH_OPTIONS)

.PHONY: bench-micro
bench-micro: ## Measure generator, checksum and session overhead by themselves
	cargo bench --manifest-path benches/micro/Cargo.toml

# With the tests' targets, so that crates have the features that `cargo test` gave them, and are not
# compiled again.
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

# The manifests' tests use the environment and the binary of the others.
test-deploy: $(VENV) build-debug

include deploy.mk
include terraform.mk
include ci.mk
