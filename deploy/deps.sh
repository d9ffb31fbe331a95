#!/bin/sh
# Installs the Debian packages of deploy/packages that are missing: of the named sections, or of build
# and test.
set -eu
cd "$(dirname "$0")"

[ $# -gt 0 ] || set -- build test

missing=
for package in $(awk -v wanted=" $* " '/^# [a-z]+$/ { on = index(wanted, " " $2 " ") } !/^#/ && on' packages); do
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install$missing" >&2
	exit 1
fi

# The servers among them are for tests, which start their own: keep Debian from starting them, now and
# at the next boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
enabled() {
	find /etc/systemd/system -path '*.wants/*' -type l -printf '%f\n' 2>/dev/null | sort -u
}
before=$(enabled)
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
for unit in $(enabled); do
	echo "$before" | grep -qxF "$unit" || systemctl disable --quiet "$unit"
done
