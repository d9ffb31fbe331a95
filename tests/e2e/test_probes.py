"""/readyz: which part is in which state, and what takes a node out of a load balancer."""

from harness import Redis, Shout, send, wait_for

BODY = b"From: boss@customer.example\r\nSubject: probe\r\n\r\nHello.\r\n"


def probes(shout):
    """(status, verdict, {probe: state and why})"""
    status, text = shout.get("/readyz")
    verdict, *lines = text.splitlines()
    return status, verdict, dict(line.split(": ", 1) for line in lines)


def test_every_part_has_a_line(shout):
    assert wait_for(lambda: probes(shout)[1] == "ready")
    parts = probes(shout)
    assert parts[2].pop("leader") == "ready: this process leads"
    assert parts == (200, "ready", dict.fromkeys(
        ["redis", "queue", "control", "trace", "sender", "scanner", "ingress", "egress", "clock", "certificate"], "ready"))
    assert shout.get("/livez") == (200, "ok\n")


def test_without_redis_known_clients_are_served_so_the_node_stays_in(rig, sink, certificate):
    redis = rig.redis()
    shout = rig.shout(redis, route=sink.host, certificate=certificate)
    account = shout.account_add()
    with shout.smtp(account=account) as client:
        send(client, "boss@customer.example", "one@elsewhere.example", BODY)
        redis.kill()
        wait_for(lambda: "degraded: " in probes(shout)[2]["redis"])
        status, verdict, parts = probes(shout)
        assert (status, verdict) == (200, "degraded") and " connections down since 20" in parts["redis"]
        send(client, "boss@customer.example", "two@elsewhere.example", BODY)
        assert shout.shoutctl("account", "show", account["account"])["score"] is None
    redis.start()
    wait_for(lambda: probes(shout)[1] == "ready")


def test_a_node_that_never_reached_redis_stays_out(rig, certificate):
    redis = Redis(rig.path("redis"))
    shout = Shout(rig.path("shout"), redis, certificate=certificate)
    rig.started.append(shout.start(wait=False))
    wait_for(lambda: "No such file" in shout.get("/readyz")[1])
    assert probes(shout)[:2] == (503, "failed") and shout.get("/livez")[0] == 200
    rig.add(redis)
    wait_for(lambda: probes(shout)[:2] == (200, "ready"))
