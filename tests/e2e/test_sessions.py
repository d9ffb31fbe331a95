"""Sessions: logging in, what a cookie may, and what an attacker gets by each trick."""

import base64
import hashlib
import hmac
import http.client
import json
import re
import struct
import time

import pytest
from harness import wait_for
from test_people import GOOD, SERVICE, Mailbox, token_of
from test_tokens import OPENAPI, ROUTES, ask

OTHER = "violet anchors under Genoa 7"


@pytest.fixture(scope="module")
def own_redis(module_rig):
    return module_rig.redis()


@pytest.fixture(scope="module")
def shout(module_rig, own_redis, sink, certificate):
    return module_rig.shout(own_redis, route=sink.host, certificate=certificate, settings={
        "service": SERVICE, "control": {"proxies": ["127.0.0.1"]}})


@pytest.fixture(scope="module")
def root(shout):
    return (shout.state_dir / "control.token").read_text().strip()


class Browser:
    """A client with a jar of one cookie; its address is what the proxy before it says."""

    def __init__(self, shout, address="192.0.2.1", secure=True):
        self.shout, self.address, self.secure = shout, address, secure
        self.cookie = self.csrf = None
        self.headers = None

    def __call__(self, method, path, body=None, csrf=True, **fields):
        fields = {"X-Forwarded-For": self.address, "X-Forwarded-Proto": "https" if self.secure else "http", **fields}
        if self.cookie:
            fields.setdefault("Cookie", self.cookie)
        if csrf and self.csrf:
            fields.setdefault("X-CSRF-Token", self.csrf)
        connection = http.client.HTTPConnection("127.0.0.1", self.shout.ports["control"], timeout=60)
        try:
            data = json.dumps(body) if body is not None else None
            connection.request(method, f"/api/v1/{path}", data, fields)
            response = connection.getresponse()
            text, self.headers = response.read(), response.headers
            if response.headers["Set-Cookie"]:
                self.cookie = response.headers["Set-Cookie"].split(";")[0]
            answer = json.loads(text) if "json" in (response.headers["Content-Type"] or "") else text
            if isinstance(answer, dict) and "csrf" in answer:
                self.csrf = answer["csrf"]
            return response.status, answer
        finally:
            connection.close()

    def login(self, login, password=GOOD):
        return self("POST", "session", {"login": login, "password": password})

    def sudo(self, password=GOOD):
        status, answer = self("POST", "session/sudo", {"password": password})
        assert status == 200, answer
        return self


class Someone:
    numbers = iter(range(1000))

    def __init__(self, shout, role, account=None):
        self.shout, self.role, self.account = shout, role, account
        self.login = f"p{next(self.numbers)}@mailbox.example"
        words = ("--account", account) if account else ()
        made = shout.shoutctl("person", "add", self.login, "--name", "Some One", "--role", role, *words)
        status, answer = Browser(shout, "198.51.100.200")("POST", "password", {"token": token_of(made["link"]), "password": GOOD})
        assert status == 200, answer

    def browser(self, address="198.51.100.200"):
        browser = Browser(self.shout, address)
        status, answer = browser.login(self.login)
        assert status == 200, answer
        return browser


@pytest.fixture(scope="module")
def account(shout):
    return shout.account_add(domain="sessions.example")["account"]


@pytest.fixture(scope="module")
def owner(shout, account):
    return Someone(shout, "owner", account)


def clear_waits(redis):
    for key in redis.run("--scan", "--pattern", "login:*").split():
        if not key.startswith("login:known"):
            redis.run("DEL", key)


@pytest.fixture(autouse=True)
def no_waits(own_redis):
    yield
    clear_waits(own_redis)


def test_a_login_and_its_end(shout, owner, account, own_redis):
    browser = Browser(shout, "198.51.100.200")
    assert browser("GET", "session")[0] == 401
    status, answer = browser.login(owner.login.upper())
    assert status == 200 and answer["person"] == {"login": owner.login, "name": "Some One", "role": "owner", "language": None, "totp": False}
    assert answer["account"] == account and answer["operator"] is False and answer["until"] and len(answer["csrf"]) == 43
    cookie = browser.headers["Set-Cookie"]
    assert re.fullmatch(r"__Host-shout=[A-Za-z0-9]{43}; Path=/; HttpOnly; SameSite=Strict; Secure", cookie)
    secret = cookie.split("=")[1].split(";")[0]
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    assert own_redis.run("EXISTS", f"session:{{{hashed}}}").strip() == "1"
    assert secret not in own_redis.run("--scan") and secret not in shout.log()
    status, again = browser("GET", "session")
    assert status == 200 and again["csrf"] == answer["csrf"]
    assert browser("GET", f"accounts/{account}")[0] == 200
    assert browser("DELETE", "session")[0] == 204 and "Max-Age=0" in browser.headers["Set-Cookie"]
    browser.cookie = cookie.split(";")[0]
    assert browser("GET", "session")[0] == 401
    assert own_redis.run("EXISTS", f"session:{{{hashed}}}").strip() == "0"


def test_plain_http_logs_in_from_this_machine_alone(shout, owner):
    browser = Browser(shout, "203.0.113.9", secure=False)
    assert browser.login(owner.login)[0] == 403 and not browser.cookie
    local = Browser(shout, "127.0.0.1", secure=False)
    assert local.login(owner.login)[0] == 200
    assert local.cookie.startswith("shout=") and "Secure" not in local.headers["Set-Cookie"]
    assert local("GET", "me")[0] == 200
    # The cookie of one way is none of the other.
    assert Browser(shout)("GET", "me", Cookie=local.cookie)[0] == 401
    assert local("GET", "me", Cookie="__Host-" + local.cookie)[0] == 401


def test_all_causes_of_a_failure_look_alike(shout, owner, account):
    pending = f"pending{next(Someone.numbers)}@mailbox.example"
    shout.shoutctl("person", "add", pending, "--account", account, "--name", "x", "--role", "reader")
    answers = set()
    for login, password in ((owner.login, "wrong"), ("nobody@mailbox.example", GOOD), (pending, GOOD), ("no address", GOOD), (owner.login, "")):
        browser = Browser(shout, f"203.0.113.{len(answers) + 20}")
        status, answer = browser.login(login, password)
        answers.add((status, json.dumps(answer), browser.headers["Set-Cookie"]))
    assert len(answers) == 1 and answers.pop()[0] == 401


def test_waits_grow_and_keep_no_person_out(shout, owner, own_redis):
    attacker = Browser(shout, "203.0.113.66")
    statuses = [attacker.login(owner.login, f"wrong{i}")[0] for i in range(8)]
    assert statuses[:5] == [401] * 5 and 429 in statuses[5:]
    status, answer = attacker.login(owner.login, "wrong")
    assert status == 429 and int(attacker.headers["Retry-After"]) >= 1 and answer["type"] == "/problems/slow-down"
    assert attacker.login(owner.login)[0] == 429  # not even with the right one
    # The same from the attacker's network for everybody, and alike for who does not exist.
    assert attacker.login("nobody@mailbox.example", "x")[0] == 429
    # Where the person has been before there is no wait.
    assert Browser(shout, "198.51.100.200").login(owner.login)[0] == 200
    # A new network waits for the login's sake, half a minute at most.
    for i in range(40):
        Browser(shout, f"203.0.113.{i + 100}").login(owner.login, "wrong")
    elsewhere = Browser(shout, "192.0.2.77")
    status, _ = elsewhere.login(owner.login)
    assert status == 429 and int(elsewhere.headers["Retry-After"]) <= 30
    assert len([key for key in own_redis.run("--scan").split() if key.startswith("login:")]) < 200
    assert shout.metric("shout_control_proofs_total", 'result="wait"') >= 2 and shout.metric("shout_control_proofs_total", 'result="wrong"') >= 5


def test_who_has_many_addresses_of_ipv6_has_one_count(shout, owner):
    statuses = [Browser(shout, f"2001:db8:77:{i:x}::1").login(f"nobody{i}@mailbox.example", "wrong")[0] for i in range(8)]
    assert statuses[:5] == [401] * 5 and 429 in statuses[5:]
    assert Browser(shout, "2001:db8:78::1").login("nobody@mailbox.example", "wrong")[0] == 401


def test_many_guesses_at_once_are_counted_too(shout, owner):
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda i: Browser(shout, "203.0.113.77").login(owner.login, f"w{i}")[0], range(30)))
    assert statuses.count(401) <= 6 and set(statuses) <= {401, 429}


def test_no_session_can_be_given_to_somebody(shout, owner):
    attacker = Browser(shout)
    attacker.login(owner.login)
    planted = attacker.cookie
    victim = Browser(shout, "198.51.100.200")
    victim.cookie = planted
    assert victim.login(owner.login)[0] == 200
    assert victim.cookie != planted
    assert Browser(shout)("GET", "me", Cookie=planted)[0] == 401
    for made_up in ("__Host-shout=" + "A" * 43, "__Host-shout=*", "__Host-shout=" + "A" * 5000, "__Host-shout=../../x"):
        assert Browser(shout)("GET", "me", Cookie=made_up)[0] == 401
    assert victim("GET", "me", Cookie=f"{victim.cookie}; {planted}")[0] == 401  # two of them: whose?


def test_each_change_by_cookie_needs_the_token_against_forgery(shout, owner, account):
    browser = owner.browser()
    good = browser.csrf
    for csrf in (None, "", good[:-1], good + "x", good.swapcase(), owner.browser().csrf):
        browser.csrf = csrf
        status, answer = browser("PATCH", "me", {"language": "en"})
        assert status == 403 and answer["field"] == "X-CSRF-Token", (csrf, answer)
        assert browser("DELETE", "session")[0] == 403
        assert browser("DELETE", f"accounts/{account}/mode")[0] == 403
    browser.csrf = good
    assert browser("PATCH", "me", {"language": "en"})[1]["language"] == "en"
    assert browser("GET", "me", csrf=False)[0] == 200
    for site in ("cross-site", "same-site"):
        assert browser("PATCH", "me", {"language": "it"}, **{"Sec-Fetch-Site": site})[0] == 403
        assert Browser(shout)("POST", "session", {"login": owner.login, "password": GOOD}, **{"Sec-Fetch-Site": site})[0] == 403
    assert browser("POST", "session", {"login": owner.login, "password": GOOD}, **{"Content-Type": "text/plain"})[0] == 415


def test_no_route_takes_a_change_without_the_token_against_forgery(people):
    for method, path in ROUTES:
        if method == "GET" or path in ("/session", "/session/totp", "/password", "/password-reset") and method == "POST":
            continue
        for role in ("owner", "admin"):
            status, answer = people[role](method, re.sub(r"\{\w+\}", "0" * 16, path.lstrip("/")), {} if method != "DELETE" else None, csrf=False)
            assert status == 403 and answer["field"] == "X-CSRF-Token", (method, path, answer)


def test_a_page_that_asks_by_itself_keeps_no_session_alive(shout, owner, own_redis):
    browser = owner.browser()
    own_redis.run("EXPIRE", session_key(browser), "100")
    assert browser("GET", "me", **{"X-Shout-Background": "true"})[0] == 200
    assert int(own_redis.run("TTL", session_key(browser))) <= 100
    assert browser("GET", "me")[0] == 200
    assert int(own_redis.run("TTL", session_key(browser))) > 1700


def test_a_person_of_another_account_is_not_there_in_ones_own(shout, people, account, root):
    other = Someone(shout, "owner", shout.account_add(domain="elsewhere-people.example")["account"])
    operator = Someone(shout, "support")
    for login in (other.login, operator.login):
        for method, tail, body in (("GET", "", None), ("PATCH", "", {"role": "reader"}), ("DELETE", "", None), ("POST", "/invite", None)):
            status, answer = people["owner"](method, f"accounts/{account}/people/{login}{tail}", body)
            assert status == 404, (login, method, answer)
            if login == other.login:
                assert people["admin"](method, f"operators/{login}{tail}", body)[0] == 404
    assert other.browser()("GET", "me")[0] == 200 and operator.browser()("GET", "me")[0] == 200


def test_owners_see_when_people_last_logged_in(shout, people, account, root):
    person = Someone(shout, "reader", account)
    listed = {one["login"]: one["last_login"] for one in people["owner"]("GET", f"accounts/{account}/people")[1]["people"]}
    assert listed[person.login]
    made = f"new{next(Someone.numbers)}@mailbox.example"
    shout.shoutctl("person", "add", made, "--account", account, "--name", "x", "--role", "reader")
    assert shout.shoutctl("person", "show", made, "--account", account)["last_login"] is None


def session_key(browser):
    return "session:{%s}" % hashlib.sha256(browser.cookie.split("=")[1].encode()).hexdigest()


def test_a_session_ends_when_it_is_idle_and_after_twelve_hours(shout, owner, own_redis):
    browser = owner.browser()
    key = session_key(browser)
    assert 1700 < int(own_redis.run("TTL", key)) <= 1800
    own_redis.run("EXPIRE", key, "100")
    assert browser("GET", "me")[0] == 200
    assert 1700 < int(own_redis.run("TTL", key)) <= 1800
    created = int(own_redis.run("HGET", key, "created"))
    own_redis.run("HSET", key, "created", str(created - 43200 + 60))
    assert browser("GET", "me")[0] == 200
    assert int(own_redis.run("TTL", key)) <= 60
    own_redis.run("HSET", key, "created", str(created - 43201))
    assert browser("GET", "me")[0] == 401
    browser = owner.browser()
    own_redis.run("EXPIRE", session_key(browser), "0")
    assert browser("GET", "me")[0] == 401


def test_who_is_changed_or_removed_has_no_session_any_more(shout, account, root):
    person = Someone(shout, "manager", account)
    browser = person.browser()
    path = f"accounts/{account}/people/{person.login}"
    assert browser("POST", f"accounts/{account}/users")[0] == 403  # sudo
    assert browser.sudo()("POST", f"accounts/{account}/users")[0] == 201
    assert ask(shout, root, "PATCH", path, {"role": "reader"})[0] == 200
    assert browser("GET", "me")[0] == 401
    browser = person.browser()
    assert browser.sudo()("POST", f"accounts/{account}/users")[0] == 403
    assert ask(shout, root, "DELETE", path)[0] == 200
    assert browser("GET", "me")[0] == 401
    assert Browser(shout).login(person.login)[0] == 401
    other = shout.account_add(domain="goes.example")["account"]
    person = Someone(shout, "owner", other)
    browser = person.browser()
    shout.shoutctl("account", "delete", other)
    assert browser("GET", "me")[0] == 401 and Browser(shout).login(person.login)[0] == 401
    shout.shoutctl("account", "restore", other)
    assert Browser(shout).login(person.login)[0] == 200


def test_the_audit_names_the_person(shout, owner, account, sink):
    browser = owner.browser().sudo()
    status, made = browser("POST", f"accounts/{account}/users")
    assert status == 201
    event = wait_for(lambda: [one for one in shout.events("audit") if one["what"] == "user.add" and one["by"] == owner.login])[-1]
    assert event["client"] == "198.51.100.200" and event["account"] == account
    box = Mailbox(sink, owner.login)
    box.seen = box.count()
    status, token = browser("POST", f"accounts/{account}/tokens", {"label": "x", "scopes": ["read"]})
    subject, text = box.next()
    assert "News about the login" in subject and "a token of the API was made" in text
    assert status == 201 and ask(shout, token["secret"], "GET", f"accounts/{account}")[0] == 200


# Rights: each route, for each role, by cookie

def filled(path, account):
    values = {"account": account, "domain": "two.example", "address": "198.51.100.2"}
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "0" * 16), path.lstrip("/"))


@pytest.fixture(scope="module")
def people(shout, account):
    """A browser of each role, all with sudo."""
    found = {role: Someone(shout, role, account) for role in ("reader", "manager", "owner")}
    found.update({role: Someone(shout, role) for role in ("support", "postmaster", "admin")})
    return {role: one.browser().sudo() for role, one in found.items()}


@pytest.mark.parametrize("role", ["reader", "manager", "owner"])
def test_another_account_is_not_there_for_any_role(shout, people, role, root):
    two = shout.account_add(domain=f"other-{role}.example")["account"]
    before = ask(shout, root, "GET", f"accounts/{two}")[1]
    for method, path in ROUTES:
        if not path.startswith("/accounts/{account}"):
            continue
        body = {} if method in ("POST", "PUT", "PATCH") else None
        status, answer = people[role](method, filled(path, two), body)
        _, never = people[role](method, filled(path, "nobody0000"), body)
        assert status == 404 and answer["type"] == "/problems/not-found", (method, path, answer)
        assert json.dumps(answer).replace(two, "X") == json.dumps(never).replace("nobody0000", "X")
    assert ask(shout, root, "GET", f"accounts/{two}")[1] == before


OPEN = ("session", "me", "password", "password-reset", "openapi.yaml", "ip", "service")


@pytest.mark.parametrize("role", ["reader", "manager", "owner"])
def test_what_is_the_operators_is_no_customers_persons(people, account, role):
    for method, path in ROUTES:
        if path.startswith("/accounts/{account}") or path.split("/")[1] in OPEN:
            continue
        status, answer = people[role](method, filled(path, account), {} if method == "POST" else None)
        assert status == 403 and answer["type"] == "/problems/no-right", (method, path, answer)


def test_what_each_role_may(people, account):
    rows = [("GET", f"accounts/{account}", "reader"), ("GET", f"accounts/{account}/people", "owner"), ("GET", f"accounts/{account}/tokens", "owner"),
            ("POST", f"accounts/{account}/password", "manager"), ("GET", "operators", "admin"), ("GET", "tokens", "admin")]
    for method, path, least in rows:
        for role, browser in people.items():
            roles = ("reader", "manager", "owner", "support", "postmaster", "admin")
            operator = role in roles[3:]
            may = least == "admin" and role == "admin" or least == "owner" and role in ("owner", "admin") or \
                least in ("reader", "manager") and (operator or roles.index(role) >= roles.index(least))
            status, answer = browser(method, path, {} if method == "POST" else None)
            assert (status != 403) == may, (role, method, path, status, answer)


def test_without_sudo_no_secrets_no_people_no_tokens(shout, owner, account):
    browser = owner.browser()
    for method, path, body in (("POST", f"accounts/{account}/people", {}), ("PATCH", f"accounts/{account}/people/x@y.example", {}),
                               ("DELETE", f"accounts/{account}/people/x@y.example", None), ("POST", f"accounts/{account}/people/x@y.example/invite", None),
                               ("POST", f"accounts/{account}/tokens", {}), ("DELETE", f"accounts/{account}/tokens/x", None),
                               ("POST", f"accounts/{account}/password", {}), ("POST", f"accounts/{account}/users", None),
                               ("POST", "me/totp", None), ("DELETE", "me/totp", None)):
        status, answer = browser(method, path, body)
        assert status == 403 and answer["type"] == "/problems/sudo", (method, path, answer)
    for body in ({"password": "wrong"}, {"code": "123456"}):
        assert browser("POST", "session/sudo", body)[0] == 403
    for body in ({}, {"password": GOOD, "code": "1"}, {"password": 1}, {"odd": "x"}):
        assert browser("POST", "session/sudo", body)[0] == 400
    assert browser("POST", "session/sudo", {"password": GOOD})[0] == 200
    assert browser("POST", f"accounts/{account}/people", {})[0] == 400


# The second factor

def code_of(secret, step=0):
    key, counter = base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30 + step)
    digest = hmac.new(key, counter, "sha1").digest()
    at = digest[19] & 15
    return f"{(int.from_bytes(digest[at:at + 4], 'big') & 0x7fffffff) % 1000000:06}"


def test_the_second_factor_from_its_setup_to_its_end(shout, account, sink, root, own_redis):
    person = Someone(shout, "owner", account)
    box = Mailbox(sink, person.login)
    box.next()
    browser = person.browser().sudo()
    assert browser("POST", "me/totp/confirm", {"code": "123456"})[0] == 409
    status, made = browser("POST", "me/totp")
    assert status == 201 and made["uri"].startswith("otpauth://totp/Provider:") and f"secret={made['secret']}" in made["uri"]
    assert browser("POST", "me/totp/confirm", {"code": code_of(made["secret"], 5)})[0] == 400
    assert browser("GET", "me")[1]["second_factor"] is False
    status, answer = browser("POST", "me/totp/confirm", {"code": code_of(made["secret"])})
    assert status == 200 and len(set(answer["recovery"])) == 10
    assert "a second factor was set up" in box.next()[1]
    recovery = answer["recovery"]
    assert browser("POST", "me/totp")[0] == 409
    login = Browser(shout, "198.51.100.200")
    status, answer = login.login(person.login)
    assert status == 200 and answer == {"need": "totp", "csrf": answer["csrf"]}
    half = login.cookie
    for method, path in (("GET", "me"), ("GET", "session"), ("GET", f"accounts/{account}"), ("POST", "session/sudo")):
        status, answer = login(method, path, {"password": GOOD} if method == "POST" else None)
        assert status == 401 and answer["type"] == "/problems/second-factor", (path, answer)
    assert login("POST", "session/totp", {"code": "000000"}, csrf=False)[0] == 403
    assert login("POST", "session/totp", {"code": "000000"})[0] == 401
    code = code_of(made["secret"], 1)
    status, answer = login("POST", "session/totp", {"code": code})
    assert status == 200 and answer["person"]["totp"] is True and login.cookie != half
    assert login("GET", "me")[0] == 200 and Browser(shout)("GET", "me", Cookie=half)[0] == 401
    # A code counts once, a recovery code, too.
    again = Browser(shout, "198.51.100.200")
    again.login(person.login)
    assert again("POST", "session/totp", {"code": code})[0] == 401
    assert again("POST", "session/totp", {"code": recovery[3].upper().replace("-", " ")})[0] == 200
    assert "a recovery code" in box.next()[1]
    third = Browser(shout, "198.51.100.200")
    clear_waits(own_redis)
    third.login(person.login)
    assert third("POST", "session/totp", {"code": recovery[3]})[0] == 401
    for _ in range(4):
        assert third("POST", "session/totp", {"code": "000000"})[0] == 401
        clear_waits(own_redis)
    for _ in range(25):  # who knows the password alone ends no session
        assert Browser(shout, "198.51.100.200").login(person.login)[1]["need"] == "totp"
        clear_waits(own_redis)
    assert again("GET", "me")[0] == 200 and len(again("GET", "me/sessions")[1]["sessions"]) <= 3
    assert third("POST", "session/totp", {"code": recovery[4]})[0] == 401  # the session has ended
    clear_waits(own_redis)
    everything = json.dumps([shout.events(), ask(shout, root, "GET", f"accounts/{account}/people")[1]]) + shout.log()
    assert made["secret"] not in everything and recovery[5] not in everything
    assert again("POST", "session/sudo", {"code": recovery[5]})[0] == 200
    box.seen = box.count()
    assert again("DELETE", "me/totp")[0] == 204
    assert "taken away" in box.next()[1]
    assert Browser(shout, "198.51.100.200").login(person.login)[1]["person"]["totp"] is False
    # Whoever lost it has an owner take it away.
    browser = person.browser().sudo()
    secret = browser("POST", "me/totp")[1]["secret"]
    assert browser("POST", "me/totp/confirm", {"code": code_of(secret)})[0] == 200
    box.next()
    shout.shoutctl("person", "change", person.login, "--account", account, "--no-second-factor")
    assert "taken away" in box.next()[1]
    assert browser("GET", "me")[0] == 401 and person.browser()("GET", "me")[1]["second_factor"] is False


def test_a_new_password_ends_the_sessions_and_is_told(shout, account, sink, owner):
    person = Someone(shout, "reader", account)
    box, boss = Mailbox(sink, person.login), Mailbox(sink, owner.login)
    box.next()
    boss.seen = boss.count()
    other, browser = person.browser(), person.browser()
    for body in ({"password": OTHER}, {"password": OTHER, "current": "wrong"}, {"password": "short", "current": GOOD},
                 {"current": GOOD}, {}, {"password": OTHER, "current": GOOD, "name": "x"}, {"language": "fr"}, {"role": "owner"}):
        assert browser("PATCH", "me", body)[0] in (400, 403), body
    before = browser.cookie
    status, answer = browser("PATCH", "me", {"password": OTHER, "current": GOOD})
    assert status == 200 and answer["person"]["login"] == person.login and browser.cookie != before
    assert browser("GET", "me")[0] == 200 and other("GET", "me")[0] == 401
    assert Browser(shout, "198.51.100.200").login(person.login)[0] == 401
    assert Browser(shout, "198.51.100.200").login(person.login, OTHER)[0] == 200
    for mailbox in (box, boss):
        subject, text = mailbox.next()
        assert f"News about the login of {person.login}" in subject and "password was changed" in text and "198.51.100.200" in text


def test_a_login_from_a_new_network_is_told_once(shout, account, sink):
    person = Someone(shout, "reader", account)
    box = Mailbox(sink, person.login)
    box.next()
    person.browser()
    for address in ("192.0.2.50", "192.0.2.50", "198.51.100.200", "2001:db8:1::1", "2001:db8:1::2"):
        person.browser(address)
    texts = [box.next()[1] for _ in range(2)]
    assert sorted(re.search(r"from ([0-9a-f.:]+)\.\n", text)[1] for text in texts) == ["192.0.2.50", "2001:db8:1::1"]
    shout.shoutctl("person", "invite", person.login, "--account", account)
    assert "Reset" in box.next()[0]


def test_a_person_sees_and_ends_his_sessions(shout, account):
    person = Someone(shout, "reader", account)
    stranger = Someone(shout, "reader", account).browser()
    one, two, three = person.browser(), person.browser("192.0.2.9"), person.browser()
    status, answer = one("GET", "me/sessions")
    assert len(answer["sessions"]) == 3 and [each["current"] for each in answer["sessions"]].count(True) == 1
    second = [each["id"] for each in answer["sessions"] if each["client"] == "192.0.2.9"][0]
    assert stranger("DELETE", f"me/sessions/{second}")[0] == 404
    assert one("DELETE", f"me/sessions/{second}")[0] == 204 and two("GET", "me")[0] == 401
    assert one("DELETE", f"me/sessions/{second}")[0] == 404
    assert one("DELETE", "me/sessions/*")[0] == 404
    assert one("DELETE", "me/sessions")[0] == 204
    assert three("GET", "me")[0] == 401 and one("GET", "me")[0] == 200 and stranger("GET", "me")[0] == 200
    for _ in range(25):
        person.browser()
    assert len(person.browser()("GET", "me/sessions")[1]["sessions"]) == 20


def test_a_token_has_no_session_and_a_wrong_token_is_no_cookie(shout, owner, root):
    browser = owner.browser()
    for method, path in (("GET", "session"), ("GET", "me"), ("GET", "me/sessions")):
        assert ask(shout, root, method, path)[0] == 403
        assert browser(method, path, Authorization="Bearer wrong")[0] == 401
    assert browser("GET", "me", Authorization="Basic eDp5")[0] == 401


def test_the_api_describes_what_it_answers(shout, owner):
    """Each route of sessions is described, and takes no other field."""
    for path in ("/session", "/session/totp", "/session/sudo", "/me", "/me/totp", "/me/totp/confirm", "/me/sessions", "/me/sessions/{id}"):
        assert path in OPENAPI["paths"], path
    browser = owner.browser()
    for method, path, body in (("POST", "session", {"login": "x", "password": "y", "odd": 1}), ("POST", "session", {"password": "y"}),
                               ("POST", "session", {"login": "x"}), ("POST", "session", {"login": 1, "password": "y"}),
                               ("POST", "session", {"login": "x" * 321, "password": "y"}), ("POST", "session", {"login": "x", "password": "y" * 257}),
                               ("POST", "session", []), ("POST", "session/totp", {"code": 1}), ("POST", "session/totp", {}), ("PATCH", "me", {"odd": 1}),
                               ("POST", "me/totp/confirm", {}), ("POST", "password", {"token": "x"}), ("POST", "password-reset", {}),
                               ("POST", "password-reset", {"login": "x" * 321}), ("POST", "password", {"token": "x", "password": GOOD, "odd": 1})):
        assert browser(method, path, body)[0] == 400, (path, body)
    assert Browser(shout)("POST", "session", {"login": "x", "password": "y" * 5000})[0] == 413


def test_without_redis_tokens_work_and_sessions_are_refused_clearly(shout, owner, account, root, own_redis):
    browser = owner.browser()
    own_redis.stop()
    wait_for(lambda: browser("GET", "me")[0] == 503)
    status, answer = browser("GET", "me")
    assert "a token works meanwhile" in answer["error"]
    assert Browser(shout).login(owner.login)[0] == 503
    assert ask(shout, root, "GET", f"accounts/{account}/people")[0] == 200
    assert browser("GET", "ip")[0] == 200
    own_redis.start()
    wait_for(lambda: Browser(shout, "198.51.100.200").login(owner.login)[0] == 200)


def test_a_wiped_redis_takes_the_sessions_and_no_person(shout, owner, own_redis):
    browser = owner.browser()
    own_redis.run("FLUSHALL")
    wait_for(lambda: "rebuild" in str(shout.shoutctl("rebuild")) or True)
    assert browser("GET", "me")[0] == 401
    assert owner.browser()("GET", "me")[0] == 200


def test_a_session_is_known_to_another_control(shout, owner, account):
    """What one process began the next one knows: sessions are in Redis, people in relay.config."""
    browser = owner.browser()
    shout.stop()
    shout.start()
    assert browser("GET", "me")[0] == 200
    assert browser("PATCH", "me", {"name": "Some One"})[0] == 200


def test_while_redis_is_anothers_nothing_of_people_changes(shout, owner, account, root, own_redis):
    browser = owner.browser().sudo()
    own_redis.run("SET", "config:owner", "0" * 32)
    wait_for(lambda: ask(shout, root, "POST", f"accounts/{account}/users")[0] == 503)
    for method, path, body in (("PATCH", "me", {"name": "Other"}), ("POST", f"accounts/{account}/people/{owner.login}/invite", None),
                               ("POST", f"accounts/{account}/people", {"login": "late@mailbox.example", "name": "x", "role": "reader"}),
                               ("PATCH", f"accounts/{account}/people/{owner.login}", {"name": "Other"}),
                               ("POST", f"accounts/{account}/tokens", {"label": "x", "scopes": ["read"]}),
                               ("PATCH", "me", {"password": OTHER, "current": GOOD})):
        status, answer = browser(method, path, body)
        assert status == 503 and "owner" in answer["error"], (path, answer)
    shout.shoutctl("rebuild", "--take-over")
    wait_for(lambda: browser("PATCH", "me", {"language": "en"})[0] == 200)
    assert browser("GET", "me")[1]["name"] == "Some One" and owner.browser()
