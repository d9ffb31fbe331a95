"""Events of a cluster: what was refused is found, pages hold each once, and who follows misses nothing."""

import contextlib
import http.client
import json
import subprocess
import threading
import urllib.parse

import pytest

import kafka
from harness import BUILD, Shout, send, wait_for

BODY = b"From: a@customer.example\r\nSubject: x\r\n\r\nx\r\n"


class Cluster:
    def __init__(self, rig, broker, redis, sink, certificate):
        options = {"route": sink.host, "certificate": certificate,
                   "settings": {"queue": broker.queue(), "ingress": {"threads": 1}}}  # one to wait for
        self.control, self.ingress = (Shout(rig.path(role), redis, role=role, **options) for role in ("control", "ingress"))
        kafka.topics(self.control.file)
        rig.add(self.control)
        self.account = self.control.account_add()
        rig.add(self.ingress)
        wait_for(lambda: self.refusal("early@foreign.example") == 550, 90, "ingress knows whose accounts these are")

    def refusal(self, sender):
        with self.ingress.smtp("plain", self.account) as client:
            client.ehlo()
            return client.mail(sender)[0]

    def refuse(self, sender):
        assert self.refusal(sender) == 550

    def accept(self, count):
        with self.ingress.smtp("plain", self.account) as client:
            return [send(client, "a@customer.example", "b@dest.example", BODY) for _ in range(count)]

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.control.ports["control"], timeout=120)
        with contextlib.closing(connection):
            token = (self.control.state_dir / "control.token").read_text().strip()
            connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())


@pytest.fixture(scope="module")
def cluster(module_rig, broker, redis, sink, certificate):
    return Cluster(module_rig, broker, redis, sink, certificate)


def test_a_refusal_is_found_by_whatever_the_customer_knows(cluster):
    cluster.refuse("eve@foreign.example")
    name = cluster.account["username"]
    event = wait_for(lambda: cluster.ask("events?from=eve@foreign.example")[1]["events"], 30, "its event")[0]
    assert event["reply"].startswith("550 5.7.1 ") and event["username"] == name and event["command"] == "MAIL"
    for query in (f"username={name}", f"client={event['client']}", "domain=foreign.example", "since=1h&event=rejected",
                  f"account={cluster.account['account']}"):
        assert event in cluster.ask(f"events?{query}")[1]["events"], query
    for word in (name, event["client"], "eve@foreign.example"):
        assert event in cluster.control.shoutctl("why", word)["refusals"], word
    assert cluster.ask("events?from=eve@foreign.example&until=1h")[1]["events"] == []


@pytest.mark.parametrize("place", ["x", "1,", ",1", "1,,2", "-1"])
def test_what_is_no_place_is_refused(cluster, place):
    assert cluster.ask(f"events?after=events:{place}")[0] == 400


def test_pages_hold_each_event_once(cluster):
    ids = cluster.accept(30)
    search = f"events?account={cluster.account['account']}&event=accepted&since=1h"
    wait_for(lambda: {one["id"] for one in cluster.ask(f"{search}&limit=1000")[1]["events"]} >= set(ids), 30, "all")
    found, after = [], ""
    while after is not None:
        status, page = cluster.ask(f"{search}&limit=7{after and '&after='}{after}")
        assert status == 200
        found += [one["id"] for one in page["events"]]
        after = page["next"] and urllib.parse.quote(page["next"])
    assert sorted(found) == sorted(ids)
    newest = cluster.ask(f"events?account={cluster.account['account']}&event=accepted&limit=7")[1]["events"]
    assert len(newest) == 7 and {one["id"] for one in newest} <= set(ids)


def test_who_follows_misses_nothing(cluster):
    follower = subprocess.Popen([BUILD / "shoutctl", "-c", cluster.control.file, "--json", "events", "--follow",
                                 "--event", "rejected", "--domain", "third.example"], stdout=subprocess.PIPE, text=True)
    seen = []
    thread = threading.Thread(target=lambda: [seen.append(json.loads(line)["from"]) for line in follower.stdout])
    thread.start()
    try:
        for i in range(12):
            cluster.refuse(f"s{i}@third.example")
            wait_for(lambda count=i + 1: len(seen) >= count, 30, "it is followed")
        assert seen == [f"s{i}@third.example" for i in range(12)]
    finally:
        follower.kill()
        thread.join()
        follower.wait()
