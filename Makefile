# The two commands that matter: `make demo` and `make test`. Each step of `make test` is a target of its own, too.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PORTICO := $(TARGET)/debug/portico

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TARGET)/tools/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(TARGET)/tools/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin
FUZZ_SECONDS ?= 60

# Most tests wait for answers, and many for a moment to pass: two at a time leave two processors half idle.
export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc) + 4)))

WEB := tests/web/node_modules/.package-lock.json
AUTHLIB := tests/authlib/.venv/.installed

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

.PHONY: demo
demo: ## Runs everything on this machine: the server, simulated iMIS and aiM18, a sample app
	@scripts/setup build
	cargo run --locked -- demo

.PHONY: test
test: ## Installs what is missing, then runs every check and every test on SQLite and on PostgreSQL
	@scripts/setup test
	@MAKE='$(MAKE)' scripts/test

.PHONY: setup
setup: ## Installs the Debian packages that the tests need, if any is missing
	@scripts/setup test

.PHONY: fmt
fmt: ## Checks the formatting
	cargo fmt --check

.PHONY: lint
lint: ## Clippy, warnings denied
	cargo clippy --locked --all-targets -- -D warnings

.PHONY: test-rust
test-rust: ## The Rust tests on SQLite
	env -u TEST_DATABASE_URL PORTICO_TEST_DATABASE=sqlite cargo test --locked

.PHONY: test-rust-postgres
test-rust-postgres: ## Those of them that have a database, on PostgreSQL
	scripts/with-postgres --in-memory env PORTICO_TEST_DATABASE=postgres cargo test --locked --test it

.PHONY: doc
doc: ## The documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

.PHONY: deny
deny: $(CARGO_DENY) ## Licences, banned crates and sources (deny.toml)
	$(CARGO_DENY) --locked check --hide-inclusion-graph bans licenses sources

# Apart from `make test`: the advisory database is a repository on the Internet that changes under the same commit.
.PHONY: audit
audit: $(CARGO_DENY) ## Known vulnerabilities; fetches the advisory database
	$(CARGO_DENY) --locked check advisories

# Apart from `make test`: it wants a nightly compiler. The oracles run on stable with every `cargo test` (tests/it/properties.rs).
.PHONY: fuzz
fuzz: $(CARGO_FUZZ)/cargo-fuzz ## Fuzzes each kind of input for FUZZ_SECONDS (60); needs a nightly toolchain (docs/parsers.md)
	for target in $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs))); do \
		mkdir -p fuzz/corpus/$$target; \
		PATH='$(CARGO_FUZZ)':$$PATH cargo +nightly fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1; \
	done

# The binary that `cargo test` builds is the one under test everywhere. `cargo build` would compile a third of the dependencies
# once more, for the tests' own dependencies ask for other features of them.
.PHONY: build-tests
build-tests: ## The tests and the binary, compiled
	cargo test --locked --no-run

# The two minutes of `make soak` as a quarter of one, so that the program and what it looks for cannot rot.
SOAK_SHORT := cargo bench --locked --profile dev --bench soak -- --seconds 15 --clients 100

.PHONY: test-soak
test-soak: ## Apps that refresh while servers are killed and answers are lost, for a moment, on SQLite
	env -u TEST_DATABASE_URL $(SOAK_SHORT)

.PHONY: test-soak-postgres
test-soak-postgres: ## The same on two nodes with PostgreSQL
	scripts/with-postgres --in-memory $(SOAK_SHORT)

# PostgreSQL on the load's core (`LOAD_CORE` in benches/speed): else it answers on the server's, in the middle of what that does.
BESIDE_THE_SERVER := taskset --cpu-list 1

.PHONY: bench
bench: ## The release binary's speed beside this machine's bounds, on SQLite and on PostgreSQL; prints a table of each (docs/performance.md)
	env -u TEST_DATABASE_URL cargo bench --locked --bench speed -- --json target/bench-sqlite.json
	$(BESIDE_THE_SERVER) scripts/with-postgres cargo bench --locked --bench speed -- --json target/bench-postgres.json

.PHONY: profiled
profiled: ## The release binary, a tenth faster at logins: compiled for what a load of its own has shown (docs/performance.md)
	@scripts/setup test
	scripts/profiled

# Ten million refresh families in each database: 10 GB of disk, twenty minutes and more.
.PHONY: bench-scale
bench-scale: ## The same figures of a large database beside a small one, while a million rows are swept away, and of two nodes (docs/scaling.md)
	env -u TEST_DATABASE_URL cargo bench --locked --bench speed -- --filled --expired 1000000 --json target/bench-filled-sqlite.json
	$(BESIDE_THE_SERVER) scripts/with-postgres cargo bench --locked --bench speed -- --filled --expired 1000000 --json target/bench-filled-postgres.json
	$(BESIDE_THE_SERVER) scripts/with-postgres cargo bench --locked --bench speed -- --nodes 2 --json target/bench-nodes.json

.PHONY: soak
soak: ## A thousand apps for two minutes, on SQLite and on two nodes with PostgreSQL; prints figures
	env -u TEST_DATABASE_URL cargo bench --locked --bench soak
	scripts/with-postgres cargo bench --locked --bench soak

.PHONY: test-web
test-web: build-tests $(WEB) ## Relying parties from npm and Chromium, on SQLite
	cd tests/web && env -u TEST_DATABASE_URL PORTICO_BIN='$(PORTICO)' PORTICO_TEST_DATABASE=sqlite npm test --silent

# Once is enough for what looks at pages and not at what is kept: how they look, in which language, and the demo, which runs on SQLite.
ON_ANY_DATABASE := browser_brand.test.js browser_demo.test.js browser_fragment.test.js browser_pages.test.js
ON_EACH_DATABASE = $(filter-out $(ON_ANY_DATABASE),$(notdir $(wildcard tests/web/*.test.js)))

.PHONY: test-web-postgres
test-web-postgres: build-tests $(WEB) ## The same on PostgreSQL, without what looks at pages alone
	cd tests/web && TEST_FILES='$(ON_EACH_DATABASE)' PORTICO_BIN='$(PORTICO)' PORTICO_TEST_DATABASE=postgres ../../scripts/with-postgres --in-memory npm test --silent

.PHONY: test-authlib
test-authlib: build-tests $(WEB) $(AUTHLIB) ## Authlib from PyPI, on SQLite
	cd tests/authlib && env -u TEST_DATABASE_URL PORTICO_BIN='$(PORTICO)' PORTICO_TEST_DATABASE=sqlite .venv/bin/python -m unittest --verbose

.PHONY: test-authlib-postgres
test-authlib-postgres: build-tests $(WEB) $(AUTHLIB) ## The same on PostgreSQL
	cd tests/authlib && PORTICO_BIN='$(PORTICO)' PORTICO_TEST_DATABASE=postgres ../../scripts/with-postgres --in-memory .venv/bin/python -m unittest --verbose

$(WEB): tests/web/package.json tests/web/package-lock.json
	cd tests/web && npm ci
	touch $@

$(AUTHLIB): tests/authlib/requirements.txt
	python3 -m venv --clear tests/authlib/.venv
	tests/authlib/.venv/bin/pip install --quiet --require-hashes --only-binary :all: --requirement $<
	touch $@

# Unoptimized, it is compiled in under a minute and still checks the tree in a second.
$(CARGO_DENY):
	CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --debug --locked --version $(CARGO_DENY_VERSION) --root '$(TARGET)/tools/cargo-deny-$(CARGO_DENY_VERSION)'

$(CARGO_FUZZ)/cargo-fuzz:
	CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-fuzz --debug --locked --version $(CARGO_FUZZ_VERSION) --root '$(dir $(CARGO_FUZZ))'
