"""Whom any thread knows is known on all of them while Redis is away, hangs, is full or read-only; and it is
said what is wrong with it."""

import contextlib
import smtplib
import time

import pytest

from harness import send, wait_for

THREADS = 6
TRIES = 40  # connections, which the kernel spreads over the threads
BODY = b"From: boss@customer.example\r\nSubject: redis\r\n\r\nHello.\r\n"


@contextlib.contextmanager
def killed(redis):
    redis.kill()
    yield
    redis.start()


@contextlib.contextmanager
def hanging(redis):
    with redis.paused():
        yield


@contextlib.contextmanager
def full(redis):
    redis.run("CONFIG", "SET", "maxmemory", "1")
    yield
    redis.run("CONFIG", "SET", "maxmemory", "0")


@contextlib.contextmanager
def read_only(redis):
    """As the old master is after a failover."""
    redis.run("REPLICAOF", "127.0.0.1", "1")
    yield
    redis.run("REPLICAOF", "NO", "ONE")


FAULTS = [(killed, "connections down"), (hanging, "connections down"), (full, "OOM command not allowed"),
          (read_only, "READONLY You can't write")]


def redis_line(shout):
    return next(line for line in shout.get("/readyz")[1].splitlines() if line.startswith("redis: "))


@pytest.fixture(scope="module")
def relay(module_rig, certificate):
    redis, sink = module_rig.redis(), module_rig.sink()
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": THREADS}})
    return shout, redis


def submit(shout, account=None, source=None):
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=60,
                      source_address=(source, 0) if source else None) as client:
        if account:
            client.login(account["username"], account["password"])
        send(client, "boss@customer.example", "someone@elsewhere.example", BODY)


@pytest.mark.parametrize("fault, why", FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_who_is_known_to_one_thread_is_known_to_all(rig, certificate, fault, why):
    redis, sink = rig.redis(), rig.sink()
    shout = rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": THREADS}})
    account = shout.account_add()
    shout.account_add("ip", domain="ip.example", mode="ip", ip="127.0.0.9")
    submit(shout, account)
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=60, source_address=("127.0.0.9", 0)) as client:
        send(client, "a@ip.example", "b@elsewhere.example", BODY.replace(b"customer", b"ip").replace(b"boss", b"a"))
    with fault(redis):
        wait_for(lambda: why in redis_line(shout) and redis_line(shout).startswith("redis: degraded"), what=why)
        for _ in range(TRIES):
            submit(shout, account)
            with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=60, source_address=("127.0.0.9", 0)) as client:
                client.ehlo()
                assert client.mail("a@ip.example")[0] == 250
    wait_for(lambda: redis_line(shout) == "redis: ready", what="it recovers by itself")
    submit(shout, account)


def test_a_user_that_one_thread_saw_go_is_not_let_in_by_another(relay):
    shout, redis = relay
    gone = shout.account_add("gone", domain="gone.example")

    def mail():
        with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=60) as client:
            client.login(gone["username"], gone["password"])
            return client.mail("anna@gone.example")[0]

    assert {mail() for _ in range(TRIES)} == {250}
    shout.shoutctl("account", "disable", gone["account"])
    counts_everywhere = time.monotonic() + 5  # no thread takes a copy for fresh that is older
    wait_for(lambda: mail() != 250, what="one thread heard of it")
    with killed(redis):
        wait_for(lambda: "degraded" in redis_line(shout) and time.monotonic() > counts_everywhere)
        assert 250 not in {mail() for _ in range(TRIES)}


@pytest.mark.parametrize("fault, reason", [(full, "OOM"), (read_only, "READONLY")])
def test_each_reason_is_logged_once_and_counted(relay, fault, reason):
    shout, redis = relay
    wait_for(lambda: redis_line(shout) == "redis: ready")

    def logged():
        return [line for line in shout.log_lines() if line.get("error", "").startswith(reason)]

    before = len(logged())
    with fault(redis):
        wait_for(lambda: shout.metric("shout_redis_refused_total", f'reason="{reason}"') > 10, 60, "refusals are counted")
        links = int(redis_line(shout).split(" of ")[1].split()[0])
        # the reason, and once more in what the connection that was made anew says
        assert 1 <= len(logged()) - before <= 2 * links
    wait_for(lambda: redis_line(shout) == "redis: ready")
