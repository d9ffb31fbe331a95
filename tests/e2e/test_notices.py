"""The mails of the service to its customers, as they arrive in a mailbox: who gets which, in which language, and
that no two secrets stand in one."""

import email
import email.policy
import re
import signal
import subprocess

import pytest

import harness
from harness import BUILD, wait_for
from test_control import ctl

SERVICE = {"name": "Società \"Posta\"", "hosts": ["shout01.provider.example", "shout02.provider.example"], "support": "help@provider.example",
           "panel": "https://panel.provider.example", "spf": "_spf.provider.example"}
SUBSCRIPTION = {"activation", "username", "password", "config-credentials"}
SUBJECTS = {"it": {"activation": "Mail Relay è attivo", "username": "Nome utente", "password": "Password",
                   "config-credentials": "Configurazione", "config-ip": "Configurazione", "suspended": "Servizio sospeso",
                   "resumed": "Servizio riattivato", "closed": "Servizio chiuso"},
            "en": {"activation": "Mail Relay is active", "username": "Username", "password": "Password",
                   "config-credentials": "Configuration", "config-ip": "Configuration", "suspended": "Service suspended",
                   "resumed": "Service resumed", "closed": "Service closed"}}
GREETINGS = {"it": "Gentile cliente,", "en": "Dear customer,"}


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"service": SERVICE})


class Customer:
    numbers = iter(range(1000))

    def __init__(self, shout, sink, *words, name="Acme"):
        number = next(self.numbers)
        self.shout, self.sink, self.contact = shout, sink, f"it{number}@mailbox.example"
        self.domains = [f"{letter}{number}.example" for letter in "ab"]
        self.made = shout.shoutctl("account", "add", "--name", name, "--contact", self.contact, "--domain", f"{self.domains[0]}=25",
                                   "--domain", self.domains[1], "--verified", *words)
        self.id = self.made["account"]
        self.seen = 0

    def raw(self, count):
        """The next mails to the contact, as bytes."""
        arrived = wait_for(lambda: (got := self.sink.find(recipient=self.contact)[self.seen:])[count - 1:] and got)
        self.seen += count
        return arrived

    def mails(self, count):
        return {mail["Subject"]: mail for mail in
                (email.message_from_bytes(one.body, policy=email.policy.default) for one in self.raw(count))}


def text(mail):
    return mail.get_content().replace("\r\n", "\n")


def subject(key, *languages):
    return "[Mail Relay] " + " / ".join(SUBJECTS[language][key] for language in languages)


def hosts_in(told):
    return {host for host in SERVICE["hosts"] if f"\n  {host}\n" in told}


@pytest.mark.parametrize("language", ["it", "en"])
def test_a_new_customer_gets_four_mails(shout, sink, language):
    customer = Customer(shout, sink, "--language", language)
    assert set(customer.made["mails"]) == SUBSCRIPTION and "mails_failed" not in customer.made
    mails = customer.mails(4)
    assert set(mails) == {subject(key, language) for key in SUBSCRIPTION}
    texts = {key: text(mails[subject(key, language)]) for key in SUBSCRIPTION}
    for key, told in texts.items():
        assert told.startswith(GREETINGS[language]) and GREETINGS["en" if language == "it" else "it"] not in told
        assert ("Acme" in told) == (key != "password") and "help@provider.example" in told
        assert ("https://panel.provider.example/" in told) == (key != "password")
    username, password = customer.made["username"], customer.made["password"]
    assert [key for key, told in texts.items() if username in told] == ["username"]
    assert [key for key, told in texts.items() if password in told] == ["password"]
    assert f"{customer.domains[0]}, {customer.domains[1]}" in texts["activation"] and "25" in texts["activation"]
    for domain in customer.domains:
        assert f'  {domain}  TXT  "v=spf1 include:_spf.provider.example ~all"' in texts["config-credentials"]
    assert hosts_in(texts["config-credentials"]) == {shout.shoutctl("account", "show", customer.id)["host"]}


def test_a_moved_customer_is_told_the_new_host_alone(shout, sink):
    customer = Customer(shout, sink, "--language", "en")
    customer.mails(4)
    before = shout.shoutctl("account", "show", customer.id)["host"]
    after, = set(SERVICE["hosts"]) - {before}
    shout.shoutctl("account", "change", customer.id, "--host", after)
    shout.shoutctl("account", "mail", "config", customer.id)
    assert hosts_in(text(customer.mails(1)[subject("config-credentials", "en")])) == {after}
    with shout.smtp(account=customer.made):  # which the mails let one do
        pass


def test_a_mail_is_as_the_standards_want_it(shout, sink):
    customer = Customer(shout, sink, "--language", "it", name="Perché no? = _")
    for message in customer.raw(4):
        head, _, body = message.body.partition(b"\r\n\r\n")
        assert message.sender == "" and all(len(line) <= 76 for line in message.body.split(b"\r\n"))
        message.body.decode("ascii")
        mail = email.message_from_bytes(message.body, policy=email.policy.default)
        assert mail["From"].addresses[0].display_name == SERVICE["name"]
        assert mail["From"].addresses[0].addr_spec == "postmaster@shout.test"
        assert mail["To"] == customer.contact and mail["Reply-To"] == "help@provider.example"
        assert mail["Auto-Submitted"] == "auto-generated" and mail.get_content_type() == "text/plain"
        assert not mail.defects and all(not field.defects for field in mail.values() if hasattr(field, "defects"))
        if "Password" not in mail["Subject"]:
            assert "Perché no? = _ - help@" in text(mail)


def test_without_a_language_a_mail_has_both(shout, sink):
    mails = Customer(shout, sink, "--mode", "ip", "--ip", "203.0.113.77").mails(2)
    assert set(mails) == {subject("activation", "it", "en"), subject("config-ip", "it", "en")}
    told = text(mails[subject("config-ip", "it", "en")])
    assert "(English below)" in told and told.index(GREETINGS["it"]) < told.index("--- English ---") < told.index(GREETINGS["en"])
    assert told.count("203.0.113.77") == 2


def test_the_state_of_the_service_is_told(shout, sink):
    customer = Customer(shout, sink, "--language", "en")
    customer.mails(4)
    for verb, key in (("disable", "suspended"), ("enable", "resumed"), ("delete", "closed"), ("restore", "resumed")):
        assert shout.shoutctl("account", verb, customer.id)["mails"] == [key]
        mail, = customer.mails(1).items()
        assert mail[0] == subject(key, "en")
        if key == "closed":
            assert re.search(r"Until 20\d\d-\d\d-\d\d \d\d:\d\d UTC", " ".join(text(mail[1]).split()))
    assert "mails" not in shout.shoutctl("account", "delete", customer.id, "--now")


def test_a_credential_is_mailed_when_asked_for(shout, sink):
    customer = Customer(shout, sink, "--language", "it")
    customer.mails(4)
    assert shout.shoutctl("account", "add-user", customer.id)["mails"] == []
    made = shout.shoutctl("account", "add-user", customer.id, "--mail")
    renewed = shout.shoutctl("account", "password", customer.id, "--username", customer.made["username"], "--mail")
    assert made["mails"] == renewed["mails"] == ["username", "password"]
    texts = [text(mail) for mail in (email.message_from_bytes(one.body, policy=email.policy.default)
                                              for one in customer.raw(4))]
    for secret in (made["password"], renewed["password"]):
        assert sum(secret in told for told in texts) == 1
    assert not any(one["username"] in told and one["password"] in told for told in texts for one in (made, renewed))


def test_a_mail_can_be_asked_for_again_but_no_password(shout, sink):
    customer = Customer(shout, sink, "--language", "en")
    customer.mails(4)
    for key, arrives in (("activation", "activation"), ("username", "username"), ("config", "config-credentials")):
        assert shout.shoutctl("account", "mail", key, customer.id)["mails"] == [arrives]
        mail, = customer.mails(1).items()
        assert mail[0] == subject(arrives, "en")
        assert (customer.made["username"] in text(mail[1])) == (key == "username")
    for words, what in ((("config", "k3m9x2p7qa"), "no account"),
                        (("username", customer.id, "--username", "nobody"), "nobody")):
        status, _, errors = ctl(shout, "account", "mail", *words)
        assert status == 1 and what in errors
    shout.shoutctl("account", "add-user", customer.id)
    status, _, errors = ctl(shout, "account", "mail", "username", customer.id)
    assert status == 1 and "2 users" in errors


def test_a_password_is_nowhere_but_in_its_mail(shout, sink):
    """queue.mdb has the mail itself, until another takes its page."""
    customer = Customer(shout, sink)
    customer.mails(4)
    secret = customer.made["password"].encode()
    wait_for(lambda: len([event for event in shout.events("delivered") if customer.contact in str(event)]) == 4)
    places = [path for path in shout.state_dir.rglob("*") if path.is_file() and path.name != "queue.mdb"]
    assert any("events" in path.parts for path in places)
    assert not [path for path in places if secret in path.read_bytes()] and secret.decode() not in shout.log()
    assert secret.decode() not in str(shout.shoutctl("why", customer.id)) + str(shout.shoutctl("why", customer.contact))


def test_a_name_from_outside_writes_no_line_of_its_own(shout, sink):
    status, _, errors = ctl(shout, "account", "add", "--name", "x\r\nBcc: all@b.example", "--contact", "x@mailbox.example",
                            "--domain", "evil.example")
    assert status == 1 and "--name" in errors
    name = "=?utf-8?q?Bcc:_all=40b.example?= {PASSWORD} [" + "x" * 150
    customer = Customer(shout, sink, "--language", "en", name=name)
    mail = customer.mails(4)[subject("activation", "en")]
    assert mail["Bcc"] is None and name in " ".join(text(mail).split())


def test_a_contact_that_refuses_gets_no_answer_and_nobody_is_told(shout, sink):
    customer = Customer(shout, sink)
    customer.mails(4)
    rule = sink.on("rcpt", "550 5.1.1 who?", match=customer.contact)
    shout.shoutctl("account", "disable", customer.id)
    wait_for(lambda: [event for event in shout.events("bounced") if customer.contact in str(event)])
    sink.rules.remove(rule)
    wait_for(lambda: shout.shoutctl("queue", "list")["total"] == 0)


@pytest.fixture
def texts(tmp_path):
    tmp_path.chmod(0o755)
    for language in ("it", "en"):
        (tmp_path / language).mkdir()
    return tmp_path


@pytest.mark.parametrize("name, wrong, what", [
    ("it/activation.txt", "Only a subject\n", "activation.txt:2: an empty line"),
    ("en/activation.txt", "s\n\nat {TIME}\n", "activation.txt:3: this mail knows no {TIME}"),
    ("en/password.txt", "s\n\n{PASSWORD} of {ACCOUNT}\n", "password.txt:3: this mail knows no {ACCOUNT}"),
    ("en/username.txt", "s\n\n{username}\n", "is no {NAME}"),
    ("en/username.txt", "s\n\n\n[{USERNAME}\n", "a [ without its other"),
    ("it/username.txt", "s\r\n\r\na\x07\r\n", "username.txt:3: it holds a control character"),
    ("it/welcome.txt", "s\n\nt\n", "welcome.txt: no mail has this name"),
    ("it/username.txt", "s\n\n" + "x" * 40000, "larger than 32 KB"),
])
def test_a_text_that_is_wrong_is_named_and_nothing_starts(rig, sink, certificate, texts, name, wrong, what):
    (texts / name).write_bytes(wrong.encode())
    shout = harness.Shout(rig.path("shout"), rig.redis(), route=sink.host, certificate=certificate,
                          settings={"service": {**SERVICE, "notices": str(texts)}})
    shout.start(wait=False)
    assert shout.process.wait(30) != 0 and "service.notices" in shout.log()
    done = subprocess.run([BUILD / "shout", "check", *shout.command[2:], "--json"], capture_output=True, text=True)
    assert done.returncode == 1 and what in done.stdout, done.stdout


def test_the_providers_own_text_is_sent(rig, sink, certificate, texts):
    (texts / "en/suspended.txt").write_bytes("Stopped: {ACCOUNT}\r\n\r\nCall {SUPPORT}[ or see {PANEL}].\r\n".encode())
    service = {**SERVICE, "notices": str(texts)}
    del service["panel"]
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"service": service})
    customer = Customer(shout, sink, "--language", "en")
    customer.mails(4)
    shout.shoutctl("account", "disable", customer.id)
    (title, mail), = customer.mails(1).items()
    assert title == "[Mail Relay] Stopped: Acme" and "\nCall help@provider.example.\n" in text(mail)


def test_a_text_is_read_again_and_a_broken_one_is_not_taken(rig, sink, certificate, texts):
    file = texts / "en/suspended.txt"
    file.write_text("First: {ACCOUNT}\n\nCall us.\n")
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"service": {**SERVICE, "notices": str(texts)}})
    customer = Customer(shout, sink, "--language", "en")
    customer.mails(4)

    def told(expected):
        shout.shoutctl("account", "disable", customer.id)
        assert list(customer.mails(1)) == [f"[Mail Relay] {expected}"]
        shout.shoutctl("account", "enable", customer.id)
        customer.mails(1)
    told("First: Acme")
    for text, said, expected in (("Second: {ACCOUNT}\n\nCall us.\n", "the texts of mails were read again", "Second: Acme"),
                                 ("Third: {NOBODY}\n\nCall us.\n", "the texts of mails stay as they were", "Second: Acme")):
        file.write_text(text)
        shout.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said in shout.log())
        told(expected)
    file.unlink()
    before = shout.log().count("the texts of mails were read again")
    shout.process.send_signal(signal.SIGHUP)
    wait_for(lambda: shout.log().count("the texts of mails were read again") > before)
    told("Service suspended")


def test_without_a_name_no_customer_gets_mail(rig, sink, certificate):
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    customer = Customer(shout, sink)
    assert "mails" not in customer.made
    for words in (("account", "mail", "config", customer.id), ("account", "password", customer.id, "--mail")):
        status, _, errors = ctl(shout, *words)
        assert status == 1 and "service.name" in errors
    assert shout.shoutctl("queue", "list")["total"] == 0 and not sink.find(recipient=customer.contact)
