"""What an account does itself with its mail that is held or waits: it sees its own, lets go what its policy holds,
says that a virus is none; and another account, or a reader, can do nothing of it."""

import pytest

from harness import EICAR, send, wait_for
from test_control import Api

SENDER = "anna@keeps.example"
HEAD = b"From: anna@keeps.example\r\nSubject: Your invoice\r\nDate: Tue, 24 Nov 2026 04:00:00 +0100\r\n\r\n"
PUA = b"A-PROGRAM-THAT-MAY-BE-UNWANTED-0001"


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    clamd = module_rig.clamd(settings=["DetectPUA yes"])
    clamd.stop()
    (clamd.directory / "db" / "pua.ndb").write_text(f"PUA.Win.Tool.Test:0:*:{PUA.hex()}\n")
    clamd.start()
    sink.on("rcpt", "550 5.1.1 no such user", match="nobody@")
    sink.on("rcpt", "451 4.2.2 come back later", match="later@")
    return module_rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate,
                            settings={"scanner": {"pua": "hold"}, "sender": {"retry": {"first": "1h", "max": "1h"}}})


@pytest.fixture(scope="module")
def account(shout):
    return shout.account_add(name="keeps", domain="keeps.example")


def api_of(shout, account, *scopes):
    words = [word for scope in scopes for word in ("--scope", scope)]
    return Api(shout, shout.shoutctl("token", "add", "--account", account["account"], "--label", "t", *words)["secret"])


@pytest.fixture(scope="module")
def manager(shout, account):
    return api_of(shout, account, "read", "trace", "write")


def post(shout, account, recipient, body, sender=SENDER):
    with shout.smtp(account=account) as client:
        return send(client, sender, [recipient], HEAD.replace(SENDER.encode(), sender.encode()) + body + b"\r\n")


@pytest.fixture
def held(shout, account, manager):
    """Sends mail that is held; its id once it is."""
    def hold(body):
        message = post(shout, account, "bob@there.example", body)
        wait_for(lambda: message in ids(manager, account), 60, "it is held")
        return message
    return hold


def ids(api, account):
    status, answer = api("GET", f"accounts/{account['account']}/held")
    assert status == 200, answer
    return [one["id"] for one in answer["held"]]


def do(api, account, message, what):
    return api("POST", f"accounts/{account['account']}/messages/{message}/{what}")


def test_held_mail_is_shown_with_what_a_customer_knows_of_it(shout, account, manager, held):
    virus, unwanted = held(EICAR), held(PUA)
    shown = {one["id"]: one for one in manager("GET", f"accounts/{account['account']}/held")[1]["held"]}
    one = shown[virus]
    assert (one["from"], one["to"], one["subject"]) == (SENDER, ["bob@there.example"], "Your invoice")
    assert "Eicar" in one["signature"] and "PUA" in shown[unwanted]["signature"] and "site" not in one
    other = shout.account_add(name="other", domain="other.example")
    assert ids(api_of(shout, other, "read", "trace"), other) == []
    assert api_of(shout, other, "read", "trace")("GET", f"accounts/{account['account']}/held")[0] == 404
    pages, after = [], ""
    while after is not None:
        page = manager("GET", f"accounts/{account['account']}/held?limit=1" + (f"&after={after}" if after else ""))[1]
        pages += [one["id"] for one in page["held"]]
        after = page["next"]
    assert sorted(pages) == sorted(shown)


def test_a_policy_is_the_accounts_own_to_lift_and_a_virus_is_not(shout, sink, account, manager, held):
    virus, unwanted = held(EICAR), held(PUA)
    assert do(manager, account, virus, "release")[0] == 403
    assert do(manager, account, unwanted, "false-alarm")[0] == 409
    status, answer = do(manager, account, unwanted, "release")
    assert status == 201 and answer["matched"] == 1 and answer["rule"]["by"].startswith("token:"), answer
    wait_for(lambda: [one for one in sink.find("bob@there.example") if PUA in one.body], 60, "it goes out")
    assert virus in ids(manager, account)
    assert do(manager, account, unwanted, "release")[0] == 404
    assert do(Api(shout), account, virus, "release")[0] == 201  # an operator may
    wait_for(lambda: virus not in ids(manager, account), 60)


def test_a_false_alarm_is_told_to_the_operator_and_nothing_goes_out(shout, sink, account, manager, held):
    virus = held(EICAR)
    assert do(manager, account, virus, "false-alarm")[0] == 202
    event, = wait_for(lambda: shout.events("false-alarm", virus))
    assert event["account"] == account["account"] and event["verdict"] == "infected" and "Eicar" in event["signature"]
    assert event["originator"] == SENDER and event["by"].startswith("token:")
    assert shout.shoutctl("events", "--event", "false-alarm", "--id", virus)["by"] == event["by"]
    assert virus in ids(manager, account)


def test_what_is_discarded_goes_and_its_sender_hears_so(shout, sink, account, manager, held):
    virus = held(EICAR)
    assert do(manager, account, virus, "discard")[0] == 201
    wait_for(lambda: virus not in ids(manager, account), 60)
    wait_for(lambda: shout.events("bounced", virus), 60)


def test_mail_that_waits_is_tried_at_once(shout):
    account = shout.account_add(name="waits", domain="keeps.example.net")
    manager = api_of(shout, account, "read", "trace", "write")
    message = post(shout, account, "later@there.example", b"x", "me@keeps.example.net")
    wait_for(lambda: shout.events("deferred", message), 60)
    assert do(manager, account, message, "release")[0] == 404
    assert do(manager, account, message, "retry")[0] == 201
    wait_for(lambda: len(shout.events("deferred", message)) >= 2, 60, "another attempt")


def test_who_may_not_changes_nothing(shout, account, held):
    unwanted = held(PUA)
    reader = api_of(shout, account, "read", "trace")
    other = shout.account_add(name="thief", domain="thief.example")
    thief = api_of(shout, other, "read", "trace", "write")
    for what in ("release", "discard", "retry", "false-alarm"):
        assert do(reader, account, unwanted, what)[0] == 403
        assert do(thief, account, unwanted, what)[0] == 404
        assert do(thief, other, unwanted, what)[0] == 404
        assert do(reader, account, "x" * 26, what)[0] == 403
    assert unwanted in ids(reader, account) and not shout.events("false-alarm", unwanted)


def test_bounces_are_counted_by_why(shout):
    account = shout.account_add(name="bounces", domain="bounces.example")
    manager = api_of(shout, account, "trace")
    sent = [post(shout, account, "nobody@there.example", b"x", "me@bounces.example") for _ in range(3)]
    path = f"accounts/{account['account']}/bounces?group=class"

    def classes():
        status, answer = manager("GET", path)
        assert status == 200, answer
        return {one["class"]: one for one in answer["classes"]}
    found = wait_for(lambda: classes().get("bad-mailbox", {}).get("recipients", 0) >= 3 and classes(), 60)
    assert found["bad-mailbox"]["recipients"] == 3 and "it" in found["bad-mailbox"]["meaning"] and len(sent) == 3
    assert manager("GET", path + "&until=1d")[1]["classes"] == []
    assert manager("GET", f"accounts/{account['account']}/bounces?group=site")[0] == 400
    other = shout.account_add(name="clean", domain="clean.example")
    assert api_of(shout, other, "trace")("GET", f"accounts/{other['account']}/bounces")[1]["classes"] == []
