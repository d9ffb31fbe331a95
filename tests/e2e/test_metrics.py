"""What /metrics says, against what events, a sink, the kernel and openssl say."""

import datetime
import os
import re
import signal
import subprocess
import time

import pytest

from harness import EICAR, free_port, make_certificate, send, server_tls, wait_for
from metrics_page import Page, faults

FROM = "boss@customer.example"
MESSAGE = b"From: boss@customer.example\r\nSubject: counted\r\n\r\nOne, two.\r\n"
VIRUS = MESSAGE + EICAR + b"\r\n"
LETTERS = 40


class Relay:
    """Two sites behind MX records, one with TLS; a name server that knows no other domain."""

    def __init__(self, rig, clamd, certificate):
        port = free_port()
        self.good = rig.sink(address="127.0.0.2", port=port, tls=server_tls(*certificate))
        self.bad = rig.sink(address="127.0.0.3", port=port)
        self.nsd = rig.nsd({name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in
                            (("good.example", self.good), ("customer.example", self.good), ("bad.example", self.bad))})
        self.redis, self.clamd = rig.redis(), clamd
        self.shout = rig.shout(self.redis, clamd=clamd, certificate=certificate, settings={
            "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}},
            "dns": {"forward": [self.nsd.address], "trust_anchor": "none"}})
        self.account = self.shout.account_add()

    def send(self, recipients, body=MESSAGE):
        with self.shout.smtp("starttls", self.account) as client:
            return send(client, FROM, recipients, body)

    def page(self):
        return Page(self.shout.get("/metrics")[1])

    def recipients(self, event, **fields):
        """How many recipients the events of that name speak of."""
        return sum(len(one["to"]) for one in self.shout.events(event) if fields.items() <= one.items())

    def value(self, name, **labels):
        return self.page().value(name, **labels)


@pytest.fixture(scope="module")
def relay(module_rig, certificate):
    return Relay(module_rig, module_rig.clamd(), certificate)


def test_delivered_mail_is_counted_by_provider_time_and_tls(relay):
    before = relay.page()
    relay.send([f"r{i}@good.example" for i in range(3)])
    relay.send("plain@bad.example")
    wait_for(lambda: relay.page().sum("shout_sender_delivered_total")
             == before.sum("shout_sender_delivered_total") + 4, what="all are delivered")
    page = relay.page()
    delivered = sum(len(message.recipients) for sink in (relay.good, relay.bad) for message in sink.messages)
    assert page.sum("shout_sender_delivered_total") == delivered == relay.recipients("delivered")
    assert page.value("shout_sender_delivered_total", provider="bad.example") == 1
    assert page.value("shout_sender_delivery_seconds_count", attempt="first") == delivered
    assert page.value("shout_sender_delivery_seconds_count", attempt="later") == 0
    assert page.sum("shout_sender_delivery_seconds_sum") < 30 * delivered
    assert page.value("shout_sender_tls_total", result="TLSv1.3") == 1
    assert page.value("shout_sender_tls_total", result="none") == 1
    assert page.value("shout_sender_dns_total", result="answer") >= 4  # MX and A of two domains
    assert page.value("shout_sender_dns_seconds_count") == page.sum("shout_sender_dns_total")


def test_a_newsletter_that_bounces_shows_where_and_why(relay):
    rule = relay.good.on("rcpt", "550 5.1.1 no such user", match="letter")
    full = relay.good.on("rcpt", "552 5.2.2 full", match="full")
    relay.send([f"letter{i}@good.example" for i in range(LETTERS)])
    relay.send("full@good.example")
    relay.send("somebody@no.good.example")
    wait_for(lambda: relay.page().sum("shout_sender_bounced_total") == LETTERS + 2, what="all bounce")
    relay.good.rules.remove(rule)
    relay.good.rules.remove(full)
    page = relay.page()
    assert relay.recipients("bounced") == LETTERS + 2
    assert page.value("shout_sender_bounced_total", provider="good.example", **{"class": "5.1.x"}) == LETTERS
    assert page.value("shout_sender_bounced_total", provider="good.example", **{"class": "5.2.x"}) == 1
    assert page.value("shout_sender_bounced_total", provider="none", **{"class": "dns"}) == 1
    assert page.value("shout_sender_dns_total", result="nxdomain") > 0


def test_deferred_mail_shows_where_and_why_and_is_late_when_it_arrives(relay):
    rule = relay.bad.on("rcpt", "451 4.7.1 listed", match="later")
    late = relay.value("shout_sender_delivery_seconds_count", attempt="later")
    relay.send(["later1@bad.example", "later2@bad.example"])
    wait_for(lambda: relay.page().sum("shout_sender_deferred_total"), what="it is deferred")
    assert relay.value("shout_sender_deferred_total", provider="bad.example", **{"class": "4.7.x"}) == 2
    assert relay.recipients("deferred") == relay.page().sum("shout_sender_deferred_total") == 2
    wait_for(lambda: relay.value("shout_sender_waiting") == 1, what="a row waits")
    relay.bad.rules.remove(rule)
    relay.shout.shoutctl("queue", "retry", "--domain", "bad.example")
    wait_for(lambda: relay.value("shout_sender_delivery_seconds_count", attempt="later") == late + 2,
             what="it arrives")
    wait_for(lambda: relay.value("shout_sender_waiting") == 0, what="none waits")


def test_held_mail_is_counted_until_it_is_released(relay):
    assert relay.value("shout_sender_held") == 0
    relay.send("victim@good.example", VIRUS)
    wait_for(lambda: relay.value("shout_sender_held") == 1, what="it is held")
    assert len(relay.shout.events("held")) == 1
    relay.shout.shoutctl("queue", "release", "--domain", "good.example")
    wait_for(lambda: relay.value("shout_sender_held") == 0, what="it is released")
    assert relay.good.find("victim@good.example")


def test_redis_that_is_away_shows(relay):
    assert relay.value("shout_redis_up") == 1
    answered = relay.value("shout_redis_seconds_count")
    relay.redis.kill()
    wait_for(lambda: relay.value("shout_redis_up") == 0, what="it is seen")
    assert relay.value("shout_ready", part="redis") == 1  # as /readyz, which says degraded
    assert relay.value("shout_degraded", part="redis") == 1
    relay.redis.start()
    wait_for(lambda: relay.value("shout_redis_up") == 1, what="it is back")
    assert relay.value("shout_degraded", part="redis") == 0
    wait_for(lambda: relay.value("shout_redis_seconds_count") > answered, what="it answers")


def test_a_clamd_that_is_away_shows_and_what_waits_ages(relay):
    host, inbound = {"host": relay.clamd.address}, {"topic": "mail.inbound"}
    assert relay.value("shout_scanner_clamd_up", **host) == 1
    assert relay.value("shout_queue_backlog_age_seconds", **inbound) == 0
    relay.clamd.kill()
    wait_for(lambda: relay.value("shout_scanner_clamd_up", **host) == 0, what="it is seen")
    wait_for(lambda: relay.value("shout_ready", part="scanner") == 0, what="/readyz says so")
    began = time.time()
    relay.send("waits@good.example")
    wait_for(lambda: relay.value("shout_queue_backlog_age_seconds", **inbound) >= 1, what="it ages")
    assert relay.value("shout_queue_backlog_age_seconds", **inbound) <= time.time() - began
    assert relay.value("shout_queue_backlog", **inbound) == 1
    relay.clamd.start()
    wait_for(lambda: relay.good.find("waits@good.example"), 60, "it arrives")
    wait_for(lambda: relay.value("shout_queue_backlog_age_seconds", **inbound) == 0, what="nothing waits")
    wait_for(lambda: relay.value("shout_ready", part="scanner") == 1, what="it is ready again")


def expiry(certificate):
    text = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", certificate], check=True,
                          capture_output=True, text=True).stdout
    end = datetime.datetime.strptime(text.strip(), "notAfter=%b %d %H:%M:%S %Y %Z")
    return end.replace(tzinfo=datetime.timezone.utc).timestamp()


def test_the_expiry_of_a_certificate_is_that_of_the_one_in_use(rig, redis, sink):
    directory = rig.path('odd "name" \\')
    directory.mkdir()
    certificate = make_certificate(directory)
    shout = rig.shout(redis, route=sink.host, certificate=certificate)

    def shown():
        page = Page(shout.get("/metrics")[1])
        [(labels, value)] = [(dict(has), value) for (name, has), value in page.samples.items()
                             if name == "shout_certificate_expiry_timestamp_seconds"]
        assert labels["file"] == str(certificate[0]).replace("\\", "\\\\").replace('"', '\\"')
        return value

    first = expiry(certificate[0])
    assert shown() == first
    assert faults(shout.get("/metrics")[1]) == []
    wait_for(lambda: time.time() > first - 30 * 86400 + 1, what="another second")
    make_certificate(directory)
    assert shown() == first
    shout.process.send_signal(signal.SIGHUP)
    wait_for(lambda: shown() == expiry(certificate[0]) > first, what="the new one is read")


def limit_of_files(pid):
    with open(f"/proc/{pid}/limits") as limits:
        return int(re.search(r"^Max open files +(\d+)", limits.read(), re.M)[1])


def test_what_the_kernel_knows_of_the_process(relay):
    pid, page = relay.shout.process.pid, relay.page()
    disk = os.statvfs(relay.shout.state_dir)
    version = subprocess.run([relay.shout.plain[0], "--version"], capture_output=True, text=True).stdout.split()[1]
    with open(f"/proc/{pid}/status") as status:
        resident = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024
    assert page.value("shout_build_info", version=version, backend="lmdb") == 1
    assert page.value("process_max_fds") == limit_of_files(pid)
    # the scrape's own connection comes and goes
    assert abs(page.value("process_open_fds") - len(os.listdir(f"/proc/{pid}/fd"))) <= 3
    assert 0.5 < page.value("process_resident_memory_bytes") / resident < 2
    assert page.value("process_cpu_seconds_total") > 0
    assert page.value("shout_disk_size_bytes") == disk.f_blocks * disk.f_frsize
    assert abs(page.value("shout_disk_free_bytes") / (disk.f_bavail * disk.f_frsize) - 1) < 0.2
    assert os.stat(f"/proc/{pid}").st_ctime - page.value("process_start_time_seconds") < 60


def test_the_page_of_all_that_is_clean(relay):
    assert faults(relay.shout.get("/metrics")[1]) == []
