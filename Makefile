# The commands of a developer. Every target works in a fresh clone with only Go;
# the scripts report missing servers and tools.

.PHONY: help test test-declared lint prose build tidy bench load fuzz release-check vulnerabilities compatibility demo clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

test: ## lint, build, release-check and test every module, with servers and a browser if available
	@scripts/test

test-declared: ## tests outside of the workspace, with the versions that each go.mod declares; MODULES chooses
	@scripts/test-declared $(MODULES)

lint: ## gofmt, prose, imports, comments of exported names, versions, go vet and staticcheck in every module
	@scripts/lint

prose: ## check the English of comments, strings and documents
	@scripts/lint-prose

build: ## build every module outside of the workspace
	@scripts/build

tidy: ## go mod tidy in every module
	@scripts/tidy

load: ## run a shop under load and with faults, and compare the counts
	@scripts/load

bench: ## run the benchmarks; BENCH=regexp selects
	@scripts/bench

fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@scripts/fuzz

release-check: ## rehearse a release: install and build everything from empty folders
	@scripts/release-check

vulnerabilities: ## govulncheck in every module
	@scripts/vulnerabilities

compatibility: ## changes of the API since the last release that break users
	@scripts/compatibility

demo: ## start the demo: ad page, shop, checkout and receiver
	@go run ./cmd/clickid demo

clean: ## remove build results and the containers that the tests started
	@rm -rf bin
	@if docker compose version >/dev/null 2>&1; then docker compose down --volumes; fi
