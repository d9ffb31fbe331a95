"""Webhooks: what arrives at a real receiver, signed, each event at least once, whoever is slow, dead or killed; and
that nothing is posted to a private network."""

import collections
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

from harness import free_port, send, wait_for
from test_control import Api

HERE = "127.0.0.2"  # the only private address that posts may go to
SENDER = "anna@hooked.example"
BODY = b"From: anna@hooked.example\r\nSubject: x\r\n\r\nhi\r\n"

Post = collections.namedtuple("Post", "path headers body")


class Receiver:
    """An HTTP server that keeps what it is sent. `answers` (a list) come first, then 200."""

    def __init__(self, port=None, host=HERE, wait=0):
        self.posts, self.answers, self.wait = [], [], wait
        self.free = threading.Event()
        self.free.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.free.wait(30)
                time.sleep(receiver.wait)
                receiver.posts.append(Post(self.path, self.headers, body))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://{HERE}:{receiver.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size, allow_reuse_address = True, 128, True

        self.server = Server((host, port or free_port(host)), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://{host}:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def bodies(self, event=None):
        found = [json.loads(post.body) for post in list(self.posts)]
        return [one for one in found if event in (None, one["event"])]

    def heard(self, event):
        return {one["message"] for one in self.bodies(event)}

    def stop(self):
        self.free.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receivers():
    made = []

    def make(**options):
        made.append(Receiver(**options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def settings(**webhooks):
    return {"control": {"webhooks": {"networks": [f"{HERE}/32"], "retry": "50ms", **webhooks}},
            "service": {"name": "Hook Telecom"}}


@pytest.fixture(scope="module")
def shout(module_rig, redis, clamd, sink, certificate):
    sink.on("rcpt", "550 5.1.1 no such user", match="nobody@")
    return module_rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate, settings=settings())


@pytest.fixture(scope="module")
def account(shout):
    return shout.account_add(name="hooked", domain="hooked.example")


@pytest.fixture
def hook(shout, account):
    """Adds webhooks; they are gone afterwards."""
    made = []

    def add(url, events="delivered,bounced"):
        made.append(shout.shoutctl("webhook", "add", url, "--account", account["account"], "--event", events))
        return made[-1]
    yield add
    for one in made:
        shout.shoutctl("webhook", "remove", one["id"], "--account", account["account"], check=False)


def post(shout, account, *recipients, sender=SENDER, body=BODY):
    with shout.smtp(account=account) as client:
        return send(client, sender, list(recipients), body)


def posts(shout, account, count):
    with shout.smtp(account=account) as client:
        return [send(client, SENDER, ["bob@there.example"], BODY) for _ in range(count)]


def tries(shout, account, made):
    return shout.shoutctl("webhook", "tries", made["id"], "--account", account["account"])["tries"]


def signed(secret, post_):
    """Whether the signature is that of the body, by the secret, and of now."""
    parts = dict(part.split("=", 1) for part in post_.headers["Shout-Signature"].split(","))
    right = hmac.new(secret.encode(), parts["t"].encode() + b"." + post_.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(parts["v1"], right) and abs(int(parts["t"]) - time.time()) < 300


def test_each_event_arrives_signed_and_whole(shout, account, hook, receivers):
    receiver = receivers()
    made = hook(receiver.url)
    other = shout.account_add(name="other", domain="unhooked.example")
    wait_for(lambda: shout.shoutctl("webhook", "test", made["id"], "--account", account["account"], check=False).get("ok"))
    good = post(shout, account, "bob@there.example", "carol@there.example")
    post(shout, other, "bob@there.example", sender="x@unhooked.example", body=b"From: x@unhooked.example\r\n\r\nx\r\n")
    bad = post(shout, account, "nobody@there.example")
    wait_for(lambda: good in receiver.heard("delivered") and bad in receiver.heard("bounced"))
    delivered, = [one for one in receiver.bodies("delivered") if one["message"] == good]
    assert sorted(delivered["recipients"]) == ["bob@there.example", "carol@there.example"]
    assert delivered["originator"] == SENDER and delivered["account"] == account["account"]
    bounced, = receiver.bodies("bounced")
    assert bounced["class"] == "bad-mailbox" and bounced["reply"] == "550 5.1.1 no such user"
    assert bounced["recipients"] == ["nobody@there.example"] and bounced["originator"] == SENDER and bounced["time"]
    assert {one["account"] for one in receiver.bodies()} == {account["account"]}
    assert not receiver.heard("accepted")
    assert all(signed(made["secret"], one) and not signed("whsec_other", one) for one in receiver.posts)
    assert all(json.loads(one.body)["id"] == one.headers["Shout-Event-Id"] for one in receiver.posts)
    assert len({one["id"] for one in receiver.bodies()}) == len(receiver.posts)


def test_the_secret_is_shown_once_and_the_rest_always(shout, account, hook, receivers):
    made = hook(receivers().url, "held,bounced")
    shown = shout.shoutctl("webhook", "show", made["id"], "--account", account["account"])
    assert {key: value for key, value in made.items() if key != "secret"} == shown
    assert shown["events"] == ["held", "bounced"] and shown["enabled"] and not shown["off_since"]
    assert shout.shoutctl("webhook", "list", "--account", account["account"])["webhooks"] == [shown]
    audit = [one for one in shout.events("audit") if one["what"] == "webhook.add"]
    assert audit and made["secret"] not in json.dumps(audit) and made["secret"] not in shout.log()
    other = shout.account_add(name="nosy", domain="nosy.example")
    assert shout.shoutctl("webhook", "show", made["id"], "--account", other["account"], check=False)["error"]


@pytest.mark.parametrize("url, why", [
    ("ftp://x.example/", "url"), ("https://", "url"), ("x.example", "url"), ("https://a:b@x.example/", "username"),
    ("https://x.example/#y", "#"), ("https://x.example/ y", "spaces"), ("https://x.example/\r\nX: y", "spaces"),
    ("http://127.0.0.1/", "private"), ("http://10.1.2.3/", "private"), ("http://169.254.169.254/latest", "private"),
    ("http://[::1]/", "private"), ("http://[::ffff:10.0.0.1]/", "private"), ("http://[fe80::1]/", "private"),
    ("http://2130706433/", "private"), ("http://0x7f.1/", "private"), ("http://100.64.0.1/", "private"),
    ("file:///etc/passwd", "url"), ("https://x.example/" + "y" * 1000, "1000")])
def test_a_url_that_is_wrong_or_private_is_refused(shout, account, url, why):
    status, answer = Api(shout)("POST", f"accounts/{account['account']}/webhooks", {"url": url, "events": ["held"]})
    assert status == 400 and answer["field"] == "url" and why in answer["error"] + answer["field"], answer


def test_a_name_that_leads_to_a_private_address_is_not_connected_to(shout, account, hook, receivers):
    receiver = receivers(host="127.0.0.1")
    made = hook(f"http://localhost:{receiver.port}/")
    def tried():
        answer = shout.shoutctl("webhook", "test", made["id"], "--account", account["account"], check=False)
        return "ok" in answer and answer
    answer = wait_for(tried)
    assert not answer["ok"] and answer["status"] is None and "private" in answer["error"] and not receiver.posts


def test_a_redirect_is_not_followed(shout, account, hook, receivers):
    receiver = receivers()
    receiver.answers = [302]
    hook(receiver.url)
    message = post(shout, account, "bob@there.example")
    wait_for(lambda: len(receiver.posts) >= 2)
    assert {one.path for one in receiver.posts} == {"/hook"} and receiver.heard("delivered") == {message}


def test_no_account_has_more_than_five(shout, receivers):
    account = shout.account_add(name="greedy", domain="greedy.example")["account"]
    answers = [Api(shout)("POST", f"accounts/{account}/webhooks", {"url": "https://x.example/", "events": ["held"]})[0]
               for _ in range(6)]
    assert answers == [201] * 5 + [409]


def test_a_dead_receiver_and_a_slow_one_hold_nobody_else_and_get_all_later(shout, account, hook, receivers):
    port, slow, good = free_port(HERE), receivers(), receivers()
    slow.free.clear()
    dead = hook(f"http://{HERE}:{port}/hook")
    hook(slow.url)
    hook(good.url)
    wait_for(lambda: shout.shoutctl("webhook", "list", "--account", account["account"])["total"] == 3)
    sent = set(posts(shout, account, 250))  # more than a queue holds
    wait_for(lambda: good.heard("delivered") >= sent, 60)
    assert any(one["error"] and not one["ok"] for one in wait_for(lambda: tries(shout, account, dead)))
    late = receivers(port=port)
    slow.free.set()
    wait_for(lambda: late.heard("delivered") >= sent, 90, "the dead one hears all")
    wait_for(lambda: slow.heard("delivered") >= sent, 90, "the slow one hears all")
    assert len(tries(shout, account, dead)) == 50


def test_a_kill_loses_nothing(shout, account, hook, receivers, redis):
    receiver = receivers(wait=0.02)
    hook(receiver.url)
    sent = set(posts(shout, account, 80))
    wait_for(lambda: len(receiver.posts) > 10)
    shout.kill()
    shout.start()
    more = set(posts(shout, account, 20))
    wait_for(lambda: receiver.heard("delivered") >= sent | more, 60)
    # Redis forgets as well: this process's own file says where it was.
    shout.kill()
    redis.run("FLUSHALL")
    shout.start()
    last = post(shout, account, "bob@there.example")
    wait_for(lambda: last in receiver.heard("delivered"), 60)


def test_what_is_off_is_told_nothing_and_goes_on_from_then(shout, account, hook, receivers):
    receiver = receivers()
    made = hook(receiver.url)
    where = ("--account", account["account"])
    shout.shoutctl("webhook", "disable", made["id"], *where)
    wait_for(lambda: "error" in (shout.shoutctl("webhook", "test", made["id"], *where, check=False) or {"error": ""})
             and not receiver.bodies("delivered"))
    missed = post(shout, account, "bob@there.example")
    wait_for(lambda: shout.events("delivered", missed))
    shout.shoutctl("webhook", "enable", made["id"], *where)
    wait_for(lambda: shout.shoutctl("webhook", "test", made["id"], *where, check=False).get("ok"))
    heard = post(shout, account, "bob@there.example")
    wait_for(lambda: heard in receiver.heard("delivered"))
    assert missed not in receiver.heard("delivered")


def test_what_fails_for_long_is_off_and_the_contact_hears_so(rig, clamd, certificate, receivers):
    sink = rig.sink()
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate, settings=settings(give_up="1s", retry="10ms"))
    account = shout.account_add(name="hooked", domain="hooked.example", contact="chief@hooked.example")
    receiver = receivers()
    receiver.answers = [500] * 10000
    made = shout.shoutctl("webhook", "add", receiver.url, "--account", account["account"], "--event", "delivered")
    post(shout, account, "bob@there.example")

    def shown():
        return shout.shoutctl("webhook", "show", made["id"], "--account", account["account"])
    off = wait_for(lambda: shown()["off_since"] and shown(), 60, "it is off")
    assert not off["enabled"] and off["off_reason"]
    mail = wait_for(lambda: [one for one in sink.find("chief@hooked.example") if receiver.url.encode() in one.body], 60, "the mail")
    assert len(mail) == 1
    assert [one["by"] for one in shout.events("audit") if one["what"] == "webhook.off"] == ["housekeeping"]
    receiver.answers = []
    status, answer = Api(shout)("PATCH", f"accounts/{account['account']}/webhooks/{made['id']}", {"enabled": True})
    assert status == 200 and answer["enabled"] and answer["off_since"] is None
    wait_for(lambda: shout.shoutctl("webhook", "test", made["id"], "--account", account["account"], check=False).get("ok"))
    message = post(shout, account, "bob@there.example")
    wait_for(lambda: message in receiver.heard("delivered"))
