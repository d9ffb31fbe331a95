"""Two Redis servers, a master and its replica, and three sentinels that replace the master within seconds."""

import subprocess

from harness import DEADLINE, Server, accepts, free_port, wait_for

MASTER = "mail"
PASSWORD = "masters-own"
SENTINEL_PASSWORD = "sentinels-own"


class Node(Server):
    """A redis-server, or a sentinel, at a port."""

    def __init__(self, directory, password):
        super().__init__(directory)
        self.port, self.password = free_port(), password
        self.address = f"127.0.0.1:{self.port}"

    def ready(self):
        return accepts(("127.0.0.1", self.port)) and self.run("PING") == "PONG"

    def run(self, *words):
        done = subprocess.run(["redis-cli", "--no-auth-warning", "-p", str(self.port), "-a", self.password,
                               *map(str, words)], capture_output=True, text=True, timeout=DEADLINE)
        return done.stdout.strip()


class Redis(Node):
    name = "redis"

    def __init__(self, directory):
        super().__init__(directory, PASSWORD)
        self.command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                        "--requirepass", PASSWORD, "--masterauth", PASSWORD, "--dir", self.directory,
                        "--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]

    def role(self):
        return self.run("ROLE").split("\n")[0]

    def follow(self, master):
        self.run("REPLICAOF", "127.0.0.1", master.port)
        wait_for(lambda: "master_link_status:up" in self.run("INFO", "replication"), what="the replica has its master")


class Sentinel(Node):
    name = "sentinel"

    def __init__(self, directory, master):
        super().__init__(directory, SENTINEL_PASSWORD)
        settings = self.directory / "sentinel.conf"
        settings.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\nrequirepass {SENTINEL_PASSWORD}\n"
                            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2\n"
                            f"sentinel auth-pass {MASTER} {PASSWORD}\n"
                            f"sentinel down-after-milliseconds {MASTER} 2000\n"
                            f"sentinel failover-timeout {MASTER} 3000\n")
        self.command = ["redis-server", settings, "--sentinel"]

    def can_replace(self):
        return (self.run("SENTINEL", "CKQUORUM", MASTER).startswith("OK 3 usable")
                and "master-link-status\nok" in self.run("SENTINEL", "REPLICAS", MASTER))


class Guarded:
    """Started, as a Shout's `redis`."""

    def __init__(self, rig):
        self.servers = [rig.add(Redis(rig.path("redis"))) for _ in range(2)]
        self.servers[1].follow(self.servers[0])
        self.sentinels = [rig.add(Sentinel(rig.path("sentinel"), self.servers[0])) for _ in range(3)]
        self.settings = {"sentinels": [sentinel.address for sentinel in self.sentinels], "master": MASTER,
                         "sentinel_password": SENTINEL_PASSWORD, "password": PASSWORD}
        self.await_quorum()

    def await_quorum(self):
        for sentinel in self.sentinels:
            wait_for(sentinel.can_replace, what="the sentinels can replace the master")
