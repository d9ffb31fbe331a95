# Shout. `make help` lists the goals; everything that is built lands under build/.
#
#   make                    build/shout and build/shoutctl
#   make CC=clang           another compiler
#   make SAN=address,undefined test     under sanitizers, in build/address,undefined/
#   make test T=ingress     only the tests whose names contain "ingress"

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
comma   := ,
B       := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
ROOMS   := shared ingress scanner sender control
LIBS    := libevent libevent_pthreads libevent_openssl openssl lmdb libcyaml yaml-0.1 libprotobuf-c \
           hiredis libgsasl jansson zlib

WARN    := -Wall -Wextra -Wformat=2 -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Werror
HARDEN  := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. -I$(B)/gen $(WARN) $(HARDEN) $(CFLAGS) $(SANFLAGS) \
             $(shell pkg-config --cflags $(LIBS))
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LDLIBS  := $(shell pkg-config --libs $(LIBS)) -lunbound -lpthread

SRCS    := $(foreach r,$(ROOMS),$(wildcard $(r)/*.c))
OBJS    := $(SRCS:%.c=$(B)/%.o) $(B)/gen/shared/envelope.pb-c.o
LIB     := $(B)/libshout.a
UNIT    := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all
all: $(B)/shout $(B)/shoutctl
.DELETE_ON_ERROR:
.SECONDARY:

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: %.proto
	@mkdir -p $(B)/gen
	protoc-c --c_out=$(B)/gen $<

# Lua scripts become a C string literal, to be included where one is expected.
$(B)/gen/%.lua.h: %.lua
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $< > $@
$(B)/shared/limits.o: $(B)/gen/shared/limits.lua.h

$(B)/%.o: %.c $(B)/gen/shared/envelope.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(OBJS)
	rm -f $@
	ar rcs $@ $^

$(B)/shout $(B)/shoutctl: $(B)/%: $(B)/cmd/%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

.PHONY: unit
unit: $(UNIT)

.PHONY: clean
clean:
	rm -rf build

-include $(OBJS:.o=.d) $(wildcard $(B)/cmd/*.d) $(wildcard $(B)/tests/unit/*.d)
