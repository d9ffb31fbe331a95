"""Large mail in a cluster: as much of it at once as a busy hour brings, and how much memory that takes."""

import concurrent.futures
import hashlib
import re

import kafka
from harness import Shout, Sink, wait_for

COUNT = 20
SIZE = 50 << 20  # message_size_limit
PEAK_MAX_MB = 700
LINE = b"0123456789" * 99 + b"\r\n"


def make_message(number):
    """Just under the limit once we have added our fields."""
    head = (f"From: boss@customer.example\r\nTo: r{number}@elsewhere.example\r\nSubject: {number}\r\n"
            f"Date: Tue, 24 Nov 2026 04:00:00 +0100\r\nMessage-ID: <{number}@customer.example>\r\n\r\n").encode()
    mark = f"{number:04d}".encode()
    return head + (mark + LINE) * ((SIZE - 4096 - len(head)) // len(mark + LINE))


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Digests(Sink):
    """Keeps of each message only its digest, without our trace."""

    def __init__(self, **options):
        super().__init__(**options)
        self.digests = {}

    def keep(self, message):
        trace = re.match(rb"Received:.*\r\n(?:[ \t].*\r\n)*", message.body)
        found = digest(message.body[trace.end():])
        with self.lock:
            for recipient in message.recipients:
                self.digests.setdefault(recipient, []).append(found)


def peak_mb(shout):
    """The most memory that was resident so far."""
    with open(f"/proc/{shout.process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) // 1024


class Cluster:
    """Its scanner and its sender are started by the test."""

    def __init__(self, rig, redis, clamd, certificate):
        self.rig, self.sink = rig, rig.add(Digests())
        broker = rig.add(kafka.Kafka(rig.path("kafka"), heap="2g"))
        options = {"clamd": clamd, "route": self.sink.host, "certificate": certificate,
                   "settings": {"queue": broker.queue(partitions=12)}}
        self.control, self.ingress, self.scanner, self.sender = (
            Shout(rig.path(role), redis, role=role, **options)
            for role in ("control", "ingress", "scanner", "sender"))
        kafka.topics(self.control.file)
        rig.add(self.control)
        rig.add(self.ingress)
        self.account = self.control.account_add()

    def send(self, number):
        recipient, message = f"r{number}@elsewhere.example", make_message(number)
        with self.ingress.smtp("plain", self.account) as client:
            client.sock.settimeout(120)
            client.mail("boss@customer.example")
            client.rcpt(recipient)
            assert client.docmd("DATA")[0] == 354
            client.sock.sendall(message + b".\r\n")
            code, text = client.getreply()
        assert code == 250, text
        return recipient, [digest(message)]

    def send_all(self):
        """{recipient: [digest]}"""
        with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
            return dict(pool.map(self.send, range(COUNT)))


def test_twenty_of_50_mb_at_once_fit_in_each_role(rig, redis, clamd, certificate):
    """Each role meets all of them at once."""
    cluster = Cluster(rig, redis, clamd, certificate)
    roles = (cluster.control, cluster.ingress, cluster.scanner, cluster.sender)
    sent = cluster.send_all()
    rig.add(cluster.scanner)
    wait_for(lambda: cluster.scanner.metric("shout_queue_lag", 'topic="mail.inbound"') == 0, 180,
             "all are scanned")
    rig.add(cluster.sender)
    wait_for(lambda: len(cluster.sink.digests) == COUNT, 180, "all arrive")
    assert cluster.sink.digests == sent
    peaks = {shout.role: peak_mb(shout) for shout in roles}
    print(peaks)
    assert max(peaks.values()) < PEAK_MAX_MB, peaks
