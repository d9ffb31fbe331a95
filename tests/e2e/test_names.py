"""Redis and clamd by host names, as containers have them: Shout sees a hosts file of its own, and no name server.
And recipients' domains with records that are no good."""

from harness import Clamd, Redis, Shout, free_port, send, wait_for

BODY = b"From: boss@customer.example\r\nSubject: names\r\n\r\nHello.\r\n"


def test_a_name_that_is_not_known_yet_is_tried_again(rig, sink, certificate):
    ports = {"redis": free_port(), "clamd": free_port()}
    redis = Redis(rig.path("redis"))
    redis.command[redis.command.index("--port") + 1] = ports["redis"]
    rig.add(redis)
    clamd = rig.add(Clamd(rig.path("clamd"), settings=[f"TCPSocket {ports['clamd']}", "TCPAddr 127.0.0.1"]))
    hosts = rig.directory / "hosts"
    hosts.write_text("127.0.0.1 other.internal\n")
    resolver = rig.directory / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    names = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && '
             'shift 2 && exec "$@"', "sh", hosts, resolver]
    shout = Shout(rig.path("shout"), redis, clamd=clamd, route=sink.host, certificate=certificate, wrapper=names, settings={
        "redis": {"address": f"redis.internal:{ports['redis']}"},
        "scanner": {"clamd": [f"clamd.internal:{ports['clamd']}"]}})
    rig.started.append(shout.start(wait=False))
    for name in ("redis", "clamd"):
        wait_for(lambda: f'cannot look up "{name}.internal"' in shout.get("/readyz")[1],
                 what=f"the probe tells of {name}")
    hosts.write_text("127.0.0.1 redis.internal clamd.internal\n")
    wait_for(shout.ready)
    with shout.smtp(account=shout.account_add()) as client:
        send(client, "boss@customer.example", "one@elsewhere.example", BODY)
    wait_for(lambda: sink.find("one@elsewhere.example"))


def test_a_bad_mx_is_passed_over_and_named_when_there_is_no_other(rig, certificate):
    sink = rig.sink(address="127.0.0.2")
    nsd = rig.nsd({
        "url.example": f"@ MX 10 https://x.\n@ MX 20 mx\nmx A {sink.address}\n",
        "ip.example": f"@ MX 10 192.0.2.1.\n@ MX 20 mx\nmx A {sink.address}\n",
        "bad.example": "@ MX 10 https://x.\n"})
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": sink.port}, "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
    with shout.smtp(account=shout.account_add()) as client:
        for domain in ("url.example", "ip.example"):
            send(client, "boss@customer.example", [f"one@{domain}"], BODY)
        bad = send(client, "boss@customer.example", ["one@bad.example"], BODY)
    for domain in ("url.example", "ip.example"):
        wait_for(lambda: sink.find(f"one@{domain}"), 60, domain)
    deferred = wait_for(lambda: shout.events("deferred", bad), 60, "the failure")[0]
    assert "bad.example" in deferred["reply"] and '"https://x" is no host name' in deferred["reply"]
