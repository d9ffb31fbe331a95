# Shout. `make help` lists the goals; everything that is built lands under build/.
#
#   make                    build/shout and build/shoutctl
#   make CC=clang           another compiler
#   make SAN=address,undefined test     under sanitizers, in build/address-undefined/
#   make SAN=thread test T=queue        for races, in build/thread/
#   make test T=ingress     only the tests whose names contain "ingress"
#
#   make deps               install the Debian packages that all goals of continuous integration need; each goal
#                           installs its own (deploy/packages), but for `make` alone: deploy/deps.sh build
#   make test               build, run every test, end with a count
#   make test-faults        only those that kill, starve and trace (part of `make test`); the numbers in
#                           tests/faults/scale.py may be larger: SHOUT_KILLS=5000 make test-faults
#   make test-kafka         the queue of a cluster: unit tests, and tests on real brokers
#   make test-all           both, with one count
#   make test-faults-kafka CYCLES=50     every fault of a cluster 50 times, in random order
#   make test-upgrade OLD=commit         an older Shout gives way to this one under load, on one machine and in a cluster
#   make test-panel         the panel in a real Chromium: every page, language, scheme and width; by keyboard; attacks
#   make test-kubernetes    the Helm chart, on a Kubernetes of one node that is built for it (needs Go and root; the
#                           programs stay in build/kubernetes); not part of continuous integration
#   make lint               format, clang-tidy, cppcheck, include directions, metrics, alerts, gcc and clang
#   make fuzz               every parser for FUZZ_SECONDS (60) each
#   make test-readme        the commands of README.md and docs/, in an empty Debian
#   make book               docs/ as HTML, in build/book; fails on a link that leads nowhere
#   make install DESTDIR= PREFIX=/usr/local   programs, systemd units, manual pages; `make uninstall` removes them
#   make deb                the Debian package, in build/deb/
#   make test-package       the package in an empty Debian: installed, run, upgraded under load, removed, purged
#   make docker             the image of all roles, by docker/Dockerfile
#   make test-api SECONDS=240  the API against control/http/openapi.yaml, by schemathesis (SCHEMATHESIS names the program)
#   make test-compose       deploy/compose, really up: mail through it, each container killed, down and up again
#   make demo               set everything up and send two messages through it; leaves it running
#   make demo-kafka         the same as a cluster: three brokers, two processes of each role
#   make demo-stop          end either
#   make clean

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
# Debian's own: it has Debian's pytest
PYTHON  ?= /usr/bin/python3
comma   := ,
B       := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
ROOMS   := shared ingress scanner sender control
LIBS    := libevent libevent_pthreads libevent_openssl openssl lmdb libcyaml yaml-0.1 libprotobuf-c \
           libargon2 hiredis libgsasl libidn2 jansson rdkafka sqlite3 zlib libseccomp libpcre2-8

WARN    := -Wall -Wextra -Wformat=2 -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Werror
HARDEN  := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
# The same source gives the same programs, wherever it is built.
SAME    := -ffile-prefix-map=$(CURDIR)=.
CFLAGS  ?= -O2 -g
PKGFLAGS := $(shell pkg-config --cflags $(LIBS))
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. -I$(B)/gen $(WARN) $(HARDEN) $(SAME) $(CFLAGS) $(SANFLAGS) \
             $(PKGFLAGS)
# gcc's flow warnings see the checks that a sanitizer puts in, and are wrong then.
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -Wno-error)
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LDLIBS  := $(shell pkg-config --libs $(LIBS) libcurl) -lunbound -lpthread -lm

SRCS    := $(shell find $(ROOMS) -name '*.c' | sort)
OBJS    := $(SRCS:%.c=$(B)/%.o) $(B)/gen/shared/mail/envelope.pb-c.o
LIB     := $(B)/libshout.a
UNIT    := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(shell find tests/unit -name 'test_*.c' | sort))

PROGS   := $(patsubst cmd/%.c,$(B)/%,$(wildcard cmd/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all
all: $(PROGS)
.DELETE_ON_ERROR:
.SECONDARY:

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h &: %.proto
	@mkdir -p $(B)/gen
	protoc-c --c_out=$(B)/gen $<

# Lua scripts become a C string literal, to be included where one is expected.
$(B)/gen/%.lua.h: %.lua
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $< > $@
# So do the API's description and the response rules.
$(B)/gen/%.yaml.h: %.yaml
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $< > $@
# So do the mails to customers, as rows { language, key, text }.
NOTICES := $(wildcard control/notices/*/*.txt)
$(B)/gen/control/notices/texts.h: $(NOTICES)
	@mkdir -p $(@D)
	for text in $^; do \
		echo "{ \"$$(basename $$(dirname $$text))\", \"$$(basename $$text .txt)\","; \
		sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n"/' $$text; \
		echo '},'; \
	done > $@
# The version that every program shows; VERSION is the only place that has it.
$(B)/gen/shared/base/version.h: VERSION
	@mkdir -p $(@D)
	sed 's/.*/#define SHOUT_VERSION "&"/' $< > $@
$(B)/cmd/shout.o $(B)/cmd/shoutctl.o $(B)/shared/metrics/metrics_process.o $(B)/control/webhook/post.o: $(B)/gen/shared/base/version.h
$(B)/control/http/api_openapi.o: $(B)/gen/control/http/openapi.yaml.h
$(B)/sender/reply/replies.o: $(B)/gen/deploy/shaping.yaml.h
$(B)/control/notices/notices.o: $(B)/gen/control/notices/texts.h
$(B)/shared/account/limits.o: $(B)/gen/shared/account/limits.lua.h
$(B)/shared/score/score_call.o $(B)/tests/unit/shared/score/test_score.o: $(B)/gen/shared/score/ladder.lua.h $(B)/gen/shared/score/score.lua.h
$(B)/sender/egress/limiter.o: $(B)/gen/sender/egress/lane.lua.h
$(B)/shared/work/inflight.o: $(B)/gen/shared/work/inflight.lua.h
$(B)/shared/work/unknown_replies.o: $(B)/gen/shared/work/unknown_replies.lua.h

$(B)/%.o: %.c $(B)/gen/shared/mail/envelope.pb-c.h
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.pb-c.o: $(B)/gen/%.pb-c.c
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(OBJS)
	rm -f $@
	ar rcs $@ $^

$(B)/shoutctl: $(patsubst %.c,$(B)/%.o,$(wildcard cmd/ctl/*.c cmd/ctl/*/*.c))
$(B)/shout: $(patsubst %.c,$(B)/%.o,$(wildcard cmd/check/*.c))
$(PROGS): $(B)/%: $(B)/cmd/%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LDLIBS)

# What stands in for a part of Shout, linked into the tests that name it.
FAKES   := $(B)/tests/unit/libfakes.a
$(FAKES): $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/*_fake.c))
	rm -f $@
	ar rcs $@ $^

$(UNIT): %: %.o $(FAKES) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

ifeq ($(SAN),thread)
$(UNIT): $(B)/tests/unit/c11_threads.o
endif

# Its sentinels may be on another machine.
$(B)/tests/unit/shared/redis/test_sentinels: LDFLAGS += -Wl,--wrap=net_peer
# Its clock is that of a machine which has been up for hours.
$(B)/tests/unit/sender/smtp/test_client_tls: LDFLAGS += -Wl,--wrap=clock_mono_ms

.PHONY: unit
unit: $(UNIT)

# Libraries come by pkg-config, so packages have to be there before this file is read again.
.PHONY: deps
deps:
	@deploy/deps.sh build run demo unit test lint fuzz kafka

deps-%:
	@deploy/deps.sh $(subst -, ,$*)

.PHONY: test
test: deps-build-run-demo-unit-test
	@$(MAKE) --no-print-directory all unit
	@$(PYTHON) tests/run.py --build $(B) --filter '$(T)'

.PHONY: test-faults
test-faults: deps-build-run-demo-test
	@$(MAKE) --no-print-directory all
	@SHOUT_FLOOD=$${SHOUT_FLOOD:-100} SHOUT_NEIGHBOUR_MAILS=$${SHOUT_NEIGHBOUR_MAILS:-50} SHOUT_BUILD=$(CURDIR)/$(B) \
		$(PYTHON) -m pytest -q -p no:cacheprovider tests/faults

.PHONY: test-kafka test-all
test-kafka test-all: deps-build-run-demo-unit-test-kafka
	@$(MAKE) --no-print-directory all unit
	@$(PYTHON) tests/run.py --build $(B) --filter '$(T)' --$(@:test-%=%)

CYCLES ?= 1
.PHONY: test-faults-kafka
test-faults-kafka: deps-build-run-demo-test-kafka
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) SHOUT_CYCLES=$(CYCLES) $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/kafka/test_faults.py

.PHONY: test-kubernetes
test-kubernetes: deps-build-test-kafka-kubernetes
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) $(PYTHON) -m pytest -q -p no:cacheprovider tests/kubernetes $(if $(T),-k '$(T)')

# The oldest commit that is tried; it has to be in this clone.
OLD ?= 8030068
OLD_TREE := build/old/$(OLD)
$(OLD_TREE)/.complete:
	@rm -rf $(@D) && mkdir -p $(@D)
	git archive $(OLD) | tar -x -C $(@D)
	@$(MAKE) --no-print-directory -C $(@D) SAN= B=build all
	@touch $@

.PHONY: test-upgrade
test-upgrade: deps-build-run-demo-test-kafka
	@$(MAKE) --no-print-directory all $(OLD_TREE)/.complete
	@SHOUT_BUILD=$(CURDIR)/$(B) SHOUT_OLD=$(CURDIR)/$(OLD_TREE)/build $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/upgrade

.PHONY: book
book: deps-book
	@docs/book.py build/book

.PHONY: test-readme
test-readme: deps-readme
	@$(PYTHON) tests/readme.py

# Everything in its place: PREFIX=/usr is a distribution's, DESTDIR a directory in the place of /. Nothing is enabled,
# started or written over in /etc; `systemd-sysusers`, `systemd-tmpfiles --create` and `systemctl daemon-reload` follow.
PREFIX  ?= /usr/local
BINDIR  := $(PREFIX)/bin
UNITDIR := $(PREFIX)/lib/systemd/system
DOCDIR  := $(PREFIX)/share/doc/shout
MANDIR  := $(PREFIX)/share/man
PANELDIR := $(PREFIX)/share/shout/panel
COMPLETIONS := $(PREFIX)/share/bash-completion/completions
UNITS   := shout shout-ingress shout-scanner shout-sender shout-control
INSTALL_DATA := install -m 644 -D

# Manual pages: of the release's day, which deploy/debian/changelog has.
MAN     := $(addprefix $(B)/man/,shout.8 shoutctl.1 shout.yaml.5)
RELEASE = -v version=$(file <VERSION) \
	-v date=$$(sed -n 's/^ -- .*>  //p' deploy/debian/changelog | head -n 1 | date -u -f - +%F)
$(MAN): VERSION deploy/debian/changelog | $(B)/man/
$(B)/man/:
	mkdir -p $@
$(B)/man/shout.8: $(B)/shout deploy/man/shout.awk deploy/man/shout.8.in
	$< --help | awk $(RELEASE) -f deploy/man/shout.awk - deploy/man/shout.8.in >$@
$(B)/man/shoutctl.1: $(B)/shoutctl deploy/man/shoutctl.awk deploy/man/shoutctl.sh
	deploy/man/shoutctl.sh $< | awk $(RELEASE) -f deploy/man/shoutctl.awk >$@
$(B)/man/shout.yaml.5: deploy/shout.yaml deploy/man/shout.yaml.awk
	awk $(RELEASE) -f deploy/man/shout.yaml.awk $< >$@

.PHONY: man install uninstall
man: $(MAN)
install: all man
	install -D -m 755 -t $(DESTDIR)$(BINDIR) $(B)/shout $(B)/shoutctl
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
		command=$${unit#shout-} capabilities=; \
		case $$unit in shout) command=all ;; esac; \
		case $$unit in shout | shout-ingress) capabilities=CAP_NET_BIND_SERVICE ;; esac; \
		sed -e "s|@COMMAND@|$$command|; s|@CAPABILITIES@|$$capabilities|; s|@BINDIR@|$(BINDIR)|" \
			deploy/systemd/shout.service.in >$(DESTDIR)$(UNITDIR)/$$unit.service || exit; \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit.service; \
	done
	$(INSTALL_DATA) deploy/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/shout.conf
	$(INSTALL_DATA) deploy/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/shout.conf
	test -e $(DESTDIR)/etc/shout/shout.yaml || install -D -m 640 deploy/single.yaml $(DESTDIR)/etc/shout/shout.yaml
	$(INSTALL_DATA) -t $(DESTDIR)$(MANDIR)/man8 $(B)/man/shout.8
	$(INSTALL_DATA) -t $(DESTDIR)$(MANDIR)/man1 $(B)/man/shoutctl.1
	$(INSTALL_DATA) -t $(DESTDIR)$(MANDIR)/man5 $(B)/man/shout.yaml.5
	$(INSTALL_DATA) deploy/shoutctl.bash $(DESTDIR)$(COMPLETIONS)/shoutctl
	cd control/panel && find . -type f -exec install -m 644 -D {} $(abspath $(DESTDIR)/)$(PANELDIR)/{} \;
	$(INSTALL_DATA) -t $(DESTDIR)$(DOCDIR) README.md METRICS.md deploy/shout.yaml
	$(INSTALL_DATA) -t $(DESTDIR)$(DOCDIR)/docs docs/*.md

# What `install` laid; /etc/shout and /var/lib/shout stay.
uninstall:
	rm -f $(addprefix $(DESTDIR)$(BINDIR)/,shout shoutctl) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%.service)
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/shout.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/shout.conf
	rm -f $(DESTDIR)$(MANDIR)/man8/shout.8 $(DESTDIR)$(MANDIR)/man1/shoutctl.1 $(DESTDIR)$(MANDIR)/man5/shout.yaml.5
	rm -f $(DESTDIR)$(COMPLETIONS)/shoutctl
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)$(PREFIX)/share/shout

# The Debian package, in $(B)/deb/; nothing but this tree goes into it.
TREE    := $(B)/deb/shout-$(file <VERSION)
.PHONY: deb
deb: deps-build-deb
	test "$$(dpkg-parsechangelog -l deploy/debian/changelog -S Version)" = "$$(cat VERSION)" # the newest entry's
	rm -rf $(B)/deb
	mkdir -p $(TREE)
	tar -c --exclude-vcs --exclude=./build --exclude=./run . | tar -x -C $(TREE)
	cp -r deploy/debian $(TREE)/debian
	cd $(TREE) && dpkg-buildpackage --no-sign --build=binary

.PHONY: test-package
test-package: deps-build-package
	@$(MAKE) --no-print-directory deb
	@$(PYTHON) tests/package.py --packages $(B)/deb

# Needs schemathesis, which Debian does not have: tests/api_fuzz.py says how to get it.
SECONDS ?= 240
.PHONY: test-api
test-api: deps-build-run
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) $(PYTHON) tests/api_fuzz.py $(SECONDS)

# What deploy/compose brings up, really up, in a network of its own. Images are kept under build/compose.
# The panel as a browser has it. SHOUT_SHOTS=directory keeps a picture of each page.
.PHONY: test-panel
test-panel: deps-build-run-panel
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(abspath $(B)) $(PYTHON) -m pytest -q -p no:cacheprovider tests/panel tests/e2e/test_panel_files.py tests/e2e/test_panel_texts.py

.PHONY: test-compose
test-compose: deps-compose
	@$(PYTHON) -m pytest -q -p no:cacheprovider tests/compose

# The image that deploy/compose runs. DOCKER_BUILD holds options of `docker build`.
.PHONY: docker
docker:
	docker build $(DOCKER_BUILD) -f docker/Dockerfile -t shout:$$(cat VERSION) --build-arg VERSION=$$(cat VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD) --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		--build-arg CREATED=$$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) .

.PHONY: lint
lint: deps-build-run-unit-lint
	@$(MAKE) --no-print-directory CC=gcc all unit
	@$(MAKE) --no-print-directory CC=clang B=build/clang all unit
	@CFLAGS="$(ALL_CFLAGS)" PYTHON="$(PYTHON)" tests/lint.sh build/clang

FUZZ_SECONDS ?= 60
.PHONY: fuzz fuzzers
fuzz: deps-build-fuzz
	@$(MAKE) --no-print-directory CC=clang B=build/fuzz SAN=fuzzer-no-link,address,undefined fuzzers
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

fuzzers: $(FUZZERS)
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(FAKES) $(LIB)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

# Its host is at the other end of a socket pair, and time passes as it likes.
$(B)/tests/fuzz/fuzz_client: LDFLAGS += -Wl,--wrap=net_connect,--wrap=clock_mono_ms

# Micro benchmarks, built on demand.
$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: bench-queue
bench-queue: $(B)/tests/bench/bench_queue
	$<

# The trace, with TRACE_MESSAGES (1,000,000) messages of a day, a gigabyte; fails when it misses its aims.
.PHONY: bench-trace
bench-trace: $(B)/tests/bench/bench_trace
	rm -rf $(B)/tests/bench/trace
	$< $(B)/tests/bench/trace $(TRACE_MESSAGES); status=$$?; rm -rf $(B)/tests/bench/trace; exit $$status

# Each call of the API, with 10,000 accounts and 1,000,000 traced messages. API holds options of tests/bench/api.py.
.PHONY: bench-api
bench-api: deps-build-run-bench $(B)/tests/bench/bench_trace
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) $(PYTHON) tests/bench/api.py $(API)

# Against Debian's Postfix, side by side. BENCH holds options of tests/bench/bench.py.
.PHONY: bench
bench: deps-build-run-bench
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) $(PYTHON) tests/bench/bench.py $(BENCH)

# Good mail beside a pile of mail that waits. PILE holds options of tests/bench/pile.py.
.PHONY: bench-pile
bench-pile: deps-build-run-bench
	@$(MAKE) --no-print-directory all
	@SHOUT_BUILD=$(CURDIR)/$(B) $(PYTHON) tests/bench/pile.py $(PILE)

.PHONY: demo demo-kafka demo-stop
demo: deps-build-run-demo
	@$(MAKE) --no-print-directory all
	@deploy/demo.sh start
demo-kafka: deps-build-run-demo-kafka
	@$(MAKE) --no-print-directory all
	@deploy/demo.sh start kafka
demo-stop:
	@deploy/demo.sh stop

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

.PHONY: clean
clean:
	rm -rf build

-include $(OBJS:.o=.d) $(wildcard $(B)/cmd/*.d $(B)/cmd/ctl/*.d $(B)/cmd/ctl/*/*.d $(B)/cmd/check/*.d) $(UNIT:=.d) $(wildcard $(B)/tests/fuzz/*.d)
