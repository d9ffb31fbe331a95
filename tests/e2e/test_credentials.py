"""Usernames of an account: renewed with an overlap, in the sandbox, with limits and networks of their own, suspended;
at SMTP by every mechanism, by shoutctl and by the API alike, and without Redis."""

import base64
import hashlib
import hmac
import itertools
import json
import smtplib
import time

import pytest

from harness import send, wait_for
from test_control import Api, ctl

BODY = b"From: me@%s\r\nDate: Tue, 01 Dec 2026 07:00:00 +0000\r\nMessage-ID: <%d@x.example>\r\nSubject: x\r\n\r\nhi\r\n"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate,
                            settings={"ingress": {"threads": 1}})  # a thread remembers a user for 5 s


def scram(client, user, password):
    """(code, text) of SCRAM-SHA-256; the server's proof is checked, too."""
    bare = f"n={user},r=clientnonce"

    def b64(text):
        return base64.b64encode(text.encode()).decode()
    code, text = client.docmd("AUTH", "SCRAM-SHA-256 " + b64("n,," + bare))
    if code != 334:
        return code, text
    first = base64.b64decode(text).decode()
    fields = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    message = f"{bare},{first},c=biws,r={fields['r']}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
    code, text = client.docmd(b64(f"c=biws,r={fields['r']},p={proof}"))
    if code != 334:
        return code, text
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    assert base64.b64decode(text) == b"v=" + base64.b64encode(server)
    return client.docmd("")


def auth_plain(client, user, password):
    return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()).decode())


def auth_login(client, user, password):
    client.docmd("AUTH", "LOGIN " + base64.b64encode(user.encode()).decode())
    return client.docmd(base64.b64encode(password.encode()).decode())


MECHANISMS = (auth_plain, auth_login, scram)


class Customer:
    def __init__(self, shout):
        self.number = next(NUMBERS)
        self.shout, self.domain = shout, f"credential-{self.number}.example"
        self.made = shout.account_add(name=f"cred-{self.number}", domain=self.domain)
        self.id, self.name, self.password = self.made["account"], self.made["username"], self.made["password"]
        self.path = f"accounts/{self.id}/users/{self.name}"

    def do(self, verb, *words, **options):
        return self.shout.shoutctl("account", verb, self.id, *words, **options)

    def change(self, *words, **options):
        return self.do("change-user", "--username", self.name, *words, **options)

    def renew(self, grace=None):
        made = self.do("password", *(("--grace", grace) if grace else ()))
        self.password = made["password"]
        return made

    def user(self):
        return next(one for one in self.do("show")["users"] if one["username"] == self.name)

    def client(self, source=None):
        """From a new address each time: failures of one address slow it down."""
        number = next(NUMBERS)
        source = source or f"127.8.{number // 250}.{number % 250 + 1}"
        client = smtplib.SMTP("127.0.0.1", self.shout.ports["plain"], timeout=60, source_address=(source, 0))
        client.ehlo()
        return client

    def login(self, password=None, mechanism=auth_plain, source=None):
        with self.client(source) as client:
            code, text = mechanism(client, self.name, password or self.password)
            return code, text.decode()

    def codes(self, password=None):
        """What each mechanism says."""
        return {self.login(password, mechanism)[0] for mechanism in MECHANISMS}

    def post(self, client, password=None):
        assert auth_plain(client, self.name, password or self.password)[0] in (235, 503)
        return send(client, f"me@{self.domain}", "you@elsewhere.example",
                    BODY % (self.domain.encode(), next(NUMBERS)))

    def traced(self, id):
        """The states of the message's recipients, as the trace has them."""
        shown = self.shout.shoutctl("trace", "--account", self.id, "--id", id, check=False)
        return [one["state"] for message in shown.get("messages", []) for one in message["to"]]


@pytest.fixture
def customer(shout):
    return Customer(shout)


def test_both_passwords_work_until_the_end_and_then_the_new_one_alone(shout, customer):
    first = customer.password
    assert customer.codes(first) == {235}
    made = customer.renew("7d")
    assert made["grace_until"] > made.get("until", "") and made["password"] != first
    wait_for(lambda: customer.codes() == {235})
    assert customer.codes(first) == {235}
    assert customer.codes("neither") == {535}
    assert customer.user()["state"] == "grace" and customer.user()["until"] == made["grace_until"]
    assert "the password before works until" in ctl(shout, "account", "show", customer.id)[1]
    second = customer.password
    customer.renew("12h")
    wait_for(lambda: customer.codes() == {235})
    assert customer.codes(first) == customer.codes(second) == {235}
    customer.renew("0")
    wait_for(lambda: customer.codes(second) == {535})
    assert customer.codes(first) == {535} and customer.codes() == {235}
    assert customer.user()["state"] == "active" and "until" not in customer.user()
    assert customer.do("password", "--grace", "90m", check=False)["error"]
    told = [event["what"] for event in shout.shoutctl("why", customer.id)["changes"]]
    assert told.count("user.password") == 3
    assert "SCRAM" not in json.dumps(shout.shoutctl("why", customer.id))


def test_a_former_password_ends_by_ingress_own_clock_and_by_the_rounds(shout, redis, customer):
    """What the rounds have not ended yet, ingress has. The end is brought near by a restored backup of an account."""
    first = customer.password
    customer.renew("1h")
    wait_for(lambda: customer.codes() == {235})
    document = json.loads(redis.run("GET", f"user:{customer.name}"))
    assert len(document["former"]) == 1
    document["former"][0]["until_us"] = 1_000_000
    redis.run("SET", f"user:{customer.name}", json.dumps(document))
    wait_for(lambda: customer.codes(first) == {535})
    assert customer.codes() == {235}
    assert customer.user()["state"] == "grace"  # relay.config says so still
    out = shout.state_dir.parent / f"{customer.id}.jsonl"
    shout.shoutctl("account", "export", customer.id, "--output", out, "--force")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for line in lines:
        for user in line.get("users", []):
            user["former"][0]["until_us"] = 1_000_000
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shout.shoutctl("account", "import", out, "--replace")
    wait_for(lambda: "former" not in json.loads(redis.run("GET", f"user:{customer.name}")))
    assert customer.user()["state"] == "active"
    told = [event for event in shout.shoutctl("why", customer.id)["changes"] if event["what"] == "user.grace-end"]
    assert len(told) == 1 and told[0]["by"] == "housekeeping"


def test_the_sandbox_takes_mail_and_lets_nothing_leave(shout, customer):
    assert customer.change("--sandbox", "on")["state"] == "sandbox"
    wait_for(lambda: customer.user()["state"] == "sandbox")

    def sandboxed():
        with customer.client() as client:
            id = customer.post(client)
        return id if wait_for(lambda: shout.events("sandboxed", id) or shout.events("delivered", id)
                              or None)[0]["event"] == "sandboxed" else None
    id = wait_for(sandboxed)
    assert shout.events("accepted", id) and not shout.events("delivered", id)
    assert shout.events("sandboxed", id)[0]["to"] == ["you@elsewhere.example"]
    assert wait_for(lambda: customer.traced(id)) == ["sandboxed"]
    wait_for(lambda: "sandboxed" in ctl(shout, "trace", "--account", customer.id, "--state", "sandboxed")[1])
    assert id not in json.dumps(shout.shoutctl("open", "--older", "0s", check=False))
    assert id not in json.dumps(shout.shoutctl("queue", "list"))
    customer.change("--sandbox", "off")

    def leaves():
        with customer.client() as client:
            id = customer.post(client)
        return wait_for(lambda: shout.events("sandboxed", id) or shout.events("delivered", id)
                        or None)[0]["event"] == "delivered"
    wait_for(leaves)


def test_limits_of_its_own_hold_beside_the_accounts(shout, customer):
    other = customer.do("add-user", "--label", "Printer, 2nd floor", "--messages-hour", "2")
    shown = next(one for one in customer.do("show")["users"] if one["username"] == other["username"])
    assert shown["label"] == "Printer, 2nd floor" and shown["limits"] == {"messages_hour": 2}
    wait_for(lambda: customer.login()[0] == 235)
    with customer.client() as client:
        auth_plain(client, other["username"], other["password"])
        for _ in range(2):
            customer.post(client)
        assert client.mail(f"me@{customer.domain}")[0] == 250
        assert client.rcpt("you@elsewhere.example")[0] == 250
        code, text = client.docmd("DATA")
        assert code == 451 and b"messages per hour for this username" in text
    with customer.client() as client:
        auth_plain(client, customer.name, customer.password)
        for _ in range(3):
            customer.post(client)


def test_a_network_of_its_own_is_told_to_who_has_the_password_only(shout, customer):
    assert customer.login(source="127.9.1.1")[0] == 235
    customer.change("--network", "127.9.2.0/24", "--network", "192.0.2.1")
    wait_for(lambda: customer.login(source="127.9.1.1")[0] == 535)
    for mechanism in MECHANISMS:
        code, text = customer.login(mechanism=mechanism, source="127.9.1.1")
        assert code == 535 and "may not be used from your address" in text
        code, text = customer.login("wrong", mechanism, source="127.9.1.1")
        assert code == 535 and "Wrong username or password" in text
        assert customer.login(mechanism=mechanism, source="127.9.2.9")[0] == 235
    with customer.client("127.9.2.9") as client:  # a session that is open when the networks change
        auth_plain(client, customer.name, customer.password)
        assert client.mail(f"me@{customer.domain}")[0] == 250
        client.rset()
        customer.change("--network", "192.0.2.1")

        def refused():
            code = client.mail(f"me@{customer.domain}")[0]
            time.sleep(0.1)  # commands that lead nowhere are counted
            client.rset()
            return code == 530
        wait_for(refused)
    customer.change("--network", "any")
    wait_for(lambda: customer.login(source="127.9.1.1")[0] == 235)


def test_disabled_by_the_customer_and_suspended_by_the_operator(shout, customer):
    customer.change("--enabled", "off")
    wait_for(lambda: customer.login()[0] == 535)
    for mechanism in MECHANISMS:
        assert "This username is disabled, see" in customer.login(mechanism=mechanism)[1]
        assert "Wrong username or password" in customer.login("wrong", mechanism)[1]
    customer.do("suspend-user", "--username", customer.name, "--reason", "sends viruses")
    customer.change("--enabled", "on")
    wait_for(lambda: "suspended" in customer.login()[1])
    assert customer.user()["state"] == "suspended" and customer.user()["suspended"] == "sends viruses"
    assert "sends viruses" in ctl(shout, "account", "show", customer.id)[1]
    token = shout.shoutctl("token", "add", "--account", customer.id, "--label", "t", "--scope", "write",
                           "--scope", "read")["secret"]
    customers = Api(shout, token)
    assert customers("POST", f"{customer.path}/resume")[0] == 403
    assert customers("POST", f"{customer.path}/suspend", {"reason": "x"})[0] == 403
    assert customers("PATCH", customer.path, {"suspended": ""})[0] == 400
    assert customers("PATCH", customer.path, {"enabled": True})[1]["state"] == "suspended"
    assert customer.login()[0] == 535
    assert customer.do("resume-user", "--username", customer.name)["state"] == "active"
    wait_for(lambda: customer.codes() == {235})


def test_the_api_says_the_same(shout, customer):
    api = Api(shout)
    status, answer = api("PATCH", customer.path, {"label": "Fax", "limits": {"messages_day": 9}, "networks": ["10.0.0.0/8"]})
    assert status == 200 and answer["state"] == "active"
    user, = api("GET", f"accounts/{customer.id}")[1]["users"]
    assert user["label"] == "Fax" and user["limits"] == {"messages_day": 9} and user["networks"] == ["10.0.0.0/8"]
    assert user["created"] and user["last"] is None and user["failures"] == 0
    for body, field in (({}, None), ({"label": "x\ny"}, "label"), ({"networks": ["x"]}, "networks[0]"),
                        ({"limits": {"messages_day": -1}}, "limits.messages_day"), ({"verifier": "x"}, "verifier"),
                        ({"enabled": "yes"}, "enabled")):
        status, answer = api("PATCH", customer.path, body)
        assert status == 400 and (field is None or answer["field"] == field), (body, answer)
    assert api("PATCH", f"accounts/{customer.id}/users/nobody", {"sandbox": True})[0] == 404
    other = Customer(shout)
    assert api("PATCH", f"accounts/{customer.id}/users/{other.name}", {"sandbox": True})[0] == 404
    assert api("POST", f"accounts/{customer.id}/users/{other.name}/suspend", {"reason": "x"})[0] == 404
    assert other.user()["state"] == "active"
    assert api("POST", f"accounts/{customer.id}/password", {"grace_hours": 2161})[1]["field"] == "grace_hours"


def test_last_use_and_failures_are_shown(shout, customer):
    for _ in range(3):
        customer.login("wrong", source="127.9.3.3")
    wait_for(lambda: customer.user()["failures"] == 3)
    assert customer.user()["last_failure"]["address"] == "127.9.3.3" and customer.user()["last"] is None
    assert customer.login(source="127.9.3.4")[0] == 235
    wait_for(lambda: customer.user()["last"])
    assert customer.user()["last"]["address"] == "127.9.3.4"
    with customer.client("127.9.3.5") as client:
        auth_plain(client, customer.name, customer.password)
        customer.post(client)
    wait_for(lambda: customer.user()["last"]["address"] == "127.9.3.5")
    text = ctl(shout, "account", "show", customer.id)[1]
    assert "from 127.9.3.5" in text and "3 failed logins within a day" in text


def test_without_redis_a_grace_and_a_sandbox_hold(module_rig, sink, certificate):
    redis = module_rig.redis()
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"ingress": {"threads": 1}})
    customer = Customer(shout)
    first = customer.password
    customer.renew("1d")
    customer.change("--sandbox", "on")
    wait_for(lambda: customer.codes() == {235} and customer.codes(first) == {235} and customer.user()["sandbox"])
    assert wait_for(lambda: shout.shoutctl("account", "show", customer.id)["users"][0]["state"] == "sandbox")

    def taken():
        with customer.client() as client:
            return customer.post(client, first)
    wait_for(lambda: shout.events("sandboxed", taken()))
    redis.stop()
    assert customer.codes(first) == customer.codes() == {235}
    assert customer.codes("wrong") <= {535, 454}
    id = taken()
    wait_for(lambda: shout.events("sandboxed", id))
    redis.start()
    redis.run("FLUSHALL")
    wait_for(lambda: "entries" in shout.shoutctl("rebuild", check=False))
    assert customer.codes(first) == {235} and customer.user()["state"] == "sandbox"
