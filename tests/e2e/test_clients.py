"""The mail programs that customers send with, each against a real Shout: what they deliver arrives byte
for byte, and what is refused is told to their users in our words."""

import re

import mailers
import pytest
from harness import wait_for
from mailers import PROGRAMS, Mail

# Date and Message-ID are there, so that nobody adds them
MESSAGE = ("Received: from desk.client.example by client.example; Tue, 24 Nov 2026 03:59:59 +0100\r\n"
           "From: Boss <boss@{domain}>\r\nTo: <{recipient}>\r\nSubject: =?utf-8?q?caff=C3=A8?= and a subject\r\n"
           "\tthat is folded\r\nDate: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <1@{domain}>\r\n"
           "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Transfer-Encoding: 8bit\r\n\r\n"
           "Buongiorno, perch\u00e9 no?\r\n.\r\n..two dots\r\n trailing blanks  \r\n\r\n"
           + "x" * 990 + "\r\nFrom here\r\n.end\r\n")


def number(counter=iter(range(1000000))):
    return next(counter)


@pytest.fixture(scope="module")
def accounts(shout):
    """program -> an account of its own, so that the failures of one are not counted against another."""
    made = {}

    def account(program):
        if program not in made:
            made[program] = shout.account_add(name=program, domain=f"c{len(made)}.example")
            made[program]["domain"] = f"c{len(made) - 1}.example"
        return made[program]
    return account


@pytest.fixture
def mail(shout, accounts, module_rig):
    """mail("swaks") is a Mail that has to arrive; keywords spoil it."""
    def make(program, kind="starttls", header_from=None, **changes):
        account = accounts(program)
        recipient = f"r{number()}@elsewhere.example"
        message = MESSAGE.format(domain=header_from or account["domain"], recipient=recipient).encode()
        fields = {"directory": module_rig.path(re.sub(r"\W", "", program)), "port": shout.ports[kind], "kind": kind,
                  "certificate": shout.certificate, "username": account["username"],
                  "password": account["password"], "sender": f"boss@{account['domain']}",
                  "recipient": recipient, "message": message,
                  "hostname": f"mail.{account['domain']}"}
        return Mail(**(fields | changes))
    return make


def without_traces(body):
    """The message without the Received fields before it: ours, and the customer's servers'."""
    fields = re.match(rb"(?:Received:.*\r\n(?:[ \t].*\r\n)*)+", body)
    return body[fields.end():]


def assert_arrives(sink, mail):
    message, = wait_for(lambda: sink.find(mail.recipient), what=f"{mail.recipient} has mail")
    assert without_traces(message.body) == without_traces(mail.message)
    assert (message.sender, message.recipients) == (mail.sender, [mail.recipient])


@pytest.mark.parametrize("kind", ["starttls", "implicit"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_sends_arrives_byte_for_byte(mail, sink, program, kind):
    one = mail(program, kind)
    taken, output = PROGRAMS[program](one)
    assert taken, output
    assert_arrives(sink, one)


WRONG = {
    "wrong password": ({"password": "wrong"}, "535 5.7.8 "),
    "unknown user": ({"username": "nobody"}, "535 5.7.8 "),
    "no AUTH": ({"username": ""}, "530 5.7.0 "),
    "another account's MAIL FROM": ({"sender": "boss@other.example"}, "550 5.7.1 .*other.example"),
    "another account's From": ({"header_from": "other.example"}, "550 5.7.1 .*other.example"),
}


@pytest.fixture(scope="module")
def other(shout):
    return shout.account_add(name="other", domain="other.example")


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_refusal_reaches_the_program_s_user(mail, other, program, what):
    changes, reply = WRONG[what]
    taken, output = PROGRAMS[program](mail(program, **changes))
    assert not taken
    assert re.search(reply, output, re.S), output


@pytest.mark.parametrize("program", ["Postfix", "Exim"])
def test_a_server_s_own_bounces_pass(mail, other, sink, program):
    """They have the null sender and come From the server's host name, below the account's domain."""
    one = mail(program, header_from="other.example")
    PROGRAMS[program](one)
    bounce, = wait_for(lambda: [m for m in sink.find(one.sender) if one.recipient.encode() in m.body],
                       what="the bounce arrives")
    assert bounce.sender == "" and f"@mail.{one.sender.split('@')[1]}" in bounce.header("From")
    assert b"550 5.7.1 From <boss@other.example>" in re.sub(rb"\s+", b" ", bounce.body)


MECHANISMS = [(mailers.swaks, "PLAIN"), (mailers.swaks, "LOGIN"),
              *((mailers.msmtp, name) for name in ("plain", "login", "scram-sha-256"))]


@pytest.mark.parametrize("program, mechanism", MECHANISMS, ids=[f"{p.__name__} {m}" for p, m in MECHANISMS])
def test_mechanisms(mail, sink, program, mechanism):
    one = mail(program.__name__)
    taken, output = program(one, mechanism)
    assert taken, output
    assert_arrives(sink, one)
    taken, output = program(mail(program.__name__, password="wrong"), mechanism)
    assert not taken and "535 5.7.8 " in output, output


def test_no_mechanism_that_would_need_the_password_itself_is_offered(mail):
    taken, output = mailers.swaks(mail("swaks"), "CRAM-MD5")
    assert not taken and "AUTH PLAIN LOGIN SCRAM-SHA-256" in output and not re.search(r"\bCRAM", output)


@pytest.mark.parametrize("kind", ["plain", "starttls"])
@pytest.mark.parametrize("program", ["Postfix", "Exim"])
def test_a_server_may_relay_by_its_address_alone(mail, by_address, sink, program, kind):
    """What arrives from another address is nobody's."""
    one = mail(program, kind, username="", source="127.0.0.5", sender="boss@byip.example", header_from="byip.example")
    taken, output = PROGRAMS[program](one)
    assert taken, output
    assert_arrives(sink, one)
    stranger = mail(program, kind, username="", source="127.0.0.6", sender="boss@byip.example",
                    header_from="byip.example")
    taken, output = PROGRAMS[program](stranger)
    assert not taken and "530 5.7.0 " in output, output


@pytest.fixture(scope="module")
def by_address(shout):
    return shout.account_add(name="byip", domain="byip.example", mode="ip", ip="127.0.0.5")
