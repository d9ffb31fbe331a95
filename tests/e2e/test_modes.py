"""A customer switches from credentials to its public IP and back: at SMTP, by shoutctl and by the API alike."""

import itertools
import json
import smtplib
import time

import pytest

from harness import send, wait_for
from test_control import Api, ctl

BODY = b"From: me@%s\r\nSubject: x\r\n\r\nhi\r\n"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate,
                            settings={"ingress": {"threads": 1}})  # a thread remembers an account for 5 s


class Customer:
    """An account, its server's address, and another address that is nobody's."""

    def __init__(self, shout):
        number = next(NUMBERS)
        self.shout, self.domain = shout, f"mode-{number}.example"
        self.made = shout.account_add(name=f"mode-{number}", domain=self.domain)
        self.id = self.made["account"]
        self.address, self.elsewhere = f"127.5.1.{number}", f"127.5.2.{number}"

    def do(self, *words, **options):
        return self.shout.shoutctl("account", "mode", self.id, *words, **options)

    def shown(self):
        return self.shout.shoutctl("account", "show", self.id)

    def smtp(self, source, made=None):
        client = smtplib.SMTP("127.0.0.1", self.shout.ports["plain"], timeout=60, source_address=(source, 0))
        client.ehlo()
        if made:
            client.login(made["username"], made["password"])
        return client

    def answer(self, source, made=None):
        """What MAIL is answered with: (code, text)."""
        with self.smtp(source, made) as client:
            code, text = client.mail(f"me@{self.domain}")
            return code, text.decode()

    def by_login(self):
        return self.answer(self.elsewhere, self.made)

    def by_address(self):
        return self.answer(self.address)

    def post(self, source, made=None):
        with self.smtp(source, made) as client:
            return send(client, f"me@{self.domain}", "you@elsewhere.example", BODY % self.domain.encode())

    def switch(self):
        """To mode ip, as far as the time of grace."""
        self.do("ip", "--ip", self.address)
        wait_for(lambda: self.by_address()[0] == 250)
        self.post(self.address)
        wait_for(lambda: self.shown()["mode"] == "ip")


@pytest.fixture
def customer(shout):
    return Customer(shout)


def test_no_moment_of_a_switch_is_without_a_way_in(shout, customer):
    assert customer.shown()["mode"] == "credentials" and customer.by_login()[0] == 250
    begun = customer.do("ip", "--ip", customer.address, "--grace", "7d")
    assert begun["switch"]["to"] == "ip" and begun["mode"] == "credentials" and begun["switch"]["grace_days"] == 7
    assert begun["addresses"] == [customer.address]
    wait_for(lambda: customer.by_address()[0] == 250)  # asked for, but no mail yet: not in force
    customer.post(customer.elsewhere, customer.made)   # nor by mail of the old way
    assert customer.by_login()[0] == 250
    assert customer.shown()["switch"] == begun["switch"] and customer.shown()["mode"] == "credentials"
    assert "no mail by it was seen yet" in ctl(shout, "account", "show", customer.id)[1]

    customer.post(customer.address)
    wait_for(lambda: customer.shown()["mode"] == "ip")
    shown = customer.shown()
    assert "switch" not in shown and shown["grace"]["mode"] == "credentials" and not shown["grace"]["extended"]
    assert f"credentials until {shown['grace']['until'][:10]}" in ctl(shout, "account", "show", customer.id)[1]
    assert customer.by_login()[0] == 250 and customer.by_address()[0] == 250

    longer = customer.do("--extend")["grace"]
    assert longer["extended"] and longer["until"] > shown["grace"]["until"]
    assert "extended already" in customer.do("--extend", check=False)["error"]

    assert customer.do("--end")["off"] == "credentials"
    wait_for(lambda: customer.by_login()[0] == 550)
    assert "sends from its addresses now, without a login" in customer.by_login()[1]
    assert customer.by_address()[0] == 250
    assert "off already" in customer.do("--end", check=False)["error"]


def test_the_way_back_and_a_session_that_stays_open(shout, customer):
    customer.switch()
    customer.do("--end")
    wait_for(lambda: customer.by_login()[0] == 550)
    begun = customer.do("credentials")
    assert "off" not in begun and "password" not in begun
    wait_for(lambda: customer.by_login()[0] == 250)
    assert customer.do("--undo")["off"] == "credentials"
    wait_for(lambda: customer.by_login()[0] == 550)
    customer.do("credentials", "--grace", "0d")
    wait_for(lambda: customer.by_login()[0] == 250)
    with customer.smtp(customer.address) as open_session:
        assert open_session.mail(f"me@{customer.domain}")[0] == 250
        open_session.rset()
        customer.post(customer.elsewhere, customer.made)
        wait_for(lambda: customer.shown().get("off") == "ip")

        def refused():
            time.sleep(0.3)  # not as often as a session may ask without sending
            code, text = open_session.mail(f"me@{customer.domain}")
            open_session.rset()
            return code == 530 and b"your account uses credentials now" in text
        wait_for(refused)
    assert customer.by_login()[0] == 250


def test_the_api_says_the_same(shout, customer):
    api, path = Api(shout), f"accounts/{customer.id}/mode"
    assert api("PUT", path, {"mode": "ip"})[0] == 409
    assert api("PUT", path, {"mode": "credentials"})[0] == 409
    assert api("PUT", path, {"mode": "both"})[0] == 400
    assert api("PUT", path, {"mode": "ip", "addresses": [customer.address], "grace": 3})[0] == 400
    assert api("PUT", "accounts/nobody/mode", {"mode": "ip"})[0] == 404
    status, begun = api("PUT", path, {"mode": "ip", "addresses": [customer.address], "grace_days": 3})
    assert status == 200 and begun["switch"]["grace_days"] == 3
    status, second = api("PUT", path, {"mode": "credentials"})
    assert status == 409 and second["field"] == "mode" and "under way" in second["error"]
    assert api("PATCH", f"{path}/grace")[0] == 409 and api("DELETE", f"{path}/grace")[0] == 409
    assert api("DELETE", path)[0] == 200 and api("DELETE", path)[0] == 409
    assert "switch" not in customer.shown()
    told = [event["what"] for event in shout.shoutctl("why", customer.id)["changes"]]
    assert {"account.mode.switch", "account.mode.undo"} <= set(told)


def test_another_customers_address_begins_no_switch(shout, customer):
    other = Customer(shout)
    other.switch()
    status, answer = Api(shout)("PUT", f"accounts/{customer.id}/mode", {"mode": "ip", "addresses": [other.address]})
    assert status == 409 and answer["field"] == "addresses[0]"
    assert customer.shown().get("switch") is None and customer.shown()["mode"] == "credentials"


def test_a_relay_that_is_killed_goes_on_with_the_switch(shout, customer):
    customer.do("ip", "--ip", customer.address)
    wait_for(lambda: customer.by_address()[0] == 250)
    shout.kill()
    shout.restart()
    assert customer.shown()["switch"]["to"] == "ip"
    wait_for(lambda: customer.by_login()[0] == 250 and customer.by_address()[0] == 250)
    customer.post(customer.address)
    wait_for(lambda: customer.shown()["mode"] == "ip")
    shout.kill()
    shout.restart()
    wait_for(lambda: customer.shown().get("grace", {}).get("mode") == "credentials")  # shown before it was durable
    wait_for(lambda: customer.by_login()[0] == 250)


def test_a_time_of_grace_that_ended_while_nobody_ran_is_over(shout, customer, tmp_path):
    """The date comes by an import; the old way is off without a command, and stays so after a rebuild."""
    customer.switch()
    file = tmp_path / "account.jsonl"
    shout.shoutctl("account", "export", customer.id, "--output", file)
    lines = file.read_text()
    assert '"until_us":' in lines.replace(" ", "")
    until = customer.shown()["grace"]["until"]
    document = [line for line in lines.splitlines() if customer.id in line][0]
    parsed = json.loads(document)
    entry = parsed.get("document", parsed)
    entry["account"]["grace"]["until_us"] = 1700000000000000
    file.write_text(lines.replace(document, json.dumps(parsed)))
    shout.shoutctl("account", "import", file, "--replace")
    wait_for(lambda: customer.shown().get("off") == "credentials")
    assert until and "grace" not in customer.shown()
    wait_for(lambda: customer.by_login()[0] == 550)
    shout.shoutctl("rebuild")
    assert customer.by_login()[0] == 550 and customer.by_address()[0] == 250
    told = [event for event in shout.shoutctl("why", customer.id)["changes"] if event["what"] == "account.mode.grace-end"]
    assert [event["by"] for event in told] == ["housekeeping"]


def test_a_command_that_says_nothing_or_two_things_is_none(shout, customer):
    for words in ((), ("ip", "--undo"), ("--undo", "--end"), ("--end", "--grace", "3d"), ("ip", "--grace", "3h"),
                  ("ip", "credentials")):
        assert ctl(shout, "account", "mode", customer.id, *words)[0] == 2, words
    assert "switch" not in customer.shown()
