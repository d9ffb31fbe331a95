#!/bin/bash
# What the compilers do not see: format, clang-tidy, cppcheck, include directions, pure parsers, banned
# calls, metrics, pages. BUILD holds the objects; CFLAGS what they were compiled with. Names every finding, then fails.
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1
rooms="shared ingress scanner sender control"
status=0

fail() {
	echo "lint: $1" >&2
	status=1
}

# Prints the matches of a pattern as findings.
none_of() { # why pattern files...
	local why=$1 pattern=$2
	shift 2
	grep -nE "$pattern" "$@" /dev/null && fail "$why"
}

mapfile -t sources < <(find $rooms cmd tests/unit tests/fuzz -name '*.[ch]' | sort)
mapfile -t units < <(find $rooms cmd -name '*.c' | sort)

echo "clang-format"
clang-format --dry-run -Werror "${sources[@]}" || fail "format: run clang-format -i"

echo "rooms"
tests/rooms.py "$build" || fail "rooms: tests/rooms.py says who may use whom"

# A library is known to one module.
known_to() { # header-pattern file-pattern
	local others
	others=$(printf '%s\n' "${units[@]}" | grep -vE "$2")
	# shellcheck disable=SC2086
	none_of "only $2 may include $1" "^#include <$1" $others
}
known_to 'lmdb\.h' '^shared/queue/(lmdb/|row_table|kafka/rows/row_cache)'
known_to 'librdkafka/' '^shared/queue/kafka/'
known_to 'curl/' '^cmd/ctl/http|^control/webhook/'
known_to 'hiredis/' '^shared/redis/'
known_to 'unbound' '^shared/dns/dns'
known_to 'gsasl' '^shared/account/scram|^ingress/verb/auth'
known_to 'seccomp' '^shared/process/sandbox'
known_to 'yaml' '^shared/config/|^sender/reply/rules_file'
known_to 'cyaml' '^shared/config/'
known_to 'pcre2' '^sender/reply/pattern'
known_to 'argon2\.h' '^control/people/hasher'
known_to 'sqlite3\.h' '^control/trace/'

echo "banned calls"
none_of "banned call" '\b(strcpy|strncat|strcat|sprintf|vsprintf|strtok|strtok_r|gets|alloca)\s*\(' "${sources[@]}"
none_of "unfinished" 'TODO|FIXME' "${sources[@]}"

echo "pure parsers"
impure='log_line|(f|vf|d)?printf|puts|fwrite|write|read|readv|writev|open(at)?|fopen|socket|connect|send(to|msg)?|recv(from|msg)?|clock_gettime|time|getenv|event_.*|bufferevent_.*|SSL_.*|redis.*'
for parser in address header text command content mention words dot proxy sasl policy/reply answer outcome stuff \
	verdict fixup spelling date http_scan forwarded problem http/route event_pick reply_class meaning \
	pattern_look plain sieve reaction cookie password_rule; do
	object=$(find "$build" -path "*/tests" -prune -o -path "*/$parser.o" -print)
	[ -n "$object" ] || fail "there is no parser $parser"
	nm -u "$object" | awk '{ print $2 }' | grep -xE "$impure" &&
		fail "$parser.c is a parser, but calls the above"
done

echo "lengths of tests"
find tests -name '*.[ch]' -o -name '*.py' | while read -r file; do
	[ "$(wc -l <"$file")" -le 800 ] || echo "$file has more than 800 lines; split it"
done | grep . && fail "lengths"

echo "pages"
# columns, not bytes; a row of a table is one line
LC_ALL=C.UTF-8 none_of "a line has more than 120 columns" '^[^|].{120}' README.md $(ls docs/*.md | grep -v decisions)
${PYTHON:-/usr/bin/python3} docs/book.py || fail "pages: a link or a command of the book"

echo "metrics"
SHOUT_BUILD=$PWD/$build ${PYTHON:-/usr/bin/python3} tests/metrics_page.py || fail "metrics"
${PYTHON:-/usr/bin/python3} tests/watching.py || fail "rules, dashboards, runbook"

echo "cppcheck"
queue_h=/usr/include/$(gcc -print-multiarch)/sys/queue.h
cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr \
	--error-exitcode=1 --suppress=missingIncludeSystem --suppress=unusedStructMember \
	--suppressions-list=tests/cppcheck.txt -D_GNU_SOURCE --include="$queue_h" -I. \
	"${units[@]}" || fail "cppcheck"

echo "clang-tidy"
printf '%s\n' "${units[@]}" | xargs -P2 -n4 sh -c '
	clang-tidy --quiet "$@" -- '"$CFLAGS -I$build/gen"' 2>/dev/null' sh || fail "clang-tidy"

[ $status -eq 0 ] && echo "lint: clean"
exit $status
