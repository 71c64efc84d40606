# Every command runs inside the testbed (testbed/README.md), which is built on first use, so a bare
# Debian machine is enough. Two ways to work without it:
#
#   make install PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config    builds for a PostgreSQL of this
#       machine and installs into it; also `build` and `package`. DESTDIR is honoured.
#   TESTBED=none make test    runs everything on this machine, if it has what that needs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules

# MAJORS are built and tested; `up`, `demo` and `bench` run MAJOR.
MAJORS ?= 18 17
MAJOR ?= 18

ENTER := testbed/enter

# PG_CONFIG on the command line selects a PostgreSQL of this machine.
ifeq ($(origin PG_CONFIG),command line)
BUILD_IN :=
MAJORS := $(shell $(PG_CONFIG) --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
MAJOR := $(MAJORS)
$(if $(filter 17 18,$(MAJOR)),,$(error $(PG_CONFIG) does not belong to PostgreSQL 17 or 18))
pg_config = $(PG_CONFIG)
else
BUILD_IN := $(ENTER)
pg_config = /usr/lib/postgresql/$1/bin/pg_config
endif

# Each major has its own target folder, so that they do not rebuild each other's dependencies.
TARGET := $(or $(CARGO_TARGET_DIR),target)
target_dir = $(if $(filter 18,$1),$(TARGET),$(TARGET)/pg$1)

# The program that starts and stops a TimescaleDB and a NATS server (pg_test/src/bin/stack/main.rs).
STACK = $(ENTER) cargo run --release --package pg_test --bin stack --

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

# --- build and install ---------------------------------------------------------------------------

.PHONY: build install package
build: $(MAJORS:%=build-%) ## build the extension (PG_CONFIG=... for a PostgreSQL of this machine)
install: $(MAJORS:%=install-%) ## build and install it (PG_CONFIG=..., DESTDIR=...)
package: $(MAJORS:%=package-%) ## put its files below target/package (PG_CONFIG=...)

# The library names no folder of the machine that built it, so that every machine builds the same.
SOURCE := /usr/src/sr_event_writer
remap = build.rustflags=["--remap-path-prefix=$(abspath $(TARGET))=$(SOURCE)/target", \
	"--remap-path-prefix=$(CURDIR)=$(SOURCE)"]

# Messages go to standard error, because programs read the standard output of `make up`.
build-%:
	@$(BUILD_IN) env PGRX_PG_CONFIG_PATH='$(call pg_config,$*)' \
		cargo --config '$(remap)' build --release --lib \
		--package sr_event_writer --no-default-features --features pg$* \
		--target-dir '$(call target_dir,$*)' >&2

install_files = $(BUILD_IN) testbed/install '$(call pg_config,$1)' \
	'$(call target_dir,$1)/release/libsr_event_writer.so'

install-%: build-%
	@$(call install_files,$*) '$(DESTDIR)' >&2

package-%: build-%
	@$(call install_files,$*) '$(TARGET)/package' >&2

# --- ship ----------------------------------------------------------------------------------------

# Written by the scripts in deploy/, in the testbed, from the built library.
PACKAGES := $(TARGET)/packages

.PHONY: packages dist deb image reproducible
packages: dist deb $(if $(filter 18,$(MAJORS)),image) ## everything that is shipped, below target/packages

dist: ## the source tarball, which builds without network
	@$(ENTER) deploy/dist '$(PACKAGES)'

deb: $(MAJORS:%=deb-%) ## the Debian packages, checked by lintian

deb-%: build-%
	@$(ENTER) deploy/deb $* '$(call target_dir,$*)/release/libsr_event_writer.so' '$(PACKAGES)'

# Only from version 18 on does PostgreSQL find extensions in other folders than its own.
image: build-18 ## the extension image for CloudNativePG, as an OCI archive; prints its digest
	@$(ENTER) deploy/image 18 '$(call target_dir,18)/release/libsr_event_writer.so' '$(PACKAGES)'

reproducible: packages ## make the packages in a second folder too, and compare them (minutes)
	@deploy/reproducible '$(PACKAGES)' '$(MAJORS)'

# --- check ---------------------------------------------------------------------------------------

# A build that misbehaves on request (src/config/fault.rs): with it, tests show that lost and
# duplicated messages are detected. It is installed beside the real one, which never loads it.
.PHONY: faulty
faulty:
	@$(ENTER) env PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' \
		cargo build --lib --package sr_event_writer \
		--no-default-features --features pg$(MAJOR),faults --target-dir '$(TARGET)' >&2
	@$(ENTER) install -D -m 0755 '$(TARGET)/debug/libsr_event_writer.so' \
		"$$($(ENTER) $(call pg_config,$(MAJOR)) --pkglibdir)/sr_event_writer_faults/sr_event_writer.so"

.PHONY: test check lint
test: install faulty packages ## the whole test suite, on PostgreSQL 18 and 17
	@$(ENTER) env PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' \
		cargo test --workspace --no-fail-fast -- --test-threads=3
	@$(if $(filter 17,$(MAJORS)),$(ENTER) env SR_PG_MAJOR=17 \
		PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' \
		cargo test --workspace --test suite --no-fail-fast -- --test-threads=3 \
		debian_package durable:: install:: poison:: position:: privileges samples seven_streams \
		shutdown:: standby:: upgrade::)

MINUTES ?= 10
.PHONY: soak
soak: install-$(MAJOR) ## seven live streams under faults, and an account of every message (MINUTES=10, SEED=...)
	@$(ENTER) env SR_PG_MAJOR=$(MAJOR) cargo run --release --package pg_test --bin soak -- $(MINUTES) $(SEED)

# cargo-mutants changes the pure crates (.cargo/mutants.toml); it is built once, below the target
# folder. A change may make a test collect values without end, so 8 GB of memory must do.
MUTANTS := $(TARGET)/mutants
.PHONY: mutants
mutants: ## defects that the tests must notice, one by one, in a copy; hours (NAMES=... for some)
	@pg_test/mutants/run $(NAMES)
ifndef NAMES
	@[[ -x $(MUTANTS)/tools/bin/cargo-mutants ]] || $(ENTER) cargo install --quiet --locked \
		--root '$(MUTANTS)/tools' --target-dir '$(MUTANTS)/tools/target' cargo-mutants@27.1.0
	@ulimit -v 8388608; $(ENTER) env --unset=CARGO_TARGET_DIR nice -n 10 \
		$(abspath $(MUTANTS))/tools/bin/cargo-mutants mutants --no-shuffle \
		--package sr_row --package sr_decode --package sr_nats --output '$(MUTANTS)'
endif

# The fast loop: no server and no installed extension; under a minute once the dependencies are
# built.
check: ## formatting, clippy and all unit tests; needs no server
	@$(ENTER) cargo fmt --all --check
	@$(ENTER) env PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' cargo lint
	@$(ENTER) env PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' cargo unit

lint: ## formatting, clippy, shell scripts, and the scripts in lint/checks
	@$(ENTER) env PGRX_PG_CONFIG_PATH='$(call pg_config,$(MAJOR))' lint/run

# --- run -----------------------------------------------------------------------------------------

.PHONY: demo up down psql shell bench
demo: install-$(MAJOR) ## publish messages on all subjects and show them as rows
	@$(STACK) demo

up: install-$(MAJOR) ## start a TimescaleDB and a NATS server; prints KEY=value lines
	@$(STACK) up

down: ## stop these servers
	@$(STACK) down

psql: ## psql on these servers
	@settings=$$($(STACK) env); \
	mapfile -t settings <<<"$$settings"; \
	exec $(ENTER) env "$${settings[@]}" psql

shell: ## a shell in the testbed
	@exec $(ENTER) bash

bench: install-$(MAJOR) ## the benchmark (SHORT=1: under 5 minutes); prints a table, writes target/bench.json
	@$(ENTER) env SR_PG_MAJOR=$(MAJOR) cargo run --release --package bench -- $(if $(SHORT),--short)

# --- remove --------------------------------------------------------------------------------------

.PHONY: clean clean-testbed
clean: ## remove the build output (the testbed stays)
	@rm -rf -- '$(TARGET)'

clean-testbed: ## remove all testbeds of this user, of all clones
	@testbed/build --clean
