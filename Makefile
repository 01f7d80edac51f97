# Needs Go, git and make; race also a C compiler. docs/testing.md explains the
# targets. What CI runs is "make test" and nothing else.

# One binary without C for every system. Stamping the version needs a git that
# trusts the folder, so only the targets that ship a binary ask for it.
export CGO_ENABLED = 0
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

TOOL  = go tool -modfile=tools.mod
TAGS  = urfave_cli_no_docs
FUZZ ?= 20s
SOAK ?= 5m
CRASHES ?= 10000
KILLS ?= 300
BENCH ?=
SKIPPED = bin/skipped.txt

# silent runs a checker that must print nothing; the second argument is advice.
silent = @echo "+ $(1)"; out=$$($(1)) && test -z "$$out" || { printf '%s\n%s\n' "$$out" "$(2)"; exit 1; }

.PHONY: build demo check test race cross fuzz cover docs bench bench-device bench-sync soak release
.NOTPARALLEL:

build:
	go build -trimpath -buildvcs=auto -tags $(TAGS) -o bin/ ./cmd/...

demo: build
	scripts/demo.sh

check:
	@mkdir -p bin && rm -f $(SKIPPED)
	scripts/gotest.sh $(SKIPPED) -shuffle=on -timeout=30m ./...
	$(call silent,$(TOOL) gofumpt -l .,Format these files: $(TOOL) gofumpt -w .)
	go vet ./...
	$(call silent,go fix -diff ./...,Newer Go says this shorter: go fix ./...)
	$(call silent,go mod tidy -diff,Mend go.mod: go mod tidy)
	$(TOOL) staticcheck ./...
	$(call silent,$(TOOL) deadcode -test ./...,Nothing calls these: remove them.)

test:
	scripts/judges.sh
	$(MAKE) --no-print-directory check race cross
	scripts/skipped.sh $(SKIPPED)

race:
	scripts/race.sh -short -shuffle=on -timeout=40m ./...

cross:
	scripts/crossbuild.sh

fuzz:
	scripts/fuzz.sh $(FUZZ)

cover:
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out | tail -n 1

docs:
	go test ./cmd/russet -run TestManual -update

bench: build
	bin/bench $(BENCH)

bench-device: build
	bin/bench -device $(BENCH)

bench-sync: build
	bin/bench -sync $(BENCH)

soak:
	scripts/crash.sh $(CRASHES) $(KILLS)
	RUSSET_SOAK=1 go test -count=1 -timeout=2h -run 'TestModel|TestRealServers' ./reconcile
	RUSSET_SOAK=1 scripts/race.sh -shuffle=on -count=10 -timeout=2h ./...
	scripts/fuzz.sh $(SOAK)

release: check race fuzz
	scripts/crossbuild.sh bin/release
