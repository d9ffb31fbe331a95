#!/bin/sh
# Installs the Debian packages of deploy/packages that are missing, for the goals that are named: each is
# a section there. What an installation enables or starts is disabled and stopped again, for tests and the
# demo start servers of their own; what was enabled before stays so.
set -eu
cd "$(dirname "$0")"

wanted() {
	awk -v goals=" $* " '/^# [a-z]+$/ { on = index(goals, " " $2 " ") } !/^#/ && on' packages | sort -u
}

# Units that a target wants, and on machines without systemd what init starts.
enabled() {
	find /etc/systemd/system -path '*.wants/*' -type l -printf '%f\n' 2>/dev/null
	find /etc/rc[2-5].d -name 'S*' -printf '%f\n' 2>/dev/null | sed 's/^S[0-9]*/init:/'
}

disable() { # unit | init:script
	case $1 in
	init:*) update-rc.d "${1#init:}" disable ;;
	*) if [ -d /run/systemd/system ]; then
		systemctl disable --quiet --now "$1"
	else
		DPKG_MAINTSCRIPT_PACKAGE=shout deb-systemd-helper disable "$1" >/dev/null
	fi ;;
	esac
}

for goal; do
	grep -qx "# $goal" packages || { echo "deploy/packages has no section $goal" >&2; exit 2; }
done
missing=
for package in $(wanted "$@"); do
	dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
		missing="$missing $package"
done
# A machine has one mail server. One that is there stays; tests that want a Postfix are skipped then.
other=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' | awk '$1 == "installed" && /mail-transport-agent/ { print $2 }')
case "$missing " in
*" postfix "*) if [ -n "$other" ]; then
	echo "not installed, since $other is there: postfix" >&2
	missing=$(echo "$missing " | sed 's/ postfix / /')
fi ;;
esac
[ -n "${missing# }" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "missing packages; as root: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

before=$(mktemp)
policy=/usr/sbin/policy-rc.d
cleanup() {
	status=$?
	enabled | sort -u | while read -r unit; do
		grep -qxF "$unit" "$before" || disable "$unit"
	done
	rm -f "$before" $ours
	exit $status
}
ours=
enabled >"$before"
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	ours=$policy
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# --no-remove: nothing of this machine is thrown out.
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends --no-remove $missing
