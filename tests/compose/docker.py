"""Docker of the tests' own: images built as deploy/compose names them, and a daemon in a network of its own.

    docker.build()                    Shout's image, and stand-ins for the others, in the host's network: apt
    with docker.Daemon() as daemon:   its bridges, ports and rules are in that network alone
        daemon.docker("ps")

Everything is kept under build/compose. Stand-ins have the official names and the versions of Debian; Grafana's is a stub.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import harness
import kafka

KEPT = harness.ROOT / "build/compose"
HERE = pathlib.Path(__file__).resolve().parent / "standins"
COMPOSE = harness.ROOT / "deploy/compose"
STANDINS = {"apache/kafka": "kafka", "valkey/valkey": "valkey", "clamav/clamav": "clamav", "haproxy": "haproxy",
            "prom/prometheus": "prometheus", "prom/alertmanager": "alertmanager", "grafana/grafana": "grafana",
            "axllent/mailpit": "mailpit"}
VERSION = (harness.ROOT / "VERSION").read_text().strip()
SHOUT, AGAIN = f"shout:{VERSION}", "shout:again"
# Debian's client, where there are two: it builds without BuildKit
CLIENT = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"


def base():
    """What Dockerfile is built on."""
    return re.search(r"(?m)^ARG BASE=(\S+)", (harness.ROOT / "docker/Dockerfile").read_text())[1]


def pinned():
    """The other images of deploy/compose."""
    found = set()
    for file in COMPOSE.glob("compose*.yaml"):
        found |= set(re.findall(r"(?m)^ +image: ([\w./-]+:[\w.-]+)$", file.read_text()))
    return sorted(found)


class Daemon:
    """dockerd in a network namespace of its own or, with `inside` false, in the host's, without touching it."""

    def __init__(self, inside=True):
        self.inside = inside
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="shout-docker-"))  # sockets' paths are short
        self.env = dict(os.environ, DOCKER_HOST=f"unix://{self.directory}/socket", DOCKER_BUILDKIT="0",
                        COMPOSE_DOCKER_CLI_BUILD="0")
        self.process = None

    def __enter__(self):
        KEPT.mkdir(parents=True, exist_ok=True)
        words = ["dockerd", "--data-root", KEPT / "docker", "--exec-root", self.directory / "exec", "-p",
                 self.directory / "pid", "-H", f"unix://{self.directory}/socket"]
        if self.inside:
            words = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "-", *words]
        else:
            words += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        with open(KEPT / "dockerd.log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        harness.wait_for(lambda: self.docker("version", check=False, quiet=True) is not None, 120, "dockerd answers")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for space in self.directory.glob("exec/netns/*"):  # dockerd leaves its own mounted
            subprocess.run(["umount", "-l", space], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.directory)

    def run(self, *words, check=True, quiet=False, cwd=None, env=None, timeout=1800):
        """What a command of this daemon's client printed, or None when it failed."""
        done = subprocess.run([str(word) for word in words], env={**self.env, **(env or {})}, cwd=cwd, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace")
        if check:
            assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout[-6000:]}"
        return done.stdout if done.returncode == 0 else None

    def docker(self, *words, **options):
        return self.run(CLIENT, *words, **options)

    def has(self, image):
        return self.docker("image", "inspect", image, check=False) is not None


def import_base(daemon):
    """An installed Debian, with this host's way to its packages."""
    tag = base()
    if daemon.has(tag):
        return
    with tempfile.TemporaryDirectory(prefix="shout-base-", dir="/var/tmp") as directory:
        suite = re.search(r":(\w+)", tag)[1]
        subprocess.run(["debootstrap", "--variant=minbase", suite, directory], check=True, stdout=subprocess.DEVNULL)
        for path in pathlib.Path("/etc/apt/apt.conf.d").iterdir():
            if "Acquire" in path.read_text():
                shutil.copy(path, f"{directory}/etc/apt/apt.conf.d/")
        shutil.rmtree(f"{directory}/var/cache/apt/archives")
        tree = subprocess.Popen(["tar", "-C", directory, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run([CLIENT, "import", "-", tag], stdin=tree.stdout, env=daemon.env, check=True)
        assert tree.wait() == 0


def build_standin(daemon, image):
    name = STANDINS[image.split(":")[0]]
    with tempfile.TemporaryDirectory(prefix="shout-image-", dir="/var/tmp") as context:
        shutil.copytree(HERE, context, dirs_exist_ok=True)
        shutil.copy(harness.ROOT / "tests/sink.py", context)
        if name == "kafka":
            kafka.fetch_jars()
            shutil.copytree(kafka.JARS, f"{context}/jars", copy_function=os.link if same_disk(context) else shutil.copy)
        daemon.docker("build", "--network", "host", "--build-arg", f"BASE={base()}", "-t", image, "-f",
                      f"{context}/{name}.Dockerfile", context)


def same_disk(directory):
    return os.stat(directory).st_dev == os.stat(kafka.JARS).st_dev


def build_shout(daemon, tag=SHOUT, epoch=0):
    """Another `epoch` has everything compiled anew."""
    daemon.docker("build", "--network", "host", "--build-arg", f"SOURCE_DATE_EPOCH={epoch}", "--build-arg",
                  f"VERSION={VERSION}", "-t", tag, "-f", "docker/Dockerfile", ".", cwd=harness.ROOT, timeout=3600)


def build():
    """Whatever is not there yet, and Shout."""
    with Daemon(inside=False) as daemon:
        for step, names in ((import_base, [()]), (build_standin, [(image,) for image in pinned()]), (build_shout, [(SHOUT, 0), (AGAIN, 1)])):
            for arguments in names:
                start = time.monotonic()
                step(daemon, *arguments)
                print(f"{step.__name__} {' '.join(map(str, arguments))}: {time.monotonic() - start:.0f} s", flush=True)


@contextlib.contextmanager
def network(daemon, addresses, clients):
    """The internet: a namespace of the clients' addresses, wired to the daemon's with `addresses`. Yields the words that
    run a command in it."""
    here = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
    try:
        own = os.stat("/proc/self/ns/net").st_ino
        harness.wait_for(lambda: os.stat(f"/proc/{here.pid}/ns/net").st_ino != own)

        def ip(pid, words):
            subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", *words.split()], check=True)
        ip(daemon.process.pid, f"link add internet type veth peer name internet netns {here.pid}")
        for pid, all_of in ((daemon.process.pid, addresses), (here.pid, clients)):
            for address in all_of:
                ip(pid, f"address add {address}/24 dev internet")
            ip(pid, "link set internet up")
        ip(here.pid, "link set lo up")
        yield here.pid
    finally:
        here.kill()
        here.wait()


if __name__ == "__main__":
    build()
    sys.exit(0)
