"""The relay on the cluster: installed by Helm in the namespace `mail`, with what is around it."""

import json
import pathlib
import re
import socket


import harness
from cluster import HERE

CHART, PROXY_CHART = harness.ROOT / "deploy/kubernetes/shout", harness.ROOT / "deploy/kubernetes/egress-proxy"
DOMAIN, STRANGERS = "customer.example", "bob@elsewhere.example"
AROUND = ("statefulset/kafka", "queue"), ("deployment/sink", "internet"), ("deployment/prometheus", "monitoring")
SMTP, SUBMISSION, SUBMISSIONS = 25, 587, 465


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def uid(pod):
    return pod["metadata"]["uid"]


class Relay:
    namespace = "mail"

    def __init__(self, cluster, directory):
        self.cluster, self.directory = cluster, pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sink, self.seen = None, {}

    def prepare(self):
        """Namespaces, Kafka, Prometheus and the sink; certificates for both names."""
        cluster = self.cluster
        cluster.kubectl("apply", "-f", HERE / "backing.yaml")
        cluster.kubectl("-n", "internet", "create", "configmap", "sink", f"--from-file={harness.ROOT / 'tests/sink.py'}")
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": {
            f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}}})
        for name in ("shout01", "shout02"):
            self.certificate(name)
        for kind, namespace in AROUND:
            cluster.kubectl("-n", namespace, "rollout", "status", kind, "--timeout=300s")
        return self

    def certificate(self, name):
        """A new one, as a Secret of that name."""
        at = self.directory / name
        at.mkdir(exist_ok=True)
        certificate, key = harness.make_certificate(at, (f"{name}.provider.test",))
        secret = self.cluster.kubectl("-n", self.namespace, "create", "secret", "tls", name, f"--cert={certificate}", f"--key={key}",
                                      "--dry-run=client", "-o", "json")
        self.cluster.apply(json.loads(secret))
        return certificate

    # Helm

    def helm(self, verb, program="helm", **values):
        """install or upgrade; `values` are keys with __ for dots."""
        sets = [f"--set-json={key.replace('__', '.')}={json.dumps(value)}" for key, value in values.items()]
        return self.cluster.helm(verb, "shout", CHART, "-n", self.namespace, "-f", HERE / "values.yaml", "--wait", "--timeout=10m",
                                 *sets, program=program)

    # what is there

    def kubectl(self, *words, **options):
        return self.cluster.kubectl("-n", self.namespace, *words, **options)

    def staying(self, *labels):
        """The pods that are not going."""
        label = ",".join(("app.kubernetes.io/instance=shout", *labels))
        return [pod for pod in self.cluster.get("pods", "-n", self.namespace, "-l", label)["items"]
                if "deletionTimestamp" not in pod["metadata"]]

    def pods(self, role):
        """Their names."""
        return [pod["metadata"]["name"] for pod in self.staying(f"app.kubernetes.io/component={role}")]

    def pod(self, name):
        return self.cluster.get("pod", name, "-n", self.namespace)

    def wait_ready(self, deadline=300):
        """All that are there: none is going any more. A HAProxy goes once its customers' sessions have ended."""
        def ready():
            pods = self.cluster.get("pods", "-n", self.namespace, "-l", "app.kubernetes.io/instance=shout")["items"]
            return all(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods)
        harness.wait_for(ready, deadline, "all pods are ready")

    def wait_replaced(self, before, labels, deadline=300):
        """Other pods of these labels than `before` are ready, as many, while the latter may be going."""
        def replaced():
            now = [pod for pod in self.staying(labels) if is_ready(pod)]
            return len(now) == len(before) and not {uid(pod) for pod in before} & {uid(pod) for pod in now}
        harness.wait_for(replaced, deadline, "all pods are replaced")

    def door(self, number=1):
        """The address that a hostname has."""
        service = self.cluster.get("service", f"shout-shout{number:02}", "-n", self.namespace)
        return service["status"]["loadBalancer"]["ingress"][0]["ip"]

    def shoutctl(self, *words):
        return json.loads(self.kubectl("exec", "shout-control-0", "--", "shoutctl", "--json", *words))

    def events(self, *words):
        said = self.kubectl("exec", "shout-control-0", "--", "shoutctl", "--json", "events", "--limit", "200", *words)
        return [event for line in said.splitlines() if "event" in (event := json.loads(line))]

    def volume(self, claim, namespace):
        """The directory of this machine that a claim has."""
        name = self.cluster.get("pvc", claim, "-n", namespace)["spec"]["volumeName"]
        return pathlib.Path(self.cluster.get("pv", name)["spec"]["hostPath"]["path"])

    def tell_prometheus(self, ending):
        """Keeps Prometheus's list of the pods true, until the event `ending`."""
        file = self.volume("targets", "monitoring") / "pods.json"
        while not ending.wait(1):
            pods = self.cluster.get("pods", "-n", self.namespace, "-l", "app.kubernetes.io/instance=shout")["items"]
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps([{"targets": [f"{pod['status']['podIP']}:9090"], "labels": {
                "namespace": self.namespace, "pod": pod["metadata"]["name"]}} for pod in pods if pod["status"].get("podIP")]))
            fresh.rename(file)

    # the sink

    def mail(self):
        """What the sink has: {file: bytes}. """
        if not self.sink:
            self.sink = self.volume("mail", "internet")
        for path in self.sink.glob("*.eml"):
            if path.name not in self.seen:
                self.seen[path.name] = path.read_bytes()
        return self.seen

    def find(self, text):
        return [mail for mail in self.mail().values() if text.encode() in mail]

    def names(self):
        """X-Load-Id of each message that arrived, as often as it did (for load.balance())."""
        return [found[1].decode() for mail in self.mail().values() if (found := re.search(rb"X-Load-Id: (\S+)", mail))]


def reachable(host, port, source=None):
    """Whether a connection is made within 3 s: a NetworkPolicy's drop looks like nobody's answer."""
    try:
        socket.create_connection((host, port), 3, source_address=(source, 0) if source else None).close()
        return True
    except OSError:
        return False
