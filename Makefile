# hookmoon: `make run` starts the gateway, `make test` runs every test, `make help` lists the rest.

.DEFAULT_GOAL := build
KIND ?= release
BUILD := build/$(KIND)

PACKAGES := lua5.4 lua5.4-cjson libmicrohttpd libuv jansson libcurl libcrypto
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fstack-clash-protection
CFLAGS_release := -O2 -g $(HARDEN)
CFLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_tsan    := -O1 -g -fsanitize=thread
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan    := -fsanitize=address,undefined
LDFLAGS_tsan    := -fsanitize=thread

CFLAGS  += -std=gnu17 $(WARNINGS) $(CFLAGS_$(KIND)) -D_GNU_SOURCE -Isrc \
           $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDFLAGS += $(LDFLAGS_$(KIND))
LDLIBS  += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread

SOURCES := $(sort $(wildcard src/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
# Everything but main, for the tests and fuzz targets to link with.
LIBRARY := $(BUILD)/libhookmoon.a

.PHONY: build
build: hookmoon ## build ./hookmoon

hookmoon: $(BUILD)/hookmoon
	@cp --remove-destination $< $@

$(BUILD)/hookmoon: $(OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/src/cli/main.o,$(OBJECTS))
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

# ---- tests ----

UNIT_SOURCES := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(BUILD)/%)

$(BUILD)/tests/%: tests/%.c tests/unit/test.h $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS) -lcmocka

.PHONY: unit
unit: $(UNIT_TESTS) ## run the unit tests (KIND=release|asan|tsan)
	@for t in $(UNIT_TESTS); do echo "== $$t"; $$t || exit 1; done

.PHONY: deps
deps: ## install what the build and the tests need (Debian)
	@sh tools/install-deps.sh

.PHONY: test
test: deps ## install, build and run every test
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory unit KIND=asan

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
