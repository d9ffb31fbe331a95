"""A Shout with the panel, two customers with mail of every kind, and people who may log in."""

import http.client
import json
import types

import harness
import pytest
from browser import HOSTILE, PASSWORD, Chromium, log_in
from harness import ROOT, wait_for

SERVICE = {"name": "Example Telecom", "support": "help@telecom.example", "hosts": ["shout01.telecom.example"],
           "spf": "_spf.telecom.example", "addresses": ["192.0.2.10"], "panel": "https://panel.telecom.example"}


def choose_password(shout, made):
    token = made["link"].rpartition("t=")[2]
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=60)
    connection.request("POST", "/api/v1/password", json.dumps({"token": token, "password": PASSWORD}), {"Content-Type": "application/json"})
    assert connection.getresponse().status < 300
    connection.close()


def ended(shout, message, state):
    """Whether the trace has all recipients of a message in that state."""
    found = shout.shoutctl("trace", "--sender", "info@acme.example", check=False)
    return [True for one in found["messages"] if one["id"] == message and all(to["state"] == state for to in one["to"])]


@pytest.fixture(scope="session")
def world():
    rig = harness.Rig()
    directory = rig.path("certificate")
    directory.mkdir()
    nsd = rig.nsd({"acme.example": '@ TXT "v=spf1 ip4:203.0.113.9 -all"\n_dmarc TXT "v=DMARC1; p=none"\n', "secondo.example": ""})
    sink = rig.sink()
    sink.on("rcpt", f"550 5.1.1 {HOSTILE} no such user", match="^nobody@")
    sink.on("rcpt", "451 4.7.1 Greylisted, come again", match="^later@")
    shout = rig.shout(rig.redis(), clamd=rig.clamd(), route=sink.host, certificate=harness.make_certificate(directory), settings={
        "control": {"panel": str(ROOT / "control" / "panel")}, "service": SERVICE, "dns": {"forward": [nsd.address], "trust_anchor": "none"}, "sender": {"retry": {"first": "1h", "max": "4h"}}})
    acme = shout.account_add(f"Acme {HOSTILE}", ["acme.example", "secondo.example"], contact="it@acme.example")
    other = shout.account_add("Officina Bianchi", "bianchi.example", mode="ip", ip="203.0.113.7")
    fresh = shout.account_add("Nuova Srl", "nuova.example")
    people = {}
    for who, account, role in (("owner", acme, "owner"), ("reader", acme, "reader"), ("stranger", other, "owner"), ("fresh", fresh, "owner"), ("admin", None, "admin")):
        words = ["person", "add", f"{who}@people.example", "--name", f"{who} {HOSTILE}", "--role", role]
        made = shout.shoutctl(*words, *(["--account", account["account"]] if account else []))
        choose_password(shout, made)
        people[who] = f"{who}@people.example"
    ids = {}
    with shout.smtp(account=acme) as client:
        for name, to, body in (("delivered", ["anna@fine.example", "bruno@fine.example"], b"ciao"), ("refused", "nobody@fine.example", b"ciao"),
                               ("waiting", "later@slow.example", b"ciao"), ("virus", "virus@fine.example", harness.EICAR)):
            ids[name] = harness.send(client, "info@acme.example", to, f"Subject: {HOSTILE}\r\nFrom: info@acme.example\r\n\r\n".encode() + body + b"\r\n")
    ends = {"delivered": "delivered", "refused": "bounced", "waiting": "deferred", "virus": "held"}
    for name, state in ends.items():
        wait_for(lambda n=name, s=state: ended(shout, ids[n], s), what=f"{name} is {state}")
    yield types.SimpleNamespace(rig=rig, shout=shout, sink=sink, acme=acme, other=other, fresh=fresh, people=people, ids=ids,
                                base=f"http://127.0.0.1:{shout.ports['control']}")
    rig.close()


@pytest.fixture(scope="session")
def chromium(world):
    one = Chromium(world.base)
    yield one
    one.close()


@pytest.fixture
def browser(chromium):
    """The browser as somebody finds it who was never there."""
    chromium.driver.execute_cdp_cmd("Network.enable", {})
    chromium.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.fail()
    chromium.driver.get(f"{chromium.base}/icon.svg")
    chromium.js("localStorage.clear(); sessionStorage.clear();")
    chromium.look()
    chromium.messages()
    return chromium


@pytest.fixture
def as_owner(browser, world):
    log_in(browser, world.people["owner"])
    return browser


@pytest.fixture
def as_admin(browser, world):
    log_in(browser, world.people["admin"])
    return browser
