"""What operators see of mail that is not delivered yet, wherever it is: tests of a `desk`
(operator_steps.py), on both queues."""

import threading

from harness import EICAR, wait_for
from sink import Delay

GROUPS = ("provider", "site", "domain", "account")


def listed(desk, message_id, *words):
    """The message's entries in a list, however many pages that has."""
    return [row for row in pages(desk, *words) if row["id"] == message_id]


def pages(desk, *words, limit=2):
    rows, after = [], ()
    while True:
        page = desk.ctl("queue", "list", "--limit", limit, *words, *after)
        rows += page["rows"]
        if page["next"] is None:
            return rows
        after = ("--after", page["next"])


def becomes(desk, message_id, state, **fields):
    """Waits until the list shows it so, and returns how it is shown; `show` has to agree."""
    def shown():
        rows = listed(desk, message_id)
        return rows if len(rows) == 1 and rows[0]["state"] == state and all(
            rows[0].get(name) for name in fields if fields[name]) else None
    row, = wait_for(shown, 60, f"{message_id} is {state}")
    alone, = wait_for(lambda: [one for one in desk.ctl("queue", "show", message_id)["rows"] if one["state"] == state],
                      60, "show agrees")
    assert {name: alone[name] for name in ("id", "site", "account", "account_name", "to")} \
        == {name: row[name] for name in ("id", "site", "account", "account_name", "to")}
    assert row["since"] and row["accepted"] and len(listed(desk, message_id, "--state", state)) == 1
    for other in {"inbound", "ready", "attempting", "waiting", "held"} - {state}:
        assert not listed(desk, message_id, "--state", other)
    return row


def sums_agree(desk):
    """The list, the summary by whatever it is, the queue's own counts and the metrics."""
    def counts():
        first = desk.ctl("queue", "list", "--limit", 1)
        numbers = first["queue"]
        told = [first["total"], len(pages(desk, limit=100)), numbers["inbound"] + numbers["ready"] + numbers["rows"],
                desk.open_by_metrics()]
        for by in GROUPS:
            summary = desk.ctl("queue", "summary", "--by", by)
            assert summary["exact"] and summary["by"] == by
            told += [summary["all"]["total"], sum(group["total"] for group in summary["groups"]),
                     sum(summary["all"]["states"].values()),
                     sum(reply["total"] for reply in summary["all"]["replies"]),
                     sum(n for group in summary["groups"] for reply in group["replies"] for n in reply["ages"].values())]
        return told
    told = wait_for(lambda: told if len(set(told := counts())) == 1 else None, 60, f"one count for all, not {counts()}")
    return told[0]


def replies(desk, by, name):
    """{class: count} of a group."""
    return {reply["class"]: reply["total"] for group in desk.ctl("queue", "summary", "--by", by)["groups"]
            if group[by] == name for reply in group["replies"]}


def test_mail_is_seen_in_a_scan_that_hangs(desk):
    with desk.clamd.paused():
        message_id = desk.post("one", "a@good.example", "b@twin.example")
        row = becomes(desk, message_id, "inbound", in_hand=True)
        hand, = row["in_hand"]
        assert hand["stage"] == "scanning" and hand["host"] == desk.clamd.address and hand["node"] and hand["since"]
        assert row["account_name"] == "one" and row["account"] == desk.accounts["one"]["account"]
        assert row["next_attempt"] is None and row["attempts"] == 0 and row["last_class"] == "never"
        assert sums_agree(desk) == 1
        assert desk.ctl("queue", "summary")["all"]["states"]["inbound"] == 1
        assert replies(desk, "domain", "(several)") == {"never": 1}
        # where it will go is not known: the list of a site says that there may be more
        page = desk.ctl("queue", "list", "--site", "mx.good.example")
        assert page["rows"] == [] and not page["total_exact"]
        assert listed(desk, message_id, "--domain", "twin.example")
    wait_for(lambda: len(desk.events("delivered", message_id)) == 2 or not listed(desk, message_id), 60, "it goes")
    wait_for(lambda: sums_agree(desk) == 0, what="nothing is left")
    assert desk.refused("queue", "show", message_id)


def test_mail_is_seen_in_an_attempt_at_a_slow_host(desk):
    """The first attempt is a record's, the second one a row's."""
    told = threading.Event()

    def late(session, text):
        told.wait(60)
        told.clear()
        return "451 4.3.0 later"

    desk.good.on("rcpt", late, match="slow")
    message_id = desk.post("one", "slow@twin.example")
    for attempt, said in ((0, "never"), (1, "4.3.x")):
        row = becomes(desk, message_id, "attempting")
        hand, = row["in_hand"]
        assert hand["stage"] == "attempting" and hand["host"] == f"mx.good.example[{desk.good.address}]"
        assert row["site"] == hand["site"] == "mx.good.example" and row["since"] == hand["since"]
        assert row["next_attempt"] is None and row["attempts"] == attempt
        assert listed(desk, message_id, "--site", "mx.good.example") and listed(desk, message_id, "--provider", "good.example")
        assert not listed(desk, message_id, "--site", "mx.other.example")
        assert sums_agree(desk) == 1 and replies(desk, "provider", "good.example") == {said: 1}
        told.set()
        row = becomes(desk, message_id, "waiting", next_attempt=True)
        assert row["last_reply"] == "451 4.3.0 later" and row["last_class"] == "4.3.x"
        assert not row.get("in_hand") and row["attempts"] == attempt + 1
        desk.ctl("queue", "retry" if attempt == 0 else "bounce", message_id)
    wait_for(lambda: desk.events("bounced", message_id), 60, "its end")
    wait_for(lambda: not listed(desk, message_id), 60, "it is gone")


def test_mail_is_seen_while_its_site_does_not_greet(desk):
    desk.other.on("banner", Delay(300))
    message_id = desk.post("two", "a@other.example")
    row = becomes(desk, message_id, "ready", site_state=True, in_hand=True)
    assert row["site"] == "mx.other.example" and row["in_hand"][0]["stage"] == "scheduled"
    assert row["site_state"]["opening"] == f"mx.other.example[{desk.other.address}]" and row["site_state"]["opened"]
    desk.ctl("queue", "bounce", message_id)
    wait_for(lambda: desk.events("bounced", message_id), 60, "its end")
    wait_for(lambda: sums_agree(desk) == 0, what="nothing is left")


def test_what_was_never_tried_shows_what_its_site_said_and_when_it_is_tried(desk):
    """Nobody listens at the host."""
    count = 0

    def untried():  # in a cluster each sender finds out by itself
        nonlocal count
        desk.is_state(desk.post("one", f"a{count}@refused.example"), "waiting")
        count += 1
        rows = pages(desk, "--site", "mx.refused.example", limit=100)
        return rows, [row for row in rows if row["attempts"] == 0 and row.get("site_state", {}).get("next")]
    rows, (row, *_) = wait_for(lambda: found if (found := untried())[1] else None, 60, "one is never tried")
    tried = next(row for row in rows if row["attempts"])
    assert tried["last_class"] == "connect" and "refused" in tried["last_reply"]
    assert tried["last_host"].startswith("mx.refused.example[")
    state = row["site_state"]
    assert "refused" in state["reply"] and state["class"] == "connect" and state["said"]
    assert row["next_attempt"] >= state["next"] and state["next"] > row["accepted"]
    assert sums_agree(desk) == count and replies(desk, "provider", "refused.example") == {"connect": count}
    desk.ctl("queue", "bounce", "--domain", "refused.example")
    wait_for(lambda: sums_agree(desk) == 0, what="nothing is left")


def test_replies_are_counted_by_class(desk):
    rules = [desk.good.on("rcpt", "451 4.7.1 greylisted", match="grey"), desk.good.on("rcpt", "452 4.2.2 full", match="full"),
             desk.good.on("rcpt", "421 busy", match="busy", times=1)]
    ids = [desk.post("one", f"{name}@twin.example") for name in ("grey1", "grey2", "full", "busy")]
    for message_id in ids:
        becomes(desk, message_id, "waiting", last_reply=True)
    assert replies(desk, "domain", "twin.example") == {"4.7.x": 2, "4.2.x": 1, "4xx": 1}
    assert replies(desk, "account", desk.accounts["one"]["account"]) == {"4.7.x": 2, "4.2.x": 1, "4xx": 1}
    group, = desk.ctl("queue", "summary", "--by", "account")["groups"]
    assert group["account_name"] == "one" and group["states"]["waiting"] == 4
    assert group["replies"][0]["ages"]["5m"] == group["replies"][0]["total"]
    for rule in rules:
        if rule in desk.good.rules:
            desk.good.rules.remove(rule)
    desk.ctl("queue", "retry", "--account", desk.accounts["one"]["account"])
    for message_id in ids:
        wait_for(lambda one=message_id: desk.events("delivered", one), 60, "it goes")
    wait_for(lambda: sums_agree(desk) == 0, what="nothing is left")


def test_what_is_suspended_or_held_says_so(desk):
    desk.ctl("suspend", "--account", desk.accounts["two"]["account"], "--reason", "enough")
    held, asleep = desk.post("one", "a@good.example", more=EICAR), desk.post("two", "b@good.example")
    row = becomes(desk, held, "held")
    assert row["last_class"] == "held" and "Eicar" in row["signature"] and row["next_attempt"] is None
    assert row["since"] >= row["accepted"]
    row = becomes(desk, asleep, "waiting", suspension=True)
    assert row["suspension"]["reason"] == "enough" and row["next_attempt"] is None and row["attempts"] == 0
    assert sums_agree(desk) == 2
    states = desk.ctl("queue", "summary")["all"]["states"]
    assert states["held"] == states["waiting"] == 1
    wait_for(lambda: desk.held_by_metrics() == 1, 60, "the metric")
    desk.ctl("resume", "--account", desk.accounts["two"]["account"])
    wait_for(lambda: desk.events("delivered", asleep), 60, "it goes")
    desk.ctl("queue", "release", held)
    wait_for(lambda: desk.events("delivered", held), 60, "it goes, too")
    wait_for(lambda: sums_agree(desk) == 0, what="nothing is left")


def test_without_redis_the_list_says_what_it_does_not_know(desk):
    desk.good.on("rcpt", "451 4.2.2 later", times=1)
    message_id = desk.post("one", "a@good.example")
    becomes(desk, message_id, "waiting")
    assert desk.ctl("queue", "list")["in_hand_known"]
    with desk.redis.paused():
        page = desk.ctl("queue", "list")
        assert not page["in_hand_known"] and page["nodes"] == []
        assert [row["state"] for row in page["rows"]] == ["waiting"]
        assert not desk.ctl("queue", "summary")["in_hand_known"]
    wait_for(lambda: desk.ctl("queue", "list")["in_hand_known"], 60, "it is known again")
    desk.ctl("queue", "retry", message_id)
    wait_for(lambda: desk.events("delivered", message_id), 60, "it goes")
