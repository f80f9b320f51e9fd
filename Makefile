# make run     build, and show a message being sealed
# make test    every test, real neighbours included (Debian, as root)
# make lint    formatting, vet, staticcheck
# make fuzz    every fuzz target for FUZZTIME each
# make bench   Sealpost beside Postfix, docs/benchmarks.md; BENCH=short: two minutes, bin/benchmarks.md
# make docs    the pages that are generated from the code

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
GO ?= go
FUZZTIME ?= 10s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

.PHONY: build page run test lint fuzz bench docs clean

build: page
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealpost ./cmd/sealpost

# What the page /read runs in the browser is compiled first, and then in the program.
page:
	$(GO) generate ./directory/reader

run: build
	./bin/sealpost demo

test:
	bash .ci/setup
	$(MAKE) --no-print-directory page
	SEALPOST_TEST_ALL=1 CGO_ENABLED=1 $(GO) test -race -count=1 -v -timeout 40m ./... 2>&1 | awk -f .ci/summary.awk

lint:
	@unformatted=$$(gofmt -l .); if [[ -n $$unformatted ]]; then echo "not formatted: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	GOOS=js GOARCH=wasm $(GO) vet ./directory/reader/wasm
	$(GO) run -exec 'env GOOS=js GOARCH=wasm' $(STATICCHECK) ./directory/reader/wasm

fuzz:
	@grep -rlE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | cut -c6- | while read -r target; do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")" </dev/null; \
		done; \
	done

bench: build
	bash .ci/setup
	$(GO) run ./internal/bench $(if $(filter short,$(BENCH)),-short -o bin/benchmarks.md)
	$(GO) run ./internal/bench/directory $(if $(filter short,$(BENCH)),-n 100000 -time 1s -o bin/benchmarks-directory.md)

docs:
	$(GO) generate ./...

clean:
	rm -rf bin
	rm -f directory/reader/dist/reader.wasm.gz directory/reader/dist/wasm_exec.js
