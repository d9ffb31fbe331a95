#!/bin/bash
# Runs every fuzz target in BUILD for SECONDS, two at a time, from its seeds in
# tests/fuzz/corpus/NAME if it has any. A failure shows its log; its input stays in BUILD. Ends with
# one line.
set -u
build=$1 seconds=$2
export build seconds

run_one() {
	local name=$1 log="$build/$1.log" seeds="tests/fuzz/corpus/$1"
	mkdir -p "$build/corpus/$name"
	[ -d "$seeds" ] || seeds=
	# shellcheck disable=SC2086
	if "$build/tests/fuzz/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-max_len=4096 -artifact_prefix="$build/$name-" "$build/corpus/$name" $seeds \
		>"$log" 2>&1; then
		echo "fuzz: $name $(grep -o 'Done [0-9]* runs' "$log")"
	else
		tail -n 60 "$log"
		echo "fuzz: $name failed" >&2
		return 1
	fi
}
export -f run_one

targets=$(cd "$build/tests/fuzz" && find . -name 'fuzz_*' -type f -executable -printf '%f\n' | sort)
failed=$(mktemp)
echo "$targets" | FAILED=$failed xargs -P2 -I{} bash -c 'run_one {} || echo {} >>"$FAILED"'
bad=$(wc -l <"$failed")
rm -f "$failed"
echo "fuzz: $(echo "$targets" | wc -w) targets, $bad failed"
[ "$bad" -eq 0 ]
