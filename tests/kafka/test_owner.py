"""Whose accounts Redis holds, in a cluster: two controls are one owner, two clusters are not."""

import concurrent.futures
import smtplib

import kafka
from harness import Shout, wait_for


def control(rig, broker, redis, role="control", wait=True):
    shout = Shout(rig.path(role), redis, role=role, settings={"queue": broker.queue()})
    rig.started.append(shout.start(wait))
    return shout


def logs_in(ingress, account):
    with smtplib.SMTP("127.0.0.1", ingress.ports["plain"], timeout=30) as client:
        try:
            return client.login(account["username"], account["password"])[0]
        except smtplib.SMTPAuthenticationError as refused:
            return refused.smtp_code


def test_controls_that_start_together_are_one_owner_and_another_cluster_is_not(rig, redis, broker):
    ingress = Shout(rig.path("ingress"), redis, role="ingress", settings={"queue": broker.queue()})
    kafka.topics(ingress.file)
    rig.add(ingress)
    both = [control(rig, broker, redis), control(rig, broker, redis)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        accounts = list(pool.map(lambda i: both[i].account_add(f"n{i}", f"n{i}.example"), range(2)))
    for account in accounts:
        wait_for(lambda: logs_in(ingress, account) == 235)
    for shout in both:
        wait_for(lambda: shout.shoutctl("account", "list")["total"] == 2)
        wait_for(shout.ready)
        shout.stop()
        shout.start()
    owner = redis.run("GET", "config:owner")
    wait_for(lambda: redis.run("GET", "config:applied").endswith(owner))

    other = rig.add(kafka.Kafka(rig.path("other")))
    stranger = Shout(rig.path("stranger"), redis, role="control", settings={"queue": other.queue()})
    kafka.topics(stranger.file)
    rig.started.append(stranger.start(wait=False))
    wait_for(lambda: f"control: failed: Redis holds the accounts of owner {owner}" in stranger.get("/readyz")[1], 60)
    assert "no owner and empty" in stranger.shoutctl("rebuild", check=False)["error"]
    for account in accounts:
        assert logs_in(ingress, account) == 235

    assert stranger.shoutctl("rebuild", "--take-over") == {"entries": 0}
    for shout in both:
        wait_for(lambda: shout.get("/readyz")[0] == 503)
    assert {logs_in(ingress, account) for account in accounts} <= {235, 454}
    assert logs_in(ingress, {"username": "nobody", "password": "x"}) == 454
    assert both[0].shoutctl("rebuild", "--take-over")["entries"] == 4
    for shout in both:
        wait_for(shout.ready)
    for account in accounts:
        assert logs_in(ingress, account) == 235
    wait_for(lambda: logs_in(ingress, {"username": "nobody", "password": "x"}) == 535)
