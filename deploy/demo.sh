#!/bin/bash
# The demo: redis-server, clamd, a sink and `shout all` on loopback, an account, and two messages.
#
#   demo.sh start          stops a former demo, starts anew, sends, shows; leaves everything running
#   demo.sh start kafka    the same as a cluster: three brokers, and two processes of each role but control
#   demo.sh stop           ends what start left, by its pid files
#
# Everything lies under run/: shout.yaml, state, logs, pid files, and in run/sink what was delivered. In
# a cluster shout.yaml is control's, and each other process has a file of its name.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
run=$PWD/run
file=$run/shout.yaml
smtp=2525 tls=4465 api=8080 metrics=9090 sink=2526
# of the cluster: a broker has two ports, each process one for metrics, from `metrics` on
smtp2=2527 tls2=4466 brokers=(19092 19094 19096)
cluster=(shout sender-1 sender-2 scanner-1 scanner-2 ingress-1 ingress-2)
mode=${2:-all}

say() {
	printf '\n== %s\n' "$*"
}

fail() {
	printf 'demo: %s\n' "$*" >&2
	for log in "$run"/log/*.log; do
		[ -s "$log" ] && printf -- '-- %s\n' "$log" >&2 && tail -n 5 "$log" >&2
	done
	stop
	exit 1
}

# Polls a command until it succeeds, for a minute.
await() { # what command...
	local what=$1 end=$((SECONDS + 60))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "not within a minute: $what"
		kill -0 "$launched" 2>/dev/null || fail "a server ended before $what"
		sleep 0.1
	done
}

launch() { # name command...
	local name=$1
	shift
	setsid "$@" >>"$run/log/$name.log" 2>&1 </dev/null &
	launched=$!
	echo $launched >"$run/$name.pid"
}

# A pid file may outlive its process, and the number may be another's by now.
ours() { # name pid
	local line
	line=$(tr '\0' ' ' 2>/dev/null <"/proc/$2/cmdline") 2>/dev/null || return 1
	case $1 in
	kafka) [[ $line == *"$run/kafka"* ]] ;;
	redis) [[ $line == *redis-server* ]] ;;
	clamd) [[ $line == *"$run/clamd.conf"* ]] ;;
	sink) [[ $line == *"$run/sink"* ]] ;;
	*) [[ $line == *"$run/$1.yaml"* ]] ;;
	esac
}

stop() {
	local name pid end
	for name in ingress-{1,2} scanner-{1,2} sender-{1,2} shout sink clamd redis kafka; do
		[ -f "$run/$name.pid" ] || continue
		pid=$(cat "$run/$name.pid")
		if ours $name "$pid"; then
			kill "$pid" 2>/dev/null || true
			end=$((SECONDS + 40))
			while ours $name "$pid" && [ $SECONDS -lt $end ]; do
				sleep 0.1
			done
			! ours $name "$pid" || kill -9 "$pid" 2>/dev/null || true
		fi
		rm -f "$run/$name.pid"
	done
	if [ -L "$run/sockets" ]; then
		rm -rf "$(readlink "$run/sockets")"
		rm -f "$run/sockets"
	fi
}

port_is_open() {
	(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The program that listens at a port, as far as we may see it.
who_listens() { # port
	local inode pid
	inode=$(awk -v end="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == end { print $10; exit }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null)
	pid=$(find /proc/[0-9]*/fd -lname "socket:\[$inode\]" -print -quit 2>/dev/null | cut -d / -f 3)
	[ -n "$pid" ] && printf '%s (pid %s)' "$(cat "/proc/$pid/comm")" "$pid" || printf 'another program'
}

# Before anything of a former demo goes.
check_ports() {
	local port taken=0 ports=($smtp $tls $api $metrics $sink)
	if [ $mode = kafka ]; then
		ports+=($smtp2 $tls2)
		for port in "${brokers[@]}"; do
			ports+=($port $((port + 1)))
		done
		for port in "${!cluster[@]}"; do
			ports+=($((metrics + port)))
		done
	fi
	for port in "${ports[@]}"; do
		port_is_open "$port" || continue
		printf 'demo: port %s is taken by %s\n' "$port" "$(who_listens "$port")" >&2
		taken=1
	done
	[ $taken = 0 ] || exit 1
}

# A unix socket's path has room for 107 bytes; a deep directory has no room for one.
make_sockets() {
	sockets=$run
	if [ ${#run} -gt 80 ]; then
		sockets=$(mktemp -d /tmp/shout-demo-XXXXXX)
		ln -s "$sockets" "$run/sockets"
	fi
}

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
		-subj /CN=shout.demo -addext subjectAltName=DNS:localhost,DNS:shout.demo,IP:127.0.0.1 \
		-keyout "$run/tls/key.pem" -out "$run/tls/cert.pem" 2>"$run/log/openssl.log" ||
		fail "openssl made no certificate"
}

# EICAR in two halves, so that this file is not found itself.
eicar() {
	printf '%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$' 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'
}

write_clamd_conf() {
	mkdir -p "$run/clamd"
	echo "Eicar-Test-Signature:0:*:$(eicar | od -An -v -tx1 | tr -d ' \n')" >"$run/clamd/eicar.ndb"
	echo "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature" >"$run/clamd/eicar.hdb"
	cat >"$run/clamd.conf" <<-END
		LocalSocket $sockets/clamd.sock
		DatabaseDirectory $run/clamd
		TemporaryDirectory $run/clamd
		Foreground yes
		FixStaleSocket yes
		MaxThreads 10
		StreamMaxLength 80M
		MaxFileSize 400M
		MaxScanSize 400M
		AlertExceedsMax yes
		DisableCache yes
	END
}

queue_yaml() {
	[ $mode = kafka ] || { printf '  map_size: 8G\n' && return; }
	local list
	list=$(printf ',127.0.0.1:%s' "${brokers[@]}")
	printf '  %s\n' "backend: kafka" "brokers: ${list#,}" "partitions: 6"
}

write_yaml() { # name state-dir smtp tls metrics
	cat >"$run/$1.yaml" <<-END
		hostname: shout.demo
		state_dir: $run/$2
		user: $(id -un)
		queue:
		  min_free: 1
		$(queue_yaml)
		redis:
		  address: unix:$sockets/redis.sock
		ingress:
		  listen:
		    - address: 127.0.0.1:$3
		      tls: starttls
		    - address: 127.0.0.1:$4
		      tls: implicit
		  tls:
		    certificate: $run/tls/cert.pem
		    key: $run/tls/key.pem
		scanner:
		  clamd: ["unix:$sockets/clamd.sock"]
		  clamd_temporary: $run/clamd
		sender:
		  route: 127.0.0.1:$sink
		  allow_networks: [127.0.0.0/8]
		control:
		  listen: 127.0.0.1:$api
		  panel: $PWD/control/panel
		metrics:
		  listen: 127.0.0.1:$5
	END
}

ready() { # metrics-port port...
	local port
	curl -sf "http://127.0.0.1:$1/readyz" || return
	for port in "${@:2}"; do
		port_is_open "$port" || return
	done
}

start_shout() {
	write_yaml shout state $smtp $tls $metrics
	launch shout "$build/shout" all -c "$file"
	await "shout is ready" ready $metrics $smtp $tls $api
}

start_brokers() {
	say "fetching Kafka, if it is not there, and starting three brokers"
	launch kafka /usr/bin/python3 tests/kafka.py --directory "$run/kafka" --ports "${brokers[@]}"
	await "the brokers are ready" test -e "$run/kafka/ready"
}

start_cluster() {
	local i name
	write_yaml shout state $smtp $tls $metrics
	say "creating the topics"
	"$build/shout" topics -c "$file" || fail "shout topics"
	say "starting control, and two of sender, scanner and ingress"
	for i in "${!cluster[@]}"; do
		name=${cluster[i]}
		case $name in
		shout) launch shout "$build/shout" control -c "$file" ;;
		*-2) write_yaml "$name" "state-$name" $smtp2 $tls2 $((metrics + i)) ;;
		*) write_yaml "$name" "state-$name" $smtp $tls $((metrics + i)) ;;
		esac
		[ "$name" = shout ] || launch "$name" "$build/shout" "${name%-*}" -c "$run/$name.yaml"
	done
	for i in "${!cluster[@]}"; do
		await "${cluster[i]} is ready" ready $((metrics + i))
	done
	await "it listens" ready $metrics $smtp $tls $smtp2 $tls2 $api
}

start_services() {
	launch redis redis-server --port 0 --unixsocket "$sockets/redis.sock" --save '' \
		--appendonly no --daemonize no --dir "$run"
	launch clamd clamd -c "$run/clamd.conf"
	launch sink /usr/bin/python3 tests/sink.py --port $sink --directory "$run/sink"
	await "redis-server answers" redis-cli -s "$sockets/redis.sock" ping
	await "clamd listens" test -S "$sockets/clamd.sock"
	await "the sink listens" port_is_open $sink
}

field() { # name, of the account
	sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$run/account.json" | head -n 1
}

# Prints the id that Shout gave the message.
send() { # subject swaks-words...
	local subject=$1 output
	shift
	output=$(swaks --server "127.0.0.1:$smtp" --tls --auth PLAIN --auth-user "$(field username)" \
		--auth-password "$(field password)" --from "boss@customer.example" \
		--to "friend@elsewhere.example" --header "Subject: $subject" "$@" 2>&1) || true
	sed -n 's/.*queued as \([0-9A-Za-z]*\).*/\1/p' <<<"$output" | grep . ||
		fail "\"$subject\" was not accepted: $output"
}

# Somebody who may log in to the panel, with a password that is printed at the end.
make_person() { # login name role [--account ID]
	local link password
	link=$("$build/shoutctl" -c "$file" --json person add "$1" --name "$2" --role "$3" "${@:4}" |
		sed -n 's/.*"link": *"\([^"]*\)".*/\1/p') || fail "shoutctl person add $1"
	password=$(openssl rand -base64 12)
	curl -sf -o /dev/null -H 'Content-Type: application/json' "http://127.0.0.1:$api/api/v1/password" \
		-d "{\"token\": \"${link##*t=}\", \"password\": \"$password\"}" || fail "no password for $1"
	printf '%s' "$password"
}

happened() { # event id
	"$build/shoutctl" -c "$file" --json why "$2" | grep -q "\"event\": *\"$1\""
}

show() { # id
	"$build/shoutctl" -c "$file" why "$1" || fail "shoutctl why $1"
}

start() {
	stop
	check_ports
	rm -rf "$run"
	mkdir -p "$run/log" "$run/tls" "$run/sink"
	chmod 700 "$run"
	make_sockets
	make_certificate
	write_clamd_conf
	if [ $mode = kafka ]; then
		start_brokers
		say "starting redis-server, clamd and a sink"
		start_services
		start_cluster
	else
		say "starting redis-server, clamd, a sink and shout all"
		start_services
		start_shout
	fi
	"$build/shoutctl" -c "$file" --json account add --name demo --contact boss@customer.example \
		--domain customer.example --mode credentials --verified --messages-hour 0 --messages-day 0 \
		--recipients-hour 0 --recipients-day 0 >"$run/account.json" ||
		fail "no account was added"

	owner=$(make_person owner@customer.example Owner owner --account "$(field account)") || exit 1
	admin=$(make_person admin@shout.demo Admin admin) || exit 1

	say "sending a clean message and EICAR, by STARTTLS and AUTH"
	clean=$(send "a clean message" --body "Good morning.")
	infected=$(send "a virus" --body "$(eicar)")
	await "the clean message arrives" happened delivered "$clean"
	await "EICAR is held" happened held "$infected"
	# one that says where a virus went may name it, but does not hold it
	! grep -qsF "$(eicar)" "$run"/sink/*.eml || fail "EICAR was delivered"

	arrived=$(grep -l "id $clean" "$run"/sink/*.eml | head -n 1)
	say "the clean message $clean arrived: ${arrived#"$PWD"/}"
	tr -d '\r' <"$arrived"
	show "$clean"
	say "EICAR $infected is held"
	show "$infected"
	"$build/shoutctl" -c "$file" queue list || fail "shoutctl queue list"

	say "left running; make demo-stop ends it"
	cat <<-END
		SMTP     127.0.0.1:$smtp (STARTTLS), 127.0.0.1:$tls (TLS), CA run/tls/cert.pem$(
			[ $mode = all ] || printf '\n         127.0.0.1:%s (STARTTLS), 127.0.0.1:%s (TLS)' $smtp2 $tls2
		)
		account  $(field username) $(field password), from anyone@customer.example
		API      http://127.0.0.1:$api    metrics  http://127.0.0.1:$metrics/metrics
		operator $build/shoutctl -c run/shout.yaml queue list
		panel    owner@customer.example $owner, a customer
		         admin@shout.demo $admin, an operator
		         http://127.0.0.1:$api/
	END
}

case ${1:-}-$mode in
start-all | start-kafka) start ;;
stop-all) stop ;;
*)
	echo "usage: demo.sh start [kafka] | stop" >&2
	exit 2
	;;
esac
