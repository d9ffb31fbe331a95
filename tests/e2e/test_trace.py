"""The trace: what became of messages, by every filter, as the sink and `why` know it; and that a kill, a folder that
is gone or a file that is broken loses and doubles nothing."""

import contextlib
import datetime
import http.client
import json
import shutil
import sqlite3
import urllib.parse

import pytest

from clock import Clock
from harness import EICAR, send, wait_for

SENDER = "anna@customer.example"


def body(number):
    return (f"From: {SENDER}\r\nMessage-ID: <{number}@customer.example>\r\nDate: Tue, 24 Nov 2026 04:00:00 +0100\r\n"
            "Subject: x\r\n\r\nhi\r\n").encode()


@pytest.fixture(scope="module")
def shout(module_rig, redis, clamd, sink, certificate):
    shout = module_rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate,
                             settings={"sender": {"retry": {"first": "1h", "max": "1h"}}})
    shout.account = shout.account_add()
    shout.other = shout.account_add(domain="neighbour.example")
    return shout


def get(shout, path, **query):
    """(status, answer)"""
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=120)
    with contextlib.closing(connection):
        token = (shout.state_dir / "control.token").read_text().strip()
        target = f"/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        connection.request("GET", target, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def ids(shout, path="messages", **query):
    status, answer = get(shout, path, **query)
    assert status == 200, answer
    return [one["id"] for one in answer["messages"]]


def traced(shout, message_id, state):
    """The message, once all its recipients have that state."""
    def look():
        status, message = get(shout, f"messages/{message_id}")
        return status == 200 and {one["state"] for one in message["to"]} == {state} and message
    return wait_for(look, 90, f"{message_id} {state} in the trace")


def post(shout, number, *recipients, account=None, sender=SENDER, data=None):
    with shout.smtp(account=account or shout.account) as client:
        return send(client, sender, list(recipients), data or body(number))


@pytest.fixture(scope="module")
def mails(shout, sink):
    """One message for each end, by state."""
    sink.on("rcpt", "451 4.2.2 come back later", match="later@")
    sink.on("rcpt", "550 5.1.1 no such user", match="nobody@")
    return {
        "delivered": post(shout, 1, "bob@there.example", "carol@there.example"),
        "deferred": post(shout, 2, "later@slow.example"),
        "bounced": post(shout, 3, "nobody@there.example"),
        "held": post(shout, 4, "dave@there.example", data=body(4).split(b"\r\n\r\n")[0] + b"\r\n\r\n" + EICAR),
        "other": post(shout, 5, "bob@there.example", account=shout.other, sender="x@neighbour.example",
                      data=b"From: x@neighbour.example\r\n\r\nhi\r\n"),
    }


@pytest.fixture(scope="module")
def known(shout, mails):
    return {name: traced(shout, mails[name], "delivered" if name == "other" else name) for name in mails}


def test_each_end_is_told_as_the_sink_and_why_know_it(shout, sink, mails, known):
    message = known["delivered"]
    assert len(sink.find("bob@there.example")) == 2 and not sink.find("later@slow.example")
    assert message["from"] == SENDER and message["message_id"] == "1@customer.example"
    assert message["credential"] == shout.account["username"] and message["client"] == "127.0.0.1"
    assert message["verdict"] == "clean" and message["scanned"] and message["size"] > len(body(1))
    assert [(one["event"], sorted(one["to"]), one["reply"][:3]) for one in message["events"]] == [
        ("delivered", ["bob@there.example", "carol@there.example"], "250")]
    deferred, = [one for one in known["deferred"]["events"] if one["event"] == "deferred"]
    assert deferred["reply"] == "451 4.2.2 come back later" and known["deferred"]["to"][0]["due"]
    assert known["bounced"]["events"][-1]["reply"] == "550 5.1.1 no such user"
    held, = [one for one in known["held"]["events"] if one["event"] == "held"]
    assert "Eicar" in held["signature"] or "EICAR" in held["signature"]
    for name, message_id in mails.items():
        story = shout.shoutctl("why", message_id)["messages"][0]
        told = [one["event"] for one in story["events"] if one["event"] != "accepted"]
        assert [one["event"] for one in known[name]["events"]] == told


def test_every_filter_finds_what_it_should_and_nothing_else(shout, mails, known):
    account = shout.account["account"]
    assert set(ids(shout, recipient="BOB@there.example")) == {mails["delivered"], mails["other"]}
    assert ids(shout, sender="x@neighbour.example") == [mails["other"]]
    assert ids(shout, domain="Slow.example") == [mails["deferred"]]
    assert ids(shout, id=mails["held"]) == [mails["held"]]
    assert ids(shout, message_id="<3@customer.example>") == ids(shout, message_id="3@customer.example") == [mails["bounced"]]
    for state in ("deferred", "bounced", "held"):
        assert ids(shout, f"accounts/{account}/messages", state=state) == [mails[state]]
    assert ids(shout, credential=shout.other["username"]) == [mails["other"]]
    assert set(ids(shout, account=account)) == {mails[name] for name in mails if name != "other"}
    assert ids(shout, account=account, recipient="bob@there.example") == [mails["delivered"]]
    assert ids(shout, recipient="bob@there.example", state="bounced") == []
    # The fields of a recipient are those of one and the same.
    assert ids(shout, recipient="carol@there.example", domain="slow.example") == []
    at = known["delivered"]["at"]
    assert mails["delivered"] in ids(shout, since=at) and mails["delivered"] not in ids(shout, until=at)
    assert ids(shout, since="0") == []
    for odd in ("%", "_ob@there.example", "b%@there.example", "' OR 1=1 --@there.example", "\\"):
        status, answer = get(shout, "messages", message_id=odd, account=odd)
        assert (status, answer["messages"]) == (200, [])


def test_a_message_id_that_the_relay_added_is_found(shout, sink, mails, known):
    added = [one.header("message-id") for one in sink.find("bob@there.example") if one.sender == "x@neighbour.example"]
    assert len(added) == 1 and mails["other"] in added[0]
    assert ids(shout, message_id=added[0]) == [mails["other"]]


def test_pages_hold_each_message_once(shout, mails, known):
    whole, found, after = ids(shout), [], {}
    while after is not None:
        status, page = get(shout, "messages", limit=2, **after)
        assert status == 200 and len(page["messages"]) <= 2
        found += [one["id"] for one in page["messages"]]
        after = {"after": page["next"]} if page["next"] else None
    assert found == whole == sorted(whole, reverse=True) and set(mails.values()) <= set(whole)


def test_another_accounts_message_is_not_there(shout, mails, known):
    account, other = shout.account["account"], shout.other["account"]
    assert get(shout, f"accounts/{account}/messages/{mails['delivered']}")[0] == 200
    assert get(shout, f"accounts/{other}/messages/{mails['delivered']}")[0] == 404
    assert ids(shout, f"accounts/{other}/messages", id=mails["delivered"]) == []
    assert get(shout, f"accounts/{other}/messages", account=account)[0] == 400
    assert get(shout, "accounts/zzzzzzzzzz/messages")[0] == 404


@pytest.mark.parametrize("field, value", [
    ("since", "tomorrow"), ("until", "99"), ("state", "waiting"), ("id", "x"), ("recipient", "<>"), ("sender", ""),
    ("limit", "0"), ("after", "x"), ("subject", "x")])
def test_what_is_wrong_is_named(shout, field, value):
    status, answer = get(shout, "messages", **{field: value})
    assert status == 400 and field in (answer["field"] + answer["error"])


def test_the_auditor_lists_what_has_no_end(shout, mails, known):
    assert {mails["deferred"], mails["held"]} <= set(ids(shout, "open", older="0m"))
    assert not {mails["delivered"], mails["bounced"]} & set(ids(shout, "open", older="0m"))
    assert ids(shout, "open") == []
    assert ids(shout, "open", older="0m", account=shout.other["account"]) == []
    found = [one["id"] for one in shout.shoutctl("open", "--older", "0m")["messages"]]
    assert found == sorted(found) and mails["held"] in found


def test_shoutctl_asks_the_same(shout, mails, known):
    def trace(*words):
        return [one["id"] for one in shout.shoutctl("trace", *words)["messages"]]
    assert trace("--account", shout.account["account"], "--state", "bounced") == [mails["bounced"]]
    assert set(trace("--recipient", "bob@there.example", "--since", "1d", "--until", "0m")) == {
        mails["delivered"], mails["other"]}
    assert trace("--message-id", "<2@customer.example>", "--domain", "slow.example") == [mails["deferred"]]
    whole, = shout.shoutctl("trace", "--id", mails["bounced"])["messages"]
    assert whole["events"][-1]["reply"] == "550 5.1.1 no such user"


def rows(shout):
    """All rows of all days, but for what depends on when they were read."""
    found = {}
    for file in sorted((shout.state_dir / "trace").glob("*.db")):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            for table in ("message", "recipient", "event"):
                found[file.name, table] = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    return found


def count(shout):
    """How many messages there are; 0 while a file is being made."""
    total = 0
    for file in (shout.state_dir / "trace").glob("*.db"):
        with contextlib.suppress(sqlite3.Error), \
                contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            total += connection.execute("SELECT count(*) FROM message").fetchone()[0]
    return total


def made_anew(shout, before):
    def same():
        with contextlib.suppress(sqlite3.Error):
            return rows(shout) == before
    wait_for(same, 90, "the same rows")


def test_without_its_folder_or_with_a_broken_file_the_trace_is_made_anew(shout, mails, known):
    before = rows(shout)
    shutil.rmtree(shout.state_dir / "trace")
    made_anew(shout, before)
    file = max((shout.state_dir / "trace").glob("*.db"))
    shout.stop()
    file.write_bytes(b"no database " * 4096)
    shout.start()
    made_anew(shout, before)
    assert file.with_suffix(".db.broken").read_bytes().startswith(b"no database")


def test_kills_in_the_middle_lose_and_double_nothing(shout, mails, known):
    """All events are read again, with many more of an hour ago; Shout is killed while control takes them."""
    hour = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    account, total, start = shout.account["account"], 20000, known["delivered"]["id"][:10]
    shout.stop()
    shutil.rmtree(shout.state_dir / "trace")
    with open(shout.state_dir / "events" / f"{hour:%Y%m%dT%H}.jsonl", "a", encoding="utf-8") as file:
        for i in range(total):
            for event in ({"event": "accepted", "from": SENDER, "message_id": f"<many{i}@x>"},
                          {"event": "delivered", "site": "s", "attempts": 1, "reply": "250 ok"}):
                file.write(json.dumps({"time": known["delivered"]["at"], **event, "id": start + f"{i:016d}",
                                       "account": account, "node": "n", "to": [f"u{i}@many.example"]},
                                      separators=(",", ":")) + "\n")
    before = 0
    for _ in range(2):
        shout.start()
        wait_for(lambda: count(shout) > before, 90, "more messages")
        before = min(count(shout), total - 1)
        shout.kill()
    shout.start()
    wait_for(lambda: count(shout) >= total + len(mails), 120)
    for name, message_id in mails.items():
        assert traced(shout, message_id, "delivered" if name == "other" else name) == known[name]
    recipients = [one for (_, table), found in rows(shout).items() if table == "recipient" for one in found
                  if one[1].endswith("@many.example")]
    assert len(recipients) == len({one[1] for one in recipients}) == total and {one[3] for one in recipients} == {4}
    assert not shout.metric("shout_control_trace_failures_total")


def test_days_go_by_a_clock_that_can_be_trusted(rig, redis, clamd, sink, certificate):
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate, settings={"control": {"trace_keep": "7d"}})
    shout.account = shout.account_add()
    message = post(shout, 1, "bob@there.example")
    traced(shout, message, "delivered")
    shout.stop()
    today = max((shout.state_dir / "trace").glob("*.db"))
    old = today.with_name(f"{datetime.date.today() - datetime.timedelta(days=60):%Y%m%d}.db")
    shutil.copy(today, old)
    clock = Clock(shout.directory)
    shout.env = clock.env
    # At the start nothing goes but what is older than the newest day says.
    recent = today.with_name(f"{datetime.date.today() - datetime.timedelta(days=5):%Y%m%d}.db")
    shutil.copy(today, recent)
    shout.start()
    wait_for(lambda: not old.exists(), 60, "what is over its time goes")
    clock.ahead(day=20 * 86400)
    wait_for(lambda: "the clock was set" in shout.log(), 60)
    more = post(shout, 2, "bob@there.example")
    wait_for(lambda: ids(shout, id=more), 60, "the trace goes on")
    assert today.exists() and recent.exists() and ids(shout, id=message) == [message]
    clock.ahead()
    wait_for(lambda: shout.log().count("the clock was set") >= 2, 60)
    assert ids(shout, id=message) == [message]
    clock.ahead(seconds=4 * 86400, day=4 * 86400)  # four days go by
    wait_for(lambda: not recent.exists(), 60, "a day goes by a steady clock")
    assert today.exists() and ids(shout, id=message) == [message]
