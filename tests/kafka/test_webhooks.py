"""Webhooks of a cluster: one of two controls posts, and when it is killed the other goes on where it was."""

import hashlib
import hmac
import http.server
import json
import threading

import kafka
from harness import Shout, free_port, send, wait_for

BODY = b"From: a@customer.example\r\nSubject: x\r\n\r\nx\r\n"


class Receiver:
    def __init__(self, secret=""):
        receiver = self
        self.secret, self.posts = secret, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.headers["Shout-Signature"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.2", free_port("127.0.0.2")), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.2:{self.server.server_address[1]}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def heard(self):
        bodies = [json.loads(body) for _, body in list(self.posts)]
        return [body["message"] for body in bodies if body["event"] == "delivered"]

    def all_signed(self, secret):
        for signature, body in self.posts:
            parts = dict(part.split("=", 1) for part in signature.split(","))
            right = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(parts["v1"], right):
                return False
        return True

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def leads(control):
    return control.metric("shout_control_leader") == 1


def test_the_other_control_goes_on(rig, broker, redis, clamd, sink, certificate):
    options = {"route": sink.host, "certificate": certificate, "clamd": clamd,
               "settings": {"queue": broker.queue(), "control": {"webhooks": {"networks": ["127.0.0.2/32"], "retry": "100ms"}}}}
    relay = Shout(rig.path("relay"), redis, **options)
    other = Shout(rig.path("control"), redis, role="control", **options)
    kafka.topics(relay.file)
    rig.add(relay)
    rig.add(other)
    receiver = Receiver()
    try:
        account = relay.account_add()
        made = relay.shoutctl("webhook", "add", receiver.url, "--account", account["account"], "--event", "delivered")
        wait_for(lambda: other.shoutctl("webhook", "list", "--account", account["account"])["total"] == 1)

        def post(count):
            with relay.smtp("plain", account) as client:
                return {send(client, "a@customer.example", ["b@dest.example"], BODY) for _ in range(count)}
        sent = post(30)
        wait_for(lambda: set(receiver.heard()) >= sent, 90, "all is heard")
        assert len(receiver.heard()) == len(sent), "one control alone posts"
        # Whoever asks for a test gets one from either.
        assert all(one.shoutctl("webhook", "test", made["id"], "--account", account["account"])["ok"] for one in (relay, other))
        wait_for(lambda: leads(relay) or leads(other), 30)
        leader = relay if leads(relay) else other
        more = post(20)
        leader.kill()
        if leader is relay:  # its mail needs the relay
            wait_for(lambda: leads(other), 30, "the other one leads")
            leader.start()
        wait_for(lambda: set(receiver.heard()) >= sent | more, 90, "nothing is lost")
        last = post(5)
        wait_for(lambda: set(receiver.heard()) >= last, 90, "and it goes on")
        assert receiver.all_signed(made["secret"])
        assert set(receiver.heard()) <= sent | more | last
    finally:
        receiver.stop()
