"""What /metrics says of the cluster's queue, against what the broker and the test know."""

import contextlib
import time

import pytest

import kafka
from harness import ROOT, Shout, send, wait_for
from metrics_page import Page, Watch, faults

MESSAGE = b"From: boss@customer.example\r\nSubject: counted\r\n\r\nOne, two.\r\n"
INBOUND, READY = 'topic="mail.inbound"', 'topic="mail.ready"'
COUNT = 50


class Cluster:
    def __init__(self, rig, broker, redis, clamd, sink, certificate):
        self.rig, self.broker, self.redis, self.clamd, self.sink = rig, broker, redis, clamd, sink
        self.options = {"clamd": clamd, "route": sink.host, "certificate": certificate,
                        "settings": {"queue": broker.queue()}}
        self.control, self.sender, self.scanner, self.ingress = map(self.node, (
            "control", "sender", "scanner", "ingress"))
        kafka.topics(self.control.file)
        for shout in (self.control, self.sender, self.scanner, self.ingress):
            rig.add(shout)
        self.account = self.control.account_add()
        self.sent = 0
        self.send(1)  # so that both groups have committed something
        self.all_is_done()

    def node(self, role, name=None):
        return Shout(self.rig.path(name or role), self.redis, role=role, **self.options)

    def send(self, count):
        with self.ingress.smtp("starttls", self.account) as client:
            for _ in range(count):
                send(client, "boss@customer.example", f"r{self.sent}@elsewhere.example", MESSAGE)
                self.sent += 1

    def all_is_done(self):
        wait_for(lambda: len(self.sink.find(f"r{self.sent - 1}@elsewhere.example")) == 1, 60, "mail arrives")
        wait_for(lambda: self.lag("shout-scanner") == self.lag("shout-sender") == 0, 60, "all is committed")

    def lag(self, group):
        """As the broker's own tool has it; a partition without a commit holds nothing here."""
        lines = [line.split() for line in kafka.tool(
            "consumer.group.ConsumerGroupCommand", "--bootstrap-server", self.broker.address, "--describe",
            "--group", group).splitlines() if line.strip()]
        column = lines[0].index("LAG")
        return sum(int(line[column]) for line in lines[1:] if line[0] == group and line[column].isdigit())


@pytest.fixture(scope="module")
def cluster(module_rig, broker, redis, clamd, sink, certificate):
    return Cluster(module_rig, broker, redis, clamd, sink, certificate)


def test_what_waits_for_a_scanner_that_is_away_is_counted_and_ages(cluster):
    def backlog():
        return cluster.control.metric("shout_queue_backlog", INBOUND)

    def age():
        return cluster.control.metric("shout_queue_backlog_age_seconds", INBOUND)

    wait_for(lambda: backlog() == 0, what="nothing waits")
    assert age() == 0
    cluster.scanner.stop()
    began = time.time()
    cluster.send(COUNT)
    wait_for(lambda: backlog() == COUNT, 60, "all that waits is counted")
    ends, starts = cluster.broker.offsets("mail.inbound"), cluster.broker.offsets("mail.inbound", -2)
    assert sum(ends.values()) == COUNT + 1 >= sum(starts.values()) + COUNT
    young = wait_for(age, 60, "it has an age")
    old = wait_for(lambda: (now := age()) > young and now, 60, "it grows")
    assert young < old <= time.time() - began
    cluster.scanner.restart()
    wait_for(lambda: backlog() == age() == 0, 60, "nothing waits any more")
    cluster.all_is_done()


def test_lag_and_records_in_hand_are_those_of_a_scanner_whose_clamd_hangs(cluster):
    def of(name):
        return cluster.scanner.metric(f"shout_queue_{name}", INBOUND)

    with cluster.clamd.paused():
        cluster.send(10)
        wait_for(lambda: of("lag") == 10, 60, "all are behind")
        assert cluster.lag("shout-scanner") == 10
        wait_for(lambda: of("in_hand") == 10, 30, "all are in hand")
        wait_for(lambda: of("oldest_seconds") >= 1, 30, "the oldest of them ages")
    wait_for(lambda: of("lag") == of("in_hand") == of("oldest_seconds") == 0, 120, "none is behind")
    cluster.all_is_done()


def test_every_acknowledged_record_is_in_the_histogram(cluster):
    cluster.send(3)
    count = cluster.ingress.metric("shout_queue_produce_seconds_count", INBOUND)
    assert count == cluster.sent == sum(cluster.broker.offsets("mail.inbound").values())
    assert cluster.ingress.metric("shout_queue_producing") is not None
    wait_for(lambda: cluster.ingress.metric("shout_queue_producing") == 0, 30, "events are taken, too")
    assert cluster.ingress.metric("shout_queue_unknown_total", INBOUND) == 0
    cluster.all_is_done()


def test_commits_and_rebalances_count_up_when_another_member_comes(cluster):
    def of(shout, name):
        return shout.metric(f"shout_queue_{name}_total", INBOUND)

    commits, rebalances = of(cluster.scanner, "commits"), of(cluster.scanner, "rebalances")
    wait_for(lambda: of(cluster.scanner, "commits") > commits, 30, "commits go on, changed or not")
    other = cluster.rig.add(cluster.node("scanner", "other"))
    wait_for(lambda: of(cluster.scanner, "rebalances") > rebalances, 60, "the first has heard of it")
    wait_for(lambda: of(other, "commits"), 60, "the second has a share")
    assert of(other, "rebalances") > 0
    assert of(cluster.scanner, "commit_failures") == of(other, "commit_failures") == 0


def test_an_owner_has_claimed_and_read_all_its_rows(cluster):
    wait_for(lambda: cluster.sender.metric("shout_rows_partitions") == 3, 60, "all are claimed")
    assert cluster.sender.metric("shout_rows_claims_total") == 3
    assert cluster.sender.metric("shout_rows_rebuild_partitions") == 0
    assert cluster.sender.metric("shout_rows_rebuild_remaining") == 0
    assert cluster.sender.metric("shout_queue_lag", READY) == 0


def test_each_role_says_which_build_it_is(cluster):
    version = (ROOT / "VERSION").read_text().strip()
    for shout in (cluster.control, cluster.sender, cluster.scanner, cluster.ingress):
        assert Page(shout.get("/metrics")[1]).value("shout_build_info", version=version, backend="kafka") == 1


def test_the_pages_of_all_roles_are_clean_whatever_comes_and_goes(cluster):
    roles = cluster.control, cluster.sender, cluster.scanner, cluster.ingress
    with contextlib.ExitStack() as stack:
        watches = [stack.enter_context(Watch(shout)) for shout in roles]
        for away in (cluster.scanner, cluster.sender):
            cluster.send(5)
            away.kill()
            cluster.send(5)
            away.restart()
            cluster.all_is_done()
            away.stop()
            cluster.send(5)
            away.restart()
            cluster.all_is_done()
        wait_for(lambda: all(watch.pages > 20 for watch in watches), what="all pages are read")
    assert [watch.faults for watch in watches] == [[], [], [], []]
    assert [faults(shout.get("/metrics")[1]) for shout in roles] == [[], [], [], []]
