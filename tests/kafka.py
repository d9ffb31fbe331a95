"""Real Kafka brokers for tests, on free loopback ports: Kafka(directory, brokers=3).start(). The jars are
fetched once, by Maven, to build/kafka/jars.

Run as a program it serves until it is ended, a broker for each port (it takes the next one, too); the
file `ready` says that all are up:  kafka.py --directory DIR --ports 19092 19094 19096
"""

import argparse
import base64
import contextlib
import fcntl
import json
import signal
import subprocess
import threading
import uuid

import harness

JARS = harness.ROOT / "build/kafka/jars"
POM = harness.ROOT / "tests/kafka/pom.xml"


def fetch_jars():
    JARS.parent.mkdir(parents=True, exist_ok=True)
    done = JARS / ".complete"
    with open(JARS.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_bytes() != POM.read_bytes():
            subprocess.run(["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies",
                            f"-DoutputDirectory={JARS}"], check=True)
            done.write_bytes(POM.read_bytes())


def java(heap, *words):
    return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*",
            *map(str, words)]


def tool(name, *words, check=True):
    """One of Kafka's own programs, like tool("consumer.group.ConsumerGroupCommand", ...); its output."""
    name = name if name.startswith("kafka.") else f"org.apache.kafka.tools.{name}"
    done = subprocess.run(java("128m", name, *words), capture_output=True,
                          text=True, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"{name}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Broker(harness.Server):
    """One process, broker and controller in one."""

    name = "kafka"

    def __init__(self, directory, number, heap, port=None):
        super().__init__(directory)
        self.number, self.heap = number, heap
        self.port = port or harness.free_port()
        self.control_port = port + 1 if port else harness.free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.file = self.directory / "server.properties"
        self.command = java(heap, "kafka.Kafka", self.file)

    def prepare(self, cluster):
        """Writes the settings and, the first time, the empty log."""
        self.file.write_text("".join(f"{key}={value}\n" for key, value in
                                     cluster.properties(self).items()))
        if not (self.directory / "data/meta.properties").exists():
            done = subprocess.run(java("128m", "kafka.tools.StorageTool", "format", "-t", cluster.id, "-c",
                                       self.file, *cluster.format_options), capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

    def ready(self):
        return harness.accepts(("127.0.0.1", self.port))

    def stop(self, deadline=60):
        return super().stop(deadline)


class Kafka(harness.Server):
    """A cluster. `settings` are added to every broker's properties; set before start(). `ports`: one for
    each broker, instead of free ones."""

    def __init__(self, directory, brokers=1, settings=None, heap="512m", security="PLAINTEXT",
                 format_options=(), ports=None):
        super().__init__(directory)
        self.id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if self.id.startswith("-"):  # the tool would take it for an option
            self.id = "A" + self.id[1:]
        self.settings, self.security, self.format_options = settings or {}, security, format_options
        self.brokers = [Broker(self.directory / str(i + 1), i + 1, heap, port)
                        for i, port in enumerate(ports or [None] * brokers)]
        self.address = ",".join(broker.address for broker in self.brokers)

    def properties(self, broker):
        copies = min(3, len(self.brokers))
        in_sync = min(2, copies)
        return {
            "process.roles": "broker,controller",
            "node.id": broker.number,
            "controller.quorum.voters": ",".join(f"{b.number}@127.0.0.1:{b.control_port}"
                                                 for b in self.brokers),
            "listeners": f"CLIENT://{broker.address},CONTROLLER://127.0.0.1:{broker.control_port}",
            "advertised.listeners": f"CLIENT://{broker.address}",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,CLIENT:{self.security}",
            "log.dirs": broker.directory / "data",
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": 70000000,
            "replica.fetch.max.bytes": 70000000,
            "offsets.retention.minutes": 43200,
            **self.settings,
        }

    def start(self, wait=True, deadline=90):
        fetch_jars()
        for broker in self.brokers:
            broker.prepare(self)
        for broker in self.brokers:  # a quorum answers only once most of them run
            broker.start(wait=False)
        if wait:
            for broker in self.brokers:
                harness.wait_for(broker._up, deadline, f"broker {broker.number} is ready")
        return self

    def running(self):
        return all(broker.running() for broker in self.brokers)

    def stop(self, deadline=60):
        """Shuts down all at once: the last of a quorum would wait for the others. It is a test's
        brokers: those that are not done soon are killed."""
        for broker in self.brokers:
            if broker.running():
                broker.process.terminate()
        for broker in self.brokers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if broker.process:
                    broker.process.wait(10)
            broker.kill()
        return 0

    def kill(self):
        for broker in self.brokers:
            broker.kill()

    def log(self):
        return "\n".join(broker.log() for broker in self.brokers)

    def queue(self, **more):
        """The `queue` of shout.yaml for this cluster."""
        return {"backend": "kafka", "brokers": self.address, "partitions": 3,
                "replication": min(3, len(self.brokers)), **more}

    def leader(self, topic, partition=0):
        """The broker that leads a partition."""
        for line in tool("TopicCommand", "--bootstrap-server", self.address, "--describe", "--topic",
                         topic).splitlines():
            words = line.split()
            if "Partition:" in words and words[words.index("Partition:") + 1] == str(partition):
                number = int(words[words.index("Leader:") + 1])
                return self.brokers[number - 1]
        raise AssertionError(f"{topic} has no partition {partition}")

    def offsets(self, topic, time=-1):
        """{partition: offset}: ends (-1) or starts (-2)."""
        out = tool("GetOffsetShell", "--bootstrap-server", self.address, "--topic", topic, "--time", time)
        return {int(line.split(":")[1]): int(line.split(":")[2]) for line in out.split()}


def topics(file, check=True, deadline=60):
    """`shout topics` with a shout.yaml; what it says. With `check` it has to succeed, once the brokers
    know each other."""
    def run():
        return subprocess.run([harness.BUILD / "shout", "topics", "--json", "-c", file],
                              capture_output=True, text=True, timeout=120)
    if check:
        done = harness.wait_for(lambda: (d := run()).returncode == 0 and d, deadline, "shout topics succeeds")
    else:
        done = run()
    return json.loads(done.stdout)


def _main():
    parser = argparse.ArgumentParser(description="brokers that serve until this is ended")
    parser.add_argument("--directory", required=True)
    parser.add_argument("--ports", type=int, nargs="+", required=True)
    args = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    cluster = Kafka(args.directory, ports=args.ports)
    try:
        cluster.start()
        for broker in cluster.brokers:
            (broker.directory / "pid").write_text(f"{broker.process.pid}\n")
        (cluster.directory / "ready").touch()
        while any(broker.running() for broker in cluster.brokers) and not done.wait(0.5):
            pass
    finally:
        (cluster.directory / "ready").unlink(missing_ok=True)
        cluster.stop()


if __name__ == "__main__":
    _main()
