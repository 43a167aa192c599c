# The front door. Every target is one line that calls the real thing.
bun = node_modules/.bin/bun

.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

run: ## boot two directors, two web servers and a client, and watch the traffic survive (ARGS=--help)
	@image/setup.sh build && $(bun) image/run.ts $(ARGS)

test: ## run every suite (SUITE="unit sim" for some)
	@image/setup.sh test && $(bun) test/run.ts $(SUITE)

image: ## build the disk image into out/
	@image/setup.sh build && $(bun) image/release.ts $(ARGS)

firmware: ## build the signed file that updates a box, into out/
	@image/setup.sh build && $(bun) image/bundle.ts $(ARGS)

flash: ## write the image to a disk: make flash DISK=/dev/sdX (IMAGE=FILE: a raw one that is there)
	@image/setup.sh build && $(bun) image/flash.ts $(DISK) $(IMAGE)

bench: ## measure Drover beside its peers, as ratios (ARGS="vrrp:kill" for a part)
	@image/setup.sh test && $(bun) test/bench/run.ts $(ARGS)

conformance: ## run the public HTTP cache suite against Drover and Varnish (ARGS=--verbose)
	@image/setup.sh test && $(bun) test/conformance/run.ts $(ARGS)

bench-cache: ## the cache beside Varnish, nginx and HAProxy (ARGS="hits latency" for some rows)
	@image/setup.sh test && $(bun) test/bench/cache.ts $(ARGS)

fuzz: ## throw bad bytes at every parser of the cache (ARGS="SECONDS TARGET")
	@image/setup.sh test && $(bun) test/fuzz/run.ts $(ARGS)

soak: ## the long ones: a box's life in BIOS and in UEFI, with 200 power cuts, each started (ARGS="cuts --minutes 9" for a part)
	@image/setup.sh test && $(bun) test/soak.ts $(ARGS)

format: ## put every file into the house style
	@$(bun) x biome check --write

.PHONY: help run test image firmware flash bench conformance fuzz soak format
