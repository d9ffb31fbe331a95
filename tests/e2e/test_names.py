"""Redis and clamd by host names, as containers have them. nss_wrapper is the system's name service here."""

import os

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
    shout = Shout(rig.path("shout"), redis, clamd=clamd, route=sink.host, certificate=certificate, settings={
        "redis": {"address": f"redis.internal:{ports['redis']}"},
        "scanner": {"clamd": [f"clamd.internal:{ports['clamd']}"]}})
    # A sanitizer's runtime wants to be loaded first, and does without; and it refuses deep binding.
    shout.env = {**os.environ, "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": str(hosts),
                 "NSS_WRAPPER_DISABLE_DEEPBIND": "1",
                 "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
    rig.started.append(shout.start(wait=False))
    for name in ("redis", "clamd"):
        wait_for(lambda: f'cannot look up "{name}.internal"' in shout.get("/readyz")[1],
                 what=f"the probe tells of {name}")
    hosts.write_text("127.0.0.1 redis.internal clamd.internal\n")
    wait_for(shout.ready)
    with shout.smtp(account=shout.account_add()) as client:
        send(client, "boss@customer.example", "one@elsewhere.example", BODY)
    wait_for(lambda: sink.find("one@elsewhere.example"))
