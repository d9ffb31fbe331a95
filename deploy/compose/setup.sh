#!/bin/bash
# setup.sh NODE...: fills the volumes of the settings, passwords and certificates. What is there stays, but for the
# settings, which are made anew of /shout.yaml and the words of the environment.
set -euo pipefail
umask 077
readers=10001 # the group of Shout, which valkey and grafana are in, too

# The file appears with its owner, or not at all.
give() { # file
	chown "0:$readers" "$1.new"
	chmod 640 "$1.new"
	mv "$1.new" "$1"
}

password() { # file: a new one, unless there is one
	[ -s "$1" ] && return
	openssl rand -hex 24 >"$1.new"
	give "$1"
}

certificate() { # node: one of its own, unless there is one; NODE.pem, NODE.key
	local name=$1.$DOMAIN base=/certificates/$1
	if [ -s "$base.pem" ] && [ -s "$base.key" ]; then
		return
	fi
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=$name" \
		-addext "subjectAltName=DNS:$name" -keyout "$base.key.new" -out "$base.pem.new" 2>/dev/null
	give "$base.key"
	give "$base.pem"
	echo "made a certificate for $name"
}

others() { # node: the certificates of the other nodes, for clients that come here while theirs is away
	local node list=
	for node in $nodes; do
		[ "$node" = "$1" ] ||
			list+=", {certificate: \"/certificates/$node.pem\", key: \"/certificates/$node.key\"}"
	done
	echo "${list#, }"
}

settings() { # file role [node]: the lines of all roles, and of this one
	local word text
	text=$(awk -v role="$2" '/ #@/ && !sub(" #@" role "$", "") { next } 1' /shout.yaml)
	NODE=${3-} MORE=$(others "${3-}")
	for word in NODE MORE DOMAIN HELO ROUTE DNS TRUST_ANCHOR ALLOW_NETWORKS PARTITIONS HAPROXY; do
		text=${text//"@$word@"/"${!word-}"}
	done
	printf '%s\n' "$text" >"/etc/shout/$1.new"
	give "/etc/shout/$1"
}

nodes="$*"
password /etc/shout/redis-password
for node in $nodes; do
	certificate "$node"
	settings "$node.yaml" ingress "$node"
done
settings scanner.yaml scanner
settings sender.yaml sender
settings shout.yaml other
printf 'requirepass %s\n' "$(</etc/shout/redis-password)" >/etc/valkey/password.conf.new
give /etc/valkey/password.conf
[ ! -d /etc/grafana-password ] || password /etc/grafana-password/admin
chown "0:$readers" /etc/shout /etc/valkey
chmod 750 /etc/shout /etc/valkey
