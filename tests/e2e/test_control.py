"""Accounts and the queue, through shoutctl and the API."""

import http.client
import json
import re
import smtplib
import socket
import stat
import subprocess
import urllib.parse

import pytest
import yaml

from harness import BUILD, EICAR, ROOT, send, wait_for

HEADER = (b"From: Boss <boss@customer.example>\r\nTo: friend@elsewhere.example\r\n"
          b"Date: Tue, 24 Nov 2026 04:00:00 +0100\r\n")


class Api:
    def __init__(self, shout, token=None):
        self.port = shout.ports["control"]
        self.token = token or (shout.state_dir / "control.token").read_text().strip()

    def __call__(self, method, path, body=None, headers=None, prefix="/api/v1/"):
        """(status, parsed answer)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
            connection.request(method, prefix + path, data, headers or
                               {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def api(shout):
    return Api(shout)


def ctl(shout, *words):
    """shoutctl for people: (status, output, errors)"""
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *map(str, words)], timeout=60,
                          capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def login(shout, account):
    client = smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30)
    try:
        return client.login(account["username"], account["password"])[0]
    except smtplib.SMTPAuthenticationError as refused:
        return refused.smtp_code
    finally:
        client.close()


# Who may ask

def test_the_token_is_long_random_and_for_the_owner_only(shout, api):
    file = shout.state_dir / "control.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(api.token) == 64


@pytest.mark.parametrize("headers", [
    {"X": "y"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer " + "0" * 64},
    {"Authorization": "Basic Zm9vOmJhcg=="}])
def test_without_the_token_nothing_is_told(api, headers):
    for method, path in (("GET", "accounts"), ("GET", "nowhere"), ("POST", "rebuild")):
        status, answer = api(method, path, headers=headers)
        assert status == 401 and answer["error"]


def test_every_error_is_json_with_a_field(api):
    assert api("GET", "nowhere")[0] == 404
    assert api("GET", "", prefix="/")[0] == 404
    assert api("DELETE", "queue")[0] == 405
    status, answer = api("POST", "accounts", b'{"name":')
    assert status == 400 and "line 1" in answer["error"] and answer["field"] is None
    status, answer = api("POST", "accounts", {"name": "x", "nmae": "y"})
    assert status == 400 and answer["field"] == "nmae"
    status, answer = api("GET", "queue?stat=held")
    assert status == 400 and answer["field"] == "stat"
    for query, field in (("limit=0", "limit"), ("state=new", "state"), ("id=1", "id"),
                         ("after=x", "after")):
        status, answer = api("GET", f"queue?{query}")
        assert (status, answer["field"]) == (400, field)
    assert api("GET", "accounts/nobody")[0] == 404
    assert api("POST", "accounts/nobody/disable")[0] == 404
    assert api("GET", "why")[1]["field"] == "q"


ACCOUNT_POSTS = "enable disable password users addresses domains"
BODIES = ["POST accounts", "PATCH accounts/A", *(f"POST accounts/A/{what}" for what in ACCOUNT_POSTS.split()),
          "POST rules", "POST suspensions", "POST rebuild"]
ROUTES = BODIES + """GET accounts, GET accounts/A, DELETE accounts/A/users/x, DELETE accounts/A/addresses/192.0.2.1,
    DELETE accounts/A/domains/x.example, GET queue, GET queue/bad, GET queue/bad/00, DELETE queue/bad/00, GET queue/x,
    GET suspensions, DELETE suspensions, GET why, GET events""".replace("\n", "").replace("    ", " ").split(", ")
NO_JSON = [b"{", b"name=x", b"5", b"null", b"{} {}", b'{"name": "a"} x', b'{"a": "\xff"}', b'{"a": "\\u0000"}',
           b"[" * 3000, b"\xef\xbb\xbf{}", b'{"name": "a", "name": "b"}']
OTHER_TYPES = ["application/x-www-form-urlencoded", "text/json", "application/jsonx", ""]
QUERIES = {
    "limit=5&limit=5": "limit", "site=": "site", "limit=": "limit", "limit=%205": "limit", "limit=%2B5": "limit",
    "limit=5x": "limit", "Limit=5": "Limit", "recipient_domain=x": "recipient_domain", "site": "", "%ff=1": "UTF-8",
    "site=%ff": "UTF-8", "site=a%00b": "UTF-8", "after=x": "after", f"site=x&after=x/{'0' * 26}": "after",
}
NO_TEXTS = ["GET accounts/%ff", "GET accounts/A%00", "GET queue/%ff", "GET queue/bad/%ff", "GET why?q=%ff%ff%ff",
            "DELETE accounts/A/domains/%ff", "DELETE accounts/A/users/%c3", "DELETE suspensions?site=%c3"]
SELECTORS = [({}, "selector"), ([], "selector"), (None, "selector"), ("x", "selector"), ({"site": ""}, "site"),
             ({"site": 5}, "site"), ({"account": "a", "site": ""}, "site"), ({"account": "a", "domain": "x"}, "domain"),
             ({"id": "x"}, "id")]
X = {"selector": {"site": "x"}}
WRONG = [  # A: an account. What is wrong is in the field or the error
    *((route, body, None, "no JSON" if body != b"5" else "") for route in BODIES for body in NO_JSON),
    *(("PATCH accounts/A", body, kind, "Content-Type") for kind in OTHER_TYPES for body in ({"name": "x"}, b"name=x")),
    *((route, {"odd": 1}, None, "odd") for route in BODIES),
    *((f"{route}?odd=1", None, None, "odd") for route in ROUTES),
    *((f"GET queue?{query}", None, None, wrong) for query, wrong in QUERIES.items()),
    *((route, None, None, "UTF-8") for route in NO_TEXTS),
    *(("POST rules", {"action": "bounce", "selector": selector}, None, wrong) for selector, wrong in SELECTORS),
    *(("POST suspensions", {"selector": selector}, None, wrong) for selector, wrong in SELECTORS),
    *(("POST suspensions", {**X, "seconds": seconds}, None, "seconds") for seconds in ("60", 1.0, 0, -1, None, 1 << 62)),
    ("POST suspensions", {**X, "reason": 5}, None, "reason"), ("POST rules", X, None, "action"),
    ("POST rules", {**X, "action": ["bounce"]}, None, "action"),
    *(("PATCH accounts/A", body, "application/json", "nothing to change") for body in (None, b"", {})),
    ("PATCH accounts/A", {"limits": {}}, None, "limits"), ("GET accounts", {"limit": 5}, None, "limit"),
    ("DELETE suspensions", X, None, "selector"),
]


def test_nothing_of_a_request_is_passed_over(shout, api):
    account = shout.account_add(domain="passed.example")

    def everything():
        return [api("GET", path) for path in ("accounts?limit=1000", "suspensions")]

    before = everything()
    for route, body, kind, wrong in WRONG:
        method, path = route.replace("accounts/A", f"accounts/{account['account']}").split()
        status, answer = api(method, path, body, {"Authorization": f"Bearer {api.token}",
                                                  **({} if kind is None else {"Content-Type": kind})})
        assert status == (415 if wrong == "Content-Type" else 400), (route, body, answer)
        assert wrong in (answer["field"] or "") or wrong in answer["error"], (route, body, answer)
    assert everything() == before and login(shout, account) == 235


def test_a_body_without_its_length_is_none(shout, api):
    account = shout.account_add(domain="length.example")["account"]
    for method, header in (("PATCH", ""), ("PATCH", "Transfer-Encoding: gzip\r\n"), ("GET", "Content-Length: 13\r\n")):
        with socket.create_connection(("127.0.0.1", api.port), timeout=30) as connection:
            connection.sendall(f"{method} /api/v1/accounts/{account} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {api.token}\r\n"
                               f"{header}\r\n".encode() + b'{"name": "x"}')
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 "), (method, header, answer)
    assert api("GET", f"accounts/{account}")[1]["name"] == "demo"


def test_a_change_in_any_right_way_is_done(shout, api):
    account = shout.account_add(domain="ways.example")["account"]
    for number, kind in enumerate((None, "application/json", "Application/JSON", "application/json; charset=utf-8",
                                   "application/json;charset=utf-8")):
        headers = {"Authorization": f"bearer {api.token}", **({"Content-Type": kind} if kind else {})}
        for _ in range(2):  # the same value again is fine
            assert api("PATCH", f"accounts/{account}", {"name": f"n{number}"}, headers) == (200, {"account": account})
            assert api("GET", f"accounts/{account}")[1]["name"] == f"n{number}"
    for body in (None, b"", b"{}"):  # where none is taken, an empty one is fine
        assert api("POST", f"accounts/{account}/disable", body)[0] == 200


def test_a_huge_body_is_refused(api):
    for size in (2 << 20, 4 << 20):
        status, answer = api("POST", "accounts", b"x" * size)
        assert status == 413 and "1048576" in answer["error"]
    assert api("POST", "accounts", b" " * (1 << 20))[0] == 400  # it is taken, and no JSON
    assert api("GET", "accounts")[0] == 200


# Accounts

def test_a_new_account_can_send_at_once(shout, redis):
    account = shout.account_add(domain="first.example")
    assert set(account) == {"account", "username", "password"}
    assert len(account["password"]) >= 20
    assert login(shout, account) == 235
    assert account["password"] not in redis.run("GET", f"user:{account['username']}")


def test_only_verified_domains_count(shout, redis, api):
    status, account = api("POST", "accounts", {
        "name": "x", "contact": "a@b.example", "domains": ["pending.example"]})
    assert status == 201
    document = json.loads(redis.run("GET", f"account:{{{account['account']}}}"))
    assert document["domains"] == []
    assert redis.run("GET", "domain:pending.example") == ""
    with shout.smtp("starttls", account) as client:
        assert client.mail("me@pending.example")[0] == 550
    status, _ = api("POST", f"accounts/{account['account']}/domains",
                    {"name": "pending.example", "verified": True})
    assert status == 201
    assert json.loads(redis.run("GET", "domain:pending.example"))["account"] == account["account"]
    api("DELETE", f"accounts/{account['account']}/domains/pending.example")
    assert redis.run("GET", "domain:pending.example") == ""


def test_a_disabled_account_sends_no_more_until_it_is_enabled(shout, redis):
    account = shout.account_add(domain="off.example")
    shout.shoutctl("account", "disable", account["account"])
    assert json.loads(redis.run("GET", f"account:{{{account['account']}}}"))["status"] == "disabled"
    assert shout.shoutctl("account", "show", account["account"])["status"] == "disabled"
    shout.shoutctl("account", "enable", account["account"])
    assert login(shout, account) == 235


def test_a_new_password_replaces_the_old_one(shout):
    old = shout.account_add(domain="password.example")
    new = shout.shoutctl("account", "password", old["account"])
    assert new["username"] == old["username"] and new["password"] != old["password"]
    assert login(shout, new) == 235
    assert login(shout, old) == 535


def test_an_address_names_its_account(shout, redis):
    account = shout.account_add(domain="ip.example", mode="ip", ip="192.0.2.7")
    assert "password" not in account and account["addresses"] == ["192.0.2.7"]
    assert json.loads(redis.run("GET", "ip:192.0.2.7"))["account"] == account["account"]
    shout.shoutctl("account", "add-address", account["account"], "--ip", "10.1.2.3/16")
    assert redis.run("SISMEMBER", "ip:networks", "10.1.0.0/16") == "1"
    shout.shoutctl("account", "remove-address", account["account"], "--ip", "10.1.0.0/16")
    assert redis.run("SISMEMBER", "ip:networks", "10.1.0.0/16") == "0"
    assert redis.run("EXISTS", "ip:10.1.0.0/16") == "0"


def test_nobody_gets_the_internet_or_what_is_another_s(shout, redis):
    one, other = (shout.account_add(domain=f"{name}.example") for name in ("broad", "narrow"))
    shout.shoutctl("account", "add-address", one["account"], "--ip", "198.18.0.0/16")
    for network, why in (("0.0.0.0/0", "/16 or longer"), ("::/0", "/16 or longer"), ("198.18.7.9", one["account"])):
        refused = shout.shoutctl("account", "add-address", other["account"], "--ip", network, check=False)
        assert "--ip" in refused["error"] and why in refused["error"]
    assert "addresses" not in shout.shoutctl("account", "show", other["account"]) or \
        not shout.shoutctl("account", "show", other["account"])["addresses"]
    assert redis.run("SMEMBERS", "ip:networks") == "198.18.0.0/16"


def test_accounts_survive_a_restart_and_an_empty_redis_is_filled_again(rig):
    redis = rig.redis()
    shout = rig.shout(redis)
    account = shout.account_add(domain="keep.example")
    gone = shout.account_add(domain="gone.example", mode="ip", ip="192.0.2.9")
    redis.run("FLUSHALL")
    wait_for(lambda: redis.run("EXISTS", "config:applied") == "1")
    assert login(shout, account) == 235
    shout.stop()
    redis.run("FLUSHALL")
    redis.run("SADD", "config:keys", "user:ghost")
    redis.run("SET", "user:ghost", "{}")
    shout.restart()
    wait_for(lambda: redis.run("EXISTS", "config:applied") == "1")
    assert redis.run("EXISTS", "user:ghost") == "0"
    assert login(shout, account) == 235
    assert shout.shoutctl("account", "list")["total"] == 2
    shout.shoutctl("account", "remove-address", gone["account"], "--ip", "192.0.2.9")
    redis.run("DEL", f"user:{account['username']}")
    assert shout.shoutctl("rebuild")["entries"] == 3
    assert redis.run("EXISTS", f"user:{account['username']}") == "1"


def test_a_change_while_redis_is_away_counts_when_it_is_back(rig):
    redis = rig.redis()
    shout = rig.shout(redis)
    account = shout.account_add(domain="away.example")
    redis.kill()
    wait_for(lambda: shout.shoutctl("account", "disable", account["account"]).get("applied") is False)
    redis.start()
    wait_for(lambda: "disabled" in redis.run("GET", f"account:{{{account['account']}}}"))


def pages(api, path, name, limit):
    """Every item of a list, page by page."""
    seen, after = [], ""
    while True:
        status, page = api("GET", f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
        assert status == 200 and len(page[name]) <= limit, page
        seen += page[name]
        if page["next"] is None:
            return seen, page
        assert len(page[name]) == limit, page
        after = f"&after={urllib.parse.quote(page['next'])}"


def test_lists_come_in_pages(shout, api):
    for i in range(5):
        shout.account_add(domain=f"page{i}.example")
        shout.shoutctl("suspend", "--site", f"page{i}.example")
    lists = {"accounts": lambda one: one["id"], "suspensions": lambda one: one["selector"]["site"],
             "rules": lambda one: one["number"], "queue/bad": lambda one: one["key"]}
    for path, key in lists.items():
        name = path.rsplit("/", maxsplit=1)[-1]
        for limit in (1, 2, 1000):
            seen, page = pages(api, path, name, limit)
            keys = [key(one) for one in seen]
            assert len(keys) == len(set(keys)) == page["total"] and sorted(keys, reverse=name == "rules") == keys, page
    for i in range(5):
        shout.shoutctl("resume", "--site", f"page{i}.example")


LISTS = ["accounts", "suspensions", "rules", "queue/bad", "queue", "queue?site=a.example", "queue?state=held"]


def test_a_next_of_another_list_is_refused(shout, api):
    """Also of the same list with other filters, which would pass over what lies before."""
    for i in range(2):
        shout.account_add(domain=f"other{i}.example")
    place = api("GET", "accounts?limit=1")[1]["next"]
    assert place
    odd = ["x", "", ":", "accounts", "accounts.:", "queue:", "bad:", "bad:xyz", "rules", "\u00e9" * 60, place]
    for path in LISTS:
        for after in odd:
            if after == place and path == "accounts":
                continue
            status, answer = api("GET", f"{path}{'&' if '?' in path else '?'}after={urllib.parse.quote(after)}")
            assert (status, answer["field"]) == (400, "after") and (after[:20] in answer["error"]), (path, after, answer)
    other = api("GET", "queue?site=a.example&after=queue.0123abcd:x")
    assert other[0] == 409 and other[1]["field"] == "after" and "filters" in other[1]["error"]
    for one in ("limit=0", "limit=1001", "limit=-1", "limit=1.0", "limit=0x10", "limit=99999999999999999999"):
        for path in LISTS:
            assert api("GET", f"{path}{'&' if '?' in path else '?'}{one}")[1]["field"] == "limit", path


# The queue

@pytest.fixture(scope="module")
def held(shout, account):
    """The id of an infected message that is held."""
    with shout.smtp("starttls", account) as client:
        id = send(client, "boss@customer.example", "victim@elsewhere.example",
                  HEADER + b"Message-ID: <virus@customer.example>\r\nSubject: v\r\n\r\n" + EICAR)
    wait_for(lambda: shout.shoutctl("queue", "list", "--id", id)["total"] == 1)
    return id


def test_held_mail_is_found_by_each_filter(shout, account, held):
    for words in (("--id", held), ("--account", account["account"]),
                  ("--domain", "Elsewhere.example"), ("--state", "held")):
        answer = shout.shoutctl("queue", "list", *words)
        assert held in [row["id"] for row in answer["rows"]], words
    for words in (("--account", "nobody"), ("--domain", "nowhere.example"), ("--state", "waiting")):
        answer = shout.shoutctl("queue", "list", *words)
        assert held not in [row["id"] for row in answer["rows"]], words
    row, = shout.shoutctl("queue", "show", held)["rows"]
    assert row["state"] == "held" and "Eicar" in row["signature"]
    assert row["to"] == ["victim@elsewhere.example"]


@pytest.mark.parametrize("query", ["{id}", "virus@customer.example", "<virus@customer.example>",
                                   "victim@elsewhere.example"])
def test_why_tells_the_story(shout, held, query):
    answer = shout.shoutctl("why", query.format(id=held))
    message = next(one for one in answer["messages"] if one["id"] == held)
    assert {"accepted", "held"} <= {event["event"] for event in message["events"]}
    assert message["state"] == "held" and len(message["rows"]) == 1


def test_why_tells_an_event_that_a_crash_repeated_once(shout, held):
    path = max(shout.state_dir.glob("events/*"))
    line, = [line for line in path.read_text().splitlines() if '"held"' in line and held in line]
    with open(path, "a") as file:
        file.write(line + "\n")
    message, = shout.shoutctl("why", held)["messages"]
    assert [event["event"] for event in message["events"]].count("held") == 1


def test_why_of_what_never_was(shout):
    assert shout.shoutctl("why", "nobody@nowhere.example")["messages"] == []


def test_a_rule_is_written_where_the_sender_reads_it(shout, held):
    answer = shout.shoutctl("queue", "release", held)
    rule = answer["rule"]
    assert rule["selector"] == {"id": held} and rule["action"] == "release" and int(rule["number"]) > 0
    assert shout.shoutctl("rules")["rules"][0] == rule
    wait_for(lambda: shout.events("delivered", held), 60)
    wait_for(lambda: shout.shoutctl("queue", "list", "--id", held)["total"] == 0)


# The command line

def test_people_read_tables(shout):
    account = shout.account_add(name="Reader", domain="reader.example")
    status, output, _ = ctl(shout, "account", "list", "--limit", "1000")
    assert status == 0 and "ACCOUNT" in output and account["username"] in output
    status, output, _ = ctl(shout, "account", "show", account["account"])
    assert status == 0 and "reader.example" in output
    status, output, _ = ctl(shout, "queue", "list")
    assert status == 0 and "waiting" in output


@pytest.mark.parametrize("words,status", [
    ((), 2), (("account",), 2), (("account", "show"), 2), (("account", "list", "--colour"), 2),
    (("account", "add", "--name", "n"), 2), (("queue", "list", "--verified"), 2),
    (("rebuild", "now"), 2), (("account", "list", "--limit"), 2),
    (("account", "show", "nobody"), 1), (("queue", "show", "nothing"), 1), (("queue", "retry"), 2),
    (("account", "add", "--name", "n", "--contact", "x", "--domain", "d.example"), 1),
    (("--help",), 0)])
def test_exit_statuses(shout, words, status):
    done, output, errors = ctl(shout, *words)
    assert done == status
    assert (output if status == 0 else errors).strip()


def test_nobody_answers(shout, tmp_path):
    file = tmp_path / "shout.yaml"
    settings = json.loads(shout.file.read_text())
    settings["control"]["listen"] = "127.0.0.1:1"
    file.write_text(json.dumps(settings))
    done = subprocess.run([BUILD / "shoutctl", "-c", file, "queue", "list"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "no answer" in done.stderr


# What could not be read

def test_what_could_not_be_read_is_listed_shown_and_removed(rig, certificate, sink):
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    assert shout.stop() == 0
    dump = "VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n " + "00" * 7 + "01\n ff00ff\nDATA=END\n"
    subprocess.run(["mdb_load", "-n", "-s", "inbound", shout.state_dir / "queue.mdb"], input=dump,
                   text=True, check=True)
    shout.restart()
    bad, = wait_for(lambda: shout.shoutctl("queue", "bad")["bad"])
    assert bad == {"key": b"inbound/".hex() + "0000000000000001", "table": "inbound", "size": 3}
    wait_for(lambda: shout.metric("shout_queue_bad") == 1)
    assert shout.shoutctl("queue", "bad", "show", bad["key"]) == {**bad, "value": "ff00ff"}
    assert "00000000  ff 00 ff" in ctl(shout, "queue", "bad", "show", bad["key"])[1]
    raw = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "queue", "bad", "show", bad["key"], "--raw"],
                         timeout=60, capture_output=True)
    assert raw.stdout == b"\xff\0\xff"
    assert "1 of 1 set aside" in ctl(shout, "queue", "bad", "--limit", "1")[1]
    assert shout.shoutctl("queue", "bad", "--after", f"bad:{bad['key']}") == {"bad": [], "next": None, "total": 1}
    for odd in ("xyz", "0", "f" * 1024):
        assert ctl(shout, "queue", "bad", "show", odd)[0] == 1
    assert ctl(shout, "queue", "bad", "look")[0] == 2
    assert ctl(shout, "queue", "bad", "remove", bad["key"])[0] == 0
    assert ctl(shout, "queue", "bad", "remove", bad["key"])[0] == 1
    assert shout.shoutctl("queue", "bad")["total"] == 0


# The description

def test_openapi_names_every_route_parameter_and_body_and_no_other():
    described = yaml.safe_load((ROOT / "control" / "http" / "openapi.yaml").read_text())

    def parameters(what):
        for one in what.get("parameters", []):
            yield described["components"]["parameters"][one["$ref"].rsplit("/", 1)[1]] if "$ref" in one else one

    found = {(method.upper(), re.sub(r"\{\w+\}", "*", path.strip("/")), "requestBody" in what,
              frozenset(one["name"] for one in parameters(what) if one["in"] == "query"))
             for path, item in described["paths"].items() for method, what in item.items() if method != "parameters"}
    source = (ROOT / "control" / "api" / "routes.c").read_text()
    words = {}
    for name, text, more in re.findall(r'#define (\w+) "([a-z_ ]+)"(?: (\w+))?', source):
        words[name] = f"{text} {words.get(more, '')}"
    rows = re.findall(r'EVHTTP_REQ_(\w+),\s*"([^"]+)",\s*api_\w+,\s*(\w+),\s*([^}]*?),\s*RIGHT_\w+\s*\}', source)
    assert found == {(method, path, body == "true",
                      frozenset(" ".join(words.get(part, part) for part in re.findall(r"\w+", query)).split()))
                     for method, path, body, query in rows}
