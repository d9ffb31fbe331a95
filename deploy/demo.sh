#!/bin/bash
# The demo: redis-server, clamd, a sink and `shout all` on loopback, an account, and two messages.
#
#   demo.sh start    stops a former demo, starts anew, sends, shows; leaves everything running
#   demo.sh stop     ends what start left, by its pid files
#
# Everything lies under run/: shout.yaml, state, logs, pid files, and in run/sink what was delivered.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
run=$PWD/run
file=$run/shout.yaml
smtp=2525 tls=4465 api=8080 metrics=9090 sink=2526

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
	shout) [[ $line == *"$file"* ]] ;;
	redis) [[ $line == *redis-server* ]] ;;
	clamd) [[ $line == *"$run/clamd.conf"* ]] ;;
	sink) [[ $line == *"$run/sink"* ]] ;;
	esac
}

stop() {
	local name pid end
	for name in shout sink clamd redis; do
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

check_ports() {
	local port
	for port in $smtp $tls $api $metrics $sink; do
		! port_is_open "$port" || fail "port $port is taken by another program"
	done
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
	END
}

write_shout_yaml() {
	cat >"$file" <<-END
		hostname: shout.demo
		state_dir: $run/state
		queue:
		  map_size: 8G
		  min_free: 1
		redis:
		  address: unix:$sockets/redis.sock
		ingress:
		  listen:
		    - address: 127.0.0.1:$smtp
		      tls: starttls
		    - address: 127.0.0.1:$tls
		      tls: implicit
		  tls:
		    certificate: $run/tls/cert.pem
		    key: $run/tls/key.pem
		scanner:
		  clamd: ["unix:$sockets/clamd.sock"]
		sender:
		  route: 127.0.0.1:$sink
		  allow_networks: [127.0.0.0/8]
		control:
		  listen: 127.0.0.1:$api
		metrics:
		  listen: 127.0.0.1:$metrics
	END
}

ready() {
	curl -sf "http://127.0.0.1:$metrics/readyz" && port_is_open $smtp && port_is_open $tls &&
		port_is_open $api
}

start_services() {
	launch redis redis-server --port 0 --unixsocket "$sockets/redis.sock" --save '' \
		--appendonly no --daemonize no --dir "$run"
	launch clamd clamd -c "$run/clamd.conf"
	launch sink /usr/bin/python3 tests/sink.py --port $sink --directory "$run/sink"
	await "redis-server answers" redis-cli -s "$sockets/redis.sock" ping
	await "clamd listens" test -S "$sockets/clamd.sock"
	await "the sink listens" port_is_open $sink
	launch shout "$build/shout" all -c "$file"
	await "shout is ready" ready
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

happened() { # event id
	grep -hs "\"event\":\"$1\"" "$run"/state/events/* | grep -q "\"$2\""
}

show() { # id
	"$build/shoutctl" -c "$file" why "$1" || fail "shoutctl why $1"
}

start() {
	stop
	rm -rf "$run"
	mkdir -p "$run/log" "$run/tls" "$run/sink"
	chmod 700 "$run"
	check_ports
	make_sockets
	make_certificate
	write_clamd_conf
	write_shout_yaml
	say "starting redis-server, clamd, a sink and shout all"
	start_services
	"$build/shoutctl" -c "$file" --json account add --name demo --contact boss@customer.example \
		--domain customer.example --mode credentials --verified >"$run/account.json" ||
		fail "no account was added"

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
		SMTP     127.0.0.1:$smtp (STARTTLS), 127.0.0.1:$tls (TLS), CA run/tls/cert.pem
		account  $(field username) $(field password), from anyone@customer.example
		API      http://127.0.0.1:$api    metrics  http://127.0.0.1:$metrics/metrics
		operator $build/shoutctl -c run/shout.yaml queue list
	END
}

case ${1:-} in
start) start ;;
stop) stop ;;
*)
	echo "usage: demo.sh start|stop" >&2
	exit 2
	;;
esac
