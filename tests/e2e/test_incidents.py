"""Incidents, each for real, and an operator who has shoutctl, /readyz, /metrics and the log: three looks at most
lead to the cause, in words that say what to do."""

import contextlib
import os
import resource
import smtplib

import pytest

from clock import Clock
from console import Console
from harness import EICAR, Shout, free_port, make_dated_certificate, send
from names import NameServer
from sink import HANG, Delay, Sink

BODY = b"From: boss@customer.example\r\nSubject: %s\r\n\r\nHello.\r\n"
READY = "curl -s $page/readyz"
INCIDENTS = []

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives state_dir a disk of its own")


def incident(play):
    """`play` breaks something, yields the looks (a command line and words that it has to show), and mends it."""
    INCIDENTS.append(play)
    return play


class Relay:
    """One Shout, with hosts that misbehave on request: the MX of slow.example is hosts["slow"] ..., of all other
    domains hosts["fine"]."""

    HOSTS = ("slow", "busy", "rated", "listed", "grey", "broken", "news", "fine")

    def __init__(self, rig, clamd=None, disk=None, certificate=None, **settings):
        port = free_port()
        self.hosts = {name: rig.sink(name=f"mx.{name}.example", address=f"127.0.0.{20 + number}", port=port)
                      for number, name in enumerate(self.HOSTS)}
        sites = {f"{name}.example": sink.address for name, sink in self.hosts.items()}
        self.names = NameServer({**sites, "": self.hosts["fine"].address})
        rig.started.append(self.names)
        self.redis, self.clamd = rig.redis(), clamd
        self.clock = Clock(rig.directory)
        self.shout = Shout(rig.path("shout"), self.redis, clamd=clamd, certificate=certificate, disk=disk, settings={
            "log": {"level": "info"}, "ingress": {"threads": 1}, "dns": {"forward": [self.names.address]},
            "sender": {"port": port, "retry": {"first": "10m", "max": "1h"}, "timeout": {"command": "30s", "dot": "10m"},
                       **settings.pop("sender", {})}, **settings})
        self.shout.env = self.clock.env
        self.shout.ready = lambda: "sender: ready" in self.shout.get("/readyz")[1]
        rig.add(self.shout)
        self.account = self.shout.account_add("Acme SRL")
        self.console = Console(self.shout)

    def submit(self, to, subject=b"mail", body=None, count=1):
        """The last message's id."""
        with self.shout.smtp("plain", account=self.account) as client:
            for _ in range(count):
                mail = send(client, "boss@customer.example", to, body or BODY % subject)
        return mail

    def refused(self, account=None, sender="boss@customer.example", body=None):
        with pytest.raises(smtplib.SMTPException), self.shout.smtp("plain", account=account) as client:
            client.sendmail(sender, ["a@fine.example"], body or BODY % b"mail")

    def is_ready(self, *parts):
        self.console.look(READY, [f"{part}: ready" for part in parts])


@pytest.fixture(scope="module")
def relay(module_rig, certificate):
    return Relay(module_rig, clamd=module_rig.clamd(), certificate=certificate, disk="200m", scanner={"timeout": "3s"},
                 queue={"map_size": "4G", "min_free": 10})


# Where mail goes

@incident
def one_provider_is_slow(relay):
    relay.hosts["slow"].on("dot", HANG)
    relay.submit("a@slow.example", count=8)
    try:
        yield (("shoutctl queue summary", "slow.example", "never", "queue list --state attempting"),
               ("shoutctl queue list --state attempting", "attempting", "mx.slow.example[127.0.0.20]"))
    finally:
        relay.hosts["slow"].stop()


@incident
def mail_comes_faster_than_it_goes(relay):
    relay.hosts["busy"].on("mail", Delay(5))
    relay.submit("a@busy.example", count=30)
    try:
        yield (("curl -s $page/metrics | grep ^shout_queue_backlog", 'shout_queue_backlog_age_seconds{topic="mail.ready"}'),
               ("shoutctl queue summary", "busy.example", "never", "ready"),
               ("shoutctl queue list --provider busy.example", "mx.busy.example[127.0.0.21]"))
    finally:
        relay.hosts["busy"].stop()


@incident
def one_provider_defers(relay):
    relay.hosts["rated"].on("mail", "421 4.7.0 Try again later, our system has detected an unusual rate of mail from your IP")
    mail = relay.submit("a@rated.example", count=3)
    yield (("shoutctl queue summary", "rated.example", "4.7.x", "queue list --provider NAME"),
           ("shoutctl queue list --provider rated.example", mail, "unusual rate of mail"))


@incident
def our_address_is_listed(relay):
    relay.hosts["listed"].on("mail", "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org")
    mail = relay.submit("a@listed.example")
    yield (('curl -s $page/metrics | grep ^shout_sender_replies', 'class="dnsbl",scope="egress-ip"'),
           ("shoutctl events --domain listed.example", "deferred", mail, "blocked using zen.spamhaus.org", "class=dnsbl"))


@incident
def greylisting(relay):
    relay.hosts["grey"].on("rcpt", "450 4.2.0 Recipient address rejected: Greylisted")
    relay.submit("a@grey.example")
    yield ("shoutctl why a@grey.example", "deferred", "Greylisted", "waiting at mx.grey.example, due "),


@incident
def tls_is_broken_at_a_host(relay):
    relay.hosts["broken"].extensions.append("STARTTLS")
    relay.hosts["broken"].on("starttls", "454 4.7.0 TLS not available due to local problem")
    relay.hosts["broken"].on("mail", "530 5.7.0 Must issue a STARTTLS command first")
    relay.hosts["broken"].tls = object()
    relay.submit("a@broken.example")
    yield (("shoutctl queue summary", "broken.example", "tls: a host"),
           ("shoutctl why a@broken.example", "TLS not available due to local problem"))


@incident
def a_newsletter_bounces(relay):
    relay.hosts["news"].on("rcpt", "550 5.1.1 No such user here")
    relay.submit("a@news.example", b"news", count=20)
    account = relay.account["account"]
    yield ((f"shoutctl account show {account}", "20 hard bounces (20 unknown users)"),
           (f"shoutctl events --event bounced --account {account}", "550 5.1.1 No such user here"))


@incident
def a_site_is_suspended_and_forgotten(relay):
    relay.shout.shoutctl("suspend", "--domain", "fine.example", "--reason", "migration, ask Ion")
    relay.submit("late@fine.example")
    try:
        yield (("shoutctl queue summary", "1 suspended by an operator: shoutctl suspensions"),
               ("shoutctl why late@fine.example", "suspended (recipient_domain fine.example)", "ask Ion", "shoutctl resume"))
    finally:
        relay.shout.shoutctl("resume", "--domain", "fine.example")


# Customers

@incident
def a_wrong_password(relay):
    relay.refused({**relay.account, "password": "x" * 20})
    yield (f"shoutctl why {relay.account['username']}", "auth-failed", "reason=wrong password", "client=127.0.0.1"),


@incident
def a_customer_moved_to_a_new_address(relay):
    moved = relay.shout.account_add("Moved", domain="moved.example", mode="ip", ip="192.0.2.9")["account"]
    relay.refused(None, sender="boss@moved.example")
    yield (("shoutctl why boss@moved.example", "client=127.0.0.1", "530 5.7.0 Authentication required"),
           ("shoutctl account list", moved, "moved.example"), (f"shoutctl account show {moved}", "192.0.2.9"))


@incident
def a_foreign_originator(relay):
    relay.refused(relay.account, sender="boss@other.example")
    yield ("shoutctl why boss@other.example", "reason=originator", "<boss@other.example> is not yours to send from"),


@incident
def the_quota_is_used_up(relay):
    small = relay.shout.account_add("Small", domain="small.example")
    relay.shout.shoutctl("account", "change", small["account"], "--messages-day", 1)
    body = b"From: boss@small.example\r\n\r\nx\r\n"
    with relay.shout.smtp("plain", account=small) as client:
        send(client, "boss@small.example", "a@fine.example", body)
    relay.refused(small, "boss@small.example", body)
    yield ((f"shoutctl why {small['username']}", "reason=quota", "Your limit of messages per day is reached"),
           (f"shoutctl account show {small['account']}", "messages_day 1 "))


@incident
def a_virus_is_held(relay):
    mail = relay.submit("virus@fine.example", body=BODY % b"invoice" + EICAR + b"\r\n")
    yield ("shoutctl why virus@fine.example", "held: ", "virus found", "Eicar", f"shoutctl queue release {mail}"),


# What the relay leans on

@incident
def a_scan_is_stuck(relay):
    with relay.clamd.paused():
        relay.submit("stuck@fine.example")
        yield (("shoutctl queue summary", "1 inbound", "inbound: waits for clamd"),
               (READY, "scanner: failed: ", relay.clamd.address, "it does not answer", "mail waits"))
    relay.is_ready("scanner")


@incident
def clamd_is_dead(relay):
    relay.clamd.kill()
    relay.submit("dead@fine.example")
    try:
        yield (READY, "scanner: failed: ", relay.clamd.address, "Connection refused", "mail waits"),
    finally:
        relay.clamd.start()
        relay.is_ready("scanner")


@incident
def redis_is_dead(relay):
    relay.redis.kill()
    try:
        yield (READY, "redis: degraded", relay.redis.socket, "only known clients are served"),
    finally:
        relay.redis.start()
        relay.is_ready("redis", "control")


@incident
def redis_is_full(relay):
    relay.redis.run("CONFIG", "SET", "maxmemory", "1")
    try:
        yield (READY, "redis: degraded", "OOM", "raise its maxmemory"),
    finally:
        relay.redis.run("CONFIG", "SET", "maxmemory", "0")
        relay.is_ready("redis")


@incident
def redis_is_a_replica(relay):
    relay.redis.run("REPLICAOF", "127.0.0.1", "1")
    try:
        yield (READY, "redis: degraded", "READONLY", "redis.address must be the master's"),
    finally:
        relay.redis.run("REPLICAOF", "NO", "ONE")
        relay.is_ready("redis")


@incident
def redis_is_anothers(relay):
    names = ("config:owner", "config:applied")
    kept = {name: relay.redis.run("GET", name) for name in names}
    other = "f" * 32
    try:
        for name in names:
            relay.redis.run("SET", name, kept[name].replace(kept["config:owner"], other))
        yield (READY, f"Redis holds the accounts of owner {other}", "nothing is written", "shoutctl rebuild --take-over"),
    finally:
        for name in names:
            relay.redis.run("SET", name, kept[name])
        relay.is_ready("control")


# This machine

@incident
def the_disk_is_full(relay):
    filling = relay.shout.disk() / "filling"
    with open(filling, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    try:
        yield (READY, "queue: failed: the disk of ", str(relay.shout.state_dir), "queue.min_free", "new mail is refused (452)"),
    finally:
        filling.unlink()
        relay.is_ready("queue")


@incident
def there_are_no_descriptors(relay):
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(relay.shout.smtp("plain", account=relay.account))
        pid = int(relay.console.type(f"cat {relay.shout.disk()}/lock"))
        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        stack.callback(resource.prlimit, pid, resource.RLIMIT_NOFILE, limit)
        count = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, limit[1]))
        for _ in range(count - len(os.listdir(f"/proc/{pid}/fd"))):
            stack.enter_context(smtplib.SMTP("127.0.0.1", relay.shout.ports["plain"], timeout=30))
        send(client, "boss@customer.example", "a@fresh.example", BODY % b"mail")
        yield ("tail -n 5 $log", "Too many open files"),


@incident
def the_clock_is_wrong(relay):
    relay.clock.ahead(day=3600)
    try:
        yield (READY, "clock: degraded", "3600 s ahead of Redis's", "NTP"),
    finally:
        relay.clock.ahead()
        relay.is_ready("clock")


# The last: what is not fit for use is looked at again half a minute later.
@incident
def clamd_has_no_signatures(relay):
    relay.clamd.stop()
    database = relay.clamd.directory / "db"
    kept = {path: path.read_bytes() for path in database.iterdir()}
    for path in kept:
        path.unlink()
    (database / "other.hdb").write_text("0" * 32 + ":68:Other\n")
    relay.clamd.start()
    try:
        yield (READY, "scanner: failed: ", relay.clamd.address, "EICAR", "mail waits"),
    finally:
        relay.clamd.stop()
        for path, data in kept.items():
            path.write_bytes(data)
        relay.clamd.start()


@pytest.mark.parametrize("play", INCIDENTS, ids=lambda play: play.__name__)
def test_the_cause_is_found(relay, play):
    with contextlib.contextmanager(play)(relay) as looks:
        relay.console.finds(*looks)


# What a relay is started with

@pytest.fixture(scope="module")
def ill(module_rig):
    """Its certificate has ended, its source address is nobody's, and its resolver can be broken."""
    directory = module_rig.path("old")
    directory.mkdir()
    return Relay(module_rig, certificate=make_dated_certificate(directory, -1), sender={"source_address": ["192.0.2.77"]})


def test_an_expired_certificate_is_named(ill):
    ill.console.finds((READY, "certificate: degraded", "dated.pem has expired", "renew it, then send SIGHUP"),
                      ("check", "has expired"))


def test_a_missing_source_address_is_named(ill):
    ill.submit("a@fine.example")
    ill.console.finds((READY, "egress: ", "does not have its source address 192.0.2.77"),
                      ("shoutctl queue summary", "ours: this relay"),
                      ("shoutctl why a@fine.example", "source address 192.0.2.77"))


@pytest.fixture
def resolving(rig, certificate):
    relay = Relay(rig, certificate=certificate)
    return relay


def test_a_resolver_that_only_fails_is_named(resolving):
    resolving.names.error = 2
    resolving.submit("a@fine.example")
    resolving.console.finds((READY, "egress: degraded: no name server of this relay answers", resolving.names.address, "SERVFAIL"),
                            ("shoutctl queue summary", "fine.example"))


def test_a_dead_resolver_is_named(resolving):
    resolving.names.stop()
    resolving.names.stop = lambda: None
    resolving.submit("a@fine.example")
    resolving.console.finds((READY, "egress: degraded: no name server of this relay answers", resolving.names.address),)
