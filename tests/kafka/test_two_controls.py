"""People of a cluster: two controls know the same people and sessions, and a link counts once at both together."""

import concurrent.futures
import http.client
import json

import kafka
from harness import Shout, wait_for

GOOD = "heron kettle Oslo 41"


def call(control, method, path, body=None, cookie=None, csrf=None):
    """(status, answer, cookie) of a control's API, by plain HTTP from this machine."""
    fields = {**({"Cookie": cookie} if cookie else {}), **({"X-CSRF-Token": csrf} if csrf else {})}
    connection = http.client.HTTPConnection("127.0.0.1", control.ports["control"], timeout=60)
    try:
        connection.request(method, f"/api/v1/{path}", json.dumps(body) if body is not None else None, fields)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None, (answer.headers["Set-Cookie"] or "").split(";")[0]
    finally:
        connection.close()


def test_people_and_sessions_are_the_clusters(rig, redis, broker):
    one, two = controls = [Shout(rig.path("control"), redis, role="control", settings={"queue": broker.queue()}) for _ in range(2)]
    kafka.topics(one.file)
    for control in controls:
        rig.started.append(control)
        control.start(wait=False)
    wait_for(lambda: all(control.ready() for control in controls), 60)
    account = one.account_add("one", "one.example")["account"]
    wait_for(lambda: two.shoutctl("account", "list")["total"] == 1)
    made = one.shoutctl("person", "add", "anna@one.example", "--account", account, "--name", "Anna", "--role", "owner")
    wait_for(lambda: two.shoutctl("person", "list", "--account", account)["total"] == 1)
    # The link counts once, though both are asked at the same moment.
    token = made["link"].split("#t=")[1]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda i: call((one, two)[i % 2], "POST", "password", {"token": token, "password": GOOD})[0], range(8)))
    assert sorted(statuses) == [200] + [410] * 7
    # A session of one is known to the other, and so is its end.
    wait_for(lambda: all(call(control, "POST", "session", {"login": "anna@one.example", "password": GOOD})[0] == 200 for control in (one, two)))
    status, session, cookie = call(one, "POST", "session", {"login": "anna@one.example", "password": GOOD})
    assert status == 200 and call(two, "GET", "session", cookie=cookie)[1]["csrf"] == session["csrf"]
    assert call(two, "PATCH", "me", {"name": "Anna Rossi"}, cookie, session["csrf"])[0] == 200
    wait_for(lambda: call(one, "GET", "me", cookie=cookie)[1]["name"] == "Anna Rossi")
    assert call(two, "DELETE", "session", None, cookie, session["csrf"])[0] == 204
    assert call(one, "GET", "me", cookie=cookie)[0] == 401
    # Whoever is removed at one is nobody at the other.
    _, session, cookie = call(two, "POST", "session", {"login": "anna@one.example", "password": GOOD})
    two.shoutctl("person", "add", "bea@one.example", "--account", account, "--name", "Bea", "--role", "owner")
    wait_for(lambda: one.shoutctl("person", "list", "--account", account)["total"] == 2)
    one.shoutctl("person", "remove", "anna@one.example", "--account", account)
    assert call(one, "GET", "me", cookie=cookie)[0] == 401
    wait_for(lambda: call(two, "GET", "me", cookie=cookie)[0] == 401)
    # Failures are counted together.
    statuses = [call((one, two)[i % 2], "POST", "session", {"login": "bea@one.example", "password": f"wrong{i}"})[0] for i in range(9)]
    assert statuses[:5] == [401] * 5 and 429 in statuses
