"""What a pile of waiting mail does to the rest: good mail without it, then a pile for a domain that answers
451, then good mail again; the pile is let go and it begins anew. Memory, idle CPU, restarts and
`shoutctl queue list` meanwhile. Scanning is off.

    make bench-pile
    make bench-pile PILE="--queue kafka --pile 100000 --json out.json"
    make bench-pile PILE="--settings '{\\"queue\\": {...}}'"     merged into shout.yaml

Prints JSON and a few lines; figures mean something only within one run."""

import argparse
import contextlib
import json
import pathlib
import re
import smtplib
import statistics
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import measure  # noqa: E402
from bench import RELAYS  # noqa: E402
from harness import Rig, Sink, free_port, send, wait_for  # noqa: E402

SENDER = "a@a.example"
PILE_SITE = "mx.pile.example"


def memory(pid):
    """Megabytes. What is `file` are pages of the program and of maps: the kernel's to take back."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    kilobytes = {name: int(value) for name, value in re.findall(r"(VmRSS|RssAnon|RssFile):\s+(\d+)", text)}
    return {"rss": kilobytes["VmRSS"] / 1024, "anonymous": kilobytes["RssAnon"] / 1024,
            "file": kilobytes["RssFile"] / 1024}


class Peak(threading.Thread):
    """The highest RSS of processes while it runs, in megabytes."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.rss, self.stopping = pids, dict.fromkeys(pids, 0), threading.Event()

    def run(self):
        while not self.stopping.wait(0.1):
            for name, pid in self.pids.items():
                self.rss[name] = max(self.rss[name], memory(pid)["rss"])

    def finish(self):
        self.stopping.set()
        self.join()
        return self.rss


class Sieve(Sink):
    """Keeps nothing."""

    def keep(self, message):
        if self.on_message:
            self.on_message(message)


class Site:
    """A relay with a sink for good.example and one for pile.example, which answers 451 to every recipient."""

    def __init__(self, rig, args):
        port = free_port()
        self.accept, self.deliver, self.tries = [], [], 0
        self.refusing = True
        self.good = rig.add(Sieve(address="127.0.0.2", port=port, on_message=self.arrived))
        self.pile = rig.add(Sieve(address="127.0.0.3", port=port))
        self.pile.on("rcpt", self.refuse)
        zones = {name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in
                 (("good.example", self.good), ("pile.example", self.pile))}
        settings = {"sender": {"port": port, "retry": {"first": "5m", "max": "4h"}},
                    "dns": {"forward": [rig.nsd(zones).address], "trust_anchor": "none"},
                    **json.loads(args.settings)}
        self.relay = RELAYS[args.queue](rig.path("relay"), None, False, settings)
        rig.started.append(self.relay)
        self.relay.start()
        self.args = args

    def pids(self):
        return {name: shout.process.pid for name, shout in self.relay.roles.items()}

    def memory(self):
        return {name: memory(pid) for name, pid in self.pids().items()}

    def refuse(self, _session, _text):
        if not self.refusing:
            return None
        self.tries += 1
        return "451 4.3.0 not now"

    def arrived(self, message):
        self.deliver.append(time.monotonic() - float(message.header("X-Sent")))

    def _session(self, count, pause_s):
        filler = (b"x" * 70 + b"\r\n") * (self.args.size // 72)
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=60) as client:
            begin = time.monotonic()
            for i in range(count):
                time.sleep(max(0, begin + i * pause_s - time.monotonic()))
                start = time.monotonic()
                head = f"From: {SENDER}\r\nSubject: good\r\nX-Sent: {start!r}\r\n\r\n".encode()
                send(client, SENDER, ["b@good.example"], head + filler)
                self.accept.append(time.monotonic() - start)

    def good_mail(self, count, sessions=4):
        """At --rate messages a second, so that no queue forms before the sink; p50 and p99 in ms: from
        MAIL to 250, and to the sink."""
        self.accept, self.deliver = [], []
        threads = [threading.Thread(target=self._session, args=(count // sessions, sessions / self.args.rate))
                   for _ in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len(self.deliver) >= count // sessions * sessions, 300, "all the good mail")
        return {"accept_p99_ms": percentile(self.accept, 99), "deliver_p50_ms": percentile(self.deliver, 50),
                "deliver_p99_ms": percentile(self.deliver, 99)}

    def waiting(self):
        return self.relay.sender.metric("shout_sender_waiting")

    def make_pile(self):
        """Good mail right behind it has to pass it; then all of it waits."""
        start = time.monotonic()
        measure.load(self.relay.port, self.args.pile, self.args.size, to="b@pile.example")
        accepted = time.monotonic()
        behind = self.good_mail(200)
        wait_for(lambda: self.waiting() == self.args.pile, 900, "the pile")
        return {"accepted_per_s": self.args.pile / (accepted - start), "good_right_behind": behind,
                "all_wait_after_s": time.monotonic() - accepted}

    def end_pile(self):
        start, self.refusing = time.monotonic(), False
        self.relay.control.shoutctl("queue", "retry", "--site", PILE_SITE)
        wait_for(lambda: self.waiting() == 0, 900, "the end of the pile")
        self.refusing = True
        return self.args.pile / (time.monotonic() - start)

    def queue_list(self):
        """Until all is counted in its answer, then how long one takes."""
        def ask(*words):
            start = time.monotonic()
            answer = self.relay.control.shoutctl("queue", "list", "--site", PILE_SITE, *words)
            return answer, time.monotonic() - start

        total = wait_for(lambda: (t := ask()[0].get("total")) == self.args.pile and t, 60, "the total")
        return {"total": total, "default_s": ask()[1], "limit_1000_s": ask("--limit", "1000")[1]}

    def restarted(self, name, end, *, without_table=False):
        """The role's seconds to /readyz, to all of the pile, the tries meanwhile and a while after, good
        mail's latency then."""
        shout = self.relay.roles[name]
        end_began = time.monotonic()
        end(shout)
        ended, tries = time.monotonic(), self.tries
        if without_table:
            for path in shout.state_dir.glob("rows*.mdb*"):
                path.unlink()
        shout.restart()
        ready = time.monotonic()
        result = {"stop_s": ended - end_began, "ready_s": ready - ended}
        if shout is self.relay.sender:
            wait_for(lambda: self.waiting() == self.args.pile, 300, "the pile is found again")
            result["all_known_s"] = time.monotonic() - ended
        self.relay.control.shoutctl("queue", "list", "--site", PILE_SITE)
        result["good_mail"] = self.good_mail(400)
        time.sleep(20)
        return {**result, "tries": self.tries - tries}

    def restarts(self):
        names = [name for name in self.relay.roles if name in ("all", "control", "sender")]
        result = {}
        for name in names:
            result[name] = {"SIGTERM": self.restarted(name, lambda shout: shout.stop()),
                            "SIGKILL": self.restarted(name, lambda shout: shout.kill())}
            if name != "all":
                result[name]["SIGKILL, no table"] = self.restarted(name, lambda shout: shout.kill(),
                                                                   without_table=True)
        return result

    def idle_cpu(self, seconds):
        """Percent of a core, of each role."""
        before = {name: measure.cpu_seconds([pid]) for name, pid in self.pids().items()}
        time.sleep(seconds)
        return {name: 100 * (measure.cpu_seconds([pid]) - before[name]) / seconds
                for name, pid in self.pids().items()}


def percentile(seconds, percent):
    return 1000 * statistics.quantiles(seconds, n=100)[percent - 1]


def up(before, *later):
    return {name: {kind: max(one[name][kind] for one in later) - before[name][kind] for kind in before[name]}
            for name in before}


def cycle(site, args):
    """Without the pile, then with it."""
    without = site.good_mail(args.good)
    time.sleep(2)  # what is let go once a second is gone
    before, tries = site.memory(), site.tries
    peak = Peak(site.pids())
    peak.start()
    pile = site.make_pile()
    time.sleep(2)
    after = site.memory()
    with_pile = site.good_mail(args.good)
    time.sleep(2)
    later = site.memory()
    return {"without": without, "with_pile": with_pile, "pile": {**pile, "tries": site.tries - tries},
            "memory_mb": {"before": before, "piled": after, "after": later, "peak_rss": peak.finish()},
            "memory_up_mb": up(before, after, later)}


def measured(site, args):
    site.good_mail(400)
    result = {"idle_cpu_percent": {"without": site.idle_cpu(args.idle)}, "cycles": []}
    for i in range(args.cycles):
        result["cycles"].append(cycle(site, args))
        print(json.dumps(result["cycles"][-1]), file=sys.stderr, flush=True)
        if i + 1 < args.cycles:
            result["cycles"][-1]["let_go_per_s"] = site.end_pile()
    result["idle_cpu_percent"]["with_pile"] = site.idle_cpu(args.idle)
    result["queue_list"] = site.queue_list()
    if args.restarts:
        result["restarts"] = site.restarts()
    return result


def summary(result):
    cycles, idle = result["cycles"], result["idle_cpu_percent"]
    for key in cycles[0]["without"]:
        without, with_pile = (statistics.median(one[which][key] for one in cycles)
                              for which in ("without", "with_pile"))
        print(f"{key}: without {without:.2f}, with the pile {with_pile:.2f} ({100 * (with_pile / without - 1):+.0f} %)")
    for name, grown in cycles[0]["memory_up_mb"].items():
        print(f"{name}: RSS up {grown['rss']:.1f} MB (anonymous {grown['anonymous']:.1f}, file {grown['file']:.1f}), "
              f"idle CPU {idle['with_pile'][name]:.2f} % (without the pile {idle['without'][name]:.2f} %)")
    for name, ways in result.get("restarts", {}).items():
        for way, one in ways.items():
            print(f"{name} after {way}: ready in {one['ready_s']:.1f} s, {one['tries']} tries, good mail "
                  f"delivered within {one['good_mail']['deliver_p99_ms']:.1f} ms (p99)")
    print(f"queue list: {result['queue_list']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--queue", choices=list(RELAYS), default="lmdb")
    parser.add_argument("--pile", type=int, default=20000, help="messages for the domain that answers 451")
    parser.add_argument("--good", type=int, default=2000, help="messages for the good one, each batch")
    parser.add_argument("--cycles", type=int, default=2, help="without the pile, then with it")
    parser.add_argument("--rate", type=int, default=200, help="good messages a second")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--idle", type=int, default=60, help="seconds of watching idle CPU")
    parser.add_argument("--restarts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--settings", default="{}", help="JSON, merged into shout.yaml")
    parser.add_argument("--json", help="write the figures there as well")
    args = parser.parse_args()
    with contextlib.closing(Rig()) as rig:
        result = {"options": vars(args), **measured(Site(rig, args), args)}
    text = json.dumps(result, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n")
    summary(result)


if __name__ == "__main__":
    main()
