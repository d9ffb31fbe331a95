"""A Kubernetes of one node on this machine, and a customer beside it.

    cluster = Cluster(directory)      # programs by build.sh and images by images.sh are in there
    cluster.up()
    cluster.enter()                   # from now on this process is the customer: 10.99.0.50, outside of the node
    cluster.kubectl("get", "nodes")
    cluster.down()

The node is real: kubelet, containerd, runc, kube-proxy, kube-router for NetworkPolicies. It has a network of its own
that leads nowhere. Services of the type LoadBalancer get 10.99.0.101 and following, as a provider would give them.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import harness

HERE = pathlib.Path(__file__).resolve().parent
NODE, CUSTOMER, NEIGHBOUR = "10.99.0.1", "10.99.0.50", "10.99.0.51"
PROGRAMS = ("kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd containerd "
            "containerd-shim-runc-v2 ctr coredns kube-router prometheus-adapter helm helm4").split()
VOLUMES = 20
CLONE_NEWNET = 0x40000000


def run(*words, **options):
    """Its output; AssertionError with what it said when it fails."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Pki:
    """One CA; a certificate and, for clients of the API, a kubeconfig each."""

    NAMES = ("DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,DNS:metrics,"
             f"DNS:metrics.monitoring.svc,IP:127.0.0.1,IP:10.96.0.1,IP:{NODE}")

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True)
        self._openssl("req", "-x509", *self.KEY, "-days", "30", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt")
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self.make("apiserver", "/CN=kube-apiserver", server=True)
        self.make("kubelet-server", "/CN=node1", server=True)
        self.make("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        self.make("front-proxy-client", "/CN=front-proxy-client")
        for name, subject in (("admin", "/O=system:masters/CN=admin"), ("kubelet", "/O=system:nodes/CN=system:node:node1"),
                              ("controller-manager", "/CN=system:kube-controller-manager"),
                              ("scheduler", "/CN=system:kube-scheduler"), ("kube-proxy", "/CN=system:kube-proxy")):
            self.make(name, subject)
            self._kubeconfig(name)

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def _openssl(self, *words):
        run("openssl", *words, cwd=self.directory)

    def make(self, name, subject, server=False):
        usage = f"extendedKeyUsage=serverAuth\nsubjectAltName={self.NAMES}\n" if server else "extendedKeyUsage=clientAuth\n"
        (self.directory / f"{name}.ext").write_text(usage)
        self._openssl("req", *self.KEY, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
                      "-extfile", f"{name}.ext", "-out", f"{name}.crt")

    def _kubeconfig(self, name):
        at = self.directory / name
        at.with_suffix(".kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "node1",
            "clusters": [{"name": "node1", "cluster": {"server": f"https://{NODE}:6443",
                                                       "certificate-authority": str(self.directory / "ca.crt")}}],
            "users": [{"name": name, "user": {"client-certificate": f"{at}.crt", "client-key": f"{at}.key"}}],
            "contexts": [{"name": "node1", "context": {"cluster": "node1", "user": name}}]}))


class Cluster:
    def __init__(self, directory):
        self.root = pathlib.Path(directory).resolve()
        self.run = self.root / "run"
        self.processes = []
        self.ending = threading.Event()
        self.init = None  # the pid of the node's pid 1

    # life

    def up(self):
        self.down()
        self.ending.clear()
        shutil.rmtree(self.run, ignore_errors=True)
        for name in ("log", "kubelet", "etcd", "containerd"):
            (self.run / name).mkdir(parents=True)
        Pki(self.run / "pki")
        with open(self.run / "log/node-init.log", "wb") as log:
            process = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
                                        HERE / "node-init.sh", self.root], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.processes.append(process)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        self.init = int(harness.wait_for(lambda: children.read_text().split(), 30, "the node's pid 1")[0])
        (self.run / "pid").write_text(f"{self.init}\n")
        self._customer()
        harness.wait_for(self._ready, 300, "the node is ready")
        for number in range(VOLUMES):
            self._volume(number)
        threading.Thread(target=self._load_balancer, daemon=True).start()
        return self

    def down(self):
        """Ends the node that runs in this directory, and removes what kubelet left of control groups."""
        self.ending.set()
        file = self.run / "pid"
        if file.exists():
            pid = int(file.read_text())
            command = pathlib.Path(f"/proc/{pid}/cmdline")
            if command.exists() and b"node-init.sh" in command.read_bytes():
                os.kill(pid, signal.SIGKILL)
                harness.wait_for(lambda: not command.exists() or not command.read_bytes(), 60, "the node has ended")
            file.unlink()
        for process in self.processes:
            process.terminate()
            process.wait()
        self.processes.clear()
        for kind in ("kubepods", "k8s.io"):
            for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/{kind}"):
                subprocess.run(["find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], stderr=subprocess.DEVNULL)

    def _ready(self):
        assert self.processes[0].poll() is None, (self.run / "log/node-init.log").read_text()
        done = self._try("kubectl", "get", "node", "node1")
        return done.returncode == 0 and " Ready" in done.stdout

    def _customer(self):
        """A network namespace with a wire to the node's bridge, a process that keeps it, and two addresses."""
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.processes.append(keeper)
        self.customer = keeper.pid
        own = os.stat("/proc/self/ns/net").st_ino
        harness.wait_for(lambda: os.stat(f"/proc/{keeper.pid}/ns/net").st_ino != own, 30, "the customer's network")
        node = ["nsenter", "-n", "-t", str(self.init)]
        harness.wait_for(lambda: subprocess.run([*node, "ip", "link", "show", "node0"], capture_output=True).returncode == 0, 30,
                         "the node's bridge")
        run(*node, "ip", "link", "add", "customer", "type", "veth", "peer", "name", "node", "netns", keeper.pid)
        run(*node, "ip", "link", "set", "customer", "master", "node0", "up")
        inside = ["nsenter", "-n", "-t", str(keeper.pid), "ip"]
        run(*inside, "link", "set", "lo", "up")
        for address in (CUSTOMER, NEIGHBOUR):
            run(*inside, "addr", "add", f"{address}/24", "dev", "node")
        run(*inside, "link", "set", "node", "up")
        run(*inside, "route", "add", "default", "via", NODE)
        for number in range(101, 110):
            run(*inside, "route", "add", f"10.99.0.{number}", "via", NODE)

    def enter(self):
        """This thread, and those it starts, live in the customer's network."""
        with open(f"/proc/{self.customer}/ns/net") as namespace:
            assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    def _volume(self, number):
        """kubelet gives a directory of the node to no group (fsGroup), so everybody may use these."""
        at = self.run / f"volumes/{number}"
        at.mkdir(parents=True)
        at.chmod(0o777)
        self.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume{number}"}, "spec": {
            "capacity": {"storage": "1Ti"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(at)}}})

    def _load_balancer(self):
        """What a provider's controller does: addresses for Services of the type LoadBalancer."""
        addresses = [f"10.99.0.{number}" for number in range(101, 110)]
        while not self.ending.wait(0.5):
            done = self._try("kubectl", "get", "services", "-A", "-o", "json")
            if done.returncode != 0:
                continue
            services = [s for s in json.loads(done.stdout)["items"] if s["spec"]["type"] == "LoadBalancer"]
            taken = {i["ip"] for s in services for i in s["status"]["loadBalancer"].get("ingress", [])}
            for service in services:
                if not service["status"]["loadBalancer"].get("ingress"):
                    free = next(a for a in addresses if a not in taken)
                    taken.add(free)
                    self._try("kubectl", "-n", service["metadata"]["namespace"], "patch", "service", service["metadata"]["name"],
                              "--subresource=status", "-p", json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": free}]}}}))

    # commands

    def _command(self, words, inside=False):
        """Programs of this cluster, as its administrator; `inside` the node's namespaces. The API is reached from the
        customer's network, where this process may not be yet."""
        environment = dict(os.environ, PATH=f"{self.root}/bin:{os.environ['PATH']}", KUBECONFIG=str(self.run / "pki/admin.kubeconfig"),
                           HELM_CACHE_HOME=str(self.run / "helm"), HELM_CONFIG_HOME=str(self.run / "helm"), HELM_DATA_HOME=str(self.run / "helm"))
        where = ["-n", "-m", "-p", "-t", self.init] if inside else ["-n", "-t", self.customer]
        return [str(word) for word in ("nsenter", *where, *words)], environment

    def _try(self, *words, **options):
        command, environment = self._command(words)
        return subprocess.run(command, env=environment, capture_output=True, text=True, **options)

    def kubectl(self, *words, **options):
        command, environment = self._command(("kubectl", *words))
        return run(*command, env=environment, **options)

    def helm(self, *words, program="helm", **options):
        command, environment = self._command((program, *words))
        return run(*command, env=environment, **options)

    def inside(self, *words, **options):
        command, environment = self._command(words, inside=True)
        return run(*command, env=environment, **options)

    def popen(self, *words, **options):
        command, environment = self._command(words)
        return subprocess.Popen(command, env=environment, **options)

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
