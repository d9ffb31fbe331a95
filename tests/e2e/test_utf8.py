"""Mail that is not ASCII, and hosts that do not take it: a sink without SMTPUTF8 and 8BITMIME, one that has
both, and a Postfix that refuses what is labelled lower than it is."""

import email
import email.policy

import pytest

from harness import free_port, send, wait_for
from postfix import Postfix
from sink import Sink

SENDER = "anna@customer.example"
HEADER = "From: Anna <anna@customer.example>\r\nMessage-ID: <1@customer.example>\r\n"
OLD = [word for word in Sink.EXTENSIONS if word not in ("SMTPUTF8", "8BITMIME")]


class World:
    """full.example and old.example at a sink each, both.example at both, old first; what goes back to
    customer.example passes through Postfix to the full one."""

    def __init__(self, rig, certificate):
        port = free_port()
        self.old = rig.sink(address="127.0.0.2", port=port, extensions=OLD)
        self.full = rig.sink(address="127.0.0.3", port=port)
        self.postfix = Postfix(rig.path("postfix"), port, {
            "smtputf8_enable": "no",
            "smtpd_discard_ehlo_keywords": "smtputf8",
            "strict_8bitmime": "yes",
            "strict_mime_encoding_domain": "yes",
            "relayhost": f"[{self.full.address}]:{port}"})
        self.postfix.start()
        names = "mx1 A 127.0.0.2\nmx2 A 127.0.0.3\nmx3 A 127.0.0.1\n"
        nsd = rig.nsd({"old.example": "@ MX 10 mx1\n" + names, "full.example": "@ MX 10 mx2\n" + names,
                       "both.example": "@ MX 10 mx1\n@ MX 20 mx2\n" + names,
                       "xn--bcher-kva.example": "@ MX 10 mx1\n" + names,
                       "customer.example": "@ MX 10 mx3\n" + names})
        self.shout = rig.shout(rig.redis(), certificate=certificate, settings={
            "sender": {"port": port}, "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
        self.account = self.shout.account_add()

    def post(self, recipients, text, options=("SMTPUTF8", "BODY=8BITMIME")):
        body = text if isinstance(text, bytes) else text.encode()
        with self.shout.smtp(account=self.account) as client:
            return send(client, SENDER, recipients, body, list(options))

    def end(self, message_id):
        """The event that ended the message's only recipient."""
        return wait_for(lambda: [e for e in self.shout.events(message_id=message_id)
                                 if e["event"] in ("delivered", "bounced")], 60, f"the end of {message_id}")[0]

    def report(self, message_id):
        """The DSN about a message, which Postfix let pass."""
        return wait_for(lambda: [m for m in self.full.find(SENDER) if message_id.encode() in m.body],
                        60, f"a DSN about {message_id}")[0]


@pytest.fixture(scope="module")
def world(module_rig, certificate):
    world = World(module_rig, certificate)
    yield world
    world.postfix.stop()


NEEDED = [f"{name}: Jörg <jörg@elsewhere.example>" for name in
          ("To", "Cc", "Reply-To", "Sender", "Resent-To", "Resent-Cc", "Disposition-Notification-To",
           "Return-Receipt-To")] + [
    "To: a@elsewhere.example, <b@bücher.example>",
    "Cc: Gruppe: a@elsewhere.example, ä@elsewhere.example;",
]
SPARED = ["Subject: perché no", "To: Jörg <joerg@elsewhere.example>", "Cc: Gäste: a@elsewhere.example;",
          "Comments: jörg@elsewhere.example", "To: a@elsewhere.example (jörg@elsewhere.example)",
          "To: <a@xn--bcher-kva.example>", "Bcc: jörg@elsewhere.example"]


def test_addresses_alone_need_smtputf8(world):
    sent = [(field, world.post("bob@old.example", f"{HEADER}{field}\r\n\r\nx\r\n"))
            for field in NEEDED + SPARED]
    ends = {field: world.end(message_id) for field, message_id in sent}
    assert [field for field, end in ends.items() if end["event"] == "bounced"] == NEEDED
    assert {end["enhanced"] for end in ends.values() if end["event"] == "bounced"} == {"5.6.7"}


def test_who_did_not_ask_for_smtputf8_is_not_bounced_for_it(world):
    message_id = world.post("bob@old.example", f"{HEADER}To: <jörg@elsewhere.example>\r\n\r\nx\r\n", [])
    assert world.end(message_id)["event"] == "delivered"


def test_only_the_recipient_that_needs_smtputf8_bounces(world):
    message_id = world.post(["jörg@old.example", "plain@old.example"], f"{HEADER}\r\nx\r\n")
    ends = wait_for(lambda: len(found := [e for e in world.shout.events(message_id=message_id)
                                          if e["event"] in ("delivered", "bounced")]) == 2 and found)
    assert {e["event"]: e["to"] for e in ends} == {"delivered": ["plain@old.example"], "bounced": ["jörg@old.example"]}
    message, = world.old.find("plain@old.example")
    assert message.recipients == ["plain@old.example"]


def test_another_host_of_the_domain_may_offer_smtputf8(world):
    message_id = world.post(["jörg@both.example", "plain@both.example"], f"{HEADER}\r\nx\r\n")
    wait_for(lambda: world.full.find("jörg@both.example"), what="it is at the second host")
    assert "SMTPUTF8" in world.full.find("jörg@both.example")[0].mail_parameters
    wait_for(lambda: world.old.find("plain@both.example"), what="the other one is at the first")
    assert not world.shout.events("bounced", message_id)


def test_a_domain_in_utf8_needs_no_smtputf8(world):
    message_id = world.post("bob@bücher.example", "Message-ID: <2@customer.example>\r\n\r\nx\r\n")
    assert world.end(message_id)["event"] == "delivered"
    message, = world.old.find("bob@xn--bcher-kva.example")
    assert message.body.isascii() and b"for <bob@xn--bcher-kva.example>" in message.body


@pytest.mark.parametrize("option", ["BODY=7BIT", "BODY=8BITMIME", ""])
def test_8bit_is_announced_whatever_the_client_said(world, option):
    """To a host that takes it; another one gets the customer's bytes as they came."""
    name = option[5:].lower() or "none"
    text = f"{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\nperché\r\n".encode()
    world.post(f"{name}@full.example", text, [option] if option else [])
    world.post(f"{name}@old.example", text, [option] if option else [])
    message = wait_for(lambda: world.full.find(f"{name}@full.example"))[0]
    assert "BODY=8BITMIME" in message.mail_parameters and message.body.endswith(text)
    message = wait_for(lambda: world.old.find(f"{name}@old.example"))[0]
    assert not [word for word in message.mail_parameters if word.startswith("BODY")]
    assert message.body.endswith(text)


def parts(message):
    """Of a report: (text for people, status, original), each free of what the parser calls a defect."""
    parsed = email.message_from_bytes(message.body, policy=email.policy.default)
    for part in parsed.walk():
        assert not part.defects, (part.get_content_type(), part.defects)
        for field, value in part.items():
            assert not value.defects or part is not parsed, (field, value.defects)
    assert parsed.get_content_type() == "multipart/report"
    return list(parsed.iter_parts())


MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
ORIGINALS = {
    "ASCII": f"{HEADER}Subject: x\r\n\r\nx\r\n",
    "a UTF-8 body": f"{HEADER}{MIME}Subject: x\r\n\r\nperché\r\n",
    "a UTF-8 subject": f"{HEADER}Subject: perché\r\n\r\nx\r\n",
    "a Latin-1 subject": f"{HEADER}Subject: perché\r\n\r\nx\r\n".encode("latin-1"),
    "a UTF-8 address": f"{HEADER}To: <jörg@elsewhere.example>\r\n\r\nx\r\n",
}


@pytest.mark.parametrize("ret", ["HDRS", "FULL"])
def test_a_report_is_labelled_by_what_it_holds(world, ret):
    world.full.on("rcpt", "550 5.1.1 non c'è\r\n".encode(), match="nobody")
    sent = {name: world.post("nobody+1@full.example", text, ["SMTPUTF8", f"RET={ret}"])
            for name, text in ORIGINALS.items()}
    for name, message_id in sent.items():
        message = world.report(message_id)
        people, status, original = parts(message)
        assert "non c'è" in people.get_content() and people["Content-Transfer-Encoding"] == "quoted-printable"
        assert status.get_content_type() == "message/delivery-status" and status.as_bytes().isascii()
        whole = ret == "FULL" and name in ("ASCII", "a UTF-8 body")
        assert message.body.isascii() == (name != "a UTF-8 body" or not whole)
        if name in ("ASCII", "a UTF-8 body", "a UTF-8 address"):
            assert original.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
        if whole and name == "a UTF-8 body":
            assert "perché" in original.get_content().get_content()
        if not whole and name == "a UTF-8 subject":
            assert "perché" in original.get_content()


def test_a_report_of_an_address_in_utf8_goes_to_any_host(world):
    message_id = world.post("jörg+1@old.example", f"{HEADER}\r\nx\r\n")
    message = world.report(message_id)
    people, status, _ = parts(message)
    assert message.body.isascii() and "jörg+1@old.example" in people.get_content()
    assert status.get_payload()[1]["Final-Recipient"] == r"utf-8;j\x{F6}rg\x{2B}1@old.example"
    assert status.get_payload()[1]["Status"] == "5.6.7"
