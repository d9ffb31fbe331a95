"""Who hurts the relay is held before much is out, while the others of the company go on; who sends to those it always
sends to is left alone; one command ends it."""

import threading

import pytest

from harness import EICAR, send, wait_for

COMPANY = "customer.example"


def mail(sender, subject="x"):
    return f"From: {sender}\r\nSubject: {subject}\r\n\r\nhello\r\n".encode()


def got(sink, sender):
    return sum(len(one.recipients) for one in sink.find() if one.sender == sender)


@pytest.fixture
def company(rig, certificate):
    sink = rig.sink()
    sink.on("rcpt", "550 5.1.1 no such user", match="unknown")
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    return shout, shout.account_add(domain=COMPANY), sink


def flood(shout, account, sender, numbers):
    with shout.smtp(account=account) as client:
        for number in numbers:
            send(client, sender, f"unknown{number}@victim{number % 7}.example", mail(sender))


def test_a_hijacked_mailbox_is_held_and_its_company_goes_on(company):
    shout, account, sink = company
    thief, boss = f"anna@{COMPANY}", f"boss@{COMPANY}"
    with shout.smtp(account=account) as client:
        for number in range(2):
            send(client, thief, f"friend{number}@elsewhere.example", mail(thief))
            send(client, boss, f"partner{number}@elsewhere.example", mail(boss))
    wait_for(lambda: got(sink, thief) == 2 and got(sink, boss) == 2)
    threads = [threading.Thread(target=flood, args=(shout, account, thief, range(i, 300, 3))) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def score(*words):
        return shout.shoutctl("score", account["account"], *words)
    shown = wait_for(lambda: (one := score("--originator", thief.upper()))["step"] == "hold" and one, what="held")
    assert shown["rung"] == "originator" and "unknown users" in shown["why"]
    held = wait_for(lambda: shout.shoutctl("queue", "list", "--sender", thief, "--state", "held", "--limit", "1000")["rows"])
    assert "originator: " in held[0]["reason"]
    wait_for(lambda: score("--originator", thief)["counts"]["1h"]["recipients"] > 0, what="results are counted")
    out = {one for event in shout.events("bounced") for one in event["to"] if one.startswith("unknown")}
    assert 0 < len(out) < 200 and got(sink, thief) == 2
    # the company's other mail goes on, and its account is blamed for nothing of it
    with shout.smtp(account=account) as client:
        for number in range(20):
            send(client, boss, f"partner{number}@elsewhere.example", mail(boss))
    wait_for(lambda: got(sink, boss) == 22, what="the boss's mail")
    assert score()["step"] == "none" and score("--credential", account["username"])["step"] == "none"
    event = wait_for(lambda: [one for one in shout.events("standing") if one["step"] == "hold"])[0]
    assert (event["rung"], event["who"], event["account"]) == ("originator", thief, account["account"])
    assert "unknown users" in event["reason"] and event["threshold"].startswith("hold at") and "release" in event["way_out"]
    standing = shout.shoutctl("score", "show")["standing"]
    assert standing[0]["id"] == thief and standing[0]["step"] == "hold"
    top = shout.shoutctl("top")["top"]
    assert {(one["rung"], one["id"]) for one in top} >= {("account", ""), ("originator", thief), ("originator", boss)}
    # one command, and what is held goes
    done = shout.shoutctl("score", "release", account["account"], "--originator", thief)
    assert done["was"] == "hold" and done["rule"]["selector"] == {"account": account["account"], "sender": thief}
    assert score("--originator", thief)["step"] in ("none", "notify")
    wait_for(lambda: not shout.shoutctl("queue", "list", "--sender", thief, "--state", "held")["rows"], what="released")
    with shout.smtp(account=account) as client:
        send(client, thief, "friend@elsewhere.example", mail(thief))
    wait_for(lambda: got(sink, thief) == 3, what="its new mail goes on")


def test_a_newsletter_to_known_recipients_passes(rig, certificate):
    sink = rig.sink()
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"score": {"enabled": False, "learning": "0"}})
    account = shout.account_add(domain=COMPANY)
    sender = f"news@{COMPANY}"
    readers = [f"reader{number}@elsewhere.example" for number in range(2000)]

    def issue(number):
        with shout.smtp(account=account) as client:
            for part in (readers[:1000], readers[1000:]):
                send(client, sender, part, mail(sender, f"issue {number}"))
        wait_for(lambda: got(sink, sender) == 2000 * number, what=f"issue {number}")
    issue(1)
    wait_for(lambda: shout.shoutctl("score", account["account"], "--originator", sender)["counts"]["1h"]["recipients"]
             == 2000, what="the results are counted")
    shout.settings["score"]["enabled"] = True
    shout.write()
    shout.stop()
    shout.start()
    wait_for(lambda: shout.get("/readyz")[0] == 200)
    issue(2)
    shown = shout.shoutctl("score", account["account"], "--originator", sender)
    assert shown["step"] == "none" and shown["counts"]["1h"]["sent"] == 2000
    assert shown["counts"]["1h"]["strangers"] < 15  # the filter forgets nobody, but may take a stranger for known
    # the same number of strangers is held
    with shout.smtp(account=account) as client:
        send(client, sender, [f"new{number}@elsewhere.example" for number in range(1000)], mail(sender, "to all"))
    wait_for(lambda: shout.shoutctl("queue", "list", "--state", "held")["rows"], what="held")
    assert got(sink, sender) == 4000


def test_without_redis_mail_goes_on_unjudged(rig, certificate):
    redis, sink = rig.redis(), rig.sink()
    shout = rig.shout(redis, route=sink.host, certificate=certificate)
    account = shout.account_add(domain=COMPANY)
    sender = f"anna@{COMPANY}"
    with shout.smtp(account=account) as client:
        send(client, sender, "a@elsewhere.example", mail(sender))
    wait_for(lambda: got(sink, sender) == 1)
    redis.kill()
    with shout.smtp(account=account) as client:
        send(client, sender, "b@elsewhere.example", mail(sender))
    wait_for(lambda: got(sink, sender) == 2)
    answer = shout.shoutctl("score", account["account"], check=False)
    assert "Redis" in answer["error"]


def test_switched_off_nobody_is_held_for_viruses(rig, certificate):
    sink = rig.sink()
    shout = rig.shout(rig.redis(), clamd=rig.clamd(), route=sink.host, certificate=certificate, settings={"score": {"enabled": False}})
    account, sender = shout.account_add(domain=COMPANY), f"anna@{COMPANY}"
    with shout.smtp(account=account) as client:
        for number in range(4):
            send(client, sender, f"friend{number}@elsewhere.example", mail(sender) + EICAR + b"\r\n")
        wait_for(lambda: len(shout.shoutctl("queue", "list", "--state", "held")["rows"]) == 4)
        wait_for(lambda: shout.shoutctl("score", account["account"])["counts"]["1h"]["viruses"] == 4)
        send(client, sender, "friend@elsewhere.example", mail(sender))
    wait_for(lambda: sink.find("friend@elsewhere.example"))
    assert shout.shoutctl("score", account["account"], "--originator", sender)["step"] == "none"
