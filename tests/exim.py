"""Exim as a customer's mail server. Debian's package conflicts with Postfix, so it is unpacked under
build/ instead of installed, and finds its user in a passwd file of its own (nss_wrapper)."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "exim"
PROGRAM = HOME / "usr/sbin/exim4"
NOBODY = 65534


def unpack():
    """Debian's exim4-daemon-light under build/, once."""
    if PROGRAM.exists():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "-q", "download", "exim4-daemon-light"]
    if subprocess.run(download, cwd=HOME, capture_output=True).returncode != 0:
        subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
        subprocess.run(download, cwd=HOME, check=True, capture_output=True)
    package, = HOME.glob("exim4-daemon-light_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, HOME], check=True)
    PROGRAM.chmod(0o755)  # a setuid program takes no wrapper


class Exim:
    """Exim's command with a configuration and a spool of its own; it delivers while one waits."""

    def __init__(self, directory, hostname, settings):
        """`settings` are what a postmaster writes: the text behind the main options."""
        unpack()
        self.spool = directory / "spool"
        self.spool.mkdir(parents=True)
        os.chown(self.spool, NOBODY, NOBODY)
        for above in (directory, *directory.parents):
            if not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
        for name, entry in (("passwd", f"Debian-exim:x:{NOBODY}:{NOBODY}::/:/bin/false\n"),
                            ("group", f"Debian-exim:x:{NOBODY}:\n")):
            others = [line for line in pathlib.Path("/etc", name).read_text().splitlines(keepends=True)
                      if not line.startswith("Debian-exim:")]  # on a machine with an Exim of its own
            (directory / name).write_text("".join([*others, entry]))
        self.env = {**os.environ, "LD_PRELOAD": "libnss_wrapper.so",
                    "NSS_WRAPPER_PASSWD": str(directory / "passwd"),
                    "NSS_WRAPPER_GROUP": str(directory / "group")}
        self.config = directory / "exim.conf"
        self.config.write_text(f"""\
primary_hostname = {hostname}
disable_ipv6 = true
spool_directory = {self.spool}
log_file_path = {self.spool}/%slog
exim_path = {PROGRAM}
deliver_drop_privilege = true
keep_environment = LD_PRELOAD : NSS_WRAPPER_PASSWD : NSS_WRAPPER_GROUP
{settings}""")

    def submit(self, sender, recipient, message):
        """Hands a message to Exim, which tries to deliver it at once; what the log says then."""
        subprocess.run([PROGRAM, "-C", self.config, "-i", "-odf", "-f", sender, recipient],
                       input=message, env=self.env, check=True, capture_output=True, timeout=60)
        return (self.spool / "mainlog").read_text(errors="replace")
