"""Resellers: an account that owns accounts sees them and acts for them, within bounds, and reaches no others."""

import itertools
import json
import re

import pytest

from harness import wait_for
from test_control import ctl
from test_tokens import ROUTES, SCOPES, ask

NUMBERS = itertools.count(1)


def account(shout, *words):
    return shout.shoutctl("account", "add", "--name", "n", "--contact", "it@mailbox.example", "--domain", f"reseller{next(NUMBERS)}.example",
                          "--verified", *words)


class Reseller:
    def __init__(self, shout, most=10):
        self.shout = shout
        self.made = account(shout, "--reseller", most)
        self.id = self.made["account"]
        self.tokens = {scope: shout.shoutctl("token", "add", "--account", self.id, "--label", scope, "--scope", scope)["secret"] for scope in SCOPES}

    def __call__(self, method, path, body=None, scope="write"):
        return ask(self.shout, self.tokens[scope], method, path, body)[:2]

    def add(self, domain, **more):
        return self("POST", "accounts", {"name": "n", "contact": "it@mailbox.example", "domains": [domain], **more})


@pytest.fixture(scope="module")
def reseller(shout):
    return Reseller(shout)


@pytest.fixture(scope="module")
def other(shout):
    return Reseller(shout)


def test_a_reseller_adds_accounts_within_bounds(shout, reseller):
    status, made = reseller.add("added.example")
    assert status == 201 and made["password"], made
    shown = shout.shoutctl("account", "show", made["account"])
    assert (shown["owner"], shown["status"], shown["domains"]) == (reseller.id, "pending", [{"name": "added.example", "verified": False}])
    for field, value in (("verified", True), ("limits", {"messages_day": 0}), ("policy", "strict"), ("owner", "none"), ("reseller", 5),
                         ("pending", False), ("addresses", ["9.9.9.9"]), ("mode", "ip"), ("plan", "p"), ("display_address", "pass")):
        status, answer = reseller.add("more.example", **{field: value})
        assert status == 403 and answer["field"] == field, answer
    taken = account(shout)["account"]
    domain = shout.shoutctl("account", "show", taken)["domains"][0]["name"]
    status, answer = reseller.add(domain)
    assert status == 409 and "registered already" in answer["error"] and taken not in json.dumps(answer)
    assert reseller("POST", "accounts", [])[0] == 400 and reseller("POST", "accounts", {})[0] == 400


def test_a_reseller_owns_so_many_and_no_more(shout):
    small = Reseller(shout, 1)
    assert small.add("first-of-one.example")[0] == 201
    status, answer = small.add("second-of-one.example")
    assert status == 409 and "as many accounts" in answer["error"]


def test_a_reseller_lists_his_own(shout, reseller, other):
    ids = {reseller.add(f"listed{number}.example")[1]["account"] for number in range(2)}
    theirs = other.add("listed-too.example")[1]["account"]
    listed = {one["id"] for one in reseller("GET", "accounts", scope="read")[1]["accounts"]}
    assert ids <= listed and theirs not in listed and reseller.id not in listed
    assert {one["id"] for one in reseller("GET", f"accounts?owner={other.id}", scope="read")[1]["accounts"]} == listed  # no way around
    assert {one["id"] for one in shout.shoutctl("account", "list", "--owner", other.id)["accounts"]} == {theirs}
    assert reseller("GET", "accounts")[0] == 403  # of write alone


def test_a_reseller_acts_for_an_account(shout, reseller):
    made = reseller.add("acts.example")[1]
    path = f"accounts/{made['account']}"
    assert reseller("GET", path, scope="read")[1]["id"] == made["account"]
    assert reseller("PATCH", path, {"name": "renamed"})[0] == 200
    for body in ({"limits": {"messages_day": 0}}, {"owner": "none"}, {"reseller": 3}, {"plan": "none"}, {"host": "x.example"}):
        status, answer = reseller("PATCH", path, {"name": "again", **body})
        assert status == 403 and answer["field"] == [*body][0], answer
    assert shout.shoutctl("account", "show", made["account"])["name"] == "renamed"
    assert reseller("POST", f"{path}/users", {})[0] == 201
    assert reseller("POST", f"{path}/domains", {"name": "acts-too.example"})[0] == 201
    assert reseller("GET", f"{path}/domains", scope="read")[1]["total"] == 2
    assert reseller("GET", f"{path}/messages", scope="trace")[0] == 200
    assert reseller("POST", f"{path}/addresses", {"address": "9.9.7.7"})[1]["state"] == "waiting"
    assert reseller("POST", f"{path}/enable")[0] == 403  # it begins by a domain, not by its owner
    for method, tail in (("DELETE", ""), ("POST", "/restore"), ("GET", "/export"), ("POST", "/tokens")):
        assert reseller(method, path + tail, {} if method == "POST" and tail == "/tokens" else None)[0] == 403, tail


def test_a_reseller_takes_back_his_own_suspensions_alone(shout, reseller):
    made = reseller.add("stopped.example")[1]
    path = f"accounts/{made['account']}"
    shout.shoutctl("account", "enable", made["account"])
    assert reseller("POST", f"{path}/disable", {"reason": "unpaid"})[1]["status"] == "disabled"
    shown = shout.shoutctl("account", "show", made["account"])
    assert shown["reason"] == "unpaid" and shown["by_owner"]
    assert reseller("POST", f"{path}/enable")[1]["status"] == "active"
    shout.shoutctl("account", "disable", made["account"], "--reason", "abuse")
    status, answer = reseller("POST", f"{path}/enable")
    assert status == 403 and "only the operator" in answer["error"]
    assert reseller("POST", f"{path}/disable")[0] == 409  # nor makes it his own
    assert shout.shoutctl("account", "show", made["account"])["reason"] == "abuse"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1].startswith("/accounts/{account}")])
def test_what_he_does_not_own_is_not_there_on_any_route(shout, reseller, other, method, path):
    """Another reseller, his account, and an account of nobody: as one that never was."""
    theirs = getattr(other, "theirs", None) or other.add("theirs.example")[1]["account"]
    other.theirs = theirs
    values = {"domain": "theirs.example", "address": "9.9.7.7", "username": "u", "token": "t"}
    tail = re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "0" * 26), path.removeprefix("/accounts/{account}"))
    body = {} if method in ("POST", "PUT", "PATCH") else None
    for scope in SCOPES:
        _, never = reseller(method, f"accounts/nobody0000{tail}", body, scope)
        for id in (theirs, other.id):
            status, answer = reseller(method, f"accounts/{id}{tail}", body, scope)
            assert status == 404 and json.dumps(answer).replace(id, "X") == json.dumps(never).replace("nobody0000", "X"), answer


def test_the_account_itself_reaches_neither_its_owner_nor_a_sister(shout, reseller):
    one, two = (reseller.add(f"sister{number}.example")[1]["account"] for number in range(2))
    token = shout.shoutctl("token", "add", "--account", one, "--label", "l", "--scope", "read", "--scope", "write")["secret"]
    assert ask(shout, token, "GET", f"accounts/{one}")[0] == 200
    for id in (two, reseller.id):
        assert ask(shout, token, "GET", f"accounts/{id}")[0] == 404
    for method, path, body in (("GET", "accounts", None), ("POST", "accounts", {}), ("PATCH", f"accounts/{one}", {"name": "x"}),
                               ("POST", f"accounts/{one}/disable", None)):
        assert ask(shout, token, method, path, body)[0] == 403, path


def test_a_reseller_is_no_reseller_to_himself(shout, reseller):
    path = f"accounts/{reseller.id}"
    for method, tail, body in (("PATCH", "", {"name": "x"}), ("POST", "/disable", None), ("POST", "/enable", None)):
        assert reseller(method, path + tail, body)[0] == 403, tail


def test_an_operator_gives_and_takes_accounts(shout, reseller):
    given = account(shout)["account"]
    assert reseller("GET", f"accounts/{given}", scope="read")[0] == 404
    shout.shoutctl("account", "change", given, "--owner", reseller.id)
    assert reseller("GET", f"accounts/{given}", scope="read")[0] == 200
    assert "is no reseller" in ctl(shout, "account", "change", reseller.id, "--owner", given)[2]
    assert "owns none" in ctl(shout, "account", "change", given, "--reseller", "3")[2]
    shout.shoutctl("account", "change", given, "--owner", "none")
    assert reseller("GET", f"accounts/{given}", scope="read")[0] == 404


def test_who_is_no_reseller_any_more_owns_nothing(shout):
    former = Reseller(shout)
    owned = former.add("former.example")[1]["account"]
    shout.shoutctl("account", "change", former.id, "--reseller", "0")
    assert former("GET", f"accounts/{owned}", scope="read")[0] == 404
    assert former("GET", "accounts", scope="read")[0] == 403 and former.add("x.example")[0] == 403
    shout.shoutctl("account", "change", former.id, "--reseller", "1")
    wait_for(lambda: former("GET", f"accounts/{owned}", scope="read")[0] == 200)


def test_owners_outlive_a_restart(shout, reseller):
    owned = reseller.add("restarted.example")[1]["account"]
    shout.stop()
    shout.start()
    assert reseller("GET", f"accounts/{owned}", scope="read")[1]["owner"] == reseller.id
