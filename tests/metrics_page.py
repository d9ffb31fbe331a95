#!/usr/bin/python3
"""Pages of /metrics: read, held against promtool and METRICS.md, and watched while they change.

As a program (`make lint`): every metric in the code is documented and the other way round, and the pages
of a process with all roles and of each role of a cluster are clean."""

import functools
import http.client
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"')
ROOMS = ("shared", "ingress", "scanner", "sender", "control", "cmd")


class Page:
    """`types` by name; `samples` by ("name", (("label", "value"), ...))."""

    def __init__(self, text):
        self.text, self.types, self.helps, self.samples = text, {}, {}, {}
        for line in text.splitlines():
            words = line.split(" ", 3)
            if line.startswith("# HELP "):
                assert words[2] not in self.helps, f"twice: {line}"
                self.helps[words[2]] = words[3]
            elif line.startswith("# TYPE "):
                assert words[2] not in self.types, f"twice: {line}"
                self.types[words[2]] = words[3]
            else:
                self.add(line)

    def add(self, line):
        found = SAMPLE.fullmatch(line)
        assert found, f"no sample: {line}"
        key = found[1], tuple(sorted(LABEL.findall(found[2] or "")))
        assert key not in self.samples, f"twice: {line}"
        assert self.family(found[1]) in self.types, f"without a type: {line}"
        self.samples[key] = float(found[3])

    def family(self, name):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        return base if self.types.get(base) == "histogram" else name

    def value(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def sum(self, name, **labels):
        """Over all samples that have these labels."""
        return sum(value for (one, has), value in self.samples.items()
                   if one == name and set(labels.items()) <= set(has))

    def counts(self):
        """The samples that only grow."""
        return {key: value for key, value in self.samples.items()
                if self.types[self.family(key[0])] in ("counter", "histogram")}

    def labels(self, family):
        return {label for name, has in self.samples if self.family(name) == family
                for label, _ in has} - {"le"}


@functools.cache
def documented():
    """{name: (type, {labels})} of the tables of METRICS.md."""
    found = {}
    for line in (ROOT / "METRICS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            for name in re.findall(r"`(\w+)`", cells[0]):
                assert name not in found, f"METRICS.md has {name} twice"
                found[name] = cells[1], set(cells[2].replace(",", " ").split())
    return found


def registered():
    """The names in the code."""
    names = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.c"):
            names |= set(re.findall(r'"((?:shout|process)_[a-z0-9_]+)"', path.read_text()))
    return names - {"process_vm_readv"}


def undocumented():
    """What the code and METRICS.md disagree about, a text each."""
    code, docs = registered(), set(documented())
    return ([f"{name} is not in METRICS.md" for name in sorted(code - docs)]
            + [f"{name} of METRICS.md is not in the code" for name in sorted(docs - code)])


def faults(text):
    """What is wrong with a page, a text each."""
    found, page, docs = [], Page(text), documented()
    promtool = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    if promtool.returncode or promtool.stdout or promtool.stderr:
        found.append(f"promtool: {promtool.stdout}{promtool.stderr}")
    for name, kind in page.types.items():
        if name not in docs:
            found.append(f"{name} is not in METRICS.md")
        elif docs[name][0] != kind:
            found.append(f"{name} is a {kind}, METRICS.md says {docs[name][0]}")
        elif page.labels(name) and page.labels(name) != docs[name][1]:
            found.append(f"{name} has the labels {page.labels(name)}, METRICS.md says {docs[name][1]}")
    found += [f"below 0: {key} {value}" for key, value in page.samples.items() if not value >= 0]
    found += [f"without help: {name}" for name in page.types if not page.helps.get(name)]
    return found


class Watch:
    """Reads a Shout's page over and over, in a thread: no value is below 0, no count goes back but by a new
    process. `pages` says how many were read."""

    def __init__(self, shout):
        self.shout, self.pages, self.faults = shout, 0, []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()

    def run(self):
        before, process = {}, None
        while not self.ending.wait(0.01):
            now = self.shout.process
            try:
                status, text = self.shout.get("/metrics")
                if status == 200 and now is self.shout.process:
                    before, process = self.compare(Page(text), before if now is process else {}), now
            except http.client.HTTPException:
                pass  # killed in the middle of a page
            except AssertionError as wrong:
                self.faults.append(str(wrong))

    def compare(self, page, before):
        counts = page.counts()
        self.pages += 1
        self.faults += [f"below 0: {key} {value}" for key, value in page.samples.items() if not value >= 0]
        self.faults += [f"went back: {key} {value} to {counts.get(key)}" for key, value in before.items()
                        if not counts.get(key, -1) >= value]
        return counts


def page_of(shout, last):
    """The page once a metric is there that is registered last."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        status, text = shout.get("/metrics")
        if status == 200 and f"\n{last}" in text:
            return text
        time.sleep(0.05)
    raise SystemExit(f"no page with {last}:\n{shout.log()[-2000:]}")


def pages(directory):
    """(what, page) of processes without brokers and clamd, which a page does not need."""
    from harness import Redis, Shout, free_port

    class Nobody:
        address, unpacks, disk = f"127.0.0.1:{free_port()}", directory, None

    redis = Redis(directory / "redis").start()
    lasts = {"all": "shout_ingress_refused_total", "ingress": "shout_ingress_refused_total",
             "scanner": "shout_scanner_clamd_up", "sender": "shout_sender_connections",
             "control": "shout_http_closed_total"}
    try:
        for role, last in lasts.items():
            queue = {} if role == "all" else {"queue": {"backend": "kafka", "brokers": Nobody.address}}
            shout = Shout(directory / role, redis, Nobody, settings=queue, role=role).start(wait=False)
            try:
                yield role, page_of(shout, last)
            finally:
                shout.kill()
    finally:
        redis.stop()


def main():
    found = undocumented()
    with tempfile.TemporaryDirectory(prefix="shout-metrics-") as directory:
        for role, text in pages(pathlib.Path(directory)):
            found += [f"{role}: {fault}" for fault in faults(text)]
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
