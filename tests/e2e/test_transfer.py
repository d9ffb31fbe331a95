"""Accounts leave a relay in a file and come back, here or elsewhere; a relay that was lost comes back from a backup."""

import copy
import json
import os
import re
import stat
import subprocess

import pytest

from harness import BUILD, Shout, wait_for
from test_account_end import codes, ctl, listed, read_config, refused
from test_control import Api
from test_owner import doubt


@pytest.fixture(scope="module")
def shout(module_rig, sink, certificate):
    return module_rig.shout(module_rig.redis(), route=sink.host, certificate=certificate)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file.jsonl"


@pytest.fixture
def account(shout, request):
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    made = shout.account_add(name=name, domain=[f"{name}.example", f"b-{name}.example"])
    shout.shoutctl("account", "change", made["account"], "--messages-hour", 9, "--policy", "strict")
    return {**made, "domain": f"{name}.example"}


def export(shout, file, *words):
    answer = shout.shoutctl("account", "export", *words, "--output", file, "--force")
    assert answer["file"] == str(file)
    return [json.loads(line) for line in file.read_text().splitlines()]


def write(file, lines):
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def bare(shown):
    return {key: value for key, value in shown.items() if key not in ("version", "score", "changed")}


def other_relay(rig, redis=None, certificate=None, wait=True):
    shout = Shout(rig.path("other"), redis or rig.redis(), certificate=certificate)
    rig.started.append(shout.start(wait))
    return shout


# Export

def test_an_export_is_its_owners_alone_and_replaces_nothing_unasked(shout, account, file):
    lines = export(shout, file, account["account"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lines[0]["shout"] == "accounts" and lines[0]["version"] == 1 and lines[-1] == {"end": 1}
    document = lines[1]
    assert document["account"]["id"] == account["account"] and "version" not in document["account"]
    assert document["users"][0]["username"] == account["username"]
    assert document["users"][0]["verifier"].startswith("SCRAM-SHA-256$")
    before = file.read_bytes()
    error = refused(shout, "account", "export", account["account"], "--output", file)
    assert "--force" in error and file.read_bytes() == before
    link = file.with_name("link")
    link.symlink_to(file)
    assert "no file" in refused(shout, "account", "export", "--all", "--output", link, "--force")
    assert "no file" in refused(shout, "backup", "/dev/null", "--force")
    assert "No such file" in refused(shout, "backup", file / "x") or "Not a directory" in refused(
        shout, "backup", file / "x")
    assert link.is_symlink() and sorted(os.listdir(file.parent)) == ["file.jsonl", "link"]
    status, output, _ = ctl(shout, "account", "export", account["account"], "--output", "-")
    assert status == 0 and [json.loads(line) for line in output.splitlines()][1:] == lines[1:]
    for path in (shout.state_dir / "events").iterdir():
        assert "SCRAM-SHA-256$" not in path.read_text()
    assert "SCRAM-SHA-256$" not in shout.log()


def test_wrong_exports_are_refused(shout, account, file):
    assert "there is no account" in refused(shout, "account", "export", "nobody", "--output", file)
    for words in (("--output", file), ("--all",), (account["account"], "--all", "--output", file)):
        assert ctl(shout, "account", "export", *words)[0] == 2
    assert not file.exists()


# Import

def test_what_comes_back_is_as_it_was_and_comes_once(shout, account, file):
    id = account["account"]
    shout.shoutctl("account", "add-address", id, "--ip", "2001:db8:7::/64")
    before = bare(shout.shoutctl("account", "show", id))
    export(shout, file, id)
    shout.shoutctl("account", "delete", id, "--now")
    wait_for(lambda: codes(shout, account) == 535)
    looked = shout.shoutctl("account", "import", file, "--dry-run")
    assert (looked["new"], looked["done"]) == (1, False) and id not in listed(shout)
    done = shout.shoutctl("account", "import", file)
    assert (done["new"], done["done"]) == (1, True)
    assert done["accounts"][0]["account"] == id and done["accounts"][0]["line"] == 2
    wait_for(lambda: codes(shout, account) == 250)
    assert bare(shout.shoutctl("account", "show", id)) == before
    again = shout.shoutctl("account", "import", file)
    assert (again["new"], again["changed"], again["same"]) == (0, 0, 1)
    told = [event["what"] for event in shout.shoutctl("why", id, "--limit", 100)["changes"]]
    assert told.count("account.import") == 1


def test_what_is_here_and_differs_is_named_and_replaced_only_when_that_is_wanted(shout, account, file):
    id = account["account"]
    lines = export(shout, file, id)
    added = shout.shoutctl("account", "add-user", id)
    shout.shoutctl("account", "change", id, "--name", "later")
    shout.shoutctl("account", "password", id, "--username", account["username"])
    before = bare(shout.shoutctl("account", "show", id))
    for words in ((), ("--dry-run",)):
        answer = shout.shoutctl("account", "import", file, *words, check=False)
        one, = answer["accounts"]
        assert answer["refused"] == 1 and not answer["done"] and "--replace" in one["error"]
        assert set(one["changed"]) == {"name", f"user/{account['username']} changed",
                                       f"user/{added['username']} removed"}
    assert bare(shout.shoutctl("account", "show", id)) == before
    status, people, _ = ctl(shout, "account", "import", file)
    assert status == 1 and "line 2: refused" in people and "nothing is done" in people and "name" in people
    assert shout.shoutctl("account", "import", file, "--replace")["changed"] == 1
    assert export(shout, file, id)[1] == lines[1]
    wait_for(lambda: codes(shout, account) == 250)
    assert codes(shout, {**added, "domain": account["domain"]}) == 535


def test_an_import_gives_nothing_of_another_account_away(shout, account, file):
    other = shout.account_add(name="other", domain=f"other-{account['domain']}")
    shout.shoutctl("account", "add-address", other["account"], "--ip", "192.0.2.150")
    lines = export(shout, file, account["account"])
    theirs = (export(shout, file, other["account"]))[1]
    document = lines[1]
    document["account"]["id"] = "z" * 10
    document["users"] = []
    document["account"]["domains"] = [{"name": f"new-{account['domain']}", "verified": True}]
    cases = {"account.domains[0].name": lambda d: d["account"].update(domains=theirs["account"]["domains"]),
             "users[0].username": lambda d: d.update(users=theirs["users"]),
             "addresses[0].address": lambda d: d.update(addresses=theirs["addresses"])}
    good = copy.deepcopy(document)
    for field, change in cases.items():
        bad = copy.deepcopy(document)
        bad["account"]["id"] = "y" * 10
        change(bad)
        write(file, [lines[0], good, bad, {"end": 2}])
        answer = shout.shoutctl("account", "import", file, "--replace", check=False)
        wrong, = [one for one in answer["accounts"] if one["result"] == "refused"]
        assert (wrong["line"], wrong["field"]) == (3, field) and other["account"] in wrong["error"]
        assert not answer["done"] and "z" * 10 not in listed(shout)
    shout.shoutctl("account", "delete", other["account"])
    answer = shout.shoutctl("account", "import", file, check=False)
    assert "deleted" in answer["accounts"][1]["error"]


def test_two_lines_of_a_file_cannot_have_the_same(shout, account, file):
    lines = export(shout, file, account["account"])
    shout.shoutctl("account", "delete", account["account"], "--now")
    twin = copy.deepcopy(lines[1])
    twin["account"]["id"] = "x" * 10
    for change, claim in (({}, "user/"), ({"users": []}, "domain/")):
        answer = shout.shoutctl("account", "import", write(file, [lines[0], lines[1], {**twin, **change}, {"end": 2}]),
                                check=False)
        assert answer["accounts"][1]["field"].startswith(claim) and "line 2" in answer["accounts"][1]["error"]
        assert account["account"] not in listed(shout)


def mend(path, value):
    """Sets what a path like a.b[0].c names; ... removes it."""
    def change(document):
        *way, last = re.findall(r"[a-z_]+|\d+", path)
        for step in way:
            document = document[int(step) if step.isdigit() else step]
        if value is ...:
            del document[last]
        else:
            document[last] = value
    return change


def test_an_account_is_not_imported_over_another_s_network(shout, file):
    moved, there = (shout.account_add(domain=f"{name}-overlap.example") for name in ("moved", "there"))
    shout.shoutctl("account", "add-address", moved["account"], "--ip", "198.18.7.9")
    lines = export(shout, file, moved["account"])
    shout.shoutctl("account", "delete", moved["account"], "--now")
    shout.shoutctl("account", "add-address", there["account"], "--ip", "198.18.7.0/24")
    one, = shout.shoutctl("account", "import", write(file, lines), check=False)["accounts"]
    assert one["result"] == "refused" and "198.18.7.0/24" in json.dumps(one) and there["account"] in json.dumps(one)
    shout.shoutctl("account", "remove-address", there["account"], "--ip", "198.18.7.0/24")
    one, = shout.shoutctl("account", "import", write(file, lines))["accounts"]
    assert one["result"] == "new"


@pytest.mark.parametrize("path, value", [
    ("account.id", "UPPERCASE1"), ("account.id", "../../etc/"), ("account.id", ...), ("account.id", 5),
    ("account.name", ""), ("account.name", "a\nb"), ("account.name", ...), ("account.contact", "nobody"),
    ("account.contact", "a@b.example\r\nBcc: x"), ("account.status", "admin"), ("account.status", ...),
    ("account.status", "deleted"), ("account.policy", "none"), ("account.limits.messages_hour", -1),
    ("account.limits.odd", 1), ("account.limits", ...), ("account.domains", ...), ("account.domains[0].name", "a b"),
    ("account.domains[0].name", "UPPER.example"), ("account.domains[0].verified", ...),
    ("account.domains[0].mailboxes", -1), ("account.domains[0].extra", 1), ("account.version", "x"),
    ("account.created_us", -1), ("account.deleted_us", 5), ("account.status_before", "x"), ("account.future", True),
    ("users[0].username", "a/b"), ("users[0].username", "Upper"), ("users[0].username", ""),
    ("users[0].username", "x" * 101), ("users[0].username", ...), ("users[0].verifier", "secret"),
    ("users[0].verifier", ...), ("users[0].enabled", "yes"), ("users[0].enabled", ...), ("users[0].account", "other"),
    ("addresses[0].address", "192.0.2.999"), ("addresses[0].address", "10.1.2.3/16"),
    ("addresses[0].address", "0.0.0.0/0"), ("addresses[0].address", "2001::/16"), ("addresses[0].active", ...),
    ("users", {}), ("account", []), ("account", ...), ("more", 1)])
def test_hostile_accounts_are_refused_by_line_and_field(shout, file, path, value):
    if not hasattr(shout, "sample"):
        made = shout.account_add(name="sample", domain="sample.example")
        shout.shoutctl("account", "add-address", made["account"], "--ip", "192.0.2.55")
        shout.sample = export(shout, file, made["account"])
        shout.shoutctl("account", "delete", made["account"], "--now")
    lines = copy.deepcopy(shout.sample)
    mend(path, value)(lines[1])
    answer = shout.shoutctl("account", "import", write(file, lines), check=False)
    one, = answer["accounts"]
    assert one["result"] == "refused" and one["line"] == 2 and not answer["done"]
    field = path if path not in ("account.status",) or value != "deleted" else "account.deleted_us"
    field = re.sub(r"\.verified$|", "", field) if value is not ... else field
    assert one["field"] and (one["field"] == field or field.startswith(one["field"]) or one["field"].startswith(field))
    assert "SCRAM-SHA" not in json.dumps(one).replace("SCRAM-SHA-256$<iterations>", "")
    assert not listed(shout).keys() & {lines[1].get("account", {}).get("id") if isinstance(
        lines[1].get("account"), dict) else None}


HEAD = {"shout": "accounts", "version": 1}


@pytest.mark.parametrize("text, words", [
    ("", "the file is empty"), ("\n", "line 1: no JSON"), ("[]\n", "line 1: a JSON object"), ("{}\n", "line 1: shout"),
    (json.dumps({**HEAD, "shout": "backup"}) + "\n", "line 1: shout"),
    (json.dumps({**HEAD, "version": 2}) + "\n", "newer"), (json.dumps({**HEAD, "version": "1"}) + "\n", "version"),
    (json.dumps({**HEAD, "version": 0}) + "\n", "version"), (json.dumps(HEAD) + "\n", "line 1: the file is cut off"),
    (json.dumps(HEAD) + '\n{"account":', "line 2: no JSON"), (json.dumps(HEAD) + '\n{"a":1,"a":2}\n', "duplicate"),
    (json.dumps(HEAD) + '\n{"end":1}\n', "line 2: end"), (json.dumps(HEAD) + '\n{"end":0}\n{}\n', "behind the end"),
    (json.dumps(HEAD) + '\n{"end":0,"x":1}\n', "end"), (json.dumps(HEAD) + "\n" + "[" * 5000 + "\n", "line 2: no JSON"),
    (json.dumps(HEAD) + '\n{"x":"' + "y" * (1 << 20) + '"}\n', "1 MiB"), (json.dumps(HEAD) + '\n{"x":"\ud800"}\n', "no JSON"),
    (json.dumps(HEAD) + '\n{"x":"\0"}\n', "no JSON")], ids=map(str, range(18)))
def test_files_that_are_no_export_are_refused_by_line(shout, file, text, words):
    file.write_text(text, errors="surrogatepass")
    for command in (("account", "import", file), ("account", "import", file, "--dry-run")):
        error = refused(shout, *command)
        assert words.lower() in error.lower(), error
    assert "cannot read" in refused(shout, "account", "import", file.with_name("missing"))


def test_many_accounts_go_to_a_relay_with_another_owner(rig, shout, file, certificate):
    """More than a page of them; those that clients know log in there as here."""
    before = set(listed(shout))
    sample = export(shout, file, shout.account_add(name="first", domain="first-move.example")["account"])
    known = shout.account_add(name="known", domain="known-move.example")
    signs = "abcdefghjk"
    documents = []
    for number in range(230):
        document = copy.deepcopy(sample[1])
        document["account"]["id"] = "many" + "".join(signs[int(digit)] for digit in f"{number:06}")
        document["account"]["domains"][0]["name"] = f"m{number}.example"
        document["users"][0]["username"] = f"m{number}"
        documents.append(document)
    assert shout.shoutctl("account", "import", write(file, [sample[0], *documents, {"end": 230}]))["new"] == 230
    lines = export(shout, file, "--all")
    assert len(lines) == 2 + len(before) + 230 + 2
    other = other_relay(rig, certificate=certificate)
    here = other.account_add(name="here", domain="here-move.example")
    assert other.shoutctl("account", "import", file)["new"] == len(lines) - 2
    wait_for(lambda: codes(other, {**known, "domain": "known-move.example"}) == 250)
    wait_for(lambda: codes(other, {**here, "domain": "here-move.example"}) == 250)
    assert codes(other, {**known, "password": "x"}) == 535
    assert len(listed(other)) == len(lines) - 1
    for document in documents:
        shout.shoutctl("account", "delete", document["account"]["id"], "--now")


def test_two_imports_at_once_are_one(shout, account, file):
    lines = export(shout, file, account["account"])
    shout.shoutctl("account", "delete", account["account"], "--now")
    command = [str(BUILD / "shoutctl"), "-c", str(shout.file), "--json", "account", "import", str(file)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert all(one["done"] for one in answers) and sorted(one["new"] for one in answers) in ([0, 1], [1, 1])
    assert export(shout, file, account["account"])[1] == lines[1]


# Backup and restore

def backup(shout, file):
    shout.shoutctl("backup", file, "--force")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def lost(rig, certificate, sink, file):
    """A relay with a bit of everything, a backup of it, and it is gone; its Redis is not."""
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    shout.account = {**shout.account_add(name="kept", domain="kept.example"), "domain": "kept.example"}
    shout.gone = {**shout.account_add(name="gone", domain="gone.example"), "domain": "gone.example"}
    shout.shoutctl("account", "add-address", shout.account["account"], "--ip", "127.0.0.77")
    shout.shoutctl("account", "delete", shout.gone["account"])
    shout.shoutctl("suspend", "--site", "slow.example", "--reason", "why")
    shout.shoutctl("egress", "add", "192.0.2.9", "--helo", "out9.kept.example", "--pool", "suspect", "--via", "socks5://u:p@127.0.0.1:9", "--warm")
    shout.shoutctl("dkim", "enable", "kept.example")
    shout.shoutctl("person", "add", "boss@kept.example", "--account", shout.account["account"], "--name", "Boss", "--role", "owner")
    shout.shoutctl("token", "add", "--account", shout.account["account"], "--label", "crm", "--scope", "read")
    shout.shoutctl("webhook", "add", "https://crm.kept.example/mail", "--account", shout.account["account"], "--event", "bounced")
    shout.lines = backup(shout, file)
    shout.before = {id: bare(one) for id, one in {**listed(shout), **listed(shout, "--deleted")}.items()}
    shout.stop()
    return shout


def assert_restored(relay, lost):
    wait_for(lambda: codes(relay, lost.account) == 250)
    wait_for(lambda: codes(relay, lost.account, "127.0.0.77") == 250)
    assert codes(relay, {**lost.account, "password": "x"}) == 535
    assert codes(relay, lost.gone) == 535
    assert {id: bare(one) for id, one in {**listed(relay), **listed(relay, "--deleted")}.items()} == lost.before
    assert relay.shoutctl("suspensions")["suspensions"][0]["reason"] == "why"
    egress, = next(iter(relay.shoutctl("egress", "list").values()))
    assert egress["ip"] == "192.0.2.9" and egress["helo"] == "out9.kept.example" and egress["via"] == "socks5://127.0.0.1:9"
    assert relay.shoutctl("dkim", "show", "kept.example")["enabled"]
    assert [one["login"] for one in relay.shoutctl("person", "list", "--account", lost.account["account"])["people"]] == ["boss@kept.example"]
    assert [one["label"] for one in relay.shoutctl("token", "list", "--account", lost.account["account"])["tokens"]] == ["crm"]
    assert [one["url"] for one in relay.shoutctl("webhook", "list", "--account", lost.account["account"])["webhooks"]] == ["https://crm.kept.example/mail"]
    relay.shoutctl("account", "restore", lost.gone["account"])
    wait_for(lambda: codes(relay, lost.gone) == 250)


def test_a_backup_holds_what_cannot_be_made_anew(lost, file):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kinds = [line["key"].split("/")[0] for line in lost.lines[1:-1]]
    assert sorted(kinds) == ["account", "account", "dkim", "egress", "ip", "owner", "person", "suspension", "token", "user", "user", "webhook"]
    assert lost.lines[0]["shout"] == "backup" and lost.lines[-1] == {"end": len(kinds)}
    assert {line["key"] for line in lost.lines[1:-1]} == set(read_config(lost))


@pytest.mark.parametrize("redis_lost", [False, True])
def test_a_lost_relay_comes_back_on_a_new_machine(rig, lost, file, certificate, redis_lost):
    redis = rig.started[0] if not redis_lost else rig.redis()
    relay = other_relay(rig, redis, certificate, wait=redis_lost)
    if not redis_lost:
        wait_for(lambda: doubt(relay))
    looked = relay.shoutctl("restore", file, "--dry-run")
    assert looked == {"entries": len(lost.lines) - 2, "restored": len(lost.lines) - 2, "dry_run": True}
    assert relay.shoutctl("account", "list")["total"] == 0
    assert relay.shoutctl("restore", file)["restored"] == len(lost.lines) - 2
    wait_for(relay.ready)
    assert redis.run("GET", "config:owner") == lost.lines[0]["owner"]
    assert_restored(relay, lost)
    what = [event for event in relay.events("audit") if event["what"] == "restore"]
    assert sum(event["changes"][0]["after"]["entries"] for event in what) == len(lost.lines) - 2
    assert "SCRAM-SHA-256$" not in json.dumps(relay.events()) + relay.log()
    relay.stop()
    relay.start()
    wait_for(lambda: codes(relay, lost.account) == 250)


def test_what_redis_knows_that_is_newer_than_the_backup_does_not_count(rig, lost, file, certificate):
    """A password and an account that were made after the backup are lost with the machine, everywhere."""
    lost.start()
    later = {**lost.account, **lost.shoutctl("account", "password", lost.account["account"])}
    new = {**lost.account_add(name="new", domain="new.example"), "domain": "new.example"}
    wait_for(lambda: codes(lost, later) == 250)
    lost.stop()
    relay = other_relay(rig, rig.started[0], certificate, wait=False)
    wait_for(lambda: doubt(relay))
    relay.shoutctl("restore", file)
    wait_for(relay.ready)
    assert_restored(relay, lost)
    assert codes(relay, later) == 535 and codes(relay, new) == 535


def test_a_restore_that_was_cut_off_is_repeated(rig, lost, file, certificate):
    relay = other_relay(rig, certificate=certificate)
    api = Api(relay)
    entries = {line["key"]: line["value"] for line in lost.lines[1:-1]}
    part = {key: entries[key] for key in ["owner", *[key for key in entries if key.startswith("account/")][:1]]}
    status, answer = api("POST", "restore", {"owner": lost.lines[0]["owner"], "entries": part})
    assert (status, answer["entries"]) == (200, 2)
    assert relay.shoutctl("restore", file)["restored"] == len(entries) - 2
    assert relay.shoutctl("restore", file)["restored"] == 0
    assert_restored(relay, lost)
    relay.shoutctl("account", "change", lost.account["account"], "--name", "later")
    error = refused(relay, "restore", file)
    assert re.search(rf"line \d+: account/({lost.account['account']}|{lost.gone['account']}): .*differs", error)


def test_a_relay_with_accounts_of_its_own_takes_no_backup(rig, lost, file, certificate):
    relay = other_relay(rig, certificate=certificate)
    relay.account_add(name="own", domain="own.example")
    before = bare(relay.shoutctl("account", "list")["accounts"][0])
    error = refused(relay, "restore", file)
    assert "another owner" in error and "import" in error
    assert [bare(one) for one in relay.shoutctl("account", "list")["accounts"]] == [before]
    assert "shout: the file is something else than accounts" in refused(relay, "account", "import", file)


@pytest.mark.parametrize("change, words", [
    (lambda lines: lines.pop(1), "end"), (lambda lines: lines[1].update(key="future/x"), "no such entry"),
    (lambda lines: [line["value"].update(verifier="x") for line in lines if line.get("key", "").startswith("user/")],
     "verifier"),
    (lambda lines: [line["value"].update(domains=[{"name": None}]) for line in lines
                    if line.get("key", "").startswith("account/")], "domains[0].name"),
    (lambda lines: [line["value"].update(domains=5) for line in lines if line.get("key", "").startswith("account/")],
     "domains"),
    (lambda lines: [line["value"].update(id="k" * 10) for line in lines if line.get("key", "").startswith("account/")],
     "id"),
    (lambda lines: [line["value"].update(selector={"site": ""}) for line in lines
                    if line.get("key", "").startswith("suspension/")], "selector"),
    (lambda lines: [line["value"].update(id="short") for line in lines if line.get("key") == "owner"], "owner"),
    (lambda lines: lines[1].update(more=1), "line 2"), (lambda lines: lines[0].update(owner="x"), "owner"),
    (lambda lines: lines[0].update(version=9), "newer")])
def test_a_damaged_backup_is_refused_and_nothing_comes(rig, lost, file, certificate, change, words):
    relay = other_relay(rig, certificate=certificate)
    change(lost.lines)
    error = refused(relay, "restore", write(file, lost.lines))
    assert words in error, error
    assert relay.shoutctl("account", "list")["total"] == 0 and relay.shoutctl("suspensions")["suspensions"] == []
    assert backup(relay, file)[1:] == [{"end": 0}]
