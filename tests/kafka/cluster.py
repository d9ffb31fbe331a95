"""A whole cluster on loopback: three brokers, Redis, clamd, and two processes of each role but control,
each with a state_dir of its own.

    cluster = Cluster(rig, certificate)
    load = cluster.load(sessions=4).start()
    cluster.nodes["sender-1"].kill()       # it is started again by itself, as by a supervisor
    print(cluster.settle(load.stop()))

good.example takes all mail; slow.example answers 451 most of the time, until settle(), so that its
mail waits in rows; customer.example gets bounces and notices.
"""

import collections
import contextlib
import threading
import time

import harness
import kafka
import sink as sinks
from load import Load, balance

GOOD, SLOW = "bob@good.example", "eve@slow.example"
SLOW_CYCLE_S, SLOW_DOWN_S = 6, 4
HAND_OVER_S = 1  # from a remote's 250 until every other sender finds it in the ledger
ROLES = {"control": 1, "sender": 2, "scanner": 2, "ingress": 2}  # in the order of starting
DISK = "96m"  # small, for what is to be filled

Copy = collections.namedtuple("Copy", "name id recipient helo begun ended")


class Copies(sinks.Counter):
    """A Counter that knows who brought each copy, and when."""

    def __init__(self, **options):
        super().__init__(**options)
        self.copies = []

    def keep(self, message):
        super().keep(message)
        self.copies.append(Copy(*self.marks(message), message.recipients[0], message.helo, message.begun,
                                message.time))


class Node(harness.Shout):
    """A process of a role. `held` keeps the supervisor from starting it."""

    def __init__(self, directory, redis, role, number, **options):
        self.held = True
        self.name = f"{role}-{number}"
        super().__init__(directory, redis, role=role, **options)
        self.hostname = self.settings["hostname"] = f"{self.name}.shout.test"
        self.write()

    def start(self, wait=True, deadline=60):
        super().start(wait, deadline)
        self.held = False
        return self

    def stop(self, deadline=60):
        self.held = True
        return super().stop(deadline)

    @property
    def state(self):
        """state_dir, as it is seen from here."""
        return self.disk() if self.inside() else self.state_dir


class Cluster:
    def __init__(self, rig, certificate):
        self.rig, self.certificate = rig, certificate
        self.kafka = rig.add(kafka.Kafka(rig.path("kafka"), brokers=3))
        self.redis, self.clamd = rig.redis(), rig.clamd()
        port = harness.free_port()
        self.good, self.slow, self.own = (rig.add(Copies(address=f"127.0.0.{n}", port=port)) for n in (2, 3, 4))
        self.nsd = rig.nsd({name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in (
            ("good.example", self.good), ("slow.example", self.slow), ("customer.example", self.own))})
        self.slow_rule = self.slow.on("rcpt", self._slow_answer)
        self.started = time.time()
        self.doubtful = set()     # copies that a kill left out of the ledger
        self.ledger_lost = []     # when Redis forgot
        self.stood_still = []     # (host name, since, until) of senders whose partitions went elsewhere
        self.ended = []           # (name, status) of those that ended by themselves
        self.lock = threading.Lock()
        self.nodes = {}
        for role, count in ROLES.items():
            for number in range(1, count + 1):
                self.make(role, number)
        kafka.topics(self.nodes["control-1"].file)
        self.supervisor = threading.Thread(target=self._supervise, daemon=True)
        self.closing = threading.Event()
        rig.started.append(self)  # stops the supervisor before the nodes
        for node in self.nodes.values():
            node.start()
        self.supervisor.start()
        self.control.account_add(mode="ip", ip="127.0.0.1")

    def make(self, role, number, **options):
        node = Node(self.rig.path(f"{role}-{number}"), self.redis, role, number, clamd=self.clamd,
                    certificate=self.certificate,
                    settings={
                        "log": {"level": "info"},
                        "queue": self.kafka.queue(partitions=6),
                        "scanner": {"timeout": "5s"},
                        "sender": {"port": self.good.port, "lifetime": "6h", "held_lifetime": "6h"},
                        "dns": {"forward": [self.nsd.address], "trust_anchor": "none"},
                        "ingress": {"in_flight_max": 100000},
                        "score": {"enabled": False},  # else viruses among the mail have all of it held
                    }, **options)
        self.nodes[node.name] = node
        return node

    def _slow_answer(self, session, text):
        down = (time.time() - self.started) % SLOW_CYCLE_S < SLOW_DOWN_S
        return "451 4.3.0 not now" if down else None

    @property
    def control(self):
        return self.nodes["control-1"]

    def of(self, role):
        return [node for node in list(self.nodes.values()) if node.role == role]

    def load(self, **options):
        return Load([f"127.0.0.1:{node.ports['plain']}" for node in self.of("ingress")], **options)

    # processes

    def _supervise(self):
        while not self.closing.wait(0.2):
            for node in list(self.nodes.values()):
                with self.lock:
                    if not node.held and not node.running():
                        self.ended.append((node.name, node.process.returncode))
                        if node.role == "sender":
                            self._note_doubtful(node)
                        node.start(wait=False)

    def crashes(self):
        """Those that ended by a signal that no test sent."""
        return [(name, status) for name, status in self.ended if status < 0 and status != -9]

    def kill(self, node):
        """SIGKILL; notes what was delivered and is not in the ledger."""
        with self.lock:
            node.held = True
            node.kill()
        if node.role == "sender":
            self._note_doubtful(node)

    def sinks(self):
        return self.good, self.slow, self.own

    def _note_doubtful(self, node):
        harness.wait_for(lambda: not any(session.helo == node.hostname for sink in self.sinks()
                                         for session in list(sink.sessions)),
                         what="the sinks have read all that was sent to them")
        self.note_in_flight(node)

    def note_in_flight(self, node):
        """Of what a process that stands still delivered last, what is not in the ledger."""
        since = time.time() - 30
        late = [copy for sink in self.sinks() for copy in list(sink.copies)
                if copy.helo == node.hostname and copy.ended > since]
        for copy, known in zip(late, self._in_ledger(late)):
            if not known:
                self.doubtful.add((copy.id, copy.recipient))

    def _in_ledger(self, copies):
        if not copies:
            return []
        keys = [f"sent:{{{copy.id}}}:{copy.recipient}" for copy in copies]
        each = "local t = {} for i, k in ipairs(KEYS) do t[i] = redis.call('EXISTS', k) end return t"
        return [word == "1" for word in self.redis.run("EVAL", each, len(keys), *keys).split()]

    def forget_ledger(self):
        """To be called while Redis has forgotten."""
        self.ledger_lost.append((time.time(), time.time()))

    @contextlib.contextmanager
    def without_ledger(self):
        """Redis is down, or hangs, inside, and may have forgotten; ends when every sender has it again."""
        since = time.time()
        yield
        harness.wait_for(lambda: all("redis: ready" in node.get("/readyz")[1]
                                     for node in self.of("sender") if not node.held),
                         what="the senders have their ledger again")
        self.ledger_lost.append((since, time.time()))

    # the account in the end

    def unready(self):
        return [node.name for node in self.nodes.values() if not node.held and not node.ready()]

    def waiting(self):
        """What is still to be delivered: all that is there, but for what is held."""
        with contextlib.suppress(AssertionError):
            there = self.control.shoutctl("queue", "list")["queue"]
            held = self.control.shoutctl("queue", "list", "--state", "held", "--limit", "1")["total"] or 0
            return {what: count - (held if what in ("rows", "bodies") else 0) for what, count in there.items()}
        return {"control": "does not answer"}

    def settle(self, *loads, deadline=180):
        """Waits until all that was accepted has arrived, and nothing is left; the balance. What has not
        arrived by then is lost."""
        with contextlib.suppress(ValueError):
            self.slow.rules.remove(self.slow_rule)
        names = {one.name for load in loads for one in load.sent if one.state == "accepted"}
        with contextlib.suppress(AssertionError):
            harness.wait_for(lambda: not names - self.arrived(), deadline)
            harness.wait_for(lambda: not any(self.waiting().values()), deadline)
        result = balance(list(loads), self)
        assert result.lost or not any(self.waiting().values()), f"not empty: {self.waiting()}"
        return result

    def names(self):
        return [name for sink in (self.good, self.slow) for name in sink.names()]

    def arrived(self):
        return set(self.names())

    def explain(self):
        """What came twice: [(reason, earlier copy, later copy)], and [(earlier, later)] without one."""
        copies = collections.defaultdict(list)
        for sink in (self.good, self.slow):
            for copy in sink.copies:
                copies[copy.id, copy.recipient].append(copy)
        explained, unexplained = [], []
        for same in copies.values():
            same.sort(key=lambda copy: copy.ended)
            for earlier, later in zip(same, same[1:]):
                reason = self._reason(earlier, later)
                if reason:
                    explained.append((reason, earlier, later))
                else:
                    unexplained.append((earlier, later))
        return explained, unexplained

    def _reason(self, earlier, later):
        if any(earlier.begun - HAND_OVER_S < until and since < later.begun for since, until in self.ledger_lost):
            return "the ledger was lost"
        if (later.id, later.recipient) in self.doubtful:
            return "in flight at a kill"
        if any(earlier.helo == host and earlier.begun < until and earlier.ended > since for host, since, until in self.stood_still):
            return "in flight at a pause"  # it went on afterwards, and its result no longer counted
        if earlier.helo != later.helo and later.begun < earlier.ended + HAND_OVER_S:
            return "in flight at a rebalance"
        return None

    def stop(self):
        self.closing.set()
        self.supervisor.join()
        for node in reversed(list(self.nodes.values())):
            running = node.running()
            status = node.stop()
            assert not running or status == 0, f"{node.name} stopped with {status}:\n{node.log()[-4000:]}"
            node.assert_no_sanitizer_report()
