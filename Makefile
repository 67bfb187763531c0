# What a developer runs. Every target works from a fresh clone with Go alone;
# the scripts say what they had to do without.

.PHONY: help test lint prose build bench fuzz demo clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

test: ## everything: lint, builds, tests of every module, with servers and browser where they can be had
	@scripts/test

lint: ## gofmt, go vet and staticcheck in every module
	@scripts/lint

prose: ## check the English of comments, strings and documents
	@scripts/lint-prose

build: ## build every module by itself, as its users do
	@scripts/build

bench: ## run the benchmarks; BENCH=regexp chooses
	@scripts/bench

fuzz: ## run every fuzz target for FUZZTIME (10s) each
	@scripts/fuzz

demo: ## ad page, shop, checkout and receiver to click through in a browser
	@go run ./cmd/clickid demo

clean: ## remove build results and the containers that the tests started
	@rm -rf bin
	@if docker compose version >/dev/null 2>&1; then docker compose down --volumes; fi
