"""People: who an account's and the operator's are, how they come by a password, and what becomes of it all."""

import email
import email.policy
import json
import re
import urllib.parse

import pytest
from harness import wait_for
from test_tokens import ask

SERVICE = {"name": "Provider", "hosts": ["shout01.provider.example"], "support": "help@provider.example",
           "panel": "https://panel.provider.example"}
GOOD = "heron kettle Oslo 41"


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate, settings={"service": SERVICE})


@pytest.fixture(scope="module")
def root(shout):
    return (shout.state_dir / "control.token").read_text().strip()


class Mailbox:
    """A person's mails, each read once."""

    def __init__(self, sink, address):
        self.sink, self.address, self.seen = sink, address, 0

    def next(self):
        got = wait_for(lambda: self.sink.find(recipient=self.address)[self.seen:])
        self.seen += 1
        mail = email.message_from_bytes(got[0].body, policy=email.policy.default)
        return mail["Subject"], mail.get_content().replace("\r\n", "\n")

    def count(self):
        return len(self.sink.find(recipient=self.address))


def token_of(link):
    return link.split("#t=")[1].split()[0]


def nobody(shout, method, path, body=None, **fields):
    """Asks without a token."""
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=60)
    try:
        connection.request(method, f"/api/v1/{path}", json.dumps(body) if body is not None else None, fields)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


def entry_of(shout, root, login):
    entries = ask(shout, root, "GET", "backup")[1]["entries"]
    return {one["key"]: one["value"] for one in entries}.get(f"person/{login}")


def test_a_person_of_an_account_from_the_invitation_to_the_end(shout, sink, root):
    account = shout.account_add(domain="people.example")["account"]
    anna = Mailbox(sink, "anna@mailbox.example")
    made = shout.shoutctl("person", "add", "Anna@Mailbox.Example", "--account", account, "--name", "Anna Rossi", "--role", "owner",
                          "--language", "it")
    assert (made["login"], made["role"], made["account"], made["password"]) == ("anna@mailbox.example", "owner", account, False)
    assert made["mails"] == ["link"]
    subject, text = anna.next()
    assert subject == "[Mail Relay] Accesso al pannello" and "Provider ti ha dato accesso al pannello di demo" in text
    assert made["link"].startswith("https://panel.provider.example/set-password#t=") and f"\n  {made['link']}\n" in text
    token = token_of(made["link"])
    assert nobody(shout, "POST", "password", {"token": token, "password": "short"})[0] == 400
    assert nobody(shout, "POST", "password", {"token": token + "x", "password": GOOD})[0] == 410
    status, person = nobody(shout, "POST", "password", {"token": token, "password": GOOD})
    assert status == 200 and person["login"] == "anna@mailbox.example" and person["password"]
    assert nobody(shout, "POST", "password", {"token": token, "password": GOOD})[0] == 410
    entry = entry_of(shout, root, "anna@mailbox.example")
    assert entry["verifier"].startswith("$argon2id$v=19$m=19456,t=2,p=1$") and "secret" not in entry and "link" not in entry
    listed = shout.shoutctl("person", "list", "--account", account)
    assert [one["login"] for one in listed["people"]] == ["anna@mailbox.example"] and listed["total"] == 1
    shown = shout.shoutctl("person", "show", "anna@mailbox.example", "--account", account)
    assert shown == listed["people"][0] and "verifier" not in json.dumps(shown)
    refused = shout.shoutctl("person", "remove", "anna@mailbox.example", "--account", account, check=False)
    assert "make somebody else owner first" in refused["error"]
    assert ask(shout, root, "DELETE", f"accounts/{account}/people/anna@mailbox.example")[1]["type"] == "/problems/last-owner"
    assert "owner first" in shout.shoutctl("person", "change", "anna@mailbox.example", "--account", account, "--role", "reader",
                                           check=False)["error"]
    shout.shoutctl("person", "add", "bea@mailbox.example", "--account", account, "--name", "Bea", "--role", "owner")
    assert shout.shoutctl("person", "change", "anna@mailbox.example", "--account", account, "--role", "reader", "--name", "A")["name"] == "A"
    shout.shoutctl("person", "remove", "anna@mailbox.example", "--account", account)
    assert entry_of(shout, root, "anna@mailbox.example") is None
    told = wait_for(lambda: [one for one in shout.events("audit") if one["what"] == "person.remove"])[-1]
    assert told["account"] == account
    secrets = json.dumps([shout.events(), shout.shoutctl("why", account)]) + shout.log()
    assert token not in secrets and "$argon2id$" not in secrets and GOOD not in secrets
    by = {one["what"]: one["by"] for one in shout.events("audit") if one.get("account") == account}
    assert by["person.accept"] == "anna@mailbox.example" and by["person.add"] == "control.token"


def test_operators_and_the_last_admin(shout, root):
    made = shout.shoutctl("person", "add", "boss@provider.example", "--name", "Boss", "--role", "admin")
    assert made["account"] is None and "#t=" in made["link"]
    assert "admin first" in shout.shoutctl("person", "remove", "boss@provider.example", check=False)["error"]
    shout.shoutctl("person", "add", "help@provider.example", "--name", "Help", "--role", "support")
    again = shout.shoutctl("person", "invite", "boss@provider.example")
    assert nobody(shout, "POST", "password", {"token": token_of(made["link"]), "password": GOOD})[0] == 410
    assert nobody(shout, "POST", "password", {"token": token_of(again["link"]), "password": GOOD})[0] == 200
    assert {one["login"] for one in shout.shoutctl("person", "list")["people"]} >= {"boss@provider.example", "help@provider.example"}


@pytest.mark.parametrize(("body", "field"), [
    ({"name": "x", "role": "owner"}, "login"), ({"login": "no address", "name": "x", "role": "owner"}, "login"),
    ({"login": "a b@x.example", "name": "x", "role": "owner"}, "login"), ({"login": "x@x.example", "role": "owner"}, "name"),
    ({"login": "x@x.example", "name": "a\r\nBcc: all@x.example", "role": "owner"}, "name"),
    ({"login": "x@x.example", "name": "x", "role": "admin"}, "role"), ({"login": "x@x.example", "name": "x"}, "role"),
    ({"login": "x@x.example", "name": "x", "role": "owner", "language": "fr"}, "language"),
    ({"login": "x@x.example", "name": "x", "role": "owner", "verifier": "$argon2id$"}, "verifier"),
    ({"login": "<x@x.example>", "name": "x", "role": "owner"}, "login"), ({"login": "x/../y@x.example", "name": "x", "role": "owner"}, "login")])
def test_what_is_no_person_is_refused(shout, root, body, field):
    account = ask(shout, root, "GET", "accounts")[1]["accounts"][0]["id"]
    status, answer, _ = ask(shout, root, "POST", f"accounts/{account}/people", body)
    assert status == 400 and answer["field"] == field, answer


def test_a_login_is_one_persons_everywhere(shout, root):
    one, two = (shout.account_add(domain=f"{name}-login.example")["account"] for name in ("one", "two"))
    shout.shoutctl("person", "add", "same@mailbox.example", "--account", one, "--name", "S", "--role", "owner")
    for words in (("--account", two, "--role", "owner"), ("--role", "admin"), ("--account", one, "--role", "reader")):
        assert "is a person already" in shout.shoutctl("person", "add", "SAME@mailbox.example", "--name", "S", *words, check=False)["error"]
    assert ask(shout, root, "GET", f"accounts/{two}/people/same@mailbox.example")[0] == 404
    assert ask(shout, root, "GET", "operators/same@mailbox.example")[0] == 404


def test_a_reset_says_the_same_for_everybody_and_floods_no_mailbox(shout, sink, root):
    account = shout.account_add(domain="reset.example")["account"]
    box = Mailbox(sink, "carla@mailbox.example")
    made = shout.shoutctl("person", "add", box.address, "--account", account, "--name", "Carla", "--role", "owner", "--language", "en")
    box.next()
    # An invitation that is valid stays so: no stranger ends it.
    assert nobody(shout, "POST", "password-reset", {"login": box.address}) == (204, None)
    assert nobody(shout, "POST", "password", {"token": token_of(made["link"]), "password": GOOD})[0] == 200
    for login in (box.address, "nobody@mailbox.example", "", "x" * 300, "Carla@mailbox.example", box.address):
        assert nobody(shout, "POST", "password-reset", {"login": login}) == (204, None)
    subject, text = box.next()
    assert subject == "[Mail Relay] Reset your password" and "for an hour" in text
    link, = re.findall(r"https://\S+", text.split("Mail Relay")[0])[:1]
    token = token_of(link)
    assert ask(shout, root, "GET", f"accounts/{account}/people/{box.address}")[1]["link_until"]
    assert nobody(shout, "POST", "password", {"token": token, "password": GOOD + "!"})[0] == 200
    subject, text = box.next()
    assert "News about the login of carla@mailbox.example" in subject and "the password was changed" in text and "127.0.0.1" in text
    assert box.count() == 3
    for _ in range(2):  # three a day
        assert nobody(shout, "POST", "password-reset", {"login": box.address}) == (204, None)
        found = re.search(r"#t=(\S+)", box.next()[1])
        assert nobody(shout, "POST", "password", {"token": found[1], "password": GOOD})[0] == 200
        box.next()
    assert nobody(shout, "POST", "password-reset", {"login": box.address}) == (204, None)
    shout.shoutctl("person", "invite", box.address, "--account", account)
    box.next()
    wait_for(lambda: [one for one in shout.events("audit") if one["what"] == "person.invite" and one.get("account") == account])
    resets = [one for one in shout.events("audit") if one["what"] == "person.reset" and one["by"] == box.address]
    assert len(resets) == 3, resets


def test_people_come_back_with_backup_export_and_rebuild(shout, sink, root, rig, tmp_path):
    account = shout.account_add(domain="back.example")["account"]
    made = shout.shoutctl("person", "add", "dora@mailbox.example", "--account", account, "--name", "Dora", "--role", "owner")
    nobody(shout, "POST", "password", {"token": token_of(made["link"]), "password": GOOD})
    before = entry_of(shout, root, "dora@mailbox.example")
    backup, export = tmp_path / "backup", tmp_path / "export"
    shout.shoutctl("backup", backup)
    shout.shoutctl("account", "export", account, "--output", export)
    shout.shoutctl("rebuild")
    assert entry_of(shout, root, "dora@mailbox.example") == before
    for words in (("restore", backup), ("account", "import", export)):
        other = rig.shout(rig.redis(), settings={"service": SERVICE})
        other.shoutctl(*words)
        token = (other.state_dir / "control.token").read_text().strip()
        found = entry_of(other, token, "dora@mailbox.example")
        assert {**found, "version": 0} == {**before, "version": 0}
        assert other.shoutctl("person", "list", "--account", account)["total"] == 1
    again = other.shoutctl("account", "import", export)
    assert json.dumps(again).count("same") >= 1
    shout.shoutctl("account", "delete", account)
    assert nobody(shout, "POST", "password-reset", {"login": "dora@mailbox.example"}) == (204, None)
    ask(shout, root, "DELETE", f"accounts/{account}?now=true")
    assert entry_of(shout, root, "dora@mailbox.example") is None


@pytest.mark.parametrize("change", [{"role": "admin"}, {"verifier": "$argon2id$v=19$m=9999999,t=2,p=1$c2hvdXRzaG91dHNob3V0cw$" + "a" * 43},
                                    {"verifier": "$argon2i$x"}, {"secret": "x"}, {"totp": "x" * 32}, {"epoch": -1}, {"odd": 1},
                                    {"login": "other@x.example"}, {"recovery": ["x"]}, {"account": "../../x"}, {"name": "a\nb"}])
def test_a_hostile_backup_makes_no_person(shout, root, change):
    owner = ask(shout, root, "GET", "backup")[1]["owner"]
    account = ask(shout, root, "GET", "accounts")[1]["accounts"][0]["id"]
    entry = {"login": "eve@x.example", "name": "Eve", "role": "owner", "account": account, "version": 1, "created_us": 1, **change}
    status, answer, _ = ask(shout, root, "POST", "restore", {"owner": owner, "entries": {"person/eve@x.example": entry}, "dry_run": True})
    assert status == 400 and answer["field"].startswith("person/eve@x.example"), answer
    good = {key: value for key, value in {**entry, "login": "eve@x.example", "role": "owner", "account": account, "name": "Eve"}.items()
            if key not in ("verifier", "secret", "totp", "epoch", "odd", "recovery")}
    assert ask(shout, root, "POST", "restore", {"owner": owner, "entries": {"person/eve@x.example": good}, "dry_run": True})[0] == 200


def test_a_login_with_odd_signs_is_found_by_its_path(shout, root):
    account = shout.account_add(domain="odd-login.example")["account"]
    login = "o'hara+x%y&z=1@odd-login.example"
    assert ask(shout, root, "POST", f"accounts/{account}/people", {"login": login, "name": "O", "role": "owner"})[0] == 201
    path = f"accounts/{account}/people/{urllib.parse.quote(login, safe='')}"
    assert ask(shout, root, "GET", path)[1]["login"] == login
    assert shout.shoutctl("person", "show", login, "--account", account)["login"] == login
