#!/usr/bin/python3
"""Runs the commands of README.md and of the pages that describe one machine, those in ```sh blocks, in an empty
Debian 12 that is booted for it, with a clock beside it; ends with one line: N passed, N failed. docs/book.py says who
runs blocks with other marks.

The machine has its own systemd and its own network, in which there is only itself: packages come through the
host's, signatures are a file with EICAR's instead of freshclam's, elsewhere.example is a name of its resolver
(which has no root key to check by), and its host a sink. Words in capitals are filled in by Machine.words.

    make test-readme                              needs root, debootstrap and some minutes
    tests/readme.py --base DIR                    an installed tree instead of debootstrap's; it is copied"""

import argparse
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import EICAR, ROOT, wait_for

HOST, GATEWAY = "5.5.5.5", "5.5.5.4"  # of elsewhere.example: an address that mail may be delivered to; and ours
SOURCE = "/usr/src/shout"
FROM_OUTSIDE = ("apt-get ", "deploy/deps.sh ")
RECORDS = (". NS ns.elsewhere.example.", "elsewhere.example. MX 10 mx.elsewhere.example.",
           f"mx.elsewhere.example. A {HOST}", f"shout01.provider.example. A {GATEWAY}")
SIGNATURES = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature"
INSTEAD = {  # of commands that need the internet
    "freshclam": f"echo {SIGNATURES} >/var/lib/clamav/test.hdb; "
                 f"echo Eicar-Test-Signature:0:*:{EICAR.hex()} >/var/lib/clamav/test.ndb; "
                 "chown clamav /var/lib/clamav/test.*; mkdir -p /etc/systemd/system/clamav-daemon.service.d; "
                 "printf '[Unit]\\nConditionPathExistsGlob=\\n' "
                 ">/etc/systemd/system/clamav-daemon.service.d/test.conf; systemctl daemon-reload",
}
BEFORE = {  # what the internet would have brought, or this machine's first start
    "make demo": ("outside", "deploy/deps.sh build run demo"),
    "shout check": ("inside", "sed -i 's/^dns:.*/dns: {forward: [\"127.0.0.1:53\"], trust_anchor: none}/' "
                    "/etc/shout/shout.yaml; printf 'server:\\n local-zone: \".\" static\\n' "
                    ">/etc/unbound/unbound.conf.d/test.conf; "
                    + "".join(f"echo ' local-data: \"{record}\"' >>/etc/unbound/unbound.conf.d/test.conf; "
                              for record in RECORDS) + "systemctl restart unbound"),
}


def blocks(file):
    """(section, mark, commands) of each ```sh block."""
    for section in re.split(r"(?m)^## ", (ROOT / file).read_text()):
        title = section.split("\n", 1)[0]
        for mark, text in re.findall(r"(?ms)^```sh ?([\w-]*)\n(.*?)^```$", section):
            yield title, mark, list(commands(text))


def commands(text):
    """A line each, with the lines that continue it, or that are its input."""
    lines = iter(text.splitlines())
    for line in lines:
        end = re.search(r"<<(\w+)$", line)
        while line.endswith("\\"):
            line += "\n" + next(lines)
        while end and line.rsplit("\n", 1)[-1] != end[1]:
            line += "\n" + next(lines)
        yield line


class Machine:
    """A copy of an empty Debian, with this source tree, booted by systemd-nspawn."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="shout-readme-", dir="/var/tmp"))
        self.root, self.mails = self.directory / "root", self.directory / "mails"
        self.processes, self.words, self.nspawn = [], {"PROVIDER": "mx.elsewhere.example"}, None

    def start(self, base):
        subprocess.run(["cp", "-a", base, self.root], check=True)
        self._sources()
        self._boot()

    def _sources(self):
        """Ours, and those that packages come from."""
        (self.root / "etc/apt/sources.list").unlink(missing_ok=True)
        for name in ("apt/apt.conf.d", "apt/sources.list.d", "apt/trusted.gpg.d"):
            shutil.copytree(f"/etc/{name}", self.root / "etc" / name, dirs_exist_ok=True)
        for name in ("apt/sources.list", "resolv.conf", "hosts"):
            if os.path.exists(f"/etc/{name}"):
                (self.root / "etc" / name).unlink(missing_ok=True)
                shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                               capture_output=True, text=True).stdout.split("\n")
        for name in filter(None, files):
            target = self.root / SOURCE[1:] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)

    def _boot(self):
        log = open(self.directory / "boot.log", "wb")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--boot", "--private-network",
             "--resolv-conf=off", f"--machine=shout-readme-{os.getpid()}", "-D", self.root,
             "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(self._is_up, 120, "systemd of the machine")
        self._connect()

    def _connect(self):
        """An internet of one host, in a network of its own: the sink."""
        sink = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", 'read -r go; exec "$@"', "-", sys.executable, ROOT / "tests/sink.py",
             "--address", HOST, "--port", "25", "--directory", self.mails], stdin=subprocess.PIPE, text=True)
        self.processes.append(sink)
        host = os.stat("/proc/self/ns/net").st_ino
        wait_for(lambda: os.stat(f"/proc/{sink.pid}/ns/net").st_ino != host)
        for pid, words in (
                (self.leader, f"link add internet type veth peer name internet netns {sink.pid}"),
                (self.leader, f"address add {GATEWAY}/31 dev internet"), (self.leader, "link set internet up"),
                (sink.pid, f"address add {HOST}/31 dev internet"), (sink.pid, "link set internet up"),
                (self.leader, f"route add default via {HOST}")):
            subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words.split()], check=True)
        sink.stdin.write("go\n")
        sink.stdin.close()

    def _is_up(self):
        """Its first process is nspawn's child in the end, after others."""
        children = pathlib.Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        self.leader = children[-1] if children else None
        return self.leader and self.run("systemctl is-system-running")[1].strip() in ("running", "degraded")

    def run(self, command, outside=False):
        """(exit status, what it printed); `outside`: with the host's network."""
        done = subprocess.run(
            ["nsenter", "-t", self.leader, "-m", "-u", "-i", "-p", "-C", *([] if outside else ["-n"]),
             "-r", "-w", "env", "-i", "HOME=/root", "USER=root", "DEBIAN_FRONTEND=noninteractive",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "sh", "-ec", f"cd {SOURCE} 2>/dev/null || cd /; {command}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return done.returncode, done.stdout

    def must(self, command):
        status, output = self.run(command)
        assert status == 0, (command, output)
        return output

    def send(self, subject, body):
        """The id of one more mail of the account."""
        words = {"--auth-user": "USERNAME", "--auth-password": "PASSWORD"}
        auth = " ".join(f"{option} {self.words[word]}" for option, word in words.items())
        command = (f"swaks --server 127.0.0.1:587 --tls --auth PLAIN {auth} --from it@rossi.example --to "
                   f"friend@elsewhere.example --header 'Subject: {subject}' --body {shlex.quote(body)}")
        # a change of the account counts within 5 seconds
        return wait_for(lambda: re.search(r"queued as (\w+)", self.run(command)[1]), what=f"{subject} is taken")[1]

    def has(self, name, message):
        return f'"{name}"' in self.run(f"shoutctl --json why {message}")[1]

    def word(self, name):
        """What stands for a word in capitals. Mail is made when it is first asked for."""
        if name == "HELD" and name not in self.words:
            self.words[name] = self.send("A virus", EICAR.decode())
            wait_for(lambda: self.has("held", self.words[name]), what="the virus is held")
        if name == "WAITING" and name not in self.words:
            self.words[name] = self.send("It waits", "Good evening.")
            wait_for(lambda: "waiting" in self.run(f"shoutctl queue show {self.words[name]}")[1], what="mail waits")
        return self.words.get(name, name)

    def learn(self, command, output):
        """What later commands are about."""
        for word, command_name, pattern in (
                ("ACCOUNT", "shoutctl account add --name Rossi", r"(?m)^Account +(\w+)"),
                ("USERNAME", "shoutctl account add --name Rossi", r"(?m)^Username +(\S+)"),
                ("PASSWORD", "shoutctl account (add --name Rossi|password)", r"(?m)^Password +(\S+)"),
                ("MESSAGE", "swaks", r"queued as (\w+)")):
            if re.match(command_name, command):
                self.words[word] = re.search(pattern, output)[1]

    def arrived(self, subject):
        return any(f"Subject: {subject}" in mail.read_text(errors="replace") for mail in self.mails.glob("*.eml"))

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()
        if self.nspawn and self.nspawn.poll() is None:
            self.nspawn.send_signal(signal.SIGTERM)  # a clean end
            try:
                self.nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        shutil.rmtree(self.directory)


class Reader:
    """Does what is written, and counts."""

    def __init__(self):
        self.machine, self.passed, self.failed = None, 0, 0

    def command(self, text):
        for first, (where, before) in BEFORE.items():
            if text.startswith(first) and (text == first or "make" not in first):
                self.machine.run(before, where == "outside")
        text = re.sub(r"\b(?:ACCOUNT|USERNAME|PASSWORD|MESSAGE|PROVIDER|WAITING|HELD)\b",
                      lambda found: self.machine.word(found[0]), text)
        began = time.monotonic()
        status, output = self.machine.run(INSTEAD.get(text, text), text.startswith(FROM_OUTSIDE))
        first = text.split("\n")[0]
        print(f"{'ok  ' if status == 0 else 'FAIL'} {time.monotonic() - began:5.1f} s  {first}", flush=True)
        if status == 0:
            self.passed += 1
            self.machine.learn(text, output)
        else:
            self.failed += 1
            print(output, flush=True)

    def section(self, file, wanted=None, mark=""):
        for title, marked, lines in blocks(file):
            if marked == mark and wanted in (None, title):
                for line in lines:
                    self.command(line)

    def holds(self, what, condition):
        try:
            wait_for(condition, 60)
            self.passed += 1
            print(f"ok   {what}", flush=True)
        except AssertionError:
            self.failed += 1
            print(f"FAIL {what}", flush=True)


def try_it(reader, machine):
    reader.section("README.md", "Try it")
    reader.holds("the demo left nothing enabled", lambda: not re.search(
        "redis|clamav", machine.run("ls /etc/systemd/system/*.wants")[1]))


def install(reader, machine):
    began = time.monotonic()
    reader.section("docs/quickstart.md", "Install it")
    reader.holds("the first mail arrived", lambda: machine.arrived("The first mail"))
    print(f"from an empty Debian to the first mail: {time.monotonic() - began:.0f} s", flush=True)
    reader.holds("its story says so", lambda: machine.has("delivered", machine.words["MESSAGE"]))
    status = machine.run("cat /proc/$(systemctl show -P MainPID shout)/status; id -u shout")[1]
    reader.holds("Shout is a user without capabilities", lambda: re.search(
        r"(?s)Uid:\t(\d+)\t\1\t\1\t\1\n.*CapEff:\t0+\n.*\n\1\n$", status))


def operate(reader, machine):
    reader.section("docs/quickstart.md", "Every day")
    reader.section("docs/operation.md")
    reader.section("docs/runbook.md")
    machine.must(f"shoutctl account enable {machine.words['ACCOUNT']}")
    machine.must("shoutctl suspend --domain elsewhere.example --reason upgrade")
    machine.send("Over the upgrade", "Good evening.")
    reader.section("docs/upgrade.md")
    reader.section("docs/backup.md")
    machine.must("shoutctl resume --domain elsewhere.example")
    reader.holds("mail that waited came over the upgrade and the move", lambda: machine.arrived("Over the upgrade"))
    machine.must("systemctl stop shout; find /var/lib/shout -mindepth 1 -delete; systemctl start shout")
    wait_for(lambda: machine.run("shoutctl account list")[0] == 0, what="the new machine answers")
    reader.section("docs/backup.md", mark="new-machine")
    reader.holds("the accounts are back", lambda: "Rossi" in machine.run("shoutctl account list")[1])
    machine.must("shoutctl resume --domain elsewhere.example")  # the backup has the suspension
    machine.send("After the restore", "Good morning.")
    reader.holds("and their logins work", lambda: machine.arrived("After the restore"))


@contextlib.contextmanager
def machine_of(base):
    machine = Machine()
    try:
        machine.start(base)
        yield machine
    finally:
        machine.stop()


def empty_debian(directory):
    subprocess.run(["debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", "bookworm", directory],
                   check=True, stdout=subprocess.DEVNULL)
    return directory


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", type=pathlib.Path)
    parser.add_argument("--only", choices=["try", "install"])
    options = parser.parse_args()
    reader = Reader()
    with tempfile.TemporaryDirectory(prefix="shout-readme-", dir="/var/tmp") as directory:
        base = options.base or empty_debian(pathlib.Path(directory, "debian"))
        for name, steps in ("try", [try_it]), ("install", [install, operate]):
            if options.only in (None, name):
                with machine_of(base) as machine:
                    reader.machine = machine
                    for step in steps:
                        step(reader, machine)
    print(f"{reader.passed} passed, {reader.failed} failed")
    return 1 if reader.failed else 0


if __name__ == "__main__":
    sys.exit(main())
