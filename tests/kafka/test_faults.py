"""Everything that can die, dies, while mail flows: what was accepted arrives, and what arrives twice was
in flight when somebody died. `make test-faults-kafka CYCLES=50` is the long version: each cycle is
every fault once, in an order of its own; SHOUT_SEED repeats one."""

import collections
import contextlib
import os
import sys
import time

import pytest

import autopsy
import kafka
from cluster import DISK, GOOD, SLOW, Cluster
from harness import BUILD, EICAR, ROOT, wait_for
from load import ACCEPTED, REFUSED

sys.path.insert(0, str(ROOT / "tests/faults"))

from scale import scale  # noqa: E402

FLOW_S = 120  # a sender's partitions wait for 45 s when it does not come back
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
DAY_S = 86400


class Run:
    """A cluster under load, and the dice."""

    def __init__(self, cluster, dice, tell):
        self.cluster, self.dice, self.tell = cluster, dice, tell
        self.mail = cluster.load(sessions=4, pause=0.05, recipient=GOOD)
        self.waiting = cluster.load(sessions=2, pause=0.05, recipient=SLOW)
        self.spilled = cluster.load(sessions=1, pause=0.5, size=300000, recipient=GOOD)
        self.viruses = cluster.load(sessions=1, pause=0.5, recipient=GOOD, text=EICAR + b"\r\n")
        self.loads = self.mail, self.waiting, self.spilled
        self.times = []  # (fault, when it began)
        for load in (*self.loads, self.viruses):
            load.start()

    def any(self, role):
        return self.dice.choice(self.cluster.of(role))

    def a_while(self, least=0.5, most=3.0):
        time.sleep(self.dice.uniform(least, most))

    def flows(self, what):
        """Mail is accepted and arrives, of both kinds."""
        def moved():
            return self.mail.accepted() >= accepted + 20 and all(
                len(sink.copies) >= before + 20 for sink, before in sinks)
        accepted = self.mail.accepted()
        sinks = [(sink, len(sink.copies)) for sink in (self.cluster.good, self.cluster.slow)]
        wait_for(moved, FLOW_S, f"mail flows after {what}")

    def fault(self, fault):
        what = fault.__name__.replace("_", " ")
        begun = time.time()
        self.times.append((what, begun))
        fault(self)
        self.flows(what)
        if os.environ.get("SHOUT_VERBOSE"):
            self.tell(f"{what}: {time.time() - begun:.1f} s, {self.mail.accepted()} accepted")
        assert not self.cluster.crashes(), self.cluster.crashes()


def kill_and_start(run, node):
    run.cluster.kill(node)
    if run.dice.random() < 0.5:
        run.a_while(0, 3)
    node.start(wait=False)


def kill_ingress(run):
    kill_and_start(run, run.any("ingress"))


def kill_scanner(run):
    kill_and_start(run, run.any("scanner"))


def kill_sender(run):
    kill_and_start(run, run.any("sender"))


def kill_control(run):
    kill_and_start(run, run.any("control"))


def kill_all_of_a_role(run):
    nodes = run.cluster.of(run.dice.choice(("ingress", "scanner", "sender")))
    for node in nodes:
        run.cluster.kill(node)
    for node in nodes:
        node.start(wait=False)


def pause_each(run):
    for role in ("ingress", "scanner", "sender", "control"):
        with run.any(role).paused():
            run.a_while(1, 4)


def pause_a_sender_for_longer_than_its_session(run):
    node, since = run.any("sender"), time.time()
    with node.paused():
        time.sleep(5)  # the sinks have read what it had sent
        run.cluster.note_in_flight(node)
        time.sleep(45)
        run.cluster.stood_still.append((node.hostname, since, time.time()))


def kill_the_leading_broker(run):
    topic = run.dice.choice(("mail.inbound", "mail.ready", "mail.state", "mail.deferred"))
    broker = run.cluster.kafka.leader(topic, run.dice.randrange(6))
    broker.kill()
    run.a_while(1, 5)
    run.flows("the loss of a broker")
    broker.start(deadline=90)
    in_sync(run)


def kill_two_of_three_brokers(run):
    brokers = run.dice.sample(run.cluster.kafka.brokers, 2)
    for broker in brokers:
        broker.kill()
    time.sleep(1)  # what was acknowledged by two before may still be on its way to its client
    accepted = run.mail.accepted()
    refused = run.mail.codes()[451]
    wait_for(lambda: run.mail.codes()[451] > refused, 60, "451")
    assert run.mail.accepted() <= accepted
    for broker in brokers:
        broker.start(wait=False)
    in_sync(run)


def restart_the_brokers_one_by_one(run):
    for broker in run.cluster.kafka.brokers:
        broker.stop()
        broker.start(deadline=90)
        in_sync(run)


def in_sync(run):
    def behind():
        return kafka.tool("TopicCommand", "--bootstrap-server", run.cluster.kafka.address, "--describe",
                          "--under-replicated-partitions").strip()
    for broker in run.cluster.kafka.brokers:
        wait_for(broker.ready, 90, f"broker {broker.number} is ready")
    wait_for(lambda: not behind(), 90, "all copies are in step")


def kill_redis(run):
    with run.cluster.without_ledger():
        run.cluster.redis.kill()
        run.a_while(1, 5)
        run.cluster.redis.start()


def hang_redis(run):
    with run.cluster.without_ledger(), run.cluster.redis.paused():
        run.a_while(1, 5)


def flush_redis(run):
    run.cluster.redis.run("FLUSHALL")
    run.cluster.forget_ledger()
    if run.dice.random() < 0.5:
        wait_for(run.cluster.control.ready, what="control, which may just have been killed, has read relay.config")
        run.cluster.control.shoutctl("rebuild")


def kill_clamd(run):
    run.cluster.clamd.kill()
    run.a_while(1, 5)
    run.cluster.clamd.start()


def hang_clamd(run):
    with run.cluster.clamd.paused():
        run.a_while(5, 8)


def rebalance_storm(run):
    """A third sender joins and leaves every 5 s; sometimes as another one, sometimes by a kill."""
    node = run.cluster.make("sender", 3)
    for turn in range(3):
        node.start(wait=False)
        run.a_while(3, 5)
        if run.dice.random() < 0.5:
            node.stop()
        else:
            run.cluster.kill(node)
        run.a_while(1, 2)
        if run.dice.random() < 0.5:
            (node.state_dir / "member").unlink(missing_ok=True)
    del run.cluster.nodes[node.name]


def delete_the_local_table(run):
    node = run.any("sender")
    for path in node.state.glob("rows*"):
        path.unlink()
    run.a_while()
    kill_and_start(run, node)


def fill_a_disk(run):
    """That of a process that has little; it goes on, or ends and begins anew on an empty one."""
    node = run.any(run.dice.choice(("ingress", "scanner", "sender")))
    run.cluster.kill(node)
    node.use_disk(DISK)
    node.start()
    filled = node.process.pid
    with contextlib.suppress(OSError), open(node.state / "filling", "wb", buffering=0) as filling:
        while True:
            filling.write(bytes(65536))
    run.a_while(3, 6)
    if node.running() and node.process.pid == filled:
        (node.state / "filling").unlink(missing_ok=True)
    run.flows("a full disk")
    run.cluster.kill(node)
    node.use_disk(None)
    node.start(wait=False)


def jump_the_clock_of_a_sender(run):
    """A day ahead or back. libfaketime does not reach the waits of librdkafka's threads, so that a handle
    which is made a day back fails at once and the process ends, and is started again."""
    node = run.any("sender")
    jump = node.directory / "clock"
    jump.write_text("+0")
    run.cluster.kill(node)
    node.env = {**os.environ, "LD_PRELOAD": FAKETIME, "DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_TIMESTAMP_FILE": str(jump), "FAKETIME_CACHE_DURATION": "1"}
    node.start()
    jump.write_text(f"{run.dice.choice('+-')}{DAY_S}")
    run.a_while(6, 8)
    run.flows("a clock jump")
    if run.dice.random() < 0.5:
        jump.write_text("+0")
        run.a_while(2, 3)
    run.cluster.kill(node)
    node.env = None
    node.start(wait=False)


FAULTS = [kill_ingress, kill_scanner, kill_sender, kill_control, kill_all_of_a_role, pause_each,
          pause_a_sender_for_longer_than_its_session, kill_the_leading_broker, kill_two_of_three_brokers,
          restart_the_brokers_one_by_one, kill_redis, hang_redis, flush_redis, kill_clamd, hang_clamd,
          rebalance_storm, delete_the_local_table, fill_a_disk, jump_the_clock_of_a_sender]


@pytest.fixture
def run(rig, certificate, dice, tell):
    tell(f"SHOUT_SEED={dice.told_seed}")
    if os.environ.get("SHOUT_KEEP"):
        tell(f"logs stay in {rig.directory}")
    return Run(Cluster(rig, certificate), dice, tell)


def faults(dice):
    """Every fault once a cycle; SHOUT_FAULTS names those that are wanted."""
    wanted = os.environ.get("SHOUT_FAULTS", "").split(",")
    chosen = [fault for fault in FAULTS if not wanted[0] or fault.__name__ in wanted]
    for _ in range(scale("SHOUT_CYCLES")):
        dice.shuffle(chosen)
        yield from chosen


def late(loads):
    """What was refused with 451, which may have become durable a moment later."""
    return {one.name for load in loads for one in load.sent if one.state == REFUSED and one.code == 451}


def story(run, earlier, later):
    """Of two copies: how long apart, who brought them, and the last fault before the later one."""
    fault, begun = max(((what, begun) for what, begun in run.times if begun < later.begun),
                       key=lambda one: one[1], default=("the start", run.cluster.started))
    return (f"{later.id} {later.recipient}: {earlier.helo} {earlier.begun - begun:.2f} to {earlier.ended - begun:.2f}"
            f", {later.helo} {later.begun - begun:.2f} to {later.ended - begun:.2f} of {fault}")


def summary(run, result, explained, unexplained):
    """The one line: what was accepted, what of it came, and why any came twice."""
    reasons = collections.Counter(reason for reason, _, _ in explained)
    refused = sum((load.codes() for load in run.loads), collections.Counter())
    return (f"{len(run.times)} faults, seed {run.dice.told_seed}: {result.accepted} accepted, "
            f"{result.accepted - len(result.lost)} received, {len(result.lost)} lost, "
            f"{sum(result.duplicates.values())} duplicates, {len(explained)} explained {dict(reasons)}, "
            f"{len(set(result.extra) & late(run.loads))} of {refused[451]} 451s became durable, "
            f"{result.unknown_arrived} of {result.unknown} without an answer did; "
            f"{run.viruses.accepted()} viruses, none delivered; {len(run.cluster.ended)} processes ended by "
            f"themselves; {time.time() - run.cluster.started:.0f} s")


def account(run):
    run.viruses.stop()
    result = run.cluster.settle(*[load.stop() for load in run.loads])
    explained, unexplained = run.cluster.explain()
    run.tell(summary(run, result, explained, unexplained))
    if os.environ.get("SHOUT_VERBOSE"):
        for reason, earlier, later in explained:
            run.tell(f"{reason}: {story(run, earlier, later)}")
    refused = sum((load.codes() for load in run.loads), collections.Counter())
    assert not result.lost and not set(result.extra) - late(run.loads)
    assert not {one.name for one in run.viruses.sent} & run.cluster.arrived()
    assert not unexplained, "\n".join(story(run, *two) for two in unexplained)
    assert set(refused) <= {421, 451, 452}


def inspect(run):
    """Before anything is stopped: who does not answer, where what is missing was last seen."""
    run.cluster.rig.keep = BUILD / f"faults-{run.dice.told_seed}"
    arrived = run.cluster.arrived()
    missing = [one for load in run.loads for one in load.all(ACCEPTED) if one.name not in arrived]
    run.tell(f"{len(missing)} accepted have not arrived; not ready: {run.cluster.unready()}; "
             f"ended by themselves: {run.cluster.ended[-20:]}; the state of all stays in {run.cluster.rig.keep}")
    for line in autopsy.report(run.cluster, missing):
        run.tell(line)


def test_no_fault_loses_mail_and_what_comes_twice_was_in_flight(run):
    try:
        run.flows("the start")
        for fault in faults(run.dice):
            run.fault(fault)
        account(run)
    except Exception:
        inspect(run)
        raise
