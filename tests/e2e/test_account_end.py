"""An account is deleted, comes back, and goes for good; who changed what is told, whatever dies when."""

import itertools
import json
import smtplib
import subprocess
import time

import pytest

from harness import send, wait_for
from test_control import Api, ctl
from test_operator import write_config

BODY = b"From: me@%s\r\nSubject: x\r\n\r\nhi\r\n"
LOCAL = "127.0.0.19"


@pytest.fixture(scope="module")
def own_redis(module_rig):
    return module_rig.redis()


@pytest.fixture(scope="module")
def shout(module_rig, own_redis, sink, certificate):
    return module_rig.shout(own_redis, route=sink.host, certificate=certificate)


@pytest.fixture
def account(shout, request):
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:50].strip("-")
    made = shout.account_add(name=name, domain=f"{name}.example")
    return {**made, "domain": f"{name}.example"}


NUMBERS = itertools.count(256)


def codes(shout, account, source=None):
    """The last code of AUTH and MAIL, by password or (with `source`) by address. Each login is from an address of
    its own: an address has so many failures."""
    number = next(NUMBERS)
    own = f"127.9.{number // 256}.{number % 256}"
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30, source_address=(source or own, 0)) as client:
        client.ehlo()
        if not source:
            try:
                client.login(account["username"], account["password"])
            except smtplib.SMTPAuthenticationError as refused:
                return refused.smtp_code
        return client.mail(f"me@{account['domain']}")[0]


def read_config(shout):
    """relay.config, while nobody runs."""
    dump = subprocess.run(["mdb_dump", "-n", "-s", "config", shout.state_dir / "queue.mdb"], text=True,
                          capture_output=True, check=True).stdout
    lines = [bytes.fromhex(line[1:]).decode().rstrip("\0") for line in dump.splitlines() if line.startswith(" ")]
    return {key: json.loads(value) for key, value in zip(lines[::2], lines[1::2])}


def changes(shout, account, what=None):
    """The account's audit events, by the command that an operator has."""
    found = shout.shoutctl("why", account["account"], "--limit", 100)["changes"]
    return [event for event in found if what in (None, event["what"])]


def refused(shout, *words):
    answer = shout.shoutctl(*words, check=False)
    assert "error" in answer, answer
    return answer["error"]


def listed(shout, *words):
    return {one["id"]: one for one in shout.shoutctl("account", "list", "--limit", 1000, *words)["accounts"]}


# Delete and restore

def test_what_is_deleted_is_unknown_and_comes_back_as_it_was(shout, account):
    id = account["account"]
    shout.shoutctl("account", "add-address", id, "--ip", LOCAL)
    before = shout.shoutctl("account", "show", id)
    assert codes(shout, account) == 250 and codes(shout, account, LOCAL) == 250

    answer = shout.shoutctl("account", "delete", id)
    assert answer["status"] == "deleted" and answer["kept_until"].endswith("Z")
    wait_for(lambda: codes(shout, account) == 535 and codes(shout, account, LOCAL) == 530)
    assert id not in listed(shout)
    assert listed(shout, "--deleted")[id]["status"] == "deleted"
    shown = shout.shoutctl("account", "show", id)
    assert shown["kept_until"] == answer["kept_until"] and shown["deleted"] < shown["kept_until"]
    assert shown["users"] == before["users"] and shown["domains"] == before["domains"]
    status, people, _ = ctl(shout, "account", "show", id)
    assert status == 0 and "Status        deleted" in people and "Kept until" in people
    status, people, _ = ctl(shout, "account", "list", "--deleted")
    assert id in people and "deleted, kept until" in people

    assert shout.shoutctl("account", "restore", id) == {"account": id, "status": "active"}
    wait_for(lambda: codes(shout, account) == 250 and codes(shout, account, LOCAL) == 250)
    after = shout.shoutctl("account", "show", id)
    assert {**after, "changed": 0, "score": 0} == {**before, "changed": 0, "score": 0}
    assert id in listed(shout) and id not in listed(shout, "--deleted")
    shout.shoutctl("account", "remove-address", id, "--ip", LOCAL)


def test_a_suspended_account_comes_back_suspended(shout, account):
    shout.shoutctl("account", "disable", account["account"])
    shout.shoutctl("account", "delete", account["account"])
    wait_for(lambda: codes(shout, account) == 535)
    assert shout.shoutctl("account", "restore", account["account"])["status"] == "disabled"
    wait_for(lambda: codes(shout, account) == 550)


def test_a_session_that_is_open_is_nobodys_any_more(shout, account):
    with shout.smtp("plain", account) as client:
        assert client.mail(f"me@{account['domain']}")[0] == 250
        client.rset()
        shout.shoutctl("account", "delete", account["account"])

        def answer():
            time.sleep(0.5)  # a session has so many commands without mail
            client.rset()
            return client.mail(f"me@{account['domain']}")[0]
        wait_for(lambda: answer() == 530)


def test_what_a_deleted_account_has_is_nobody_elses_until_it_is_let_go(shout, account):
    id, domain = account["account"], account["domain"]
    shout.shoutctl("account", "add-address", id, "--ip", "192.0.2.44")
    until = shout.shoutctl("account", "delete", id)["kept_until"]
    other = shout.account_add(name="other", domain=f"other-{domain}")
    for words in (("add-domain", other["account"], "--domain", domain.upper()),
                  ("add-address", other["account"], "--ip", "192.0.2.44")):
        error = refused(shout, "account", *words)
        assert id in error and "deleted" in error and until in error
    shout.shoutctl("account", "remove-domain", id, "--domain", domain)
    shout.shoutctl("account", "remove-address", id, "--ip", "192.0.2.44")
    shout.shoutctl("account", "add-domain", other["account"], "--domain", domain, "--verified")
    shout.shoutctl("account", "add-address", other["account"], "--ip", "192.0.2.44")
    shout.shoutctl("account", "restore", id)
    assert shout.shoutctl("account", "show", id)["domains"] == []
    wait_for(lambda: codes(shout, {**other, "domain": domain}) == 250)
    assert codes(shout, account) == 550


@pytest.mark.parametrize("words", [
    ("change", "--name", "x"), ("enable",), ("disable",), ("password",), ("add-user",), ("add-domain", "--domain", "x.example"),
    ("add-address", "--ip", "192.0.2.1"), ("delete",)])
def test_a_deleted_account_is_not_changed(shout, account, words):
    shout.shoutctl("account", "delete", account["account"])
    before = shout.shoutctl("account", "show", account["account"])
    assert "restore it first" in refused(shout, "account", words[0], account["account"], *words[1:])
    assert shout.shoutctl("account", "show", account["account"]) == before


def test_wrong_ends_are_refused(shout, account):
    assert "not deleted" in refused(shout, "account", "restore", account["account"])
    for verb in ("delete", "restore"):
        assert "there is no account" in refused(shout, "account", verb, "nobody")
    api = Api(shout)
    for query in ("bounce=maybe", "now=1", "later=true"):
        status, answer = api("DELETE", f"accounts/{account['account']}?{query}")
        assert status == 400 and answer["field"] == query.split("=")[0]
    assert shout.shoutctl("account", "show", account["account"])["status"] == "active"


def test_at_once_means_for_ever(shout, own_redis, account):
    id = account["account"]
    shout.shoutctl("account", "delete", id)
    assert shout.shoutctl("account", "delete", id, "--now")["status"] == "purged"
    wait_for(lambda: codes(shout, account) == 535)
    assert "there is no account" in refused(shout, "account", "show", id)
    assert "there is no account" in refused(shout, "account", "restore", id)
    assert id not in listed(shout, "--deleted")
    wait_for(lambda: account["username"] not in own_redis.run("KEYS", "*"))
    again = shout.account_add(name="again", domain=account["domain"])
    wait_for(lambda: codes(shout, {**again, "domain": account["domain"]}) == 250)
    gone, = changes(shout, account, "account.purge")
    assert {one["object"] for one in gone["changes"]} == {f"account/{id}", f"user/{account['username']}"}
    assert all(one["after"] is None for one in gone["changes"])


def test_a_deleted_account_goes_for_good_after_30_days(shout, account):
    """control looks for such at its start, and every hour."""
    id, other = account["account"], shout.account_add(name="young", domain=f"young-{account['domain']}")
    for one in (account, other):
        shout.shoutctl("account", "delete", one["account"])
    day_us = 24 * 3600 * 10**6
    shout.stop()
    entries = read_config(shout)
    for one, days in ((account, 30.01), (other, 29.9)):
        entries[f"account/{one['account']}"]["deleted_us"] -= int(days * day_us)
    write_config(shout, {key: entries[key] for key in entries if key.startswith("account/")})
    shout.start()
    wait_for(lambda: id not in listed(shout, "--deleted"))
    gone, = changes(shout, account, "account.purge")
    assert gone["by"] == "housekeeping" and "client" not in gone
    assert gone["changes"][0]["before"]["name"] and gone["changes"][0]["after"] is None
    assert listed(shout, "--deleted")[other["account"]]["kept_until"] > gone["time"]
    shout.shoutctl("account", "restore", other["account"])
    again = shout.account_add(name="again", domain=account["domain"])
    wait_for(lambda: codes(shout, {**again, "domain": account["domain"]}) == 250)
    shout.stop()
    assert not [key for key in read_config(shout) if id in key or key == f"user/{account['username']}"]
    assert not [key for key in read_config(shout) if key.startswith("audit/")]
    shout.start()


def test_redis_that_was_away_serves_no_deleted_account_when_it_is_back(shout, own_redis, account):
    other = shout.account_add(name="stays", domain=f"stays-{account['domain']}")
    assert codes(shout, account) == 250
    own_redis.stop()
    answer = shout.shoutctl("account", "delete", account["account"])
    assert answer["applied"] is False and answer["status"] == "deleted"
    own_redis.start()
    wait_for(lambda: codes(shout, account) == 535)
    wait_for(lambda: codes(shout, {**other, "domain": f"stays-{account['domain']}"}) == 250)
    held = "\n".join(key for key in own_redis.run("KEYS", "*").split() if not key.startswith(("use:", "logins:", "talk:")))  # when, which passes
    assert account["account"] not in held and account["username"] not in held and account["domain"] not in \
        held.replace(f"stays-{account['domain']}", "")


def test_an_emptied_redis_gets_no_deleted_account(shout, own_redis, account):
    shout.shoutctl("account", "delete", account["account"])
    own_redis.run("FLUSHALL")
    shout.shoutctl("rebuild")
    assert account["account"] not in own_redis.run("KEYS", "*")
    assert codes(shout, account) == 535
    shout.stop()
    shout.start()
    assert account["account"] not in own_redis.run("KEYS", "*")
    shout.shoutctl("account", "restore", account["account"])
    wait_for(lambda: codes(shout, account) == 250)


# Waiting mail

@pytest.fixture
def waiting(shout, account):
    """The id of a mail of the account's that waits."""
    shout.shoutctl("suspend", "--account", account["account"])
    with shout.smtp(account=account) as client:
        id = send(client, f"me@{account['domain']}", "you@elsewhere.example", BODY % account["domain"].encode())
    wait_for(lambda: shout.shoutctl("queue", "list", "--account", account["account"])["rows"])
    return id


def test_what_waits_of_a_deleted_account_goes_on(shout, sink, account, waiting):
    shout.shoutctl("account", "delete", account["account"])
    shout.shoutctl("resume", "--account", account["account"])
    wait_for(lambda: shout.events("delivered", waiting))


def test_what_waits_of_a_deleted_account_is_refused_when_that_is_wanted(shout, account, waiting):
    answer = shout.shoutctl("account", "delete", account["account"], "--bounce")
    shout.shoutctl("resume", "--account", account["account"])
    wait_for(lambda: shout.events("bounced", waiting))
    told, = changes(shout, account, "account.delete")
    assert {one["object"] for one in told["changes"]} == {f"account/{account['account']}", f"rule/{answer['rule']['number']}"}


# Who changed what

def test_every_change_is_told_with_who_what_before_and_after(shout, account):
    id, name = account["account"], account["username"]
    steps = [
        (("account", "change", id, "--name", "New"), "account.change"),
        (("account", "change", id, "--messages-hour", 7), "account.change"),
        (("account", "disable", id), "account.disable"), (("account", "enable", id), "account.enable"),
        (("account", "password", id), "user.password"), (("account", "add-user", id), "user.add"),
        (("account", "add-address", id, "--ip", "192.0.2.90"), "address.add"),
        (("account", "remove-address", id, "--ip", "192.0.2.90"), "address.remove"),
        (("account", "add-domain", id, "--domain", f"b-{account['domain']}"), "domain.add"),
        (("account", "remove-domain", id, "--domain", f"b-{account['domain']}"), "domain.remove"),
        (("suspend", "--account", id, "--reason", "odd"), "suspension.add"),
        (("resume", "--account", id), "suspension.remove"),
        (("account", "remove-user", id, "--username", name), "user.remove"),
        (("account", "delete", id), "account.delete"), (("account", "restore", id), "account.restore")]
    for words, what in steps:
        count = len(changes(shout, account))
        shout.shoutctl(*words)
        told = changes(shout, account)
        assert [event["what"] for event in told][-1] == what and len(told) == count + 1
    told = changes(shout, account)
    assert told[0]["what"] == "account.create"
    for event in told:
        assert (event["by"], event["client"], event["event"]) == ("control.token", "127.0.0.1", "audit")
        assert event["changed"] <= event["time"]
    by_what = {event["what"]: event["changes"] for event in told}
    assert by_what["account.create"][0]["before"] is None
    assert by_what["account.disable"] == [
        {"object": f"account/{id}", "before": {"status": "active"}, "after": {"status": "disabled"}}]
    assert by_what["domain.remove"][0]["before"]["domains"] == [{"name": f"b-{account['domain']}", "verified": False}]
    assert by_what["domain.remove"][0]["after"]["domains"] == []
    assert by_what["user.password"][0]["after"]["verifier"] == "(secret)"
    assert by_what["suspension.add"][0]["before"] is None
    assert by_what["suspension.add"][0]["after"]["reason"] == "odd"
    assert by_what["suspension.remove"][0]["after"] is None
    assert by_what["user.remove"][0]["before"]["verifier"] == "(secret)"
    status, people, _ = ctl(shout, "why", id)
    assert status == 0 and people.count("  audit ") == 10 and "The newest 10 of 16 changes." in people


def test_a_queue_command_is_told(shout, account, waiting):
    rule = shout.shoutctl("queue", "retry", waiting)["rule"]["number"]
    events = [event for event in shout.events("audit") if event["what"] == "rule.retry"]
    assert [one["object"] for event in events for one in event["changes"]].count(f"rule/{rule}") == 1


def test_no_secret_is_told(shout, account):
    fresh = shout.shoutctl("account", "password", account["account"])
    shout.shoutctl("account", "add-user", account["account"])
    everything = "".join(path.read_text() for path in shout.state_dir.glob("events/*.audit.jsonl"))
    assert account["account"] in everything and fresh["password"] not in everything
    assert "SCRAM-SHA-256$" not in everything and account["password"] not in everything
    assert "SCRAM-SHA-256$" not in shout.log()


def test_who_is_claimed_by_the_shell_and_said_to_be_so(shout, account):
    for environment, name in (({"SUDO_USER": "anna", "USER": "root"}, "anna"), ({"USER": "bruno"}, "bruno"),
                              ({"USER": "e\r\nX: y\x1b[1m"}, "e  X: y [1m")):
        done = subprocess.run([shout.command[0].parent / "shoutctl", "-c", shout.file, "account", "change",
                               account["account"], "--name", "x"], env=environment, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert changes(shout, account)[-1]["claimed"] == name
    api = Api(shout)
    api("PATCH", f"accounts/{account['account']}", {"name": "y"})
    assert "claimed" not in changes(shout, account)[-1]


def test_what_is_refused_is_not_told(shout, account):
    count = len(shout.events("audit"))
    for words in (("account", "change", account["account"], "--policy", "odd"), ("account", "restore", account["account"]),
                  ("suspend", "--site", "x.example", "--dry-run"), ("resume", "--site", "nothing.example"),
                  ("queue", "retry", "--account", account["account"])):
        shout.shoutctl(*words, check=False)
    assert len(shout.events("audit")) == count


def test_two_operators_at_once_leave_two_events_and_one_owner_of_a_domain(shout):
    """Both want the same domain, again and again."""
    first = shout.account_add(name="first", domain="first-op.example")
    second = shout.account_add(name="second", domain="second-op.example")
    command = [str(shout.command[0].parent / "shoutctl"), "-c", str(shout.file), "--json", "account", "add-domain"]
    for number in range(5):
        both = [subprocess.Popen([*command, one["account"], "--domain", f"both{number}.example"],
                                 stdout=subprocess.PIPE, text=True) for one in (first, second)]
        answers = [json.loads(one.communicate(timeout=60)[0]) for one in both]
        assert sorted("error" in answer for answer in answers) == [False, True]
    told = [event for one in (first, second) for event in changes(shout, one, "domain.add")]
    assert len(told) == 5
    has = [len(shout.shoutctl("account", "show", one["account"])["domains"]) for one in (first, second)]
    assert sum(has) == 2 + 5


def test_a_killed_control_has_told_what_it_did(shout, account):
    """The process is killed in mid-change many times: each name that the account got is in an event."""
    api = Api(shout)
    for number in range(6):
        for change in range(3):
            api("PATCH", f"accounts/{account['account']}", {"name": f"n{number}.{change}"})
        writer = subprocess.Popen(
            [str(shout.command[0].parent / "shoutctl"), "-c", str(shout.file), "account", "change",
             account["account"], "--name", f"n{number}.last"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.002 * number)  # wherever it is then
        shout.kill()
        writer.wait(60)
        shout.start()
        name = shout.shoutctl("account", "show", account["account"])["name"]
        wait_for(lambda: name in [one["after"].get("name") for event in changes(shout, account, "account.change")
                                  for one in event["changes"]])
    told = changes(shout, account)
    assert len({event["event_id"] for event in told}) == len(told)
