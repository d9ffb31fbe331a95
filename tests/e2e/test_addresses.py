"""An address is asked for, proved by a login or by a link, and lapses: at SMTP, by shoutctl, by the API and by HTTP."""

import http.client
import itertools
import json
import smtplib

import pytest

from harness import free_port, wait_for
from test_control import Api, ctl

NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    """Its clients' addresses are those that a proxy tells."""
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate,
                             settings={"ingress": {"threads": 1}, "control": {"proxies": ["127.0.0.9"]}})
    shout.ports["proxy"] = free_port()
    shout.settings["ingress"]["listen"].append(
        {"address": f"127.0.0.1:{shout.ports['proxy']}", "tls": "none", "auth_without_tls": "always", "proxy": True,
         "proxies": ["127.0.0.1"]})
    shout.write()
    shout.stop()
    shout.restart()
    return shout


class Proxied(smtplib.SMTP):
    """A client whose address is `client`."""

    def __init__(self, shout, client):
        self.header = f"PROXY TCP4 {client} 192.0.2.1 1234 25\r\n".encode()
        super().__init__("127.0.0.1", shout.ports["proxy"], timeout=60)

    def _get_socket(self, host, port, timeout):
        sock = super()._get_socket(host, port, timeout)
        sock.sendall(self.header)
        return sock


class Customer:
    def __init__(self, shout):
        number = next(NUMBERS)
        self.shout, self.domain, self.address = shout, f"address-{number}.example", f"9.9.9.{number}"
        self.made = shout.account_add(name=f"address-{number}", domain=self.domain)
        self.id = self.made["account"]

    def do(self, verb, *words, **options):
        return self.shout.shoutctl("account", verb, self.id, *words, **options)

    def ask(self, address=None, **options):
        return self.do("add-address", "--ip", address or self.address, "--waiting", **options)

    def state(self, address=None):
        shown = self.do("show")["addresses"]
        return {one["address"]: one["state"] for one in shown}.get(address or self.address)

    def code(self, address=None):
        with Proxied(self.shout, address or self.address) as client:
            client.ehlo()
            return client.mail(f"me@{self.domain}")[0]

    def login(self, address=None):
        with Proxied(self.shout, address or self.address) as client:
            client.ehlo()
            return client.login(self.made["username"], self.made["password"])[0]


@pytest.fixture
def customer(shout):
    return Customer(shout)


def page(shout, path, client=None, source="127.0.0.9", method="GET"):
    """(status, text) of a page for anybody, asked for by `client` behind the proxy, or without one."""
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=60, source_address=(source, 0))
    try:
        connection.request(method, path, headers={"X-Forwarded-For": client} if client else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_login_proves_an_address(shout, customer):
    assert customer.ask()["state"] == "waiting"
    assert customer.state() == "waiting" and f"{customer.address} waiting" in ctl(shout, "account", "show", customer.id)[1]
    assert customer.code() == 530
    assert customer.login("9.9.8.1") == 235  # from elsewhere: no proof
    assert customer.login() == 235
    wait_for(lambda: customer.state() == "active")
    wait_for(lambda: customer.code() == 250)
    told = [event for event in shout.shoutctl("why", customer.id)["changes"] if event["what"] == "address.state"]
    assert told and told[0]["by"] == "housekeeping"


def test_a_link_proves_an_address_once_and_from_it_alone(shout, customer):
    customer.ask()
    link = customer.do("prove-address", "--ip", customer.address)
    assert link["path"].startswith(f"/p/{customer.id}-") and link["until"].endswith("Z")
    kept = json.dumps(shout.shoutctl("why", customer.id)) + shout.log()
    assert link["path"].split("-", 1)[1] not in kept
    status, text = page(shout, link["path"], "9.9.8.2")
    assert status == 403 and "9.9.8.2" in text and customer.address in text
    status, text = page(shout, link["path"], customer.address, source="127.0.0.1")  # no proxy of ours says so
    assert status == 403 and customer.state() == "waiting"
    assert page(shout, link["path"], customer.address, method="HEAD")[0] != 200 and customer.state() == "waiting"
    status, text = page(shout, link["path"], customer.address)
    assert status == 200 and json.loads(text)["address"] == customer.address
    assert customer.state() == "active"
    wait_for(lambda: customer.code() == 250)
    assert page(shout, link["path"], customer.address)[0] == 404
    for wrong in ("/p/", "/p/x", f"/p/{customer.id}", f"/p/{customer.id}-", "/p/%2e%2e-x", "/p/a/b"):
        assert page(shout, wrong, customer.address)[0] in (401, 404), wrong


def test_what_nobody_may_ask_for(shout, customer):
    other = Customer(shout)
    other.do("add-address", "--ip", other.address)
    api = Api(shout)
    for address, status in ((other.address, 409), ("10.0.0.1", 400), ("100.64.3.4", 400), ("127.0.0.1", 400),
                            ("192.0.2.9", 400), ("fe80::1", 400), ("8.8.8.0/24", 400)):
        answer = api("POST", f"accounts/{customer.id}/addresses", {"address": address, "waiting": True})
        assert answer[0] == status and answer[1]["field"] == "address", answer
        assert other.id not in json.dumps(answer)
    assert customer.do("show")["addresses"] == []
    assert api("POST", f"accounts/{customer.id}/addresses/{other.address}/proof")[0] == 404
    customer.ask("9.9.7.7")
    other.ask("9.9.7.7")  # waiting keeps nobody out
    assert customer.state("9.9.7.7") is None and other.state("9.9.7.7") == "waiting"


def test_an_idle_address_lapses_and_is_proved_anew(shout, customer, tmp_path):
    """The dates come by an import: last used 40 days ago, its notice given 6 days ago."""
    customer.do("add-address", "--ip", customer.address)
    wait_for(lambda: customer.code() == 250)
    file = tmp_path / "account.jsonl"
    shout.shoutctl("account", "export", customer.id, "--output", file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        for document in (line, *[value for value in line.values() if isinstance(value, dict)]):
            for address in document.get("addresses", []):
                address.update(used_us=1700000000000000, lapses_us=1700000001000000)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    shout.shoutctl("account", "import", file, "--replace")
    assert customer.state() == "lapsing" and customer.code() == 250
    assert "not used: until 2023-11-14" in ctl(shout, "account", "show", customer.id)[1]
    shout.kill()
    shout.restart()
    wait_for(lambda: customer.state() == "lapsed")
    wait_for(lambda: customer.code() == 530)
    shout.shoutctl("rebuild")
    assert customer.code() == 530
    assert customer.login() == 235
    wait_for(lambda: customer.state() == "active")
    wait_for(lambda: customer.code() == 250)


def test_a_client_is_told_its_public_address(shout):
    assert page(shout, "/ip", "9.9.1.1") == (200, "9.9.1.1\n")
    assert page(shout, "/ip", "2a00:1450::1") == (200, "2a00:1450::1\n")
    assert page(shout, "/ip", "9.9.1.1", source="127.0.0.1") == (200, "127.0.0.1\n")
    assert page(shout, "/ip", "6.6.6.6, 9.9.1.1") == (200, "9.9.1.1\n")
    assert json.loads(page(shout, "/api/v1/ip", "2a00:1450::1")[1]) == {"address": "2a00:1450::1", "ipv6": True}
    assert page(shout, "/ipx", "9.9.1.1")[0] == 401
    assert Api(shout)("GET", "ip") == (200, {"address": "127.0.0.1", "ipv6": False})
