"""Accounts of a cluster: two controls and two ingress nodes know of one's end, events tell of it, and a new cluster
takes a backup."""

import json
import smtplib
import subprocess

import kafka
from harness import BUILD, Shout, wait_for


def node(rig, broker, redis, role):
    shout = Shout(rig.path(role), redis, role=role, settings={"queue": broker.queue()})
    rig.started.append(shout)
    return shout


def cluster(rig, broker, redis):
    """Two controls and two ingress nodes."""
    nodes = [node(rig, broker, redis, role) for role in ("control", "control", "ingress", "ingress")]
    kafka.topics(nodes[0].file)
    for one in nodes:
        one.start(wait=False)
    wait_for(lambda: all(one.ready() for one in nodes), 60)
    return nodes[:2], nodes[2:]


def code(ingress, account, number=[256]):
    """What a login hears, from an address of its own."""
    number[0] += 1
    with smtplib.SMTP("127.0.0.1", ingress.ports["plain"], timeout=30,
                      source_address=(f"127.8.{number[0] // 256}.{number[0] % 256}", 0)) as client:
        try:
            return client.login(account["username"], account["password"])[0]
        except smtplib.SMTPAuthenticationError as refused:
            return refused.smtp_code


def all_hear(ingresses, account, expected):
    wait_for(lambda: [code(one, account) for one in ingresses] == [expected] * len(ingresses), what=expected)


def told(control, account, what):
    changes = control.shoutctl("why", account["account"], "--limit", 100)["changes"]
    return [event for event in changes if event["what"] == what]


def test_an_accounts_end_is_the_clusters(rig, redis, broker, tmp_path):
    controls, ingresses = cluster(rig, broker, redis)
    account = controls[0].account_add("one", "one.example")
    other = controls[1].account_add("two", "two.example")
    all_hear(ingresses, account, 235)
    file, backup = tmp_path / "accounts.jsonl", tmp_path / "backup.jsonl"
    controls[1].shoutctl("account", "export", "--all", "--output", file)

    # one deletes, the other sees it and brings it back
    wait_for(lambda: controls[0].shoutctl("account", "list")["total"] == 2)
    controls[0].shoutctl("account", "delete", account["account"])
    all_hear(ingresses, account, 535)
    wait_for(lambda: controls[1].shoutctl("account", "list", "--deleted")["total"] == 1)
    assert "deleted" in controls[1].shoutctl("account", "add-domain", other["account"], "--domain", "one.example",
                                             check=False)["error"]
    controls[1].shoutctl("account", "restore", account["account"])
    all_hear(ingresses, account, 235)
    wait_for(lambda: controls[0].shoutctl("account", "list")["total"] == 2)
    for control in controls:
        wait_for(lambda: told(control, account, "account.delete") and told(control, account, "account.restore"))

    # while Redis is away
    redis.stop()
    assert controls[1].shoutctl("account", "delete", account["account"])["applied"] is False
    redis.start()
    all_hear(ingresses, account, 535)
    all_hear(ingresses, other, 235)
    assert account["username"] not in redis.run("KEYS", "*")

    # both at once
    wait_for(lambda: controls[0].shoutctl("account", "list", "--deleted")["total"] == 1)
    both = [subprocess.Popen([str(BUILD / "shoutctl"), "-c", str(one.file), "--json", "account", "restore",
                              account["account"]], stdout=subprocess.PIPE, text=True) for one in controls]
    answers = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert any("status" in answer for answer in answers)
    all_hear(ingresses, account, 235)

    # for ever, and back from a file
    for control in controls:
        wait_for(lambda: control.shoutctl("account", "list")["total"] == 2)
    controls[0].shoutctl("backup", backup)
    controls[0].shoutctl("account", "delete", account["account"], "--now")
    all_hear(ingresses, account, 535)
    wait_for(lambda: controls[1].shoutctl("account", "list")["total"] == 1)
    answer = controls[1].shoutctl("account", "import", file)
    assert (answer["new"], answer["same"]) == (1, 1)
    all_hear(ingresses, account, 235)
    assert "SCRAM-SHA-256$" not in json.dumps(told(controls[0], account, "account.import"))

    # a killed control leaves no change untold
    for number in range(3):
        writer = subprocess.Popen([str(BUILD / "shoutctl"), "-c", str(controls[0].file), "account", "change",
                                   account["account"], "--name", f"n{number}"], stderr=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL)
        controls[0].kill()
        writer.wait(60)
        controls[0].start()
    controls[1].shoutctl("account", "change", account["account"], "--name", "last")
    name = controls[1].shoutctl("account", "show", account["account"])["name"]
    wait_for(lambda: name in json.dumps(told(controls[1], account, "account.change")))

    # all is lost but the file
    for one in (*controls, *ingresses):
        one.stop()
    fresh = rig.add(kafka.Kafka(rig.path("fresh")))
    controls, ingresses = cluster(rig, fresh, rig.redis())
    assert controls[0].shoutctl("restore", backup)["restored"] == 5
    all_hear(ingresses, account, 235)
    all_hear(ingresses, other, 235)
    wait_for(lambda: controls[1].shoutctl("account", "list")["total"] == 2)
    assert controls[1].shoutctl("restore", backup)["restored"] == 0
    owner = json.loads(backup.read_text().splitlines()[0])["owner"]
    for one in controls:
        wait_for(one.ready)
        assert one.shoutctl("account", "show", account["account"])["name"] == "one"
    assert owner
