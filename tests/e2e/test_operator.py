"""What operators do to the queue: retry, bounce and release by each selector, suspend and resume, and
that senders which were away do it when they return."""

import json
import subprocess
import time

import pytest

from harness import BUILD, wait_for
from operator_steps import *  # noqa: F401, F403  (the steps that both queues take)
from operator_steps import Desk, Sites


class Embedded(Desk):
    def __init__(self, rig, certificate):
        sites = Sites(rig)
        self.shout = rig.shout(rig.redis(), certificate=certificate, settings=sites.settings)
        super().__init__(sites, self.shout)

    def door(self):
        return self.shout

    def restart(self):
        self.shout.kill()
        self.shout.restart()

    def loaded(self):
        return self.shout.metric("shout_sender_loaded")

    def events(self, name, message_id):
        return self.shout.events(name, message_id)


@pytest.fixture
def desk(rig, certificate):
    return Embedded(rig, certificate)


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


def ctl(shout, *words):
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *map(str, words)], timeout=60, capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


def test_what_people_read_and_what_is_refused(desk):
    assert "Nothing is suspended" in ctl(desk.shout, "suspensions")[1]
    assert ctl(desk.shout, "suspend", "--site", "MX.good.example", "--for", "2h", "--reason", "why not")[0] == 0
    status, output, _ = ctl(desk.shout, "suspensions")
    assert status == 0 and "site mx.good.example" in output and "why not" in output
    for words, expected in ((("suspend",), 1), (("resume",), 1), (("resume", "--site", "mx.other.example"), 1),
                            (("suspend", "--egress-ip", "here"), 1), (("suspend", "--site", "x", "--for", "soon"), 2),
                            (("suspend", "--id", "short"), 1), (("suspend", "--credential", "x" * 500), 1),
                            (("resume", "--site", "mx.good.example"), 0)):
        assert ctl(desk.shout, *words)[0] == expected, words
