"""A real Prometheus with deploy's rules scrapes a relay and each role of a cluster: what rules and dashboards use is
there, real faults fire the alerts, the runbook's commands work."""

import contextlib
import os
import re
import signal
import socket
import socketserver
import subprocess
import threading
import time

import pytest

from harness import BUILD, EICAR, Shout, free_port, send, server_tls, wait_for
from watching import Prometheus, in_use, of_clusters, sections

FROM = "boss@customer.example"
MESSAGE = b"From: boss@customer.example\r\nSubject: watched\r\n\r\nOne, two.\r\n"
MANY = 70  # recipients: more than any alert of the sender needs
DAY = 86400
# What a relay that scans and has no sentinels does not have.
NOT_YET = {"shout_scanner_disabled", "shout_redis_sentinel_up"}
COMMANDS = ("curl ", "shoutctl ", "df ", "redis-cli ", "openssl ", "date ")


class Dated(socketserver.ThreadingTCPServer):
    """Before a clamd, whose test signatures have no date: they are `age` seconds old."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, clamd):
        super().__init__(("127.0.0.1", free_port()), None)
        self.clamd, self.age = clamd, 3600
        self.address, self.unpacks, self.disk = "%s:%d" % self.server_address, clamd.unpacks, None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as clamd:
            clamd.connect(self.clamd.socket)
            threading.Thread(target=self.pump, args=(request, clamd, bytes), daemon=True).start()
            self.pump(clamd, request, self.dated)

    @staticmethod
    def pump(source, to, changed):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                to.sendall(changed(data))
            to.shutdown(socket.SHUT_WR)

    def dated(self, answer):
        date = time.strftime("%a %b %d %H:%M:%S %Y", time.localtime(time.time() - self.age))
        return re.sub(rb"(ClamAV [\d.]+)", rb"\1/27000/" + date.encode(), answer)

    def stop(self):
        self.shutdown()
        self.server_close()


class BehindSentinels:
    """A Redis whose only sentinel is away."""

    settings = {"sentinels": [f"127.0.0.1:{free_port()}"], "master": "mail"}


class Watched:
    """A relay with two sites behind MX records, and who watches it."""

    def __init__(self, rig, clamd, certificate):
        port = free_port()
        self.good = rig.sink(address="127.0.0.2", port=port, tls=server_tls(*certificate))
        self.bad = rig.sink(address="127.0.0.3", port=port)
        self.nsd = rig.nsd({name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in
                            (("good.example", self.good), ("customer.example", self.good), ("bad.example", self.bad))})
        self.rig, self.redis, self.clamd, self.dated = rig, rig.redis(), clamd, rig.add(Dated(clamd))
        self.shout = rig.shout(self.redis, clamd=self.dated, certificate=certificate, settings={
            "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}},
            "dns": {"forward": [self.nsd.address], "trust_anchor": "none"}})
        self.account = self.shout.account_add()
        self.prometheus = Prometheus(rig.path("prometheus"))
        self.prometheus.watch(self.shout)
        rig.add(self.prometheus)

    def send(self, recipients, body=MESSAGE):
        with self.shout.smtp("starttls", self.account) as client:
            return send(client, FROM, recipients, body)

    def lifetime(self, text):
        """Reloads with another lifetime of messages."""
        self.shout.settings["sender"]["lifetime"] = text
        self.shout.write()
        told = self.shout.log().count("sender.lifetime")
        self.shout.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.shout.log().count("sender.lifetime") > told, what="it has read its settings again")

    def fires(self, name):
        """Waits until the alert fires; what it says."""
        return wait_for(lambda: self.prometheus.firing(name), what=f"{name} fires")[0]

    def here(self, name):
        """The alerts of that name which fire about the relay itself, not about one of the roles."""
        return [one for one in self.prometheus.firing(name) if str(self.shout.ports["metrics"]) in one["summary"]]

    def over(self, name):
        wait_for(lambda: not self.prometheus.firing(name), what=f"{name} is over")

    def counted(self, name, labels, number):
        """Waits until Prometheus has a count of at least that."""
        wait_for(lambda: self.prometheus.query(f"sum({name}{{{labels}}}) >= {number}"), what=f"{name} is {number}")


@pytest.fixture(scope="module")
def watched(module_rig, certificate):
    return Watched(module_rig, module_rig.clamd(), certificate)


def test_no_alert_fires_while_all_is_well_and_each_rule_can_be_evaluated(watched):
    watched.send("friend@good.example")
    watched.counted("shout_sender_delivered_total", 'provider="good.example"', 1)
    watched.prometheus.scraped(watched.shout, 2)
    disk = os.statvfs(watched.shout.state_dir)
    full = disk.f_bavail / disk.f_blocks < 0.15
    assert watched.prometheus.firing().keys() == ({"ShoutDiskFilling"} if full else set())
    rules = [rule for group in watched.prometheus.api("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 40
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_every_panel_can_be_drawn_and_has_something_to_show(watched):
    rule = watched.bad.on("rcpt", "451 4.7.1 listed", match="later")
    refused = watched.bad.on("rcpt", "550 5.7.1 go away", match="never")
    watched.send(["later@bad.example", "never@bad.example"])
    watched.counted("shout_sender_deferred_total", 'provider="bad.example", class="4.7.x"', 1)
    watched.counted("shout_sender_bounced_total", 'provider="bad.example", class="5.7.x"', 1)
    watched.lifetime("1s")
    watched.send("too-later@bad.example")
    watched.counted("shout_sender_expired_total", 'provider="bad.example"', 1)
    watched.lifetime("5d")
    watched.send("friend@good.example", MESSAGE + EICAR + b"\r\n")
    watched.fires("ShoutHeld")
    watched.prometheus.scraped(watched.shout, 2)
    assert watched.prometheus.empty(of_clusters() | NOT_YET) == []
    watched.bad.rules.remove(rule)
    watched.bad.rules.remove(refused)


def test_every_metric_and_label_in_use_is_scraped_from_a_relay_or_from_the_roles_of_a_cluster(watched, certificate):
    queue = {"backend": "kafka", "brokers": f"127.0.0.1:{free_port()}"}
    # without a clamd: a scanner that does not scan says that, too
    roles = [Shout(watched.rig.path(role), watched.redis, settings={"queue": queue}, role=role, certificate=certificate)
             for role in ("ingress", "scanner", "sender", "control")]
    roles.append(Shout(watched.rig.path("sentinels"), BehindSentinels, settings={"queue": queue}, role="scanner",
                       certificate=certificate))
    for shout in roles:
        watched.rig.started.append(shout.start(wait=False))
    watched.prometheus.watch(*roles)
    for shout in roles:
        watched.prometheus.scraped(shout)
    # who takes mail in a cluster has read relay.config, for which there has to be a broker: tests/kafka/test_watching.py
    here = {name: labels for name, labels in in_use().items() if not (name in of_clusters() and name.startswith("shout_queue_"))}
    missing = list(watched.prometheus.missing(here))
    assert missing == [], "\n".join(missing)
    assert {labels["role"] for labels, _ in watched.prometheus.query("shout_build_info")} == {
        "all", "ingress", "scanner", "sender", "control"}
    assert BehindSentinels.settings["sentinels"][0] in watched.fires("ShoutSentinelDown")["summary"]


def test_a_clamd_that_is_killed_fires_until_it_is_back(watched):
    watched.clamd.kill()
    assert watched.dated.address in watched.fires("ShoutClamdDown")["summary"]
    assert watched.fires("ShoutNotReady")["runbook"] == "docs/runbook.md#shoutnotready"
    watched.dated.age = 3 * DAY
    watched.clamd.start()
    watched.over("ShoutClamdDown")
    assert "They are 3d" in watched.fires("ShoutSignaturesOld")["description"]


def test_a_redis_that_is_killed_fires_until_it_is_back(watched):
    watched.redis.kill()
    wait_for(lambda: watched.here("ShoutRedisDown"), what="it fires")
    watched.redis.start()
    wait_for(lambda: not watched.here("ShoutRedisDown"), what="it is over")


def test_a_provider_that_refuses_everything_fires_until_something_gets_through(watched):
    rule = watched.bad.on("rcpt", "451 4.7.1 listed")
    watched.send([f"r{i}@bad.example" for i in range(MANY)])
    assert "bad.example doubts this relay" in watched.fires("ShoutReputation")["summary"]
    assert "bad.example" in watched.fires("ShoutProviderFails")["summary"]
    watched.fires("ShoutDeliveryFails")
    watched.bad.rules.remove(rule)
    watched.shout.shoutctl("queue", "retry", "--domain", "bad.example")
    watched.over("ShoutProviderFails")


def test_the_commands_of_the_runbook_work(watched, tmp_path):
    held = watched.shout.shoutctl("queue", "list", "--state", "held")["rows"][0]["id"]
    words = {"ACCOUNT": watched.account["account"], "PROVIDER": "bad.example", "HELD": held, "MESSAGE": held}
    (tmp_path / "shoutctl").write_text(f'#!/bin/sh\nexec {BUILD / "shoutctl"} -c {watched.shout.file} "$@"\n')
    (tmp_path / "shoutctl").chmod(0o755)
    where = {"127.0.0.1:9090": f"127.0.0.1:{watched.shout.ports['metrics']}", "/var/lib/shout": watched.shout.state_dir,
             "/run/redis/redis-server.sock": watched.redis.socket, "/etc/shout/tls.pem": watched.shout.certificate}
    commands = [line for text in sections().values() for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", text)
                for line in block.splitlines()]
    assert len(commands) > 60
    for line in dict.fromkeys(commands):
        assert line.startswith(COMMANDS), line
        for word, value in {**words, **where}.items():
            line = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", str(value), line)
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    watched.shout.shoutctl("account", "enable", watched.account["account"])


def test_a_process_that_is_killed_fires_until_it_is_back(watched):
    watched.shout.kill()
    assert "does not answer" in watched.fires("ShoutDown")["summary"]
    watched.shout.restart()
    wait_for(lambda: not watched.here("ShoutDown"), what="it is over")
