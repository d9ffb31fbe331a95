"""What a customer sees of its connection: the last sessions, failing dialogues without secrets, and a test that tells in
seven steps how far its server came. With a real Postfix as that server."""

import base64
import itertools
import json
import smtplib
import ssl

import pytest

from harness import send, wait_for
from mailers import Mail, postfix
from test_control import Api, ctl

NUMBERS = itertools.count(1)
KEYS = ["name", "ports", "connection", "tls", "auth", "domain", "delivered"]


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": 2}})


class Customer:
    def __init__(self, shout):
        self.number = next(NUMBERS)
        self.shout, self.domain = shout, f"connection-{self.number}.example"
        self.made = shout.account_add(name=f"conn-{self.number}", domain=self.domain)
        self.id, self.name, self.password = self.made["account"], self.made["username"], self.made["password"]
        self.address = f"127.40.{self.number}.1"

    def do(self, verb, *words, **options):
        return self.shout.shoutctl("account", verb, self.id, *words, **options)

    def sessions(self):
        return self.do("sessions")["sessions"]

    def client(self, kind="plain", source=None):
        client = smtplib.SMTP("127.0.0.1", self.shout.ports[kind], timeout=60, source_address=(source or self.address, 0))
        client.ehlo("mail.customer.example")
        return client

    def auth(self, client, password=None):
        return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{self.name}\0{password or self.password}".encode()).decode())

    def post(self, client, sender=None):
        body = f"From: {sender or 'me@' + self.domain}\r\nSubject: x\r\n\r\nThe body's own words\r\n".encode()
        return send(client, f"me@{self.domain}", "you@elsewhere.example", body)

    def begin(self):
        return self.do("test")["id"]

    def steps(self, id):
        found = self.do("test", "--id", id)["steps"]
        assert [step["key"] for step in found] == KEYS
        return {step["key"]: step for step in found}

    def failed(self, id):
        """(key, cause) of the first step that failed; None: none did."""
        return next(((key, step["cause"]) for key, step in self.steps(id).items() if step["state"] == "failed"), None)


@pytest.fixture
def customer(shout):
    return Customer(shout)


def test_the_last_sessions_and_a_failing_dialogue(shout, redis, customer):
    assert customer.sessions() == []
    with customer.client() as client:
        assert client.docmd("AUTH", "LOGIN")[0] == 334
        assert client.docmd(base64.b64encode(customer.name.encode()).decode())[0] == 334
        assert client.docmd(base64.b64encode(b"wrong secret").decode())[0] == 535
        client.docmd(base64.b64encode(b"late secret").decode())
        assert customer.auth(client)[0] == 235
        customer.post(client)
        assert client.mail("me@not-mine.example")[0] == 550
    session, = wait_for(lambda: [one for one in customer.sessions() if not one["open"]])
    assert session["address"] == customer.address and session["username"] == customer.name and session["login"]
    assert session["accepted"] == 1 and session["refused"] == 3 and session["command"] == "MAIL"
    assert session["result"].startswith("550 5.7.1") and session["port"] == shout.ports["plain"]
    dialogue = session["dialogue"]
    assert "C: AUTH LOGIN\nS: 334 (secret)\nC: (secret)\nS: 334 (secret)\nC: (secret)\nS: 535 5.7.8" in dialogue
    assert "C: AUTH PLAIN (secret)" in dialogue and "(no command, 16 bytes)" in dialogue
    assert "mail FROM:<me@not-mine.example>" in dialogue and "bytes)" in dialogue
    kept = json.dumps(customer.sessions()) + "".join(
        redis.run("HVALS", f"talk:{{{customer.id}}}:{shelf}") for shelf in ("sessions", "failed", "tried"))
    for secret in (b"wrong secret", b"late secret", customer.password.encode(), f"\0{customer.name}\0{customer.password}".encode()):
        assert secret.decode() not in kept and base64.b64encode(secret).decode() not in kept
    assert "own words" not in kept
    text = ctl(shout, "account", "sessions", customer.id)[1]
    assert "C: AUTH PLAIN (secret)" in text and customer.name in text


def test_they_are_bounded_and_the_newest(customer):
    for number in range(60):
        with customer.client(source=f"127.41.{customer.number}.{number + 1}") as client:
            assert customer.auth(client)[0] == 235
    wait_for(lambda: any(one["address"].endswith(".60") for one in customer.sessions()))
    assert len(customer.sessions()) == 50
    times = [one["at"] for one in customer.sessions()]
    assert times == sorted(times, reverse=True)
    assert all(one["dialogue"] is None for one in customer.sessions())


def test_nobody_sees_anothers(shout, customer):
    other = Customer(shout)
    with other.client() as client:
        other.auth(client, "wrong")
        other.auth(client)
    with customer.client() as client:  # from an address that is nobody's, as nobody
        assert client.mail(f"me@{customer.domain}")[0] == 530
    wait_for(other.sessions)
    assert customer.sessions() == []
    customer.do("add-address", "--ip", "127.42.0.1", "--waiting", check=False)
    secret = shout.shoutctl("token", "add", "--account", customer.id, "--label", "t", "--scope", "trace")["secret"]
    mine = Api(shout, secret)
    assert mine("GET", f"accounts/{customer.id}/sessions") == (200, {"sessions": []})
    assert mine("GET", f"accounts/{other.id}/sessions")[0] == 404
    assert mine("POST", f"accounts/{other.id}/test")[0] == 404
    id = other.begin()
    assert mine("GET", f"accounts/{other.id}/test/{id}")[0] == 404
    assert mine("GET", f"accounts/{customer.id}/test/{id}")[0] == 404
    assert other.failed(id) is None
    # An active address shows what strangers said from it: here, a server that does not log in any more.
    customer.do("add-address", "--ip", customer.address)
    wait_for(lambda: [one for one in customer.sessions() if one["result"] and one["result"].startswith("530")])


def test_what_a_guesser_said_is_seen_by_whose_user_it_was(customer):
    with customer.client(source="127.43.1.1") as client:
        customer.auth(client, "guess")
    found = wait_for(customer.sessions)
    assert found[0]["address"] == "127.43.1.1" and found[0]["username"] == customer.name and not found[0]["login"]
    assert found[0]["result"].startswith("535")


def test_each_cause_of_a_failure_is_named(shout, customer):
    id = customer.begin()
    assert customer.failed(id) is None and customer.steps(id)["connection"]["state"] == "waiting"
    customer.do("add-address", "--ip", customer.address)
    with customer.client("starttls") as client:  # a listener that wants TLS first
        client.docmd("AUTH", "PLAIN AGFhAGJi")
        client.mail(f"me@{customer.domain}")
    wait_for(lambda: customer.failed(id) == ("tls", "starttls-needed"))
    with customer.client() as client:
        customer.auth(client, "wrong")
    wait_for(lambda: customer.failed(id) == ("auth", "wrong-password"))
    with customer.client(source="127.44.0.1") as client:
        customer.auth(client)
        assert client.mail("me@not-mine.example")[0] == 550
    wait_for(lambda: customer.failed(id) == ("domain", "not-yours"))
    customer.do("change", "--messages-hour", "1")
    with customer.client(source="127.44.0.2") as client:
        customer.auth(client)
        assert client.mail(f"me@{customer.domain}")[0] == 250
        client.rcpt("you@elsewhere.example")
        client.docmd("DATA")
        client.send(b"From: me@not-mine.example\r\n\r\n\r\n.\r\n")
        assert client.getreply()[0] == 550
    wait_for(lambda: customer.failed(id) == ("delivered", "not-yours"))
    assert "the domain is not verified" in ctl(shout, "account", "test", customer.id, "--id", id)[1]
    new = customer.begin()
    assert "newer one" in customer.do("test", "--id", id, check=False)["error"] and customer.failed(new) is None


def test_a_handshake_that_fails(customer):
    id = customer.begin()
    customer.do("add-address", "--ip", customer.address)
    wait_for(lambda: customer.do("show")["addresses"])
    context = ssl.create_default_context()  # which does not trust the relay's certificate
    with pytest.raises((ssl.SSLError, OSError)), customer.client("starttls") as client:
        client.starttls(context=context)
    wait_for(lambda: customer.failed(id) == ("tls", "tls"))


def test_a_session_that_goes_on_is_seen(customer):
    id = customer.begin()
    with customer.client() as client:
        customer.auth(client)
        message = customer.post(client)
        wait_for(lambda: customer.steps(id)["delivered"]["state"] == "seen")
        assert customer.sessions()[0]["open"]
    steps = customer.steps(id)
    assert all(step["state"] == "seen" for step in steps.values())
    assert steps["auth"]["detail"] == customer.name and message in steps["delivered"]["detail"]


def test_a_real_postfix_is_watched(module_rig, shout, customer):
    """First with a wrong password, then with the right one: each step is what its own sessions were."""
    def try_it(name, password):
        return postfix(Mail(
            directory=module_rig.path(name), port=shout.ports["starttls"], kind="starttls", certificate=shout.certificate,
            username=customer.name, password=password, sender=f"me@{customer.domain}", recipient="you@elsewhere.example",
            message=f"From: me@{customer.domain}\r\nSubject: x\r\n\r\nhi\r\n".encode(), hostname=f"mail.{customer.domain}"))

    id = customer.begin()
    assert not try_it("wrong", "wrong")[0]
    assert wait_for(lambda: customer.failed(id)) == ("auth", "wrong-password")
    steps = customer.steps(id)
    assert steps["connection"]["state"] == "seen" and steps["tls"]["detail"].startswith("TLS")
    assert "C: AUTH" in customer.sessions()[0]["dialogue"]
    assert try_it("right", customer.password)[0]
    wait_for(lambda: all(step["state"] == "seen" for step in customer.steps(id).values()))
    session = customer.sessions()[0]
    assert session["helo"] == f"mail.{customer.domain}" and session["accepted"] == 1 and session["tls"]


def test_limits_and_the_connection_are_shown(shout, customer):
    customer.do("change", "--messages-hour", "10")
    other = customer.do("add-user", "--messages-hour", "2")
    api = Api(shout)

    def limits():
        return {(one["key"], one.get("username")): one for one in api("GET", f"accounts/{customer.id}/limits")[1]["limits"]}
    assert limits()["messages_hour", None] == {"key": "messages_hour", "used": 0, "max": 10, "frees": None}
    with customer.client() as client:
        client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{other['username']}\0{other['password']}".encode()).decode())
        for _ in range(2):
            customer.post(client)
    wait_for(lambda: limits()["messages_hour", None]["used"] == 2)
    own = limits()["messages_hour", other["username"]]
    assert own["used"] == own["max"] == 2 and own["frees"]
    assert other["username"] in ctl(shout, "account", "limits", customer.id)[1]
    shown = api("GET", f"accounts/{customer.id}/connection")[1]
    assert {one["port"]: one["tls"] for one in shown["ports"]}[shout.ports["starttls"]] == "starttls"
    assert shown["mode"] == "credentials" and shown["browser_address"] == "127.0.0.1" and len(shown["users"]) == 2
    wait_for(lambda: [one["address"] for one in api("GET", f"accounts/{customer.id}/connection")[1]["seen"]] == [customer.address])


def test_redis_away_and_wiped(module_rig, sink, certificate):
    redis = module_rig.redis()
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": 1}})
    customer = Customer(shout)
    id = customer.begin()
    with customer.client() as client:
        assert customer.auth(client)[0] == 235
    redis.stop()
    api = Api(shout)
    assert api("GET", f"accounts/{customer.id}/sessions")[0] == 503
    assert api("POST", f"accounts/{customer.id}/test")[0] == 503
    assert api("GET", f"accounts/{customer.id}/limits")[0] == 503
    assert api("GET", f"accounts/{customer.id}/connection")[1]["seen"] is None
    assert api("GET", f"accounts/{customer.id}/test/{id}")[0] == 503
    with customer.client() as client:
        assert customer.auth(client)[0] == 235
        customer.post(client)
    redis.start()
    redis.run("FLUSHALL")
    wait_for(lambda: "entries" in shout.shoutctl("rebuild", check=False))
    assert api("GET", f"accounts/{customer.id}/test/{id}")[0] == 404
    with customer.client() as client:
        assert customer.auth(client)[0] == 235
    wait_for(customer.sessions)
