"""Tokens of the API: each does what its scopes say, for its account, until its end; of other accounts there is none."""

import datetime
import http.client
import json
import re
import subprocess

import pytest
import yaml
from harness import BUILD, ROOT, wait_for

OPENAPI = yaml.safe_load((ROOT / "control/http/openapi.yaml").read_text())
ROUTES = [(method.upper(), path) for path, item in OPENAPI["paths"].items() for method in item
          if method in ("get", "post", "put", "patch", "delete")]
SCOPES = ("read", "trace", "write")


def ask(shout, token, method, path, body=None, **fields):
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=60)
    try:
        data = json.dumps(body) if body is not None else None
        connection.request(method, f"/api/v1/{path}", data, {"Authorization": f"Bearer {token}", **fields})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if "json" in (response.headers["Content-Type"] or "") else text, response.headers
    finally:
        connection.close()


@pytest.fixture(scope="module")
def root(shout):
    return (shout.state_dir / "control.token").read_text().strip()


@pytest.fixture(scope="module")
def accounts(shout):
    """Two customers: their ids, one of their usernames each, and tokens of all scopes."""
    found = []
    for name in ("one", "two"):
        account = shout.account_add(domain=f"{name}-tokens.example")
        shout.shoutctl("account", "add-address", account["account"], "--ip", f"198.51.100.{len(found) + 1}")
        tokens = {scope: shout.shoutctl("token", "add", "--account", account["account"], "--label", scope, "--scope", scope) for scope in SCOPES}
        found.append({**account, "tokens": tokens})
    return found


def filled(path, account):
    values = {"account": account["account"], "username": account["username"], "domain": "two-tokens.example",
              "address": "198.51.100.2", "token": account["tokens"]["read"]["id"]}
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "0" * 26), path.lstrip("/"))


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1].startswith("/accounts/{account}")])
def test_another_account_is_not_there_on_any_route(shout, accounts, root, method, path):
    """The same answer as for an account that never was, for every scope; and nothing was done."""
    one, two = accounts
    before = ask(shout, root, "GET", f"accounts/{two['account']}")[1]
    for scope in SCOPES:
        secret = one["tokens"][scope]["secret"]
        status, answer, _ = ask(shout, secret, method, filled(path, two), {} if method in ("POST", "PUT", "PATCH") else None)
        _, never, _ = ask(shout, secret, method, filled(path, {**two, "account": "nobody0000"}),
                          {} if method in ("POST", "PUT", "PATCH") else None)
        assert status == 404 and answer["type"] == "/problems/not-found", (scope, answer)
        assert json.dumps(answer).replace(two["account"], "X") == json.dumps(never).replace("nobody0000", "X")
    assert ask(shout, root, "GET", f"accounts/{two['account']}")[1] == before


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if not route[1].startswith("/accounts/{account}")
                                              and route[1] not in ("/openapi.yaml", "/ip", "/service", "/password", "/password-reset")
                                              and route != ("POST", "/session") and route[1] != "/session/totp"])
def test_what_is_the_operators_is_no_customers(shout, accounts, method, path):
    for scope in SCOPES:
        status, answer, _ = ask(shout, accounts[0]["tokens"][scope]["secret"], method, filled(path, accounts[0]),
                                {} if method == "POST" else None)
        assert status == 403 and answer["type"] == "/problems/no-right", answer


def test_a_token_does_what_its_scopes_say(shout, accounts, root):
    one = accounts[0]
    rows = [("GET", "", None, "read"), ("POST", "/password", {}, "write"), ("POST", "/users", None, "write")]
    for method, tail, body, needed in rows:
        for scope in SCOPES:
            status, answer, _ = ask(shout, one["tokens"][scope]["secret"], method, f"accounts/{one['account']}{tail}", body)
            assert status in ((200, 201, 409) if scope == needed else (403,)), (scope, method, tail, answer)
    for scope in SCOPES:  # a token makes no tokens, vouches for no domain, and sees no verifier
        secret = one["tokens"][scope]["secret"]
        for method, tail, body in (("GET", "/tokens", None), ("POST", "/tokens", {"label": "x", "scopes": ["write"]}), ("GET", "/export", None),
                                   ("POST", "/domains", {"name": "stolen.example", "verified": True}),
                                   ("DELETE", "", None), ("POST", "/enable", None)):
            assert ask(shout, secret, method, f"accounts/{one['account']}{tail}", body)[0] == 403, (scope, tail)


def test_a_token_for_all_accounts(shout, accounts, root):
    secrets = {scope: shout.shoutctl("token", "add", "--all", "--label", scope, "--scope", scope)["secret"] for scope in SCOPES}
    assert ask(shout, secrets["read"], "GET", "accounts")[1]["total"] >= 2
    assert ask(shout, secrets["read"], "GET", f"accounts/{accounts[1]['account']}")[0] == 200
    assert ask(shout, secrets["write"], "POST", f"accounts/{accounts[1]['account']}/enable")[0] == 200
    assert ask(shout, secrets["read"], "POST", f"accounts/{accounts[1]['account']}/enable")[0] == 403
    for method, path in (("GET", "backup"), ("GET", "export"), ("POST", "restore"), ("POST", "rebuild"), ("POST", "tokens")):
        for secret in secrets.values():
            assert ask(shout, secret, method, path)[0] == 403, path


def test_the_end_of_a_token(shout, accounts, root):
    """Removed, over, changed by a sign, or of an account that is deleted: 401, as for no token."""
    account = shout.account_add(domain="ends-tokens.example")["account"]
    path = f"accounts/{account}"

    def add(**more):
        status, token, _ = ask(shout, root, "POST", f"{path}/tokens", {"label": "l", "scopes": ["read"], **more})
        assert status == 201, token
        return token

    lasting, removed = add(), add()
    assert ask(shout, removed["secret"], "GET", path)[0] == 200
    shout.shoutctl("token", "remove", removed["id"], "--account", account)
    assert ask(shout, removed["secret"], "GET", path)[0] == 401
    assert ask(shout, root, "DELETE", f"{path}/tokens/{removed['id']}")[0] == 404
    assert ask(shout, root, "DELETE", f"accounts/{accounts[0]['account']}/tokens/{lasting['id']}")[0] == 404
    assert ask(shout, root, "DELETE", f"tokens/{lasting['id']}")[0] == 404
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)).isoformat(timespec="milliseconds")
    short = add(until=soon)
    wait_for(lambda: ask(shout, short["secret"], "GET", path)[0] == 401)
    assert ask(shout, root, "POST", f"{path}/tokens", {"label": "l", "scopes": ["read"], "until": "2020-01-01"})[0] == 400
    secret = lasting["secret"]
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), "shout_", "shout_" + "x" * 4000):
        assert ask(shout, wrong, "GET", path)[0] == 401
    assert ask(shout, secret, "GET", path)[0] == 200
    shout.shoutctl("account", "delete", account)
    assert ask(shout, secret, "GET", path)[0] == 401
    shout.shoutctl("account", "restore", account)
    assert ask(shout, secret, "GET", path)[0] == 200


def test_a_secret_is_shown_once_and_the_audit_names_the_token(shout, accounts, root):
    one = accounts[0]
    token = one["tokens"]["write"]
    assert re.fullmatch(r"shout_[0-9A-Za-z]{40}", token["secret"])
    ask(shout, token["secret"], "POST", f"accounts/{one['account']}/users", **{"X-Shout-Operator": "the boss"})
    event = wait_for(lambda: [event for event in shout.events("audit") if event["by"] == f"token:{token['id']}"])[-1]
    assert event["what"] == "user.add" and event["account"] == one["account"] and "claimed" not in event
    kept = json.dumps([shout.events("audit"), shout.shoutctl("token", "list", "--account", one["account"])]) + shout.log()
    assert token["secret"] not in kept and token["id"] in kept
    listed = ask(shout, root, "GET", f"accounts/{one['account']}/tokens")[1]["tokens"]
    assert {one["id"] for one in listed} >= {each["id"] for each in one["tokens"].values()}
    assert not [each for each in listed if "secret" in each or each["account"] != one["account"]]


def test_tokens_outlive_a_restart_and_come_back_with_a_backup(shout, accounts, root, tmp_path, rig):
    one = accounts[0]
    backup = tmp_path / "backup"
    shout.shoutctl("backup", backup)
    shout.stop()
    shout.start()
    assert ask(shout, one["tokens"]["read"]["secret"], "GET", f"accounts/{one['account']}")[0] == 200
    other = rig.shout(rig.redis())
    other.shoutctl("restore", backup)
    assert ask(other, one["tokens"]["read"]["secret"], "GET", f"accounts/{one['account']}")[0] == 200


def test_a_change_that_somebody_else_overtook_is_refused(shout, root):
    account = shout.account_add(domain="etag-tokens.example")["account"]
    path = f"accounts/{account}"
    tag = ask(shout, root, "GET", path)[2]["ETag"]
    assert ask(shout, root, "PATCH", path, {"name": "a"}, **{"If-Match": tag})[0] == 200
    status, answer, _ = ask(shout, root, "PATCH", path, {"name": "b"}, **{"If-Match": tag})
    assert status == 412 and answer["type"] == "/problems/changed-meanwhile"
    newer = ask(shout, root, "GET", path)[2]["ETag"]
    assert ask(shout, root, "GET", path)[1]["name"] == "a"
    ask(shout, root, "POST", f"{path}/users")
    assert ask(shout, root, "DELETE", path, **{"If-Match": newer})[0] == 412
    assert ask(shout, root, "PATCH", path, {"name": "c"}, **{"If-Match": "*"})[0] == 200


def test_shoutctl_works_with_a_token_of_an_account(shout, accounts, tmp_path):
    one, two = accounts
    file = tmp_path / "token"
    file.write_text(one["tokens"]["read"]["secret"] + "\n")
    file.chmod(0o600)

    def ctl(*words):
        return subprocess.run([BUILD / "shoutctl", "--json", "--url", f"http://127.0.0.1:{shout.ports['control']}", "--token-file", file,
                               *words], capture_output=True, text=True, timeout=60)

    assert json.loads(ctl("account", "show", one["account"]).stdout)["id"] == one["account"]
    assert "there is no account" in ctl("account", "show", two["account"]).stderr
    assert "no right" in ctl("account", "list").stderr


def test_a_customer_switches_the_mode_by_proved_addresses_only(shout, accounts):
    path, secret = f"accounts/{accounts[0]['account']}/mode", accounts[0]["tokens"]["write"]["secret"]
    status, answer, _ = ask(shout, secret, "PUT", path, {"mode": "ip", "addresses": ["192.0.2.77"]})
    assert (status, answer["field"]) == (403, "addresses")
    assert ask(shout, secret, "PUT", path, {"mode": "ip"})[0] == 200 and ask(shout, secret, "DELETE", path)[0] == 200
    assert ask(shout, accounts[0]["tokens"]["read"]["secret"], "PUT", path, {"mode": "ip"})[0] == 403
    assert ask(shout, secret, "PUT", f"accounts/{accounts[1]['account']}/mode", {"mode": "ip"})[0] == 404
