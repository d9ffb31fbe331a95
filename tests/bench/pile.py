"""What a pile of waiting mail does to the rest: good mail without it, then the pile for a domain that
answers 451, then good mail again; memory and idle CPU meanwhile. Scanning is off.

    make bench-pile
    make bench-pile PILE="--pile 100000 --good 2000 --rounds 3 --json out.json"
    make bench-pile PILE="--settings '{\\"queue\\": {...}}'"     merged into shout.yaml

Prints JSON and one line; figures mean something only within one run."""

import argparse
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
from harness import Rig, free_port, send, wait_for  # noqa: E402

SENDER = "a@a.example"


def memory(pid):
    """Megabytes: {"rss", "anonymous", "file"}."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    kilobytes = {name: int(value) for name, value in re.findall(r"(VmRSS|RssAnon|RssFile):\s+(\d+)", text)}
    return {"rss": kilobytes["VmRSS"] / 1024, "anonymous": kilobytes["RssAnon"] / 1024,
            "file": kilobytes["RssFile"] / 1024}


class Peak(threading.Thread):
    """The highest RSS of a process while it runs, in megabytes."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.rss, self.stopping = pid, 0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.1):
            self.rss = max(self.rss, memory(self.pid)["rss"])

    def finish(self):
        self.stopping.set()
        self.join()
        return self.rss


class Site:
    """Shout with a sink for good.example and one for pile.example, which answers 451 to every recipient."""

    def __init__(self, rig, settings):
        port = free_port()
        self.good = rig.sink(address="127.0.0.2", port=port, on_message=self.arrived)
        self.pile = rig.sink(address="127.0.0.3", port=port)
        self.pile.on("rcpt", "451 4.3.0 not now")
        zones = {name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in
                 (("good.example", self.good), ("pile.example", self.pile))}
        self.redis = rig.redis()
        self.shout = rig.shout(self.redis, settings={
            "log": {"level": "info"}, "sender": {"port": port, "retry": {"first": "5m", "max": "4h"}},
            "dns": {"forward": [rig.nsd(zones).address], "trust_anchor": "none"}, **settings})
        self.shout.account_add("bench", "a.example", mode="ip", ip="127.0.0.1")
        self.pid, self.port = self.shout.process.pid, self.shout.ports["plain"]
        self.accept, self.deliver = [], []

    def arrived(self, message):
        self.deliver.append(time.monotonic() - float(message.header("X-Sent")))

    def _session(self, count, size, pause_s):
        filler = (b"x" * 70 + b"\r\n") * (size // 72)
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            begin = time.monotonic()
            for i in range(count):
                time.sleep(max(0, begin + i * pause_s - time.monotonic()))
                start = time.monotonic()
                head = f"From: {SENDER}\r\nSubject: good\r\nX-Sent: {start!r}\r\n\r\n".encode()
                send(client, SENDER, ["b@good.example"], head + filler)
                self.accept.append(time.monotonic() - start)

    def good_mail(self, count, size, rate, sessions=4):
        """At `rate` messages a second, so that no queue forms before the sink; p99 in ms: from MAIL
        to 250, and to the sink."""
        self.accept, self.deliver = [], []
        threads = [threading.Thread(target=self._session, args=(count // sessions, size, sessions / rate))
                   for _ in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len(self.deliver) >= count // sessions * sessions, 120, "all the good mail")
        self.good.messages.clear()
        return {"accept_p99_ms": p99(self.accept), "deliver_p99_ms": p99(self.deliver)}

    def make_pile(self, count, size):
        start = time.monotonic()
        measure.load(self.port, count, size, to="b@pile.example")
        wait_for(lambda: self.shout.metric("shout_sender_waiting") == count, 600, "the pile")
        return time.monotonic() - start

    def idle_cpu(self, seconds):
        """Percent of a core."""
        before = measure.cpu_seconds([self.pid])
        time.sleep(seconds)
        return 100 * (measure.cpu_seconds([self.pid]) - before) / seconds


def p99(seconds):
    return 1000 * statistics.quantiles(seconds, n=100)[98]


def one_round(args):
    rig = Rig()
    try:
        site = Site(rig, json.loads(args.settings))
        site.good_mail(200, args.size, args.rate)
        without = site.good_mail(args.good, args.size, args.rate)
        time.sleep(2)  # what is let go once a second is gone
        before = memory(site.pid)
        peak = Peak(site.pid)
        peak.start()
        took_s = site.make_pile(args.pile, args.size)
        piled, with_pile = memory(site.pid), site.good_mail(args.good, args.size, args.rate)
        idle = site.idle_cpu(args.idle)
        after = memory(site.pid)
        return {
            "without_pile": without, "with_pile": with_pile, "pile_per_s": args.pile / took_s,
            "memory_mb": {"before": before, "piled": piled, "after": after, "peak_rss": peak.finish()},
            "rss_up_mb": max(piled["rss"], after["rss"]) - before["rss"],
            "anonymous_up_mb": max(piled["anonymous"], after["anonymous"]) - before["anonymous"],
            "idle_cpu_percent": idle,
        }
    finally:
        rig.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pile", type=int, default=20000, help="messages for the domain that answers 451")
    parser.add_argument("--good", type=int, default=2000, help="messages for the good one, each time")
    parser.add_argument("--rate", type=int, default=200, help="good messages a second")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--idle", type=int, default=10, help="seconds of watching idle CPU")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--settings", default="{}", help="JSON, merged into shout.yaml")
    parser.add_argument("--json", help="write the figures there as well")
    args = parser.parse_args()
    rounds = [one_round(args) for _ in range(args.rounds)]
    text = json.dumps({"pile": args.pile, "good": args.good, "size": args.size, "rounds": rounds}, indent=1)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n")

    def median(*path):
        values = rounds
        for key in path:
            values = [value[key] for value in values]
        return statistics.median(values)

    print(f"pile of {args.pile}: p99 accepted {median('without_pile', 'accept_p99_ms'):.1f} -> "
          f"{median('with_pile', 'accept_p99_ms'):.1f} ms, delivered "
          f"{median('without_pile', 'deliver_p99_ms'):.1f} -> {median('with_pile', 'deliver_p99_ms'):.1f} ms; "
          f"RSS up {median('rss_up_mb'):.1f} MB (anonymous {median('anonymous_up_mb'):.1f}); "
          f"idle CPU {median('idle_cpu_percent'):.2f} %")


if __name__ == "__main__":
    main()
