#!/bin/sh
# Prints the help of shoutctl, and of each of its commands.
set -eu
"$1" --help
"$1" --help | sed -n '/^COMMANDS/,/^$/ s/^    \([a-z][a-z-]*\( [a-z][a-z-]*\)*\).*/\1/p' | while read -r command; do
	# shellcheck disable=SC2086
	"$1" $command --help
done
