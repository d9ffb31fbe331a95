"""What clamd calls unwanted (PUA.*) or suspicious (Heuristics.*) is no virus: it is held under its own name, or goes
on with a field that says so, or without, as the settings have it. A real clamd, with signatures of its own."""

import pytest

from harness import EICAR, send, wait_for
from test_scanner import attached, held, post, to

TOOL = b"a tool for administrators 7f3a"
TRICK = b"a link that leads elsewhere 9c1d"
BOTH = [("pua", TOOL, "unwanted", "PUA.Win.Tool.Test"), ("heuristics", TRICK, "suspicious", "Heuristics.Phishing.Test")]


@pytest.fixture(scope="module")
def alerting(module_rig):
    """A clamd that finds EICAR, a tool and a trick."""
    clamd = module_rig.clamd(settings=["DetectPUA yes", "AlertEncryptedArchive yes"])
    clamd.stop()
    (clamd.directory / "db" / "alerts.ndb").write_text(
        "".join(f"{name}:0:*:{bytes.hex(text)}\n" for _, text, _, name in BOTH))
    clamd.start()
    return clamd


def start(module_rig, redis, alerting, certificate, sink, **policies):
    return module_rig.shout(redis, clamd=alerting, route=sink.host, certificate=certificate,
                            settings={"scanner": policies})


def scores(shout, account):
    score = shout.shoutctl("account", "show", account["account"])["score"]["7d"]
    return score["viruses"], score["alerts"]


def test_an_alert_is_held_under_its_own_name_and_counts_as_no_virus(rig, alerting, certificate, sink):
    shout = start(rig, rig.redis(), alerting, certificate, sink)
    account = shout.account_add()
    for number, (_, text, verdict, name) in enumerate(BOTH, 1):
        address = f"held{number}@elsewhere.example"
        message_id = post(shout, account, attached(text), to=address)
        event = held(shout, message_id)
        assert event["verdict"] == verdict and event["signature"].startswith(name)
        assert "virus" not in event["reason"]
        notices = wait_for(lambda to_=message_id: [one for one in sink.find() if to_.encode() in one.body],
                           what="a notice")
        assert verdict.encode() in notices[0].body and name.encode() in notices[0].body
        assert b"contains a virus" not in notices[0].body
        assert shout.metric("shout_scanner_scans_total", f'verdict="{verdict}"') == 1
        row = wait_for(lambda id_=message_id: [row for row in shout.shoutctl("queue", "list")["rows"]
                                               if row["id"] == id_ and row["state"] == "held"], what="it is held")[0]
        assert name in str(row)
        wait_for(lambda n=number: scores(shout, account) == (0, n), what="the score")
        assert not to(sink, address)
        shout.shoutctl("queue", "release", message_id)
        wait_for(lambda a=address: to(sink, a), what="it is released")
    assert shout.metric("shout_scanner_scans_total", 'verdict="infected"') == 0


@pytest.mark.parametrize("policy", ["tag", "pass"])
def test_an_alert_goes_on_as_the_settings_have_it(rig, alerting, certificate, sink, policy):
    shout = start(rig, rig.redis(), alerting, certificate, sink, pua=policy, heuristics=policy)
    account = shout.account_add()
    for number, (_, text, verdict, name) in enumerate(BOTH, 1):
        address = f"{policy}{number}@elsewhere.example"
        message_id = post(shout, account, b"X-Shout-Alert: clean, says the customer\r\nx-shout-ALERT : no\r\n"
                          + attached(text), to=address)
        got = wait_for(lambda a=address: to(sink, a), what="it arrives")[0].body
        header = got.split(b"\r\n\r\n")[0].lower()
        assert header.count(b"x-shout-alert") == (policy == "tag")
        assert b"says the customer" not in header
        if policy == "tag":
            assert f"x-shout-alert: {verdict}, {name}".lower().encode() in header
        event = wait_for(lambda id_=message_id: shout.events("alerted", id_))[0]
        assert (event["verdict"], event["tagged"]) == (verdict, policy == "tag")
        assert event["signature"].startswith(name)
        assert wait_for(lambda id_=message_id: shout.events("delivered", id_))[0]["verdict"] == verdict
        assert [one["event"] for one in shout.shoutctl("why", message_id)["messages"][0]["events"]] == [
            "accepted", "alerted", "delivered"]
        wait_for(lambda n=number: scores(shout, account) == (0, n), what="the score")
    assert not shout.events("held")


def test_one_policy_is_not_the_other_and_viruses_and_limits_are_held_all_the_same(rig, alerting, certificate, sink):
    shout = start(rig, rig.redis(), alerting, certificate, sink, pua="pass")
    account = shout.account_add()
    assert held(shout, post(shout, account, attached(TRICK)))["verdict"] == "suspicious"
    # what clamd finds first is not all that it looks at
    for text in (TOOL + b"\n" + EICAR, TOOL, EICAR):
        parts = attached(TOOL).replace(b"--b--\r\n", b"") + attached(text).split(b"hi\r\n", 1)[1]
        message_id = post(shout, account, parts, to="mixed@elsewhere.example")
        if EICAR == text:
            assert held(shout, message_id)["verdict"] == "infected"
            assert message_id not in str([one.body for one in to(sink, "mixed@elsewhere.example")])


def test_an_incoming_field_does_not_travel_on_with_clean_mail(rig, alerting, certificate, sink):
    shout = start(rig, rig.redis(), alerting, certificate, sink, pua="tag")
    account = shout.account_add()
    with shout.smtp(account=account) as client:
        send(client, "anna@customer.example", "clean@elsewhere.example",
             b"From: anna@customer.example\r\nX-Shout-Alert: unwanted,\r\n folded\r\nSubject: x\r\n\r\nX-Shout-Alert: stays\r\n")
    got = wait_for(lambda: to(sink, "clean@elsewhere.example"))[0].body
    assert got.count(b"X-Shout-Alert") == 1 and b"X-Shout-Alert: stays" in got
