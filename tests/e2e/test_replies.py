"""What a remote's reply means: whom it blames decides whether mail bounces or waits, and events, DSNs, `why` and
metrics say so. The operator's own rules count before the built-in ones."""

import json
import os
import signal
import subprocess

import pytest

from harness import BUILD, ROOT, wait_for
from test_sender import Site, ended, names, report

OWN = """
replies:
  - name: own-frob
    match: 'frobnicated'
    class: greylisted
    scope: transient
    samples: ['550 5.9.9 you are frobnicated']
"""
BLOCKED = "550 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"


@pytest.fixture(scope="module")
def site(module_rig, certificate):
    own = module_rig.path("own-rules.yaml")
    own.write_text("replies: []\n")
    site = Site(module_rig, certificate, replies=str(own))
    site.own = own
    return site


def check(*words, file=None):
    done = subprocess.run([BUILD / "shout", "check", *(("-c", file) if file else ()), *words], capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def reload(shout):
    before = len(shout.log_lines())
    os.kill(shout.process.pid, signal.SIGHUP)
    return lambda message: wait_for(
        lambda: [line for line in shout.log_lines()[before:] if line["message"] == message], 60, message)


def test_a_5xx_that_blames_our_address_waits_and_is_delivered_once_when_the_block_is_lifted(site):
    site.sink.on("rcpt", BLOCKED, match="^blamed@", times=3)
    message_id = site.post("blamed@elsewhere.example")
    ended(site.shout, message_id, "delivered")
    assert "bounced" not in names(site.shout, message_id)
    deferred = site.shout.events("deferred", message_id)
    assert {(e["class"], e["scope"], e["rule"]) for e in deferred} == {("dnsbl", "egress-ip", "dnsbl")}
    assert deferred[0]["reply"] == BLOCKED
    assert len(site.sink.find("blamed@elsewhere.example")) == 1
    assert site.shout.metric("shout_sender_replies_total", 'class="dnsbl",scope="egress-ip"') == 3
    assert [line for line in site.shout.log_lines() if line.get("scope") == "egress-ip" and line["level"] == "error"]


def test_the_same_at_the_end_of_data_and_in_the_greeting(site):
    site.sink.on("dot", "554 5.7.1 Your IP address has been blocked", match="^dot@", times=1)
    first = site.post("dot@elsewhere.example")
    ended(site.shout, first, "delivered")
    assert site.shout.events("deferred", first)[0]["class"] == "ip-reputation"
    site.sink.on("banner", "554 IP=192.0.2.1 - None/bad reputation. Ask your postmaster for help", times=1)
    wait_for(lambda: site.shout.metric("shout_sender_connections") == 0, 60, "a connection has to be opened")
    second = site.post("greeting@elsewhere.example")
    ended(site.shout, second, "delivered")
    assert {e["scope"] for e in site.shout.events("deferred", second) if "scope" in e} == {"egress-ip"}
    assert not site.shout.events("bounced", first) and not site.shout.events("bounced", second)


def test_an_unknown_user_bounces_at_once_and_everybody_is_told_why(site):
    site.sink.on("rcpt", "550 sorry, no mailbox here by that name", match="^nobody@")
    message_id = site.post("nobody@elsewhere.example")
    bounced, = ended(site.shout, message_id, "bounced")
    assert names(site.shout, message_id) == ["accepted", "bounced"]
    assert (bounced["class"], bounced["scope"], bounced["attempts"]) == ("bad-mailbox", "recipient", 1)
    people, _, _ = report(site.sink)
    assert "That means: The recipient's address does not exist." in people
    assert "problem of ours" not in people
    told, = [e for e in site.shout.shoutctl("why", message_id)["messages"][0]["events"] if e["event"] == "bounced"]
    assert told["class"] == "bad-mailbox"
    text = subprocess.run([BUILD / "shoutctl", "-c", site.shout.file, "why", message_id], capture_output=True, text=True,
                          check=True, timeout=60).stdout
    assert "class=bad-mailbox" in text and "The recipient's address does not exist." in text
    score = site.shout.shoutctl("account", "show", site.account["account"])["score"]
    wait_for(lambda: site.shout.shoutctl("account", "show", site.account["account"])["score"]["7d"]["unknown_users"],
             60, f"the account's score, {score}")


def test_a_4xx_never_bounces_whatever_it_says(site):
    site.sink.on("rcpt", "451 5.1.1 User unknown, permanently, never again", match="^soft@", times=2)
    message_id = site.post("soft@elsewhere.example")
    ended(site.shout, message_id, "delivered")
    assert set(names(site.shout, message_id)) == {"accepted", "deferred", "delivered"}
    assert site.shout.events("deferred", message_id)[0]["class"] == "bad-mailbox"


def test_an_unknown_reply_is_listed_and_a_rule_of_ones_own_counts_from_the_next_sighup(site):
    site.sink.on("rcpt", "550 5.9.9 <x17@elsewhere.example> you are frobnicated 17", match="^frob@")
    message_id = site.post("frob@elsewhere.example")
    bounced, = ended(site.shout, message_id, "bounced")
    assert (bounced["class"], "rule" in bounced) == ("other", False)
    known = wait_for(lambda: [r for r in site.shout.shoutctl("replies", "unknown")["replies"] if "frob" in r["reply"]],
                     60, "the list of unknown replies")[0]
    assert known["reply"] == "550 5.9.9 ... you are frobnicated 17" and known["count"] == 1 and known["provider"] == ""
    site.own.write_text(OWN)
    said = reload(site.shout)
    assert said("response rules read again")[0]["rules"] == "1"
    message_id = site.post("frob@elsewhere.example")
    deferred = ended(site.shout, message_id, "deferred")
    assert (deferred[0]["class"], deferred[0]["rule"]) == ("greylisted", "own-frob")
    site.sink.clear()
    ended(site.shout, message_id, "delivered")


def test_a_file_with_a_mistake_is_refused_by_name_and_the_old_one_stays(site):
    site.own.write_text(OWN + "  - name: bad\n    match: '(a+)+b'\n    class: other\n    scope: recipient\n"
                        "    samples: ['550 aab']\n")
    said = reload(site.shout)("the response rules stay as they were")
    assert said[0]["error"].startswith(f"{site.own}:9: bad: match: a repeated group")
    code, out, _ = check(file=site.shout.file)
    assert code == 1 and f"{site.own}:9: bad: match" in out
    site.sink.on("rcpt", "550 5.9.9 frobnicated", match="^still@", times=1)
    message_id = site.post("still@elsewhere.example")
    ended(site.shout, message_id, "delivered")
    assert site.shout.events("deferred", message_id)[0]["rule"] == "own-frob"


def test_check_says_what_a_reply_means(site):
    site.own.write_text(OWN)
    code, out, _ = check("--mx", "mx1.elsewhere.example", "--reply", "550 5.9.9 frobnicated", "--json", file=site.shout.file)
    assert code == 0 and json.loads(out) == {
        "provider": "", "class": "greylisted", "scope": "transient", "reaction": "retry", "rule": "own-frob",
        "meaning": "The recipient's server lets first-time senders wait."}
    code, out, _ = check("--mx", "gmail-smtp-in.l.google.com", "--stage", "rcpt", "--reply",
                         "550-5.2.1 The email account that you tried to reach\n550 5.2.1 is disabled.", file=site.shout.file)
    assert code == 0 and "google-inactive" in out and "bounce" in out
    assert check("--mx", "mx", file=site.shout.file)[0] == 2
    assert check("--mx", "mx", "--reply", "550 no", "--stage", "nowhere", file=site.shout.file)[0] == 1


def test_unknown_replies_are_counted_by_shape_and_the_oldest_give_way(module_rig):
    redis = module_rig.redis()
    script = (ROOT / "shared/work/unknown_replies.lua").read_text()

    def run(*words):
        return redis.run("--raw", "EVAL", script, 2, "a:{x}", "b:{x}", 3, *words)

    for shape in ("one", "two", "one", "three", "four", "five"):
        run(shape, 2, "p", "mx", f"550 {shape}")
        redis.run("ZADD", "b:{x}", {"one": 1, "two": 2}.get(shape, 9), shape)  # who was heard long ago
    kept = run().split("\n")
    assert len(kept) == 3 * 6 and {"550 three", "550 four", "550 five"} == set(kept[5::6]) and set(kept[0::6]) == {"2"}
    run("five", 3, "p", "mx2", "550 five again")
    assert "5" in run().split("\n")[0::6] and "550 five again" in run()
