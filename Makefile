# hookmoon: `make run` starts the gateway, `make test` runs every test, `make help` lists the rest.

.DEFAULT_GOAL := build
KIND ?= release
BUILD := build/$(KIND)

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

PACKAGES := lua5.4 lua5.4-cjson libmicrohttpd libnghttp2 libprotobuf-c libuv jansson libcurl \
            libcrypto sqlite3
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-missing-braces
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fstack-clash-protection
CFLAGS_release := -O2 -g $(HARDEN)
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
                  -Wno-gnu-zero-variadic-macro-arguments
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread

# What protoc-c makes of our .proto files.
GENERATED := build/generated
PROTOS    := $(sort $(wildcard src/proto/*.proto))
GENERATED_SOURCES := $(PROTOS:src/proto/%.proto=$(GENERATED)/%.pb-c.c)

CFLAGS  += -std=gnu17 $(WARNINGS) $(CFLAGS_$(KIND)) -D_GNU_SOURCE -Isrc -isystem $(GENERATED) \
           $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDFLAGS += $(LDFLAGS_$(KIND))
LDLIBS  += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lwslay -lpthread

SOURCES := $(sort $(wildcard src/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(GENERATED_SOURCES:%.c=$(BUILD)/%.o)
# Everything but main, for the tests and fuzz targets to link with.
LIBRARY := $(BUILD)/libhookmoon.a

.PHONY: build
build: hookmoon ## build ./hookmoon

hookmoon: $(BUILD)/hookmoon
	@cp --remove-destination $< $@

$(BUILD)/hookmoon: $(OBJECTS)
	@echo "  ld $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/src/cli/main.o,$(OBJECTS))
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(OBJECTS): | $(GENERATED_SOURCES)
$(BUILD)/src/ingress/admin.o: src/ingress/openapi.json

$(GENERATED)/%.pb-c.c: src/proto/%.proto
	@mkdir -p $(@D)
	@protoc-c --proto_path=src/proto --c_out=$(GENERATED) $<

-include $(OBJECTS:.o=.d)

# Targets that install packages call make again: what pkg-config says is read at the start.

# ---- tests ----

UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)

$(BUILD)/tests/%: tests/%.c $(wildcard tests/unit/*.h tests/unit/*/*.h) $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_TESTS) ## run the unit tests (KIND=release|asan|tsan)
	@for t in $(UNIT_TESTS); do \
	  $$t >$$t.log 2>&1 || { cat $$t.log; echo "== $$t failed"; exit 1; }; \
	done; echo "== unit tests, $(KIND): $$(cat $(UNIT_TESTS:%=%.log) | grep -c '       OK ') passed"

# The end-to-end tests: the real binary with real clients.
E2E_MODULES := tests/e2e/node_modules/.package-lock.json
E2E ?= $(sort $(wildcard tests/e2e/*.test.mjs))

$(E2E_MODULES): tests/e2e/package.json tests/e2e/package-lock.json
	@cd tests/e2e && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

.PHONY: e2e
e2e: $(BUILD)/hookmoon $(E2E_MODULES) ## run the end-to-end tests (KIND=..., E2E=files)
	@echo "== end to end, $(KIND)"
	@HOOKMOON=$(BUILD)/hookmoon TSAN_OPTIONS=halt_on_error=1 NODE_NO_WARNINGS=1 \
	  timeout 600 node --test --test-reporter=./tests/e2e/reporter.mjs $(E2E)

# The crash proof: what clients were told holds, whatever happens to the gateway and its disk.
.PHONY: crash soak
crash: $(BUILD)/hookmoon $(E2E_MODULES) ## kill it, break its disk, clock and receivers (KIND=release|asan)
	@echo "== crash proof, $(KIND)"
	@node --test --test-reporter=./tests/e2e/reporter.mjs tests/crash/checker.test.mjs
	@HOOKMOON=$(BUILD)/hookmoon timeout 200 node tests/crash/crash.mjs --kills 5
soak: $(BUILD)/hookmoon $(E2E_MODULES) ## the same, longer
	@HOOKMOON=$(BUILD)/hookmoon timeout 1800 node tests/crash/crash.mjs --kills 50 --soak

# Fuzz targets: tests/fuzz/fuzz_NAME.c with the corpus tests/fuzz/corpus/NAME.
FUZZ_SECONDS ?= 10
FUZZ_CC ?= clang
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

ifeq ($(KIND),fuzz)
build/fuzz/%: tests/fuzz/fuzz_%.c $(LIBRARY)
	@echo "  cc $<"
	@$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(LIBRARY) $(LDLIBS)
endif

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZ_SECONDS
	@$(MAKE) --no-print-directory -s KIND=fuzz CC=$(FUZZ_CC) $(FUZZ_TARGETS:%=build/fuzz/%)
	@for t in $(FUZZ_TARGETS); do \
	  mkdir -p build/fuzz/corpus/$$t && \
	  build/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
	    -artifact_prefix=build/fuzz/ -close_fd_mask=2 -print_final_stats=1 \
	    build/fuzz/corpus/$$t tests/fuzz/corpus/$$t >build/fuzz/$$t.log 2>&1 || \
	    { tail -60 build/fuzz/$$t.log; exit 1; }; \
	  echo "== fuzz $$t: $$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$$t.log) runs, $$(grep -o 'cov: [0-9]*' build/fuzz/$$t.log | tail -1)"; \
	done

C_FILES := $(shell find src tests bench -name '*.[ch]' -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: lint
lint: $(GENERATED_SOURCES) ## check the formatting and run clang-tidy
	@clang-format --dry-run --Werror $(C_FILES) && echo "== formatting is good"
	@mkdir -p build && printf '%s\n' $(SOURCES) | xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$$@" -- \
	  -std=gnu17 -D_GNU_SOURCE -Isrc -isystem $(GENERATED) $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)' tidy \
	  >build/tidy.log 2>&1 || { grep -v 'warnings generated' build/tidy.log; exit 1; }
	@echo "== clang-tidy is content"

.PHONY: format
format: ## format all C files
	@clang-format -i $(C_FILES)

.PHONY: deps
deps: ## install what building and serving need (Debian)
	@sh tools/install-deps.sh run

.PHONY: test
test: ## install, build and run every test
	@sh tools/install-deps.sh test
	@$(MAKE) --no-print-directory -s build unit e2e crash
	@$(MAKE) --no-print-directory -s demo
	@$(MAKE) --no-print-directory -s KIND=asan unit e2e
	@$(MAKE) --no-print-directory -s KIND=tsan unit e2e E2E="$(TSAN_E2E)"
	@$(MAKE) --no-print-directory -s fuzz
	@$(MAKE) --no-print-directory -s lint
	@echo "== all tests passed"

# What exercises the threads: everything but the limits of scripts, whose time TSan distorts.
TSAN_E2E := $(filter-out tests/e2e/script.test.mjs tests/e2e/docs.test.mjs,$(E2E))

# ---- use ----

.PHONY: run
run: ## install what is missing, build, and start the gateway
	@sh tools/install-deps.sh run
	@$(MAKE) --no-print-directory -s build
	@./hookmoon serve

.PHONY: demo
demo: ## play the whole story against a gateway on a free port
	@sh tools/install-deps.sh run
	@$(MAKE) --no-print-directory -s build
	@sh tools/demo.sh

.PHONY: bench
bench: ## compare with others; writes bench/RESULTS*.md (BENCH=run|grpc|durable for one part)
	@sh tools/install-deps.sh bench
	@$(MAKE) --no-print-directory -s build
	@for part in $(or $(BENCH),run grpc durable); do sh bench/$$part.sh || exit 1; done

.PHONY: clean
clean: ## remove what was built
	@rm -rf build hookmoon

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
