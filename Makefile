# Lifeline. `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED ?= 1

# The packages whose tests take longest begin first, or the last of them would run alone.
LONGEST = ./portal ./comms ./portal/page ./cmd/lifeline ./store/storetest ./portal/desk ./contacts ./store/backup ./templates

# What watches for races, and no tables for debuggers, which nobody starts here: a sixteenth of compiling.
RACE = -race -gcflags=all=-dwarf=false -ldflags=-w

.PHONY: help demo run test crash lint bench fuzz cover image tools clean

help: ## list these
	@grep -E '^[a-z]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: bin/lifeline ## replay April 2022 on a fast clock and serve the pages at http://127.0.0.1:8080
	./bin/lifeline demo

run: bin/lifeline ## serve with ./lifeline-data and ./lifeline-keys
	./bin/lifeline serve

bin/lifeline: FORCE
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/lifeline ./cmd/lifeline

# Every program built with -race waits a second before it ends, for races of others to be told; the stories run hundreds of them.
test: export GORACE = atexit_sleep_ms=20
test: export GOGC = 400# memory is there, and so less of the time goes into finding what is free
test: ## the whole suite under -race, with what it needs installed
	@$(MAKE) --no-print-directory -j2 --output-sync tools lint # one waits for downloads, one for the compiler
	$(GO) test $(RACE) -vet=off -p 5 -timeout 15m $(LONGEST) ./... # vetted already, and much of a test is waiting: more than one package for each core

crash: tools ## the long suites: 200 rounds each of kill -9 and of power cuts, 50 broadcasts that are killed or stopped, failovers, full and failing disks, backups and the page in a bucket, the container image, 10,000 hostile texts
	GOBIN=$(CURDIR)/bin $(GO) install github.com/versity/versitygw/cmd/versitygw@v1.8.0
	PATH=$(CURDIR)/bin:$$PATH $(GO) test -run Bucket ./store/backup ./portal/page
	LIFELINE_CRASH=1 $(GO) test -timeout 90m -run 'Killed|Crash|PowerCut|MakesLast|Failover|TakesOver|Disk|SyncFails|FailedSync' ./store/...
	LIFELINE_CRASH=1 $(GO) test -run ThreeShifts ./portal/desk
	LIFELINE_CRASH=1 $(GO) test -timeout 30m -run 'Outlive|Disk|Image|Stories' ./cmd/lifeline
	LIFELINE_HOSTILE=10000 $(GO) test -timeout 30m -run HostileTexts ./portal

lint: ## formatting and vet
	@unformatted=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(RACE) ./... # with what the tests compile anyway

bench: ## figures beside the limits they are compared with, both engines
	$(GO) run ./bench

fuzz: ## every fuzz target for 30 s each
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$pkg || exit 1; done; done

cover: ## coverage by package, and coverage.html
	$(GO) test -coverprofile=coverage.out ./... && $(GO) tool cover -html=coverage.out -o coverage.html && $(GO) tool cover -func=coverage.out | tail -1

image: ## container image lifeline:latest
	docker build -t lifeline:latest .

# What the tests need beside Go: a PostgreSQL server and a browser. Installed from Debian when missing and when we may;
# otherwise the tests that need them name loudly what they could not show.
tools:
	@.ci/tools

clean: ## remove what was built
	rm -rf bin demo coverage.out coverage.html

FORCE:
