"""A Postfix instance of its own, with its own queue, for tests that want the real thing as a client,
as a receiver or as the peer to measure against."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest

import harness

MASTER = "/usr/lib/postfix/sbin/master"


def _master_cf(services):
    common = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
lmtp      unix  - - n - - lmtp
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
    return "".join(f"{line}\n" for line in services) + common


class Postfix:
    """start() runs `master` under this process; stop() ends it by its own pid."""

    def __init__(self, directory, port, settings=None, log=None):
        if not os.path.exists(MASTER):
            pytest.skip("there is no Postfix where another mail server is installed")
        self.directory = str(directory)
        self.port = port
        self.config = os.path.join(self.directory, "etc")
        self.queue = os.path.join(self.directory, "queue")
        self.log = log or os.path.join(self.directory, "log")
        self.mail_log = os.path.join(self.directory, "maillog")
        self.process = None
        for name in ("etc", "queue", "data"):
            os.makedirs(os.path.join(self.directory, name), exist_ok=True)
        # Postfix's daemons drop to the user `postfix` and must reach the queue from the root.
        path = self.directory
        while path != "/":
            if not os.stat(path).st_mode & 0o001:
                os.chmod(path, os.stat(path).st_mode | 0o011)
            path = os.path.dirname(path)
        shutil.chown(os.path.join(self.directory, "data"), "postfix")
        self._make_queue()
        main = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": os.path.join(self.directory, "data"),
            "command_directory": "/usr/sbin",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "mail_owner": "postfix",
            "setgid_group": "postdrop",
            "myhostname": "postfix.example",
            "mydestination": "",
            "mynetworks": "127.0.0.0/8",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "alias_database": "",
            "smtp_dns_support_level": "disabled",
            "smtpd_recipient_restrictions": "permit_mynetworks, reject",
            "smtpd_peername_lookup": "no",
            # there is no syslog, and without a log nobody learns why it kept a message
            "maillog_file": self.mail_log,
            "maillog_file_prefixes": "/",
        }
        main.update(settings or {})
        with open(os.path.join(self.config, "main.cf"), "w") as f:
            f.writelines(f"{key} = {value}\n" for key, value in main.items())
        # Postfix waits out a file that may be in the middle of being written, for seconds.
        past = time.time() - 60
        os.utime(f.name, (past, past))
        with open(os.path.join(self.config, "master.cf"), "w") as f:
            f.write(_master_cf([f"127.0.0.1:{port} inet n - n - - smtpd"]))
        for name in ("dynamicmaps.cf", "postfix-files"):
            shutil.copy(os.path.join("/etc/postfix", name), self.config)

    def _make_queue(self):
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace", "maildrop", "public", "pid"):
            path = os.path.join(self.queue, name)
            os.makedirs(path, exist_ok=True)
            if name == "pid":
                continue
            shared = {"maildrop": 0o730, "public": 0o710}.get(name)
            shutil.chown(path, "postfix", "postdrop" if shared else "root")
            os.chmod(path, shared or 0o700)

    def start(self):
        self.process = subprocess.Popen(
            [MASTER, "-c", self.config, "-d"],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT,
            start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def submit(self, sender, recipients, message):
        """Hands a message to this Postfix by its sendmail command."""
        subprocess.run(
            ["/usr/sbin/sendmail", "-C", self.config, "-i", "-f", sender, *recipients],
            input=message, check=True, env={**os.environ, "MAIL_CONFIG": self.config})

    def wait_for(self, condition, what):
        """harness.wait_for() on what this Postfix should do; a failure tells what it did instead."""
        try:
            return harness.wait_for(condition, what=what)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.story()}") from None

    def story(self):
        """What it logged last, and what lies in its queue: a file that cannot be executed is not complete yet, one
        from the future is left alone until then."""
        files = [os.path.join(directory, name) for directory, _, names in os.walk(self.queue) for name in names]
        kept = [path for path in files if os.path.relpath(path, self.queue).split("/")[0] in
                ("maildrop", "incoming", "active", "deferred", "defer", "corrupt")]
        lines = ["queue:"]
        for path in kept:
            with contextlib.suppress(OSError):
                found = os.stat(path)
                lines.append(f"  {os.path.relpath(path, self.queue)} {found.st_mode:o} {found.st_size} bytes, "
                             f"{time.time() - found.st_mtime:.3f} s old")
        for log in (self.log, self.mail_log):
            if os.path.exists(log):
                with open(log, errors="replace") as text:
                    lines += [log + ":", *text.read().splitlines()[-60:]]
        return "\n".join(lines)

    def waiting(self):
        """Number of messages in its queue."""
        count = 0
        for name in ("maildrop", "incoming", "active", "deferred"):
            for _, _, files in os.walk(os.path.join(self.queue, name)):
                count += len(files)
        return count

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        deadline = time.monotonic() + 10
        while self._children() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _children(self):
        """Daemons of this instance that still run: their working directory is its queue."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd").startswith(self.queue):
                    found.append(int(pid))
            except OSError:
                pass
        return found
