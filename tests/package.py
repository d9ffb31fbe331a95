#!/usr/bin/python3
"""The Debian package in an empty Debian 12 that is booted for it: installed, run under its unit, reloaded, upgraded
while mail comes in, removed, purged; ends with one line: N passed, N failed.

The machine is that of tests/readme.py: its own systemd, and an internet of one host, the sink. The mail is not
scanned; readme.py does that. The upgrade is the same package with another version and other settings.

    make test-package                             needs root, debootstrap and some minutes
    tests/package.py --packages build/deb --base DIR      an installed tree instead of debootstrap's; it is copied"""

import argparse
import collections
import pathlib
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time

from harness import ROOT
from readme import HOST, Reader, empty_debian, machine_of

UNITS = ("shout", "shout-ingress", "shout-scanner", "shout-sender", "shout-control")
SETTINGS = f"""# mine
hostname: shout01.provider.example
state_dir: /var/lib/shout
user: shout
redis: {{address: unix:/run/redis/redis-server.sock}}
ingress: {{listen: [{{address: "127.0.0.1:25", auth_without_tls: always}}]}}
scanner: {{enabled: false}}
sender: {{route: "{HOST}:25"}}
control: {{listen: "127.0.0.1:8080"}}
metrics: {{listen: "127.0.0.1:9090"}}
"""
INSTALL = "apt-get install -y --no-install-recommends --allow-downgrades"
KEEP = "-o Dpkg::Options::=--force-confold"


def following(package, directory):
    """The package of the next version, whose settings are others."""
    tree, version = directory / "tree", (ROOT / "VERSION").read_text().strip() + "+next"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control, settings = tree / "DEBIAN/control", tree / "etc/shout/shout.yaml"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    settings.write_text(settings.read_text() + "log: {level: debug}\n")
    built = directory / "next.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, built], check=True, stdout=subprocess.DEVNULL)
    return built, version


def send(username, password):
    """Sends mail after mail, each with a subject of its own, and prints which were acknowledged, until nobody reads."""
    number, client = 0, None
    while True:
        number += 1
        try:
            if not client:
                client = smtplib.SMTP("127.0.0.1", 25, timeout=60)
                client.login(username, password)
            client.sendmail("it@rossi.example", ["friend@elsewhere.example"],
                            f"From: it@rossi.example\r\nSubject: load {number}.\r\n\r\nGood evening.\r\n")
            print(number, flush=True)
        except (OSError, smtplib.SMTPException):
            client = None
            time.sleep(0.1)  # it is being restarted


class Load:
    """send() in the machine's network."""

    def __init__(self, machine):
        self.acknowledged = []
        self.process = subprocess.Popen(
            ["nsenter", "-t", machine.leader, "-n", sys.executable, __file__, "--send",
             machine.words["USERNAME"], machine.words["PASSWORD"]], stdout=subprocess.PIPE, text=True)

    def goes_on(self, count):
        """Until so many more are acknowledged."""
        for _ in range(count):
            line = self.process.stdout.readline()
            assert line, "who sends has ended"
            self.acknowledged.append(int(line))

    def stop(self):
        self.process.terminate()
        self.acknowledged += map(int, re.findall(r"(?m)^(\d+)$", self.process.communicate()[0]))


def arrived(machine):
    """How often each mail of send() did."""
    found = (re.search(r"(?m)^Subject: load (\d+)\.", mail.read_text(errors="replace"))
             for mail in machine.mails.glob("*.eml"))
    return collections.Counter(int(one[1]) for one in found if one)


def does(reader, command):
    """Runs a command that has to succeed; what it printed."""
    status, output = reader.machine.run(command, command.startswith("apt-get"))
    reader.holds(command.split("\n")[0], lambda: status == 0)
    if status:
        print(output, flush=True)
    return output


def states(machine, verb):
    return machine.run(f"systemctl {verb} {' '.join(UNITS)}")[1].split()


def owners(machine, *paths):
    return machine.run(f"stat -c '%a %U:%G' {' '.join(paths)}")[1].splitlines()


def install(reader, machine):
    does(reader, "apt-get update")
    does(reader, f"{INSTALL} /root/first.deb redis-server")
    reader.holds("nothing is enabled", lambda: states(machine, "is-enabled") == ["disabled"] * len(UNITS))
    reader.holds("nothing is started", lambda: states(machine, "is-active") == ["inactive"] * len(UNITS))
    reader.holds("only root writes the settings, only Shout reads them", lambda: owners(
        machine, "/etc/shout", "/etc/shout/shout.yaml", "/var/lib/shout")
        == ["750 root:shout", "640 root:shout", "700 shout:shout"])
    reader.holds("the files are as they were packed", lambda: machine.run("dpkg --verify shout") == (0, ""))
    does(reader, "systemd-analyze verify --man=no " + " ".join(f"/lib/systemd/system/{unit}.service" for unit in UNITS))
    (machine.root / "etc/shout/shout.yaml").write_text(SETTINGS)
    machine.must("adduser shout redis; printf 'port 0\\nunixsocket /run/redis/redis-server.sock\\nunixsocketperm 770\\n"
                 "maxmemory 100mb\\nmaxmemory-policy noeviction\\n' >>/etc/redis/redis.conf; systemctl restart redis")


def run(reader, machine):
    does(reader, "systemctl enable --now shout")
    listens = machine.run("bash -c 'exec 3<>/dev/tcp/127.0.0.1/25'")  # at once: READY=1 has come
    reader.holds("it is ready once it listens", lambda: listens == (0, ""))
    pid = machine.must("systemctl show -P MainPID shout").strip()
    status = machine.must(f"cat /proc/{pid}/status; id -u shout")
    reader.holds("it is its user, without capabilities, behind its filter of calls", lambda: re.search(
        r"(?s)Uid:\t(\d+)\t\1\t\1\t\1\n.*CapPrm:\t0+\nCapEff:\t0+\n.*CapAmb:\t0+\n"
        r"NoNewPrivs:\t1\nSeccomp:\t2\n.*\n\1\n$", status))
    reader.holds("the kernel has all it asks for", lambda: not re.search(
        r'"level":"(warn|error)","role":"shout"', machine.must("journalctl -o cat -u shout")))
    reader.holds("its file system is read-only", lambda: "Read-only file system" in machine.run(
        f"nsenter -t {pid} -m touch /etc/shout/new")[1])
    reader.holds("but for its state", lambda: machine.run(
        f"nsenter -t {pid} -m sh -c 'touch /var/lib/shout/new && rm /var/lib/shout/new'") == (0, ""))
    exposure = machine.must("systemd-analyze security shout")
    print(exposure.strip().splitlines()[-1], flush=True)
    added = does(reader, "shoutctl account add --name Rossi --contact it@rossi.example --domain rossi.example "
                 "--mode credentials --verified")
    machine.learn("shoutctl account add --name Rossi", added)


def reload(reader, machine):
    file = machine.root / "etc/shout/shout.yaml"
    file.write_text(SETTINGS + "log: {level: debug}\n")
    does(reader, "systemctl reload shout")
    reader.holds("the settings are read again",
                 lambda: '"key":"log.level"' in machine.must("journalctl -o cat -u shout"))
    file.write_text("hostname: [\n")
    does(reader, "systemctl reload shout")
    reader.holds("systemctl status says that they were refused", lambda: machine.must(
        "systemctl show -P StatusText shout").startswith("The settings were refused"))
    file.write_text(SETTINGS)
    does(reader, "systemctl reload shout")
    reader.holds("and no more once they are sound",
                 lambda: not machine.must("systemctl show -P StatusText shout").strip())


def upgrade(reader, machine, version):
    before = machine.must("systemctl show -P MainPID shout")
    load = Load(machine)
    try:
        load.goes_on(100)
        does(reader, f"{INSTALL} {KEEP} /root/next.deb")
        load.goes_on(100)
    finally:
        load.stop()
    reader.holds("the next version is there", lambda: machine.must("dpkg-query -W -f '${Version}' shout") == version)
    reader.holds("it was restarted", lambda: states(machine, "is-active")[0] == "active"
                 and machine.must("systemctl show -P MainPID shout") != before)
    reader.holds("the settings are the operator's",
                 lambda: (machine.root / "etc/shout/shout.yaml").read_text() == SETTINGS and owners(
                     machine, "/etc/shout/shout.yaml") == ["640 root:shout"])
    reader.holds("the package's lie beside", lambda: (machine.root / "etc/shout/shout.yaml.dpkg-dist").exists())
    reader.holds(f"all {len(load.acknowledged)} acknowledged mails arrive",
                 lambda: set(load.acknowledged) <= set(arrived(machine)))
    reader.holds("none of them twice", lambda: set(arrived(machine).values()) == {1})


def remove(reader, machine):
    does(reader, "apt-get remove -y shout")
    reader.holds("it has ended", lambda: machine.run("ls -d /proc/[0-9]*/exe -l | grep /usr/bin/shout")[0] == 1)
    reader.holds("settings and state stay", lambda: (machine.root / "etc/shout/shout.yaml").read_text() == SETTINGS
                 and "queue.mdb" in machine.must("find /var/lib/shout"))
    does(reader, f"{INSTALL} {KEEP} /root/next.deb")
    reader.holds("installed again, it runs as before", lambda: states(machine, "is-active")[0] == "active"
                 and "Rossi" in machine.run("shoutctl account list")[1])


def purge(reader, machine):
    said = does(reader, "apt-get purge -y shout")
    reader.holds("purging says that the mail stays", lambda: "/var/lib/shout stays" in said)
    reader.holds("and mail stays", lambda: "queue.mdb" in machine.must("find /var/lib/shout"))
    find = "find /etc /usr /lib/systemd /run/systemd /var/lib/systemd -path /usr/src -prune -o -name '*shout*' -print"
    reader.holds("nothing else does", lambda: machine.must(find) == "")
    machine.must("rm -r /var/lib/shout")
    does(reader, f"{INSTALL} /root/first.deb")
    does(reader, "apt-get purge -y shout")
    reader.holds("purged unused, it leaves nothing", lambda: machine.must(find) == ""
                 and machine.run("ls -d /var/lib/shout")[0] != 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--base", type=pathlib.Path)
    parser.add_argument("--send", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send:
        return send(*options.send)
    package, = options.packages.glob("shout_*.deb")
    reader = Reader()
    linted = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package], capture_output=True,
                            text=True)
    reader.holds(f"lintian finds no fault {linted.stdout.strip()}", lambda: linted.returncode == 0)
    with tempfile.TemporaryDirectory(prefix="shout-package-", dir="/var/tmp") as directory:
        base = options.base or empty_debian(pathlib.Path(directory, "debian"))
        newer, version = following(package, pathlib.Path(directory))
        with machine_of(base) as machine:
            reader.machine = machine
            for file, name in (package, "first.deb"), (newer, "next.deb"):
                shutil.copy(file, machine.root / "root" / name)
            install(reader, machine)
            run(reader, machine)
            reload(reader, machine)
            upgrade(reader, machine, version)
            remove(reader, machine)
            purge(reader, machine)
    print(f"{reader.passed} passed, {reader.failed} failed")
    return 1 if reader.failed else 0


if __name__ == "__main__":
    sys.exit(main())
