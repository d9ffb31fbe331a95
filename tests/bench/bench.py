"""Shout against Debian's Postfix, side by side in one run: smtp-source -> relay -> smtp-sink, A B A B.

    make bench                        everything
    make bench BENCH="--quick"        fewer messages, one round
    make bench BENCH="--sizes 4096 --scan no --json out.json"
    make bench BENCH="--clamd-temporary /dev/shm"   clamd unpacks there, for both
    make bench BENCH="--queue kafka"  with a broker (RF 1, flush.messages=1) and a process for each role

Prints medians and ratios; figures mean something only within one run."""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import kafka  # noqa: E402
import measure  # noqa: E402
from harness import Clamd, Redis, Server, Shout, accepts, free_port, wait_for  # noqa: E402
from postfix import Postfix  # noqa: E402


class Milter(Server):
    """clamav-milter in front of a clamd, for Postfix."""

    name = "clamav-milter"

    def __init__(self, directory, clamd):
        super().__init__(directory)
        self.port = free_port()
        config = self.directory / "clamav-milter.conf"
        config.write_text(f"MilterSocket inet:{self.port}@127.0.0.1\nClamdSocket unix:{clamd.socket}\n"
                          "Foreground yes\nOnInfected Reject\nOnFail Defer\nAddHeader No\n"
                          "MaxFileSize 80M\n")
        self.command = ["clamav-milter", "-c", config]

    def ready(self):
        return accepts(("127.0.0.1", self.port))


class PostfixRelay:
    name, parts = "postfix", {}

    def counts(self):
        return {}

    def __init__(self, directory, sink_port, scan):
        self.servers, self.scanners, self.port = [], [], free_port()
        # as with syslog, which does not run here: no log
        settings = {"relayhost": f"[127.0.0.1]:{sink_port}", "maillog_file": ""}
        if scan:
            clamd = Clamd(directory / "clamd")
            milter = Milter(directory / "milter", clamd)
            self.servers = [clamd, milter]
            settings.update({"smtpd_milters": f"inet:127.0.0.1:{milter.port}",
                             "milter_default_action": "tempfail"})
        self.postfix = Postfix(directory / "postfix", self.port, settings)

    def start(self):
        for server in self.servers:
            server.start()
        self.postfix.start()
        wait_for(lambda: accepts(("127.0.0.1", self.port)))
        self.scanners = [server.process.pid for server in self.servers[:1]]
        self.roots = [self.postfix.pid, *(server.process.pid for server in self.servers[1:])]

    def settle(self):
        wait_for(lambda: self.postfix.waiting() == 0, 60)

    def stop(self):
        self.postfix.stop()
        for server in reversed(self.servers):
            server.stop()


class ShoutRelay:
    name = "shout"

    def __init__(self, directory, sink_port, scan, settings=None):
        self.redis = Redis(directory / "redis")
        self.clamd = Clamd(directory / "clamd") if scan else None
        self.directory = directory
        self.route = f"127.0.0.1:{sink_port}" if sink_port else "mx"
        self.settings = {"log": {"level": "info"}, **(settings or {})}
        self.scanners, self.roles = [], {}

    def role(self, role):
        self.roles[role] = Shout(self.directory / role, self.redis, role=role, clamd=self.clamd, route=self.route,
                                 settings=self.settings)
        return self.roles[role]

    def start(self):
        self.redis.start()
        if self.clamd:
            self.clamd.start()
            self.scanners = [self.clamd.process.pid]
        self.start_roles()
        control, self.sender, ingress = (self.roles.get(role) or self.roles["all"]
                                         for role in ("control", "sender", "ingress"))
        control.account_add("bench", "a.example", mode="ip", ip="127.0.0.1")
        self.control, self.port = control, ingress.ports["plain"]
        self.parts = self.processes()
        self.roots = [server.process.pid for server in self.servers()]

    def processes(self):
        return {**{name: shout.process.pid for name, shout in self.roles.items()}, "redis": self.redis.process.pid}

    def counts(self):
        return {"commands to redis": int(re.search(r"total_commands_processed:(\d+)", self.redis.run("INFO", "stats"))[1])}

    def start_roles(self):
        self.role("all").start()

    def servers(self):
        return [*self.roles.values(), self.redis]

    def settle(self):
        wait_for(lambda: self.sender.metric("shout_queue_backlog", 'topic="mail.ready"') in (0, None), 60)

    def stop(self):
        for server in (*reversed(self.roles.values()), self.redis, self.clamd):
            if server:
                server.stop()


class ClusterRelay(ShoutRelay):
    """A process for each role, and a broker between them."""

    def start_roles(self):
        self.broker = kafka.Kafka(self.directory / "kafka")
        self.broker.start()
        self.settings["queue"] = {**self.broker.queue(), **self.settings.get("queue", {})}
        for role in ("control", "sender", "scanner", "ingress"):
            self.role(role)
        kafka.topics(self.roles["control"].file)
        for shout in self.roles.values():
            shout.start()

    def processes(self):
        return {**super().processes(), "broker": self.broker.brokers[0].process.pid}

    def counts(self):
        """The bytes of topics: of one copy, with what has been trimmed."""
        return {**super().counts(), **{
            f"bytes in {topic}": sum(log.stat().st_size for log in self.broker.directory.glob(f"*/data/{topic}-*/*.log"))
            for topic in ("mail.inbound", "mail.ready", "mail.events", "mail.state")}}

    def servers(self):
        return [*super().servers(), *self.broker.brokers]

    def settle(self):
        wait_for(lambda: self.sender.metric("shout_queue_lag", 'topic="mail.ready"') in (0, None), 60)

    def stop(self):
        for shout in reversed(self.roles.values()):
            shout.stop()
        self.broker.stop()
        super().stop()


RELAYS = {"lmdb": ShoutRelay, "kafka": ClusterRelay}


def one_round(kind, directory, size, count, scan):
    """A fresh relay and a fresh sink, a short warm-up, one measured run."""
    sink = measure.Sink(free_port())
    relay = kind(directory, sink.port, scan)
    try:
        wait_for(lambda: accepts(("127.0.0.1", sink.port)))
        relay.start()
        measure.load(relay.port, 200, size)
        sink.wait(200, 60)
        return measure.run(relay, sink, count, size)
    finally:
        relay.stop()
        sink.stop()
        shutil.rmtree(directory)


def median(runs, key):
    values = [run[key] for run in runs if run[key] is not None]
    return statistics.median(values) if values else None


def case(size, scan, count, rounds, relay):
    runs = {PostfixRelay: [], relay: []}
    for _ in range(rounds):
        for kind, found in runs.items():
            directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
            found.append(one_round(kind, directory, size, count, scan))
    result = {kind.name: {key: median(found, key) for key in found[0]} for kind, found in runs.items()}
    ours, theirs = result["shout"], result["postfix"]
    return {
        "size": size, "scan": scan, "rounds": rounds, **result,
        "speed_ratio": ours["messages_per_s"] / theirs["messages_per_s"],
        "cpu_ratio": ours["cpu_us_per_message"] / theirs["cpu_us_per_message"],
    }


def show(result):
    print(f"\n{result['size']} bytes, {'with' if result['scan'] else 'without'} scanning, median of "
          f"{result['rounds']}")
    print(f"{'':10}{'msg/s':>10}{'CPU us/msg':>12}{'clamd us':>10}{'accept p99 ms':>15}")
    for name in ("postfix", "shout"):
        one = result[name]
        print(f"{name:10}{one['messages_per_s']:10.0f}{one['cpu_us_per_message']:12.0f}"
              f"{one['clamd_us_per_message']:10.0f}{one['accept_p99_ms'] or 0:15.1f}")
    for key, value in result["shout"].items():
        if key.startswith(("cpu_us of", "bytes in", "commands to")):
            print(f"  {key}: {value:.0f}")
    print(f"speed: {result['speed_ratio']:.2f} times Postfix's; CPU a message: "
          f"{result['cpu_ratio']:.3f} of Postfix's", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[4096, 51200])
    parser.add_argument("--scan", choices=["yes", "no", "both"], default="both")
    parser.add_argument("--messages", type=int, default=6000, help="of 4 KB; a third of 50 KB")
    parser.add_argument("--queue", choices=list(RELAYS), default="lmdb")
    parser.add_argument("--clamd-temporary", help="TemporaryDirectory of both clamds, e.g. on a tmpfs")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    Clamd.temporary = args.clamd_temporary
    if args.quick:
        args.rounds, args.messages = 1, 1500
    results = []
    for scan in {"yes": [True], "no": [False], "both": [False, True]}[args.scan]:
        for size in args.sizes:
            count = args.messages if size <= 8192 else args.messages // 3
            results.append(case(size, scan, count, args.rounds, RELAYS[args.queue]))
            show(results[-1])
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
