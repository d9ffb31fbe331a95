#!/bin/bash
# images.sh DIRECTORY BUILD JARS: archives of images for containerd, in DIRECTORY/images: Shout from BUILD and
# Debian's libraries; Kafka from JARS; everything else that the tests need, as Debian has it; and pause.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/images"
out=$(cd "$1/images" && pwd)
build=$(cd "$2" && pwd)
jars=$3
image() { "$here/mkimage.py" "$@"; }

tree() { # name package...: a Debian with these packages, made once
	local name=$1 tree=$out/$1
	shift
	[ "$(cat "$tree.packages" 2>/dev/null)" = "$name $*" ] && return
	rm -rf --one-file-system "$tree" "$tree.packages"
	if [ "$name" = base ]; then
		debootstrap --variant=minbase bookworm "$tree" >"$out/debootstrap.log" 2>&1 || { tail "$out/debootstrap.log"; return 1; }
	else
		cp -a "$out/base" "$tree"
		cp /etc/resolv.conf "$tree/etc/"
		printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
		chmod 755 "$tree/usr/sbin/policy-rc.d"
		# Java's installation wants a /proc
		DEBIAN_FRONTEND=noninteractive unshare --mount --pid --fork sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$tree" \
			apt-get install -q -y --no-install-recommends "$@" >"$out/$name.log" 2>&1 || { tail "$out/$name.log"; return 1; }
		rm -rf "$tree"/usr/share/{doc,man,locale} "$tree"/var/cache/apt/archives/*.deb "$tree/var/log"/* "$tree/etc/resolv.conf"
	fi
	echo "$name $*" >"$tree.packages"
}

# The packages of the libraries that a program is linked with.
libraries() {
	ldd "$@" | awk '$3 ~ /^\// { print $3 }' | sort -u | while read -r file; do
		dpkg-query -S "$file" "$(realpath "$file")" 2>/dev/null | cut -d: -f1
	done | sort -u
}

tree base
# shellcheck disable=SC2046
tree shout $(libraries "$build/shout" "$build/shoutctl") ca-certificates dns-root-data
tree haproxy haproxy
tree egress-proxy dante-server
tree servers clamav-daemon clamdscan default-jre-headless prometheus python3 redis-server

if [ ! -e "$out/servers.tar" ]; then
	servers=$out/servers
	cp -r "$jars" "$servers/opt/kafka"
	# clamd knows the test virus, and nothing else
	eicar='X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'
	echo 44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature >"$servers/var/lib/clamav/eicar.hdb"
	echo "Eicar-Test-Signature:0:*:$(printf %s "$eicar" | od -An -v -tx1 | tr -d ' \n')" >"$servers/var/lib/clamav/eicar.ndb"
	ln -s redis-server "$servers/usr/bin/valkey-server"
	ln -s redis-cli "$servers/usr/bin/valkey-cli"
	rm -rf "$servers"/dev/*
	image "$servers" "$out/servers.tar" local.test/servers:1 --env PATH=/usr/sbin:/usr/bin:/sbin:/bin
fi
if [ ! -e "$out/haproxy.tar" ]; then
	rm -rf "$out/haproxy"/dev/*
	image "$out/haproxy" "$out/haproxy.tar" local.test/haproxy:1 --env PATH=/usr/sbin:/usr/bin:/sbin:/bin --stop-signal SIGUSR1
fi
if [ ! -e "$out/egress-proxy.tar" ]; then
	rm -rf "$out/egress-proxy"/dev/*
	image "$out/egress-proxy" "$out/egress-proxy.tar" local.test/egress-proxy:1 --env PATH=/usr/sbin:/usr/bin:/sbin:/bin --user 10001:10001
fi
if [ ! -e "$out/pause.tar" ]; then
	mkdir -p "$out/pause"
	printf '#include <unistd.h>\n#include <signal.h>\n#include <stdlib.h>\nstatic void end(int s) { (void)s; _exit(0); }\n
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, SIG_IGN); for (;;) pause(); }\n' |
		gcc -O2 -static -o "$out/pause/pause" -x c -
	image "$out/pause" "$out/pause.tar" local.test/pause:1 --entrypoint '["/pause"]' --user 65535:65535
fi
shout=$out/shout
cmp -s "$build/shout" "$shout/usr/local/bin/shout" && cmp -s "$build/shoutctl" "$shout/usr/local/bin/shoutctl" && [ -e "$out/shout2.tar" ] && exit
install -m 755 "$build/shout" "$build/shoutctl" "$shout/usr/local/bin/"
grep -q ^shout: "$shout/etc/passwd" || {
	echo shout:x:10001:10001::/var/lib/shout:/usr/sbin/nologin >>"$shout/etc/passwd"
	echo shout:x:10001: >>"$shout/etc/group"
}
mkdir -p "$shout/etc/shout" "$shout/var/lib/shout"
rm -rf "$shout"/dev/*
for version in 1 2; do
	image "$shout" "$out/shout$version.tar" "local.test/shout:$version" --user 10001:10001 --env PATH=/usr/local/bin:/usr/bin:/bin --env VERSION=$version
done
