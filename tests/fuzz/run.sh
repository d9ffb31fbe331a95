#!/bin/sh
# Runs every fuzz target in BUILD for SECONDS, from its seeds in tests/fuzz/corpus/NAME if it has any.
# A crash ends the run; its input stays in BUILD.
set -eu
build=$1 seconds=$2
for target in "$build"/tests/fuzz/fuzz_*; do
	[ -x "$target" ] || continue
	name=$(basename "$target")
	found="$build/corpus/$name" seeds="tests/fuzz/corpus/$name"
	mkdir -p "$found"
	[ -d "$seeds" ] || seeds=
	echo "fuzz $name ${seconds}s"
	# shellcheck disable=SC2086
	"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=0 \
		-verbosity=0 -artifact_prefix="$build/$name-" "$found" $seeds
done
