"""What the service's FAQ promises, walked by one customer: the subscription, the mails, its own Postfix set up by them,
the switch to its public IP and back. The mails lie in a Maildir of a real Postfix, where the customer reads them; the
operator works by shoutctl, or by the API. Twice: in Italian and in English."""

import email
import email.policy
import itertools
import os
import re

import mailers
import pytest
from harness import accepts, free_port, wait_for
from postfix import Postfix
from test_control import Api

NUMBERS = itertools.count(1)
SERVICE = {"name": "Provider", "hosts": ["shout01.provider.example"], "support": "help@provider.example", "spf": "_spf.provider.example",
           "panel": "https://panel.provider.example"}
NOBODY = 65534
# What a customer looks for in each mail.
WORDS = {
    "it": {"activation": "Mail Relay è attivo", "username": "Nome utente", "password": "Password", "config": "Configurazione",
           "in-force": "In vigore: ", "credentials": "credenziali", "ip": "IP pubblico", "none": "Autenticazione: nessuna, accettiamo solo da"},
    "en": {"activation": "Mail Relay is active", "username": "Username", "password": "Password", "config": "Configuration",
           "in-force": "In force: ", "credentials": "credentials", "ip": "public IP", "none": "Authentication: none, we accept only from"},
}


@pytest.fixture(scope="module")
def mailbox(module_rig):
    """A mail server that takes what comes into a Maildir."""
    directory = module_rig.path("mailbox")
    boxes = directory / "boxes"
    boxes.mkdir(parents=True)
    os.chown(boxes, NOBODY, NOBODY)
    server = Postfix(directory / "postfix", free_port(), {
        "virtual_mailbox_domains": "mailbox.example, elsewhere.example", "virtual_mailbox_base": boxes, "virtual_mailbox_maps": "static:all/",
        "virtual_uid_maps": f"static:{NOBODY}", "virtual_gid_maps": f"static:{NOBODY}"})
    server.boxes = boxes
    server.start()
    wait_for(lambda: accepts(("127.0.0.1", server.port)), what="the mailbox server listens")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shout(module_rig, redis, mailbox, certificate):
    return module_rig.shout(redis, route=f"127.0.0.1:{mailbox.port}", certificate=certificate, settings={
        "service": SERVICE, "ingress": {"threads": 1}})  # a thread remembers an account for 5 s


class ByShoutctl:
    """The operator, at a terminal."""

    def __init__(self, shout):
        self.do = shout.shoutctl

    def subscribe(self, customer):
        return self.do("account", "add", "--name", customer.name, "--contact", customer.contact, "--language", customer.language,
                       "--domain", f"{customer.domain}=12", "--verified")

    def switch(self, account, mode, *addresses):
        return self.do("account", "mode", account, mode, *(word for one in addresses for word in ("--ip", one)), "--grace", "7d")

    def end_grace(self, account):
        return self.do("account", "mode", account, "--end")

    def show(self, account):
        return self.do("account", "show", account)

    def renew(self, account, username):
        return self.do("account", "password", account, "--username", username, "--mail")


class ByApi:
    """The operator's own program."""

    def __init__(self, shout):
        self.api = Api(shout)

    def ask(self, method, path, body=None):
        status, answer = self.api(method, path, body)
        assert 200 <= status < 300, answer
        return answer

    def subscribe(self, customer):
        return self.ask("POST", "accounts", {"name": customer.name, "contact": customer.contact, "language": customer.language,
                                             "domains": [{"name": customer.domain, "verified": True, "mailboxes": 12}]})

    def switch(self, account, mode, *addresses):
        return self.ask("PUT", f"accounts/{account}/mode", {"mode": mode, "grace_days": 7} | ({"addresses": list(addresses)} if addresses else {}))

    def end_grace(self, account):
        return self.ask("DELETE", f"accounts/{account}/mode/grace")

    def show(self, account):
        return self.ask("GET", f"accounts/{account}")

    def renew(self, account, username):
        return self.ask("POST", f"accounts/{account}/password", {"username": username, "mail": True})


class Customer:
    """Knows what its mails say, and nothing else."""

    def __init__(self, shout, mailbox, rig, language):
        number = next(NUMBERS)
        self.shout, self.mailbox, self.rig, self.language, self.words = shout, mailbox, rig, language, WORDS[language]
        self.name, self.contact, self.domain = f"Rossi {number}", f"it{number}@mailbox.example", f"rossi{number}.example"
        self.address, self.elsewhere = f"127.6.0.{number}", f"127.6.1.{number}"
        self.read, self.sent = set(), itertools.count(1)

    def box(self, address):
        """The files of the address's mails."""
        wanted = f"Delivered-To: {address}\n".encode()
        return {file for file in (self.mailbox.boxes / "all/new").glob("*") if wanted in file.read_bytes()}

    def mails(self, *keys):
        """{key: text} of the mails that are new; they are these, and no others."""
        def arrived():
            found = self.box(self.contact) - self.read
            return len(found) >= len(keys) and found
        files = self.mailbox.wait_for(arrived, f"{keys} arrive")
        self.read |= files
        found = {}
        for file in files:
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            assert mail["Return-Path"] == "<>" and mail["Auto-Submitted"] == "auto-generated" and mail["To"] == self.contact
            key = next((key for key in keys if mail["Subject"].startswith(f"[Mail Relay] {self.words[key]}")), mail["Subject"])
            found[key] = mail.get_content()
        assert sorted(found) == sorted(keys) and len(files) == len(keys)
        return found

    def value(self, told, label):
        """What stands on a line of its own below the label."""
        return re.search(rf"(?m)^{label}:\n\n  (\S+)$", told.replace("\r\n", "\n"))[1]

    def send(self, username="", password="", source=None):
        """By its own Postfix, set up as docs/clients.md says; (whether it was taken, what Postfix says)."""
        number = next(self.sent)
        recipient = f"friend{number}-{self.name.split()[1]}@elsewhere.example"
        message = f"From: boss@{self.domain}\r\nTo: {recipient}\r\nSubject: order {number}\r\n\r\nGood morning.\r\n"
        mail = mailers.Mail(directory=self.rig.path(f"{self.domain}-{number}"), port=self.shout.ports["starttls"], kind="starttls",
                            certificate=self.shout.certificate, username=username, password=password, sender=f"boss@{self.domain}",
                            recipient=recipient, message=message.encode(), hostname=f"mail.{self.domain}", source=source or self.elsewhere)
        taken, said = mailers.postfix(mail)
        if taken:
            self.mailbox.wait_for(lambda: self.box(recipient), f"{recipient} has mail")
        return taken, said


@pytest.mark.parametrize("operator", [ByShoutctl, ByApi])
@pytest.mark.parametrize("language", ["it", "en"])
def test_from_the_subscription_to_the_public_ip_and_back(shout, mailbox, module_rig, language, operator):
    operator, customer = operator(shout), Customer(shout, mailbox, module_rig, language)
    account = operator.subscribe(customer)["account"]

    # four mails; what they say is enough to send
    mails = customer.mails("activation", "username", "password", "config")
    assert customer.domain in mails["activation"] and "12" in mails["activation"] and customer.words["credentials"] in mails["activation"]
    username, password = (customer.value(mails[key], customer.words[key]) for key in ("username", "password"))
    assert [key for key, told in mails.items() if password in told] == ["password"]
    assert [key for key, told in mails.items() if username in told] == ["username"]
    assert SERVICE["hosts"][0] in mails["config"] and f'{customer.domain}  TXT  "v=spf1 include:_spf.provider.example ~all"' in mails["config"]
    assert customer.send(username, password)[0]
    assert not customer.send(username, "a guess")[0]

    # to the public IP: both ways work until the end of the grace
    operator.switch(account, "ip", customer.address)
    told, = customer.mails("config").values()
    assert customer.words["none"] in re.sub(r"\s+", " ", told) and customer.address in told
    assert operator.show(account)["mode"] == "credentials"
    assert customer.send(username, password)[0]
    wait_for(lambda: customer.send(source=customer.address)[0])
    told, = customer.mails("in-force").values()
    assert customer.words["ip"] in told
    shown = wait_for(lambda: (one := operator.show(account))["mode"] == "ip" and one)
    assert shown["grace"]["mode"] == "credentials"
    assert customer.send(username, password)[0]
    operator.end_grace(account)
    wait_for(lambda: not customer.send(username, password)[0])
    assert customer.send(source=customer.address)[0]

    # and back, with a new password, since the old one may be known to whoever had the server
    operator.switch(account, "credentials")
    customer.mails("config")
    assert operator.renew(account, username)["password"] != password
    mails = customer.mails("username", "password")
    assert customer.value(mails["username"], customer.words["username"]) == username
    renewed = customer.value(mails["password"], customer.words["password"])
    assert customer.send(source=customer.address)[0]
    wait_for(lambda: customer.send(username, renewed)[0])
    told, = customer.mails("in-force").values()
    assert customer.words["credentials"] in told
    wait_for(lambda: operator.show(account)["mode"] == "credentials")
    operator.end_grace(account)
    wait_for(lambda: not customer.send(source=customer.address)[0])
    assert customer.send(username, renewed)[0] and not customer.send(username, password)[0]
