"""Two controls of a cluster: one leads, the other follows within ten seconds, and each mail is one mail."""

import email
import email.policy
import json
import re
import time

import kafka
from harness import Shout, wait_for

SERVICE = {"name": "Posta", "support": "help@provider.example", "panel": "https://panel.provider.example"}
DAY_US = 86400 * 10**6


def cluster(rig, broker, redis, sink):
    nodes = [Shout(rig.path(role), redis, role=role, route=sink.host, settings={"queue": broker.queue(), "service": SERVICE})
             for role in ("control", "control", "sender")]
    rig.started.extend(nodes)
    kafka.topics(nodes[0].file)
    for one in nodes:
        one.start(wait=False)
    wait_for(lambda: all(one.ready() for one in nodes), 60)
    return nodes[:2]


def leading(controls):
    """Those that lead, by their metrics."""
    return [one for one in controls if one.running() and one.metric("shout_control_leader") == 1]


def subjects(sink, contact):
    mails = [email.message_from_bytes(one.body, policy=email.policy.default) for one in sink.find(recipient=contact)]
    return [(mail["Subject"].removeprefix("[Mail Relay] "), mail["Message-ID"]) for mail in mails]


class Customer:
    """An account in its time of grace, which ends in two days."""

    def __init__(self, control, sink, name, tmp_path):
        self.control, self.sink, self.contact = control, sink, f"{name}@mailbox.example"
        self.id = control.shoutctl("account", "add", "--name", name, "--contact", self.contact, "--domain", f"{name}.example",
                                   "--verified", "--language", "en")["account"]
        file = tmp_path / f"{name}.jsonl"
        control.shoutctl("account", "export", self.id, "--output", file)
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            entry = line.get("document", line)
            if "account" in entry:
                entry["account"].update(mode="ip", grace={"until_us": int(time.time() * 10**6) + 2 * DAY_US,
                                                          "length_us": 14 * DAY_US, "extended": False})
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        control.shoutctl("account", "import", file, "--replace")

    def endings(self):
        return [one for one in subjects(self.sink, self.contact) if one[0].startswith("Previous access: until")]


def test_one_leads_and_each_mail_is_one_mail(rig, redis, broker, sink, tmp_path):
    controls = cluster(rig, broker, redis, sink)
    wait_for(lambda: len(leading(controls)) == 1, 30)
    leader, = leading(controls)
    other = controls[1 - controls.index(leader)]
    assert "leader: ready: this process leads" in leader.get("/readyz")[1]
    assert re.search(r"^leader: ready: \S+ leads$", other.get("/readyz")[1], re.M)

    # changed at the one that follows, seen by the one that leads
    first = Customer(other, sink, "first", tmp_path)
    wait_for(first.endings, 60)
    told = {subject for subject, _ in subjects(sink, first.contact)}
    assert {"Mail Relay is active", "Username", "Password", "Configuration"} <= told

    leader, = wait_for(lambda: (now := leading(controls))[0:] and len(now) == 1 and now)  # a busy machine may have moved it
    other = controls[1 - controls.index(leader)]
    killed = time.monotonic()
    leader.kill()
    wait_for(lambda: leading(controls) == [other], 30)
    print(f"followed after {time.monotonic() - killed:.1f} s")
    second = Customer(other, sink, "second", tmp_path)
    wait_for(second.endings, 60)
    leader.start()
    wait_for(leader.ready, 60)
    wait_for(lambda: len(leading(controls)) == 1, 30)

    redis.run("FLUSHALL")
    other.shoutctl("rebuild")
    wait_for(lambda: len(leading(controls)) == 1, 30)
    third = Customer(leader, sink, "third", tmp_path)
    wait_for(third.endings, 60)
    for customer in (first, second, third):
        assert len({message_id for _, message_id in customer.endings()}) == 1, customer.endings()
        listed = other.shoutctl("account", "notices", customer.id)["notices"]
        assert [one["mail"] for one in listed].count("grace-ending") == 1
    stopped = leading(controls)[0]
    stopped.stop()
    wait_for(lambda: len(leading(controls)) == 1, 30)
