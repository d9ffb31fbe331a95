"""What operators do to the queue: retry, bounce and release by each selector, suspend and resume, and
that senders which were away do it when they return."""

import json
import subprocess
import time
import unicodedata

import pytest

from harness import BUILD, EICAR, wait_for
from operator_steps import *  # noqa: F401, F403  (the steps that both queues take)
from operator_steps import Desk, Sites
from queue_steps import *  # noqa: F401, F403  (what they see)


class Embedded(Desk):
    def __init__(self, rig, certificate, clamd):
        sites = Sites(rig)
        self.clamd = clamd
        self.redis = rig.redis()
        self.shout = rig.shout(self.redis, certificate=certificate, clamd=clamd, settings=sites.settings)
        super().__init__(sites, self.shout)

    def door(self):
        return self.shout

    def restart(self):
        self.shout.kill()
        self.shout.restart()

    def loaded(self):
        return self.shout.metric("shout_sender_loaded")

    def open_by_metrics(self):
        return sum(self.shout.metric("shout_queue_backlog", f'topic="mail.{topic}"') for topic in ("inbound", "ready")) \
            + self.shout.metric("shout_queue_rows")

    def held_by_metrics(self):
        return self.shout.metric("shout_sender_held")

    def events(self, name, message_id):
        return self.shout.events(name, message_id)


@pytest.fixture
def desk(rig, certificate, clamd):
    return Embedded(rig, certificate, clamd)


def write_config(shout, entries):
    """Entries of relay.config, written while nobody runs."""
    lines = "".join(f" {key.encode().hex()}\n {json.dumps(value).encode().hex()}\n" for key, value in entries.items())
    subprocess.run(["mdb_load", "-n", "-s", "config", shout.state_dir / "queue.mdb"], text=True, check=True,
                   input=f"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n{lines}DATA=END\n")


def test_commands_while_no_sender_runs_are_done_when_it_returns(desk):
    rules = [sink.on("rcpt", "451 4.2.2 later") for sink in (desk.good, desk.other)]
    first, second = desk.post("one", "x@good.example"), desk.post("two", "y@other.example")
    third = desk.post("two", "z@good.example")
    desk.wait(3)
    account = desk.accounts["one"]["account"]
    desk.shout.shoutctl("suspend", "--account", account)
    desk.shout.shoutctl("queue", "retry", first)
    desk.shout.stop()
    desk.good.rules.remove(rules[0])
    desk.other.rules.remove(rules[1])
    now = int(time.time() * 1e6)
    write_config(desk.shout, {
        f"rule/{1:020}": {"number": 1, "action": "bounce", "selector": {"account": "long-gone"},
                          "accepted_before_us": now - 7 * 86400_000_000, "by": "me"},
        f"suspension/account={account}": {"selector": {"account": account}, "until_us": 1},
        f"suspension/credential={desk.accounts['two']['username']}":
            {"version": now, "selector": {"credential": desk.accounts["two"]["username"]}},
        **{f"rule/{now + i:020}": {"number": now + i, "action": action, "selector": selector,
                                   "accepted_before_us": now, "by": "me"}
           for i, (action, selector) in enumerate([("retry", {"account": account}),
                                                   ("bounce", {"recipient_domain": "other.example"})])}})
    desk.shout.restart()
    wait_for(lambda: desk.events("delivered", first), 60, "the retry")
    wait_for(lambda: desk.events("bounced", second), 60, "the bounce")
    desk.restart()
    desk.shout.shoutctl("queue", "retry", third)
    marker = desk.post("one", "marker@good.example")
    wait_for(lambda: desk.events("delivered", marker), 60, "what is not meant")
    assert not desk.events("delivered", third) and len(desk.events("bounced", second)) == 1
    desk.shout.stop()
    kept = subprocess.run(["mdb_dump", "-n", "-p", "-s", "config", desk.shout.state_dir / "queue.mdb"], text=True,
                          capture_output=True, check=True).stdout
    # what is over is gone: the rule after 6 days, the suspension after its end
    assert f"rule/{now:020}" in kept and f"rule/{1:020}" not in kept and f"suspension/account={account}" not in kept


def test_what_was_on_its_way_is_bounced_after_a_restart(desk):
    """Commands given right before, and while nobody runs; those that contradict each other in either order."""
    found = [desk.post("one", f"a{i}@good.example", more=EICAR) for i in range(2)]
    for message_id in found:
        desk.is_state(message_id, "held")
    with desk.clamd.paused():
        before, meanwhile = desk.post("one", "b@good.example"), desk.post("two", "c@good.example")
        desk.is_state(meanwhile, "inbound")
        desk.ctl("queue", "bounce", before)
        desk.shout.kill()
    now = int(time.time() * 1e6)
    commands = [("bounce", meanwhile), ("bounce", found[0]), ("release", found[0]), ("release", found[1]),
                ("bounce", found[1])]
    write_config(desk.shout, {
        f"rule/{now + i:020}": {"number": now + i, "action": action, "selector": {"id": message_id},
                                "accepted_before_us": now - 3600_000_000, "by": "me"}  # a clock behind: the id counts
        for i, (action, message_id) in enumerate(commands)})
    desk.shout.restart()
    for message_id in (*found, before, meanwhile):
        wait_for(lambda one=message_id: desk.events("bounced", one), 60, "all end")
    desk.wait(0)
    assert not desk.good.messages


def test_a_command_counts_whatever_the_clock_was(desk):
    """A rule from a time when the clock was ahead: commands after it are no older."""
    found = desk.post("one", "a@good.example", more=EICAR)
    desk.is_state(found, "held")
    desk.shout.stop()
    ahead = int((time.time() + 3600) * 1e6)
    write_config(desk.shout, {f"rule/{ahead:020}": {
        "number": ahead, "action": "release", "selector": {"account": "2222222222"}, "accepted_before_us": ahead}})
    desk.shout.restart()
    also = desk.post("one", "b@good.example", more=EICAR)  # the newest rule is no release of it
    desk.is_state(also, "held")
    for message_id in (found, also):
        desk.ctl("queue", "release", message_id)
        wait_for(lambda one=message_id: desk.events("delivered", one), 60, "it is released")


def ctl(shout, *words):
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *map(str, words)], timeout=60, capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


def test_what_people_read_and_what_is_refused(desk):
    assert "Nothing is suspended" in ctl(desk.shout, "suspensions")[1]
    assert ctl(desk.shout, "suspend", "--site", "MX.good.example", "--for", "2h", "--reason", "why not")[0] == 0
    status, output, _ = ctl(desk.shout, "suspensions")
    assert status == 0 and "site mx.good.example" in output and "why not" in output
    for words, expected in ((("suspend",), 2), (("resume",), 2), (("resume", "--site", "mx.other.example"), 1),
                            (("suspend", "--egress-ip", "here"), 1), (("suspend", "--site", "x", "--for", "soon"), 2),
                            (("suspend", "--id", "short"), 1), (("suspend", "--credential", "x" * 500), 1),
                            (("resume", "--site", "mx.good.example"), 0)):
        assert ctl(desk.shout, *words)[0] == expected, words


def columns(text):
    """How wide a terminal shows it."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_people_see_columns_and_clean_text(desk):
    """Whatever names and replies hold; the account's name and id, the host, when it is tried next."""
    account = desk.shout.account_add("株式会社 Bu\u0308cher", "three.example")
    desk.accounts["three"] = account
    desk.good.on("rcpt", "451 4.2.2 \x1b[31mred\x1b[0m \u202etxt", match="x@")
    ids = [desk.post("one", "x@good.example"), desk.post("three", "x@twin.example")]
    desk.wait(2)

    def text(*words):
        return subprocess.run([BUILD / "shoutctl", "-c", desk.shout.file, "queue", *words], capture_output=True, text=True,
                              timeout=60, check=True, env={}).stdout
    head, *lines = text("list").splitlines()
    assert head.split() == "ID STATE SINCE TRIES NEXT".split()
    rows = {one["id"]: one for one in desk.rows()}
    for name, id in zip(("one", "株式会社 Bu\u0308cher"), ids):
        at = next(i for i, line in enumerate(lines) if line.startswith(id))
        row, mail, reply = lines[at:at + 3]
        shown = f"{name} ({desk.accounts[name if name == 'one' else 'three']['account']})"
        assert row.index("waiting") == head.index("STATE") and row[head.index("NEXT"):] == rows[id]["next_attempt"][:19].replace("T", " ")
        assert row[head.index("SINCE"):].startswith(rows[id]["since"][:19].replace("T", " "))
        assert mail.strip() == f"{rows[id]['from']} to {rows[id]['to'][0]} at mx.good.example, account {shown}"
        assert reply.strip().startswith(f"mx.good.example[{desk.good.address}]: 451 4.2.2 ") and columns(mail) <= 100
        assert "\x1b" not in row + mail + reply and "\u202e" not in row + mail + reply
        shown_alone = text("show", id)
        assert f"Account       {shown}" in shown_alone and "Next attempt" in shown_alone
    assert text("summary", "--by", "account").count("4.2.x") == 3
