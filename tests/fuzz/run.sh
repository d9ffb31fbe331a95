#!/bin/sh
# Runs every fuzz target in BUILD for SECONDS, from its seeds in tests/fuzz/corpus/NAME if it has any.
# A crash ends the run with its log; its input stays in BUILD.
set -eu
build=$1 seconds=$2
for target in "$build"/tests/fuzz/fuzz_*; do
	[ -x "$target" ] || continue
	name=$(basename "$target")
	found="$build/corpus/$name" seeds="tests/fuzz/corpus/$name" log="$build/$name.log"
	mkdir -p "$found"
	[ -d "$seeds" ] || seeds=
	# shellcheck disable=SC2086
	if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-artifact_prefix="$build/$name-" "$found" $seeds >"$log" 2>&1; then
		tail -n 60 "$log"
		echo "fuzz: $name failed" >&2
		exit 1
	fi
	echo "fuzz: $name $(grep -o 'Done [0-9]* runs' "$log")"
done
