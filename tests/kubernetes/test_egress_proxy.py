"""The chart of the egress proxies: who asks as the right user leaves by the node's address, for the port of mail alone."""

import contextlib
import json
import socket
import subprocess
import threading

import pytest

import harness
from cluster import CUSTOMER, NODE
from relay import PROXY_CHART

ADDRESS, NAMESPACE, PASSWORD = "10.99.0.77", "proxies", "not a guess"
ASKER = ("internet", "asker")

# A pod asks a proxy for a connection, by RFC 1928 and RFC 1929, and says what came back.
ASK = """
import socket, sys
proxy, port, user, password, host, there = sys.argv[1:]
s = socket.create_connection((proxy, int(port)), 5)
s.sendall(bytes([5, 1, 2]))
assert s.recv(2) == bytes([5, 2]), "method"
s.sendall(bytes([1, len(user)]) + user.encode() + bytes([len(password)]) + password.encode())
assert s.recv(2) == bytes([1, 0]), "password"
s.sendall(bytes([5, 1, 0, 1]) + socket.inet_aton(host) + int(there).to_bytes(2, "big"))
said = s.recv(10)
assert said[1] == 0, "refused"
print(s.makefile().readline().strip())
"""


class Internet:
    """A mail host outside of the cluster, which greets each client by the address that it comes from."""

    def __init__(self, address, port):
        self.server = socket.create_server((address, port))
        threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self):
        with contextlib.suppress(OSError):
            while True:
                client, (address, _) = self.server.accept()
                with client:
                    client.sendall(f"220 {address}\r\n".encode())

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.fixture(scope="module")
def proxy(node):
    """Where pods ask: the proxy of an address that the node has besides its own."""
    node.inside("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    hosts = [Internet(CUSTOMER, port) for port in (25, 80)]
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "internet"}},
               {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {
                   "pod-security.kubernetes.io/enforce": "privileged"}}})
    digest = subprocess.run(["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True).stdout.strip()
    node.kubectl("-n", NAMESPACE, "create", "secret", "generic", "egress-proxy", f"--from-literal=shadow=shout:{digest}:19000::::::")
    values = {"image": {"repository": "local.test/egress-proxy", "tag": "1"}, "from": ["10.0.0.0/8"], "allow": [f"{CUSTOMER}/32"],
              "proxies": [{"name": "mx-a", "node": "node1", "address": ADDRESS, "port": 1080}]}
    node.helm("install", "egress", PROXY_CHART, "-n", NAMESPACE, "--wait", "--timeout=5m",
              *(f"--set-json={key}={json.dumps(value)}" for key, value in values.items()))
    security = {"runAsNonRoot": True, "runAsUser": 1001, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}}
    node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ASKER[1], "namespace": ASKER[0]}, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "asker", "image": "local.test/servers:1", "command": ["sleep", "3600"], "securityContext": security}]}})
    node.kubectl("-n", ASKER[0], "wait", "--for=condition=Ready", f"pod/{ASKER[1]}", "--timeout=120s")
    yield node.get("service", "mx-a", "-n", NAMESPACE)["spec"]["clusterIP"]
    node.helm("uninstall", "egress", "-n", NAMESPACE, "--wait")
    node.kubectl("-n", ASKER[0], "delete", "pod", ASKER[1])
    for host in hosts:
        host.close()


def ask(node, proxy, host=CUSTOMER, there=25, port=1080, user="shout", password=PASSWORD):
    """What the host says, or the last line of the fault."""
    command, environment = node._command(("kubectl", "-n", ASKER[0], "exec", ASKER[1], "--", "python3", "-c", ASK, proxy, str(port), user, password,
                                          host, str(there)))
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip() or next(line for line in reversed(done.stderr.splitlines()) if "Error" in line)


def test_who_asks_leaves_by_the_address(node, proxy):
    assert ask(node, proxy) == f"220 {ADDRESS}"


def test_it_listens_at_the_nodes_own_address_alone(node, proxy):
    assert ask(node, NODE) == f"220 {ADDRESS}"
    assert "refused" in ask(node, ADDRESS)


@pytest.mark.parametrize("why, wrong", [
    ("password", {"password": "a guess"}), ("password", {"user": "root"}), ("refused", {"there": 80}),  # another port
    ("refused", {"host": NODE, "there": 6443}), ("refused", {"host": "127.0.0.1", "there": 25}), ("refused", {"host": "169.254.169.254"})])
def test_nobody_else_and_nothing_else(node, proxy, why, wrong):
    assert why in ask(node, proxy, **wrong)
    assert ask(node, proxy) == f"220 {ADDRESS}"


def test_a_proxy_that_was_killed_comes_back(node, proxy):
    pod, = node.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=mx-a")["items"]
    node.kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    harness.wait_for(lambda: ask(node, proxy) == f"220 {ADDRESS}", 120, "another one answers")
