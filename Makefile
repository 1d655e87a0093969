# `make` alone lists the targets. They need Debian 12 and Go; what else they need
# they install (as root).

GO ?= go
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
LINT := build/tools/golangci-lint-$(lastword $(subst @, ,$(GOLANGCI)))
FUZZTIME ?= 20s
HOSTILE ?= 1m
CYCLES ?= 10
CLOUD := build/cloud
NODE ?= bolide
OPS ?=
TRY ?= make demo

NFPM_MODULE := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
NFPM := build/tools/nfpm-$(lastword $(subst @, ,$(NFPM_MODULE)))

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
# Packages' versions are numbers: the tag's, or none and the commit's date.
PACKAGE_VERSION ?= $(shell git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null | sed 's/^v//' | grep . || git log -1 --format=0~%cd.%h --date=format:%Y%m%d%H%M)

.DEFAULT_GOAL := help
.PHONY: help build check lint race test test-openstack package test-package test-clean-root compare test-faults test-moves demo demo-openstack shell down bench fuzz deps clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: build/bolide ## compile the one binary, build/bolide

build/bolide: FORCE | deps-build
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/bolide

$(CLOUD): FORCE | deps-build
	$(GO) build -o $@ ./test/openstack

# -- checks --------------------------------------------------------------------

check: lint race ## formatting, vet, linters, import rules, tidy modules, unit tests under the race detector

lint: $(LINT) | deps-build
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
		test -z "$$unformatted" || { echo "not formatted:" $$unformatted; exit 1; }
	$(GO) vet ./...
	$(LINT) run ./...
	$(GO) mod tidy -diff

race: | deps-test deps-demo
	$(GO) test -race -short -timeout 25m ./...

$(LINT):
	GOBIN=$(abspath build/tools) $(GO) install $(GOLANGCI)
	mv build/tools/golangci-lint $@

# -- tests ---------------------------------------------------------------------

test: | deps-test deps-demo ## every test that needs no OpenStack; starts its own RabbitMQ, libvirtd and networks
	$(GO) test -timeout 25m ./...

test-openstack: build/bolide $(CLOUD) | deps-openstack deps-peer ## drive Bolide through the API of a real OpenStack (OPS="build delete", NODE=nova)
	$(CLOUD) --node $(NODE) test $(OPS)

test-faults: | deps-test deps-demo ## break the node and all it needs, and say after how long it works again (40 minutes; HOSTILE=10m CYCLES=1000 for longer)
	$(GO) test -count=1 -timeout 20m ./agent -run TestBrokenSteps -every-step
	$(GO) test -count=1 -timeout 5m ./rpc -v -run TestStorm -storm
	$(GO) test -count=1 -timeout 4h ./test/faults -v -faults.all -faults.hostile $(HOSTILE) -faults.cycles $(CYCLES)

test-moves: | deps-test ## move guests between two hosts while agents and libvirtds are killed and the link is cut, 50 times (5 minutes)
	$(GO) test -count=1 -timeout 40m ./test/moves -v -migrations 50

compare: build/bolide $(CLOUD) | deps-openstack deps-peer ## what the control plane holds of Bolide and of Nova's own node, field by field
	$(CLOUD) compare

fuzz: | deps-build ## run every fuzz target for a while (FUZZTIME=20s each)
	@$(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
		for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go 2>/dev/null); do \
			echo "$$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; \
	done

# -- packages ------------------------------------------------------------------

package: build/bolide $(NFPM) ## make a .deb and a .rpm in build/package
	NFPM=$(abspath $(NFPM)) PACKAGE_VERSION='$(PACKAGE_VERSION)' packaging/build

test-package: $(NFPM) | deps-package deps-build ## install, upgrade and purge the packages in a clean Debian root
	rm -rf build/package-test && mkdir -p build/package-test
	$(MAKE) package PACKAGE_VERSION=0~1 VERSION=0~1 && mv build/package/*.deb build/package-test/old.deb
	$(MAKE) package && packaging/test build/package-test/old.deb build/package/*.deb build/package/*.rpm

$(NFPM):
	GOBIN=$(abspath build/tools) $(GO) install $(NFPM_MODULE)
	mv build/tools/nfpm $@

# -- a newcomer's machine --------------------------------------------------------

test-clean-root: | deps-package ## what a newcomer does: make demo in a fresh clone in a clean Debian root (TRY="make test")
	.ci/clean-root $(TRY)

# -- trying it out -------------------------------------------------------------

demo: build/bolide build/bolide-demo | deps-demo ## a guest's life on a small cloud of its own (KEEP=1 leaves it running)
	build/bolide-demo $(if $(KEEP),--keep)

build/bolide-demo: FORCE | deps-build
	$(GO) build -trimpath -o $@ ./cmd/bolide-demo

demo-openstack: build/bolide $(CLOUD) | deps-openstack ## the same on a real OpenStack: bring it up, boot a guest, show what it says
	$(CLOUD) --node $(NODE) demo

shell: build/bolide $(CLOUD) | deps-openstack ## a shell inside that OpenStack
	$(CLOUD) --node $(NODE) shell

down: $(CLOUD) build/bolide-demo ## take the clouds down that the above left running
	$(CLOUD) down
	build/bolide-demo down

bench: build/bolide $(CLOUD) | deps-openstack deps-peer deps-test ## measure Bolide and Nova's own node on this machine
	$(CLOUD) bench-images --json build/bench-images.json
	$(CLOUD) bench --json build/bench.json
	$(GO) test ./test/moves -run '^TestCrowd$$' -count 1 -v -timeout 30m -args -crowd 200

# -- what the above need ---------------------------------------------------------

deps: deps-build deps-test deps-demo deps-openstack ## install the Debian packages that everything above needs

deps-%:
	@.ci/deps $*

clean: ## remove what was built
	rm -rf build

FORCE:
