"""What the benchmarks share: CPU time of process trees, the sink, the load, the latency probe."""

import os
import re
import smtplib
import statistics
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()


def tree(root):
    """The pids of a process and all its living descendants."""
    children = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            children.setdefault(int(_stat(pid)[1]), []).append(int(pid))
        except OSError:
            pass
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(roots):
    """User and system time of the trees, children that have ended included."""
    total = 0
    for root in roots:
        for pid in tree(root):
            try:
                total += sum(int(x) for x in _stat(pid)[11:15])
            except OSError:
                pass
    return total / TICK


class Sink:
    """smtp-sink, counting what it receives."""

    def __init__(self, port):
        self.port = port
        self.received = 0
        self.process = subprocess.Popen(
            ["smtp-sink", "-c", "-u", "nobody", f"127.0.0.1:{port}", "1000"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        tail = b""
        while data := self.process.stdout.read(65536):
            tail = (tail + data)[-200:]
            counts = re.findall(rb"mesg=(\d+)\r", tail)
            if counts:
                self.received = int(counts[-1])

    def wait(self, count, deadline_s):
        end = time.monotonic() + deadline_s
        while self.received < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.received} of {count} messages arrived")
            time.sleep(0.002)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Probe(threading.Thread):
    """One more client that sends small mail all the time and notes how long the end of data to the reply takes."""

    def __init__(self, port, size, pause_s=0.02):
        super().__init__(daemon=True)
        self.port, self.pause_s = port, pause_s
        self.body = b"Subject: probe\r\n\r\n" + b"x" * 70 * (size // 72) + b"\r\n.\r\n"
        self.latencies, self.stopping = [], threading.Event()

    def run(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as smtp:
            smtp.ehlo("probe.example")
            while not self.stopping.wait(self.pause_s):
                smtp.mail("probe@a.example")
                smtp.rcpt("b@b.example")
                smtp.putcmd("data")
                smtp.getreply()
                start = time.monotonic()
                smtp.send(self.body)
                code, text = smtp.getreply()
                if code != 250:
                    raise RuntimeError(f"probe: {code} {text}")
                self.latencies.append(time.monotonic() - start)

    def finish(self):
        self.stopping.set()
        self.join(60)
        return len(self.latencies)

    def p99_ms(self):
        return 1000 * statistics.quantiles(self.latencies, n=100)[98] if len(
            self.latencies) > 10 else None


def load(port, count, size, sessions=20, to="b@b.example"):
    """smtp-source, the load of all benchmarks; raises when a message is refused."""
    subprocess.run(
        ["smtp-source", "-s", str(sessions), "-m", str(count), "-l", str(size), "-f",
         "a@a.example", "-t", to, f"127.0.0.1:{port}"], check=True)


def run(relay, sink, count, size):
    """One run through a relay that is up: a dictionary of figures. `relay.parts` are the pids of its processes by
    name, for their CPU time each; relay.counts() are numbers that grow, by name."""
    probe = Probe(relay.port, size)
    before, cpu, scan = sink.received, cpu_seconds(relay.roots), cpu_seconds(relay.scanners)
    parts, counts = {name: cpu_seconds([pid]) for name, pid in relay.parts.items()}, relay.counts()
    start = time.monotonic()
    probe.start()
    load(relay.port, count, size)
    accepted_s = time.monotonic() - start
    total = count + probe.finish()
    sink.wait(before + total, 300)
    end_s = time.monotonic() - start
    relay.settle()
    return {
        "messages": total,
        "messages_per_s": total / end_s,
        "accepted_per_s": count / accepted_s,
        "cpu_us_per_message": 1e6 * (cpu_seconds(relay.roots) - cpu) / total,
        "clamd_us_per_message": 1e6 * (cpu_seconds(relay.scanners) - scan) / total,
        "accept_p99_ms": probe.p99_ms(),
        **{f"cpu_us of {name}": 1e6 * (cpu_seconds([relay.parts[name]]) - spent) / total for name, spent in parts.items()},
        **{name: (grown - counts[name]) / total for name, grown in relay.counts().items()},
    }
