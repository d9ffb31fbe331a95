"""Each kind of refusal is found by each thing that a customer may know of it, within two commands."""

import json
import re
import subprocess

import dialogue
import pytest
from dialogue import CLOSED, letter, plain
from harness import BUILD, wait_for

NAMES = "mail.customer.example"


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return dialogue.start(module_rig, redis, sink, certificate, ("plain", "starttls", "implicit"),
                          recipients_max=100, errors_max=3, connections_per_address=6,
                          stranger_rates={"connections": 40, "handshakes": 3, "commands": 30})


def originator(talk):
    talk.login()
    talk.ask("MAIL FROM:<eve@other.example>", "550 5.7.1 ")


def header(talk):
    talk.login()
    talk.message(letter("boss@other.example"), "h@acme.example", "header@dest.example").see("550 5.7.1 ")


def quota(talk):
    talk.login("small", "pw")
    for _ in range(2):
        talk.accepted(letter("q@small.example"), sender="q@small.example")
    talk.begin("q@small.example", "quota@dest.example")
    talk.ask("DATA", "451 4.7.1 ")


def unknown_user(talk):
    talk.ask("AUTH PLAIN " + plain("nobody@acme.example", "x"), "535 ")


def wrong_password(talk):
    talk.ask("AUTH LOGIN", "334 ")
    talk.ask(dialogue.b64("s"), "334 ")
    talk.ask(dialogue.b64("not it"), "535 ")


def no_login(talk):
    talk.ask("MAIL FROM:<printer@acme.example>", "530 5.7.0 ")


def no_tls(talk):
    talk.ask("MAIL FROM:<clear@acme.example>", "530 5.7.0 Must issue")


def announced(talk):
    talk.login()
    talk.ask("MAIL FROM:<big@acme.example> SIZE=99999999", "552 5.3.4 ")


def size(talk):
    talk.login()
    talk.message(letter(body="0123456789\r\n" * 100000), "large@acme.example", "size@dest.example").see("552 5.3.4 ")


def syntax(talk):
    talk.login()
    talk.ask("MAIL FROM:<two words@acme.example>", "501 5.1.7 ")


def recipient_syntax(talk):
    talk.login()
    talk.ask("MAIL FROM:<ok@acme.example>", "250 ")
    talk.ask("RCPT TO:<to whom@dest.example>", "501 5.1.3 ")


def no_domain(talk):
    talk.login()
    talk.ask("MAIL FROM:<local@acme.example>", "250 ")
    talk.ask("RCPT TO:<bob>", "550 5.1.3 ")


def too_many(talk):
    talk.login()
    talk.begin("many@acme.example", "r1@dest.example")
    for name in range(2, 101):
        talk.ask(f"RCPT TO:<r{name}@dest.example>", "250 ")
    talk.ask("RCPT TO:<fourth@dest.example>", "452 4.5.3 ")


def suspended(talk):
    talk.login("stopped", "pw")
    talk.ask("MAIL FROM:<me@stopped.example>", "550 5.7.1 This account is suspended")


def content(talk):
    talk.login()
    talk.message(letter(body="a\0b"), "nul@acme.example", "nul@dest.example").see("554 5.6.0 ")


def loop(talk):
    talk.login()
    talk.message(b"Received: by x\r\n" * 101 + letter(), "loop@acme.example", "loop@dest.example").see("554 5.4.6 ")


def parameter(talk):
    talk.login()
    talk.ask("MAIL FROM:<par@acme.example> COLOUR=red", "555 5.5.4 ")


def handshake(talk):
    talk.ask("STARTTLS", "220 ")
    talk.raw(b"this is no TLS\r\n" * 10)


def errors(talk):
    for _ in range(3):
        talk.ask("HOW ARE YOU", "500 ")
    talk.run([("HOW ARE YOU", "500 "), (None, "421 4.7.0 Too many errors"), (None, CLOSED)])


def order(talk):
    talk.login()
    talk.ask("RCPT TO:<early@dest.example>", "503 5.5.1 ")


def ahead(talk):
    talk.raw(b"EHLO a\r\nEHLO b\r\n").see("554 5.5.0 Nothing")


def commands(talk):
    """As many as a stranger may have that lead nowhere."""
    while talk.ask("NOOP", "").startswith("250"):
        pass


# name: what the client does, the event, its reply, and what else is in it
ACME = {"username": "joe@acme.example", "account": "acme"}
CASES = {
    originator: ("rejected", "550 5.7.1 ", {"from": "eve@other.example", "command": "MAIL", "reason": "originator", **ACME}),
    header: ("rejected", "550 5.7.1 From <boss@other.example>", {
        "from": "h@acme.example", "to": ["header@dest.example"], "command": "end of data", "reason": "originator", **ACME}),
    quota: ("rejected", "451 4.7.1 Your limit of ", {
        "from": "q@small.example", "to": ["quota@dest.example"], "command": "DATA", "reason": "quota",
        "username": "small", "account": "small"}),
    unknown_user: ("auth-failed", "535 5.7.8 ", {"username": "nobody@acme.example", "command": "AUTH",
                                                 "reason": "unknown user"}),
    wrong_password: ("auth-failed", "535 5.7.8 ", {"username": "s", "command": "AUTH", "reason": "wrong password"}),
    no_login: ("rejected", "530 5.7.0 ", {"from": "printer@acme.example", "command": "MAIL", "reason": "auth"}),
    no_tls: ("rejected", "530 5.7.0 ", {"from": "clear@acme.example", "command": "MAIL", "reason": "tls"}),
    announced: ("rejected", "552 5.3.4 ", {"from": "big@acme.example", "command": "MAIL", "reason": "size", **ACME}),
    size: ("rejected", "552 5.3.4 ", {"from": "large@acme.example", "to": ["size@dest.example"],
                                      "command": "end of data", "reason": "size", **ACME}),
    syntax: ("rejected", "501 5.1.7 ", {"from": "two words@acme.example", "command": "MAIL", "reason": "syntax", **ACME}),
    recipient_syntax: ("rejected", "501 5.1.3 ", {"from": "ok@acme.example", "to": ["to whom@dest.example"],
                                                  "command": "RCPT", "reason": "syntax", **ACME}),
    no_domain: ("rejected", "550 5.1.3 ", {"from": "local@acme.example", "to": ["bob"], "command": "RCPT",
                                           "reason": "recipient", **ACME}),
    too_many: ("rejected", "452 4.5.3 ", {"from": "many@acme.example", "to": ["fourth@dest.example"],
                                          "command": "RCPT", "reason": "recipients", **ACME}),
    suspended: ("rejected", "550 5.7.1 This account is suspended", {
        "from": "me@stopped.example", "username": "stopped", "account": "stopped", "reason": "suspended"}),
    content: ("rejected", "554 5.6.0 The message holds NUL", {
        "from": "nul@acme.example", "to": ["nul@dest.example"], "command": "end of data", "reason": "content", **ACME}),
    loop: ("rejected", "554 5.4.6 ", {"from": "loop@acme.example", "to": ["loop@dest.example"],
                                      "command": "end of data", "reason": "loop", **ACME}),
    parameter: ("rejected", "555 5.5.4 ", {"from": "par@acme.example", "command": "MAIL", "reason": "syntax", **ACME}),
    handshake: ("tls-failed", None, {"command": "STARTTLS"}),
    errors: ("rejected", "421 4.7.0 Too many errors", {"reason": "errors"}),
    order: ("rejected", "503 5.5.1 ", {"to": ["early@dest.example"], "command": "RCPT", "reason": "order", **ACME}),
    ahead: ("rejected", "554 5.5.0 Nothing may be sent behind EHLO", {"command": "EHLO", "reason": "order"}),
    commands: ("rejected", "421 4.7.0 Too many commands", {"command": "NOOP", "reason": "rate"}),
}
SOURCES = {case: f"127.9.0.{i}" for i, case in enumerate(CASES, 1)}
LISTENER = {no_tls: "starttls", handshake: "starttls"}


def events(shout, *words):
    """The lines of `shoutctl events`, each one JSON."""
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "--json", "events", *words],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def refused(shout):
    """What each case left: {case: its event}"""
    for case, source in SOURCES.items():
        with dialogue.Talk(shout.ports[LISTENER.get(case, "plain")], source=source) as talk:
            if case in (ahead,):
                talk.see("220 ")
            else:
                talk.hello(NAMES)
            case(talk)
    found = {}
    for case, (kind, reply, _) in CASES.items():
        found[case] = wait_for(lambda k=kind, r=reply, c=case: [
            event for event in shout.events(k)
            if event.get("client") == SOURCES[c] and event.get("reply", "").startswith(r or "")],
            what=case.__name__)[0]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_an_event_says_what_was_refused(refused, case):
    event, wanted = refused[case], CASES[case][2]
    assert wanted.items() <= event.items(), event
    assert event["count"] >= 1 and event["first"] <= event["time"]
    if case is not ahead:
        assert event["helo"] == NAMES
    assert ("error" in event) == (event["event"] == "tls-failed")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_is_found_by_whatever_the_customer_knows(shout, refused, case):
    event = refused[case]
    keys = [("client", event["client"])] + [(key, event[key]) for key in ("from", "username", "account")
                                            if key in event]
    keys += [("to", to) for to in event.get("to", [])]
    for option, value in keys:
        assert event in events(shout, f"--{option}", value, "--limit", "1000"), option
        assert event in events(shout, f"--{option}", value.upper(), "--event", event["event"], "--limit", "1000")
        assert event not in events(shout, f"--{option}", {"client": "192.0.2.9"}.get(option, "no@one.example"))
        answer = shout.shoutctl("why", value, "--limit", "100")
        assert event in answer["refusals"] and answer["refused"] >= 1, option
    for word in ("from", "to"):
        domain = (event.get(word) if word == "from" else event.get(word, [""])[0]) or ""
        if "@" in domain:
            assert event in events(shout, "--domain", domain.split("@")[1].upper(), "--limit", "1000")
    assert event in events(shout, "--client", event["client"] + "/32")
    assert event in events(shout, "--client", "::ffff:" + event["client"])
    assert events(shout, "--client", event["client"], "--from", "nobody@nowhere.example") == []


def test_the_door_tells_whom_it_did_not_let_in(shout):
    source = "127.9.1.1"
    talks = [dialogue.Talk(shout.ports["plain"], source=source) for _ in range(6)]
    for talk in talks:
        talk.see("220 ")
    dialogue.Talk(shout.ports["plain"], source=source).see("421 4.3.2 Too many connections from your address")
    event = wait_for(lambda: events(shout, "--client", source, "--event", "rejected"), what="its event")[0]
    assert event["command"] == "connect" and event["reason"] == "connections"
    assert event in shout.shoutctl("why", source)["refusals"]
    for talk in talks:
        talk.socket.close()


def test_it_is_told_by_time(shout, refused):
    event = refused[originator]
    search = ("--client", event["client"])
    assert event in events(shout, *search, "--since", "1h")
    assert event in events(shout, *search, "--since", event["time"])
    assert event in events(shout, *search, "--since", event["time"][:10])
    assert event not in events(shout, *search, "--until", event["time"])
    assert event not in events(shout, *search, "--since", "10m", "--until", event["time"])
    assert event in events(shout, *search, "--since", "2026-01-01", "--until", "2099-01-01 10:00")
    assert events(shout, *search, "--until", "2026-01-01T00:00:00+02:00") == []


def shown_of(printed):
    """The lines of one event: they begin with its time."""
    return next(" ".join(part.split()) for part in re.split(r"\n(?= {0,2}20\d\d-)", printed) if "header@dest.example" in part)


def test_people_read_it_in_lines_of_a_terminals_width(shout, refused):
    event = refused[header]
    for words in (("events", "--client", event["client"]), ("why", event["client"])):
        done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *words], capture_output=True, text=True, timeout=60)
        line = shown_of(done.stdout)
        assert words[0] == "events" or max(map(len, done.stdout.splitlines())) <= 100
        assert "rejected" in line and "550 5.7.1 From <boss@other.example>" in line
        assert "from=h@acme.example" in line and "username=joe@acme.example" in line and "to=header@dest.example" in line


def test_what_a_client_says_moves_no_cursor(shout):
    source = "127.9.1.2"
    with dialogue.Talk(shout.ports["plain"], source=source) as talk:
        talk.see("220 ")
        talk.raw("EHLO \u202eevil\x1b[2J\x9b\r\n".encode()).see("5|250")
        talk.raw("MAIL FROM:<\u202e\x1b]0;x\x07@acme.example>\r\n".encode()).see("5")
        talk.raw(b"MAIL FROM:<\xff\xfe@acme.example>\r\n").see("5")
    wait_for(lambda: events(shout, "--client", source))
    for words in (["events", "--client", source], ["--json", "events", "--client", source], ["why", source]):
        done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *words], capture_output=True, timeout=60)
        text = done.stdout.decode()
        assert done.returncode == 0 and source in text
        assert not any(c in text for c in "\u202e\x1b\x07\x9b"), text
