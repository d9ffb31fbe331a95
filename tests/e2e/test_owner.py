"""Two relays that were given one Redis, and a relay whose state_dir is not mounted: nobody's accounts are
erased, who was known is never refused for good, and an operator is told what to do."""

import base64
import json
import re
import shutil
import socket
import smtplib
import time

import pytest

from harness import BUILD, Shout, send, wait_for

BODY = b"From: boss@customer.example\r\nSubject: x\r\n\r\nhello\r\n"
LOCAL = "127.0.0.9"  # where a client in IP mode comes from


def keys(redis):
    return set(redis.run("KEYS", "account:*").split()) | set(redis.run("KEYS", "user:*").split())


def doubt(shout):
    """What control says in /readyz when it has failed."""
    status, page = shout.get("/readyz")
    found = re.search(r"^control: failed: (Redis holds .*)$", page, re.M)
    return found[1] if found and status == 503 else None


def listens(shout):
    """The page may be there before the listeners are."""
    try:
        socket.create_connection(("127.0.0.1", shout.ports["plain"]), 30).close()
    except ConnectionRefusedError:
        return False
    return True


def second(rig, redis, **options):
    """Another relay on the same Redis, once it has seen whose that is."""
    shout = Shout(rig.path("second"), redis, **options)
    rig.started.append(shout.start(wait=False))
    wait_for(lambda: doubt(shout) and listens(shout), what="the second one doubts")
    return shout


def hears(shout, account=None, source=None, sender="boss@customer.example"):
    """The codes of AUTH (or None) and MAIL."""
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30,
                      source_address=(source, 0) if source else None) as client:
        client.ehlo()
        auth = None
        if account:
            try:
                auth = client.login(account["username"], account["password"])[0]
            except smtplib.SMTPAuthenticationError as refused:
                auth = refused.smtp_code
        return auth, client.mail(sender)[0]


def hears_all(shout, account):
    """Every code of a client that AUTH names, one that its address names, and a customer's domain."""
    return {code for codes in (hears(shout, account), hears(shout, source=LOCAL)) for code in codes if code}


@pytest.fixture
def first(rig, redis_own, certificate, sink):
    shout = rig.shout(redis_own, route=sink.host, certificate=certificate)
    shout.account = shout.account_add()
    shout.shoutctl("account", "add-address", shout.account["account"], "--ip", LOCAL)
    return shout


@pytest.fixture
def redis_own(rig):
    return rig.redis()


def test_a_second_relay_on_the_same_redis_erases_nothing_and_says_so(rig, redis_own, first, certificate):
    before = keys(redis_own)
    other = second(rig, redis_own, certificate=certificate)
    owner = redis_own.run("GET", "config:owner")
    assert re.fullmatch("[0-9a-f]{32}", owner)
    assert owner in doubt(other) and "no owner" in doubt(other) and "empty" in doubt(other)
    assert "shoutctl rebuild --take-over" in doubt(other)
    lines = [line for line in other.log_lines() if owner in line.get("error", "")]
    assert len(lines) == 1 and lines[0]["level"] == "error"

    for words in (("account", "add", "--name", "n", "--contact", "a@b.example", "--domain", "b.example",
                   "--mode", "credentials"), ("account", "disable", "nobody"), ("rebuild",)):
        assert other.shoutctl(*words, check=False)["error"] == doubt(other), words
    assert other.shoutctl("account", "list") == {"accounts": [], "next": None, "total": 0}
    other.shoutctl("suspend", "--site", "x.example")  # its own mail is its own matter
    assert hears_all(other, first.account) <= {451, 454}

    assert keys(redis_own) == before
    assert hears(first, first.account) == (235, 250) and hears(first, source=LOCAL) == (None, 250)
    assert hears(first, {"username": "nobody", "password": "x"})[0] == 535
    assert first.get("/readyz")[0] == 200
    with first.smtp(account=first.account) as client:
        send(client, "boss@customer.example", "friend@elsewhere.example", BODY)
    first.shoutctl("account", "disable", first.account["account"])
    wait_for(lambda: hears(first, first.account)[1] == 550)


def test_what_is_taken_over_on_purpose_is_the_new_owners_and_can_be_taken_back(rig, redis_own, first, certificate):
    known = hears_all(first, first.account)
    assert known == {235, 250}
    other = second(rig, redis_own, certificate=certificate)
    assert other.shoutctl("rebuild", "--take-over") == {"entries": 0}
    wait_for(other.ready)
    assert not keys(redis_own)
    theirs = other.account_add(name="theirs", domain="theirs.example")
    other.shoutctl("account", "add-address", theirs["account"], "--ip", LOCAL)
    assert hears(other, theirs, sender="a@theirs.example") == (235, 250)
    assert hears(other, source=LOCAL, sender="a@theirs.example")[1] == 250

    wait_for(lambda: doubt(first))
    for owner in (redis_own.run("GET", "config:owner"), re.findall("[0-9a-f]{32}", doubt(first))[1]):
        assert owner in doubt(first)
    end = time.monotonic() + 6  # until no copy is fresh, and beyond
    while time.monotonic() < end:
        assert hears_all(first, first.account) <= {235, 250, 451, 454}
        time.sleep(0.2)
    assert hears(first, {"username": "nobody", "password": "x"})[0] == 454
    assert hears(first, {**first.account, "password": "x"})[0] == 454
    assert hears(first, first.account, sender="a@theirs.example")[1] == 451
    first.stop()  # nothing is in memory then
    first.start(wait=False)
    wait_for(lambda: doubt(first) and listens(first))
    assert hears_all(first, first.account) <= {451, 454}

    assert first.shoutctl("rebuild", "--take-over")["entries"] == 3
    wait_for(first.ready)
    assert hears_all(first, first.account) == {235, 250}
    assert json.loads(redis_own.run("GET", f"ip:{LOCAL}"))["account"] == first.account["account"]
    wait_for(lambda: doubt(other))
    assert {code for code in hears(other, theirs, sender="a@theirs.example")} <= {235, 250, 451, 454}


def challenge(shout, user):
    """The salt and the iteration count that SCRAM names for the user."""
    first = base64.b64encode(f"n,,n={user},r=abc".encode()).decode()
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30) as client:
        client.ehlo()
        code, text = client.docmd("AUTH", "SCRAM-SHA-256 " + first)
        assert code == 334, text
        fields = dict(part.split("=", 1) for part in base64.b64decode(text).decode().split(","))
        client.docmd("*")
    return fields["s"], fields["i"]


def test_a_restart_does_not_tell_who_exists(rig, redis_own, first, certificate, sink):
    names = [first.account["username"], "ghost", "GHOST", "ghost@customer.example"]
    before = [challenge(first, name) for name in names]
    assert before[1] == before[2] and len(set(before)) == 3
    assert {(len(salt), count) for salt, count in before} == {(len(before[0][0]), before[0][1])}
    first.stop()
    first.start()
    assert [challenge(first, name) for name in names] == before
    other = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    other.account_add()
    assert challenge(other, "ghost")[0] != before[1][0]


def test_no_process_tells_who_exists_by_what_another_says(rig, redis_own, first, certificate):
    """Two on one Redis and with one relay.config: whoever asks both learns nothing of the difference."""
    names = [first.account["username"], "ghost", "GHOST", "ghost@customer.example", "\u00e9"]
    first.stop()
    twin = Shout(rig.path("twin"), redis_own, certificate=certificate)
    shutil.copytree(first.state_dir, twin.state_dir)
    first.start()
    rig.add(twin)
    told = [[challenge(shout, name) for name in names] for shout in (first, twin)]
    assert told[0] == told[1]
    assert len(set(told[0])) == 4 and len({(len(salt), count) for salt, count in told[0]}) == 1
    assert [hears(shout, first.account) for shout in (first, twin)] == [(235, 250)] * 2


def test_an_empty_state_dir_erases_nothing(redis_own, first):
    before = keys(redis_own)
    first.stop()
    away = first.state_dir.rename(first.directory / "away")
    first.start(wait=False)
    wait_for(lambda: doubt(first) and listens(first))
    assert "is state_dir mounted?" in doubt(first) and keys(redis_own) == before
    assert hears_all(first, first.account) <= {451, 454}
    first.stop()
    first.state_dir.rename(first.directory / "wrong")
    away.rename(first.state_dir)
    first.start()
    assert hears_all(first, first.account) == {235, 250}


def old_build_erases(redis):
    """What an older build does that starts with an empty relay.config."""
    for key in redis.run("SMEMBERS", "config:keys").split():
        redis.run("DEL", key)
    redis.run("DEL", "config:keys", "ip:networks")
    redis.run("SET", "config:applied", str(time.time_ns() // 1000))


def test_what_an_older_build_erases_is_put_back_and_nobody_is_refused(redis_own, first):
    before = keys(redis_own)
    assert hears_all(first, first.account) == {235, 250}
    for _ in range(3):
        old_build_erases(redis_own)
        for _ in range(10):
            assert hears_all(first, first.account) <= {235, 250, 451, 454}
            time.sleep(0.05)
        wait_for(lambda: keys(redis_own) == before)
    wait_for(lambda: redis_own.run("GET", "config:applied").endswith(redis_own.run("GET", "config:owner")))
    assert hears(first, {"username": "nobody", "password": "x"})[0] == 535


def test_accounts_of_an_older_build_are_adopted_only_by_accounts(rig, redis_own, first, certificate):
    redis_own.run("DEL", "config:owner")
    redis_own.run("SET", "config:applied", "1")
    before = keys(redis_own)
    wait_for(lambda: redis_own.run("EXISTS", "config:owner") == "1")
    first.stop()
    redis_own.run("DEL", "config:owner")
    redis_own.run("SET", "config:applied", "1")
    other = second(rig, redis_own, certificate=certificate)
    assert "no owner, relay.config is of no owner" in doubt(other)
    assert keys(redis_own) == before
    first.start()
    assert hears_all(first, first.account) == {235, 250}
    wait_for(lambda: redis_own.run("GET", "config:owner") in doubt(other))


def test_an_emptied_redis_is_filled_by_its_owner_not_by_a_relay_that_waits(rig, redis_own, first, certificate):
    before = keys(redis_own)
    owner = redis_own.run("GET", "config:owner")
    other = second(rig, redis_own, certificate=certificate)
    for _ in range(3):
        redis_own.run("FLUSHALL")
        wait_for(lambda: keys(redis_own) == before and redis_own.run("EXISTS", "config:applied") == "1")
        assert redis_own.run("GET", "config:owner") == owner
    assert doubt(other)
