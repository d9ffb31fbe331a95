"""AUTH: mechanisms, listeners that want TLS first, failures, and accounts by address."""

import base64
import hashlib
import hmac
import json
import os

import dialogue
import pytest
from dialogue import CLOSED, KNOWN, STRANGER, b64, letter, plain
from harness import wait_for

GOOD = {
    "PLAIN": [("AUTH PLAIN " + plain("joe@acme.example", "secret word"), "235 2.7.0 ")],
    "PLAIN on a line of its own": [("AUTH PLAIN", "334 $"), (plain("joe@acme.example", "secret word"), "235 ")],
    "PLAIN in lower case": [("auth plain " + plain("joe@acme.example", "secret word"), "235 ")],
    "PLAIN with the same authzid": [("AUTH PLAIN " + plain("joe@acme.example", "secret word", "joe@acme.example"),
                                     "235 ")],
    "PLAIN, username in capitals": [("AUTH PLAIN " + plain("JOE@acme.Example", "secret word"), "235 ")],
    "LOGIN": [("AUTH LOGIN", "334 VXNlcm5hbWU6$"), (b64("joe@acme.example"), "334 UGFzc3dvcmQ6$"),
              (b64("secret word"), "235 ")],
    "LOGIN with blanks behind each line": [("AUTH LOGIN ", "334 "), (b64("joe@acme.example") + " ", "334 "),
                                           (b64("secret word") + " ", "235 ")],
    "LOGIN with the username": [("AUTH LOGIN " + b64("joe@acme.example"), "334 UGFzc3dvcmQ6$"),
                                (b64("secret word"), "235 ")],
    "LOGIN, an unreadable name first": [("AUTH LOGIN", "334 "), (b64("joe@acme.example\n"), "501 "),
                                        ("AUTH LOGIN " + b64("joe@acme.example"), "334 "), (b64("secret word"), "235 ")],
    "PLAIN with the same authzid in capitals": [
        ("AUTH PLAIN " + plain("joe@acme.example", "secret word", "JOE@Acme.example"), "235 ")],
    "LOGIN with CRs at the ends": [(b"AUTH LOGIN\r\r\n", "334 "), (b64("joe@acme.example").encode() + b"\r\r\n", "334 "),
                                   (b64("secret word").encode() + b"\r\r\r\n", "235 ")],
    "a failure, then success": [("AUTH PLAIN " + plain("joe@acme.example", "x"), "535 5.7.8 "),
                                ("AUTH PLAIN " + plain("joe@acme.example", "secret word"), "235 ")],
}

BAD = {
    "no mechanism": [("AUTH", "501 5.5.4 ")],
    "an unknown mechanism": [("AUTH CRAM-MD5", "504 5.5.4 "), ("AUTH GSSAPI x", "504 ")],
    "no base 64": [("AUTH PLAIN ***", "501 5.5.2 "), ("AUTH PLAIN abc", "501 "), ("AUTH PLAIN =", "501 ")],
    "PLAIN without NULs": [("AUTH PLAIN " + b64("joe"), "501 5.5.2 ")],
    "PLAIN with one NUL": [("AUTH PLAIN " + b64("joe\0pw"), "501 ")],
    "PLAIN for someone else": [("AUTH PLAIN " + plain("joe@acme.example", "secret word", "o"), "535 5.7.8 ")],
    "SCRAM for someone else": [("AUTH SCRAM-SHA-256 " + b64("n,a=o,n=joe@acme.example,r=abc"), "535 5.7.8 ")],
    "PLAIN without a name": [("AUTH PLAIN " + plain("", "x"), "501 ")],
    "LOGIN without a name": [("AUTH LOGIN", "334 "), ("", "501 ")],
    "LOGIN, wrong password": [("AUTH LOGIN", "334 "), (b64("joe@acme.example"), "334 "), (b64("no"), "535 5.7.8 ")],
    "LOGIN, empty password": [("AUTH LOGIN", "334 "), (b64("joe@acme.example"), "334 "), ("", "535 ")],
    "LOGIN, unknown user": [("AUTH LOGIN", "334 "), (b64("who"), "334 "), (b64("no"), "535 5.7.8 ")],
    "cancelled": [("AUTH PLAIN", "334 "), ("*", "501 5.7.0 "), ("NOOP", "250 ")],
    "SCRAM with channel binding": [("AUTH SCRAM-SHA-256 " + b64("p=tls-unique,,n=joe@acme.example,r=abc"), "501 ")],
    "SCRAM without a name": [("AUTH SCRAM-SHA-256 " + b64("n,,n=,r=abc"), "501 ")],
    "SCRAM, garbage": [("AUTH SCRAM-SHA-256 " + b64("hello"), "501 ")],
    "SCRAM, final garbage": [("AUTH SCRAM-SHA-256 " + b64("n,,n=joe@acme.example,r=abc"), "334 "),
                             (b64("hello"), "5(01|35) ")],
}


JOE = "joe@acme.example"
SCRAM = "AUTH SCRAM-SHA-256 "
SCRAM_BEGUN = (SCRAM + b64(f"n,,n={JOE},r=abc"), "334 ")

# None of them tried a password of joe's, so none may count as his failure. In each the name or a part of
# it can be seen before what is wrong.
UNREADABLE = {
    "PLAIN, a control character in the name": [("AUTH PLAIN " + plain(JOE + "\x01", "x"), "501 5.5.2 ")],
    "PLAIN, a C1 in the name": [("AUTH PLAIN " + plain(JOE + "\u009b", "x"), "501 5.5.2 ")],
    "PLAIN, a hidden turn in the name": [("AUTH PLAIN " + plain("\u202e" + JOE, "x"), "501 5.5.2 ")],
    "PLAIN, a control character before": [("AUTH PLAIN", "334 "), (plain(JOE[:3] + "\n" + JOE[3:], "x"), "501 ")],
    "PLAIN, a third NUL": [("AUTH PLAIN " + plain(JOE, "x\0y"), "501 ")],
    "PLAIN without a password": [("AUTH PLAIN " + b64(f"\0{JOE}"), "501 ")],
    "PLAIN, a password too long": [("AUTH PLAIN " + plain(JOE, "x" * 1100), "501 ")],
    "PLAIN, a name too long": [("AUTH PLAIN " + plain(JOE + "x" * 255, "x"), "501 ")],
    "PLAIN, no base 64": [("AUTH PLAIN " + plain(JOE, "x").rstrip("=") + "*", "501 ")],
    "PLAIN, hyphens behind": [("AUTH PLAIN " + plain(JOE, "xy") + "----", "501 ")],
    "PLAIN, padding in the middle": [("AUTH PLAIN " + b64(f"\0{JOE}\0") + "=" + "A===", "501 ")],
    "PLAIN for someone else": [("AUTH PLAIN " + plain(JOE, "x", "o"), "535 5.7.8 ")],
    "PLAIN, a line too long": [("AUTH PLAIN", "334 "), (plain(JOE, "x") + "A" * 3000, "500 5.5.2 ")],
    "LOGIN, a control character behind the name": [("AUTH LOGIN", "334 "), (b64(JOE + "\x01"), "501 5.5.2 ")],
    "LOGIN, a line end behind the name": [("AUTH LOGIN", "334 "), (b64(JOE + "\r\n"), "501 ")],
    "LOGIN, a NUL behind the name": [("AUTH LOGIN", "334 "), (b64(JOE + "\0"), "501 ")],
    "LOGIN, a DEL in the name": [("AUTH LOGIN", "334 "), (b64(JOE[:4] + "\x7f" + JOE[4:]), "501 ")],
    "LOGIN, the same as initial response": [("AUTH LOGIN " + b64(JOE + "\x01"), "501 5.5.2 ")],
    "LOGIN, an initial response without a name": [("AUTH LOGIN =", "501 ")],
    "LOGIN, no base 64 for the password": [("AUTH LOGIN " + b64(JOE), "334 "), ("x", "501 ")],
    "LOGIN, a NUL in the password": [("AUTH LOGIN " + b64(JOE), "334 "), (b64("a\0b"), "501 ")],
    "LOGIN, a password too long": [("AUTH LOGIN " + b64(JOE), "334 "), (b64("x" * 1100), "501 ")],
    "LOGIN, a line too long for the password": [("AUTH LOGIN " + b64(JOE), "334 "), ("A" * 4000, "500 ")],
    "LOGIN, a control character in the line": [("AUTH LOGIN " + b64(JOE), "334 "), (b"eA\x01==\r\n", "500 ")],
    "LOGIN, cancelled behind the name": [("AUTH LOGIN " + b64(JOE), "334 "), ("*", "501 5.7.0 ")],
    "LOGIN, cancelled at the name": [("AUTH LOGIN", "334 "), ("*", "501 5.7.0 ")],
    "SCRAM, a control character in the name": [(SCRAM + b64(f"n,,n={JOE}\x01,r=abc"), "501 ")],
    "SCRAM, a bad escape in the name": [(SCRAM + b64(f"n,,n={JOE}=2D,r=abc"), "501 ")],
    "SCRAM, a bad escape in the authzid": [(SCRAM + b64(f"n,a=j=,n={JOE},r=abc"), "501 ")],
    "SCRAM, an empty authzid": [(SCRAM + b64(f"n,a=,n={JOE},r=abc"), "501 ")],
    "SCRAM without a nonce": [(SCRAM + b64(f"n,,n={JOE}"), "501 ")],
    "SCRAM, a NUL": [(SCRAM + b64(f"n,,n={JOE},r=a\0c"), "501 ")],
    "SCRAM for someone else": [(SCRAM + b64(f"n,a=o,n={JOE},r=abc"), "535 5.7.8 ")],
}
# Whoever has asked for a user's salt has tried, whatever comes then.
ABANDONED = {
    "SCRAM, no nonce but something else": [(SCRAM + b64(f"n,,n={JOE},x=abc"), "501 ")],
    "SCRAM, an empty final message": [SCRAM_BEGUN, ("", "501 ")],
    "SCRAM, a final message that is none": [SCRAM_BEGUN, (b64("c=biws"), "501 ")],
    "SCRAM, cancelled": [SCRAM_BEGUN, ("*", "501 5.7.0 ")],
    "SCRAM, no base 64 at last": [SCRAM_BEGUN, ("***", "501 ")],
}


def failures(redis, address):
    """How many failures of the address count now."""
    left = int(redis.run("PTTL", f"auth:{{{address}}}:failed:{address}"))
    return -(-(left - 100) // 6000) if left > 0 else 0


SOURCES = (f"127.0.{third}.{fourth}" for third in range(15, 256) for fourth in range(1, 255))


@pytest.mark.parametrize("rows", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_counts_against_nobody_and_leaves_nothing(talk, redis, rows):
    source = next(SOURCES)
    one = talk(source=source)
    one.hello()
    one.run(rows + [("MAIL FROM:<a@acme.example>", "530 ")])
    one.ask(b64("secret word"), "500 ")  # no exchange waits for it
    one.ask("AUTH PLAIN " + plain("nobody-else", "x"), "535 ")  # this failure counts, behind any other
    assert wait_for(lambda: failures(redis, source)) == 1
    one.login()
    one.accepted(letter())


@pytest.mark.parametrize("rows", ABANDONED.values(), ids=ABANDONED.keys())
def test_an_exchange_that_is_given_up_is_a_failure(talk, redis, rows):
    source = next(SOURCES)
    one = talk(source=source)
    one.hello()
    one.run(rows + [("MAIL FROM:<a@acme.example>", "530 ")])
    assert wait_for(lambda: failures(redis, source)) == 1
    one.login()


def test_a_client_that_goes_away_in_the_middle_has_failed(talk, redis):
    source = next(SOURCES)
    one = talk(source=source)
    one.hello()
    one.run([SCRAM_BEGUN])
    one.socket.close()
    assert wait_for(lambda: failures(redis, source)) == 1


@pytest.mark.parametrize("rows", GOOD.values(), ids=GOOD.keys())
def test_mechanisms(talk, rows):
    one = talk(source="127.0.0.10")
    one.hello()
    one.run(rows)
    one.accepted(letter())


@pytest.mark.parametrize("rows", BAD.values(), ids=BAD.keys())
def test_what_is_no_login(talk, rows):
    one = talk(source="127.0.0.11")
    one.hello()
    one.run(rows + [("MAIL FROM:<a@acme.example>", "530 ")])


def scram(one, user, password, header="n,,"):
    """The client's side (RFC 5802 3) up to its final message; what the server has to prove."""
    nonce = b64(os.urandom(12))
    bare = f"n={user},r={nonce}"
    first = base64.b64decode(one.ask("AUTH SCRAM-SHA-256 " + b64(header + bare), "334 ")[4:]).decode()
    fields = dict(part.split("=", 1) for part in first.split(","))
    assert fields["r"].startswith(nonce) and fields["i"] == "4096"
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), 4096)
    final = f"c={b64(header)},r={fields['r']}"
    said = f"{bare},{first},{final}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signature))
    one.say(b64(f"{final},p={b64(proof)}"))
    return b64(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256"))


def test_scram_proves_both_sides(talk):
    one = talk("implicit", tls=dialogue.harness.client_tls())
    one.hello()
    expected = scram(one, "joe@acme.example", "secret word")
    assert base64.b64decode(one.see("334 ")[4:]).decode() == f"v={expected}"
    one.ask("", "235 2.7.0 ")
    one.accepted(letter())


@pytest.mark.parametrize("header", ["n,,", "y,,", f"n,a={JOE},", f"y,a={JOE},", "n,a=JOE@acme.example,"])
def test_scram_takes_the_user_s_own_authzid(talk, header):
    one = talk()
    one.hello()
    expected = scram(one, JOE, "secret word", header)
    assert base64.b64decode(one.see("334 ")[4:]).decode() == f"v={expected}"
    one.ask("", "235 2.7.0 ")


def test_a_proven_client_has_to_end_the_exchange(talk):
    for last, answer in ((b64("x"), "501 "), ("*", "501 5.7.0 "), ("=", "501 ")):
        one = talk(source="127.0.0.12")
        one.hello()
        scram(one, JOE, "secret word")
        one.see("334 ")
        one.ask(last, answer)
        one.ask("MAIL FROM:<a@acme.example>", "530 ")


@pytest.mark.parametrize("user, password", [("joe@acme.example", "wrong"), ("nobody", "x"),
                                            ("old@acme.example", "secret")])
def test_scram_failures_look_alike(talk, user, password):
    one = talk(source="127.0.0.12")
    one.hello()
    scram(one, user, password)
    one.see("535 5.7.8 ")
    one.ask("MAIL FROM:<a@acme.example>", "530 ")


def test_an_unknown_user_has_the_same_salt_every_time(talk):
    one = talk(source="127.0.0.13")
    one.hello()
    salts = set()
    for _ in range(2):
        first = base64.b64decode(one.ask("AUTH SCRAM-SHA-256 " + b64("n,,n=ghost,r=abc"), "334 ")[4:])
        salts.add(dict(part.split(b"=", 1) for part in first.split(b","))[b"s"])
        one.ask("*", "501 ")
    assert len(salts) == 1


def test_auth_needs_tls_unless_the_listener_says_otherwise(talk):
    auth = "AUTH PLAIN " + plain("joe@acme.example", "secret word")
    one = talk("optional")
    one.hello()
    one.ask(auth, "538 5.7.11 ")
    one.ask("STARTTLS", "220 ")
    one.tls()
    one.ask("EHLO c", "250-")
    one.ask(auth, "235 ")
    one = talk("starttls")
    one.hello()
    one.ask(auth, "530 5.7.0 Must issue a STARTTLS")
    one.ask("MAIL FROM:<a@acme.example>", "530 5.7.0 Must issue a STARTTLS")
    one.ask("RCPT TO:<a@acme.example>", "530 5.7.0 ")
    one.ask("NOOP", "250 ")
    one = talk("noauth")
    one.hello()
    one.ask(auth, "502 5.5.1 ")


def test_known_addresses_may_authenticate_in_clear(talk):
    auth = "AUTH PLAIN " + plain("joe@acme.example", "secret word")
    one = talk("known", source=KNOWN)
    one.hello()
    one.ask(auth, "235 ")
    one.accepted(letter())
    one = talk("known", source=STRANGER)
    one.hello()
    one.ask(auth, "538 5.7.11 ")


def test_an_address_names_its_account(talk):
    one = talk("noauth", source=KNOWN)
    one.hello()
    one.accepted(letter("a@ip.example"), sender="a@ip.example")
    one.ask("MAIL FROM:<a@acme.example>", "550 5.7.1 ")
    one = talk("noauth", source=STRANGER)
    one.hello()
    one.ask("MAIL FROM:<a@ip.example>", "530 5.7.0 ")


def test_a_credential_counts_more_than_the_address(talk):
    one = talk("plain", source=KNOWN)
    one.hello()
    one.login()
    one.ask("MAIL FROM:<a@ip.example>", "550 5.7.1 ")
    one.accepted(letter())


def guess(one, name, mechanism="PLAIN"):
    """A wrong login; the first three digits of its answer."""
    if mechanism == "PLAIN":
        one.say("AUTH PLAIN " + plain(name, "wrong"))
    else:
        one.say(SCRAM + b64(f"n,,n={name},r=abc"))
        reply = one.see("(334|454) ")
        if reply.startswith("454"):
            return "454"
        nonce = dict(part.split("=", 1) for part in base64.b64decode(reply[4:]).decode().split(","))["r"]
        one.say(b64(f"c=biws,r={nonce},p={b64(bytes(32))}"))
    return one.see("(535 5.7.8|454 4.7.0) ")[:3]


def guess_until_refused(talk, source, mechanism="PLAIN", names=lambda n: f"name{n}"):
    """Wrong logins of one address, on as many connections as they need; how many were heard."""
    for number in range(100):
        if number % 10 == 0:
            one = talk(source=source)
            one.hello()
        if guess(one, names(number), mechanism) == "454":
            return number
    raise AssertionError("100 guesses in a row were heard")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM"])
def test_each_new_name_counts_against_the_address(talk, redis, mechanism):
    source = next(SOURCES)
    assert 20 <= guess_until_refused(talk, source, mechanism) <= 50  # two loops count 20 each until they have heard
    assert redis.run("KEYS", "*name1*") == ""
    wait_for(lambda: failures(redis, source) > 10)
    other = talk(source=next(SOURCES))
    other.hello()
    other.login("s", "pw")


def test_a_users_own_address_always_lets_it_in(talk, redis):
    """The office's server beside a misconfigured device, behind the same address."""
    source = next(SOURCES)
    for _ in range(2):
        server = talk(source=source)
        server.hello()
        server.login()
    wait_for(lambda: redis.run("ZCARD", f"auth:{{{source}}}:known:{source}") == "1")
    guess_until_refused(talk, source)
    for _ in range(4):
        server = talk(source=source)
        server.hello()
        server.login()
        server.accepted(letter())


def test_guesses_from_fifty_addresses_keep_a_new_one_of_the_customer_s_in(talk, redis):
    strangers = [next(SOURCES) for _ in range(50)]
    for source in strangers:
        one = talk(source=source)
        one.hello()
        for _ in range(5):
            assert guess(one, "s") == "535"
    new = talk(source=next(SOURCES))
    new.hello()
    new.login("s", "pw")
    assert redis.run("KEYS", "*{s}*") == ""


def test_an_ipv6_64_is_one_address(redis, talk):
    """As a proxy names them."""
    codes = []
    for host in range(60):
        one = talk("proxy", first=f"PROXY TCP6 2001:db8:0:7::{host + 1:x} ::1 1 25\r\n".encode())
        one.hello()
        codes.append(guess(one, f"name{host}"))
    assert codes[:20] == ["535"] * 20 and codes[-1] == "454"
    other = talk("proxy", first=b"PROXY TCP6 2001:db8:0:8::1 ::1 1 25\r\n")
    other.hello()
    other.login("s", "pw")


def test_who_goes_on_against_454_is_disconnected(talk, redis):
    source = next(SOURCES)
    now = int(redis.run("TIME").split()[0])
    redis.run("SET", f"auth:{{{source}}}:failed:{source}", (now + 240) * 1000000)  # at another node
    one = talk(source=source)
    one.hello()
    for number in range(3 + 20 + 1):
        one.ask("AUTH PLAIN " + plain("name", "x"), "454 4.7.0 Too many failures from your address")
    one.see("421 4.7.0 Too many errors")
    one.run([(None, CLOSED)])


def test_right_logins_take_turns_with_floods(talk, redis):
    """Four addresses that have 95 slow checks each, and right logins beside: each waits for four of them."""
    redis.run("SET", "user:slow", json.dumps({"account": "strict", "enabled": True,
                                              "verifier": dialogue.verifier("pw", 20000)}))
    sources = [f"127.1.{network}.1" for network in range(4)]
    floods = [talk(source=source) for source in sources for _ in range(95)]
    right = [talk(source=next(SOURCES)) for _ in range(10)]
    for one in floods + right:
        one.hello()
    for one in floods:
        one.say("AUTH PLAIN " + plain("slow", "wrong"))
    for one in right:
        one.say("AUTH PLAIN " + plain(JOE, "secret word"))
    for one in right:
        one.see("235 ")


def test_a_changed_password_counts_soon_in_spite_of_the_cache(rig, redis, sink, certificate):
    def seed(password):
        dialogue.seed(redis, "acme", ["acme.example", "acme.test"], users=[("changes", password, True)])

    seed("first")
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",), threads=1)

    def tell(password):
        with dialogue.Talk(shout.ports["plain"], source="127.0.0.14") as one:
            one.hello()
            return one.ask("AUTH PLAIN " + plain("changes", password), "(235|535) ")[:3]
    assert [tell("first"), tell("first")] == ["235", "235"]
    seed("second")
    wait_for(lambda: tell("first") == "535")
    assert tell("second") == "235"


def test_a_suspension_reaches_sessions_that_are_open(redis, talk):
    dialogue.seed(redis, "going", ["going.example"], users=[("going", "pw", True)])
    one = talk()
    one.hello()
    one.login("going", "pw")
    one.accepted(letter("a@going.example"), sender="a@going.example")
    dialogue.seed(redis, "going", ["going.example"], users=[("going", "pw", True)], status="disabled")

    def suspended():
        one.say("MAIL FROM:<a@going.example>")
        if one.see("(250|550) ").startswith("550"):
            return True
        one.ask("RCPT TO:<x@dest.example>", "250 ")
        one.ask("DATA", "354 ")
        one.raw(letter("a@going.example")).see("250 2.0.0 ")
        return False
    wait_for(suspended)


def test_without_redis_nobody_is_told_no(rig, sink, certificate):
    redis = rig.redis()
    dialogue.seed_all(redis)
    shout = dialogue.start(rig, redis, sink, certificate, ("plain",))
    with dialogue.Talk(shout.ports["plain"]) as known, dialogue.Talk(shout.ports["plain"]) as unknown:
        known.hello()
        known.login()
        known.accepted(letter())
        redis.kill()
        unknown.hello()
        unknown.ask("MAIL FROM:<a@acme.example>", "451 4.3.0 ")
        unknown.ask("AUTH PLAIN " + plain("o", "pw"), "454 4.7.0 ")
        unknown.ask("AUTH PLAIN " + plain("nobody", "pw"), "454 4.7.0 ")
        known.accepted(letter())  # from its last good copy
        known.begin()
        known.ask("DATA", "354 ")
        known.raw(letter("b@gmail.example", extra="Sender: a@acme.example\r\n"))
        known.see("451 4.3.0 ")  # whose gmail.example is cannot be told
        unknown.ask("QUIT", "221 ")
        unknown.run([(None, CLOSED)])
