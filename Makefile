# The commands of a developer. Every target works in a fresh clone with only Go;
# the scripts report missing servers and tools.

.PHONY: help test lint prose build bench fuzz demo clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

test: ## lint, build and test every module, with servers and a browser if available
	@scripts/test

lint: ## gofmt, go vet and staticcheck in every module
	@scripts/lint

prose: ## check the English of comments, strings and documents
	@scripts/lint-prose

build: ## build every module outside of the workspace
	@scripts/build

bench: ## run the benchmarks; BENCH=regexp selects
	@scripts/bench

fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@scripts/fuzz

demo: ## start the demo: ad page, shop, checkout and receiver
	@go run ./cmd/clickid demo

clean: ## remove build results and the containers that the tests started
	@rm -rf bin
	@if docker compose version >/dev/null 2>&1; then docker compose down --volumes; fi
