"""The chart on a real Kubernetes: what it promises, from the first installation to the removal."""

import smtplib
import socket
import ssl
import subprocess
import threading

import pytest

import harness
from cluster import CUSTOMER, HERE, NEIGHBOUR, NODE
from load import Load, balance
from relay import CHART, SMTP, STRANGERS, SUBMISSION, SUBMISSIONS, Relay, reachable

OWN = "boss@customer.example"
NOTE = f"From: {OWN}\r\nTo: {STRANGERS}\r\nSubject: SUBJECT\r\n\r\nGood morning.\r\n"
ROLES = ("ingress", "scanner", "sender", "control", "haproxy", "valkey")


@pytest.fixture(scope="module")
def relay(node):
    relay = Relay(node, node.run / "relay").prepare()
    relay.helm("install")
    return relay


@pytest.fixture(scope="module")
def account(relay):
    """The customer, by the address it comes from."""
    return relay.shoutctl("account", "add", "--name", "Rossi", "--contact", "it@customer.example", "--domain", "customer.example",
                          "--mode", "ip", "--ip", CUSTOMER, "--verified")


def send(relay, subject, body=None, door=1, source=CUSTOMER):
    with smtplib.SMTP(relay.door(door), SMTP, timeout=60, source_address=(source, 0)) as client:
        client.sendmail(OWN, [STRANGERS], (body or NOTE).replace("SUBJECT", subject))


def test_every_pod_is_ready_under_the_restricted_profile(relay):
    namespace = relay.cluster.get("namespace", "mail")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {role: len(relay.pods(role)) for role in ROLES} == {"ingress": 2, "scanner": 2, "sender": 2, "control": 1, "haproxy": 2, "valkey": 1}
    relay.wait_ready(1)


def test_the_profile_is_enforced(relay):
    """Otherwise the test above would say nothing."""
    with pytest.raises(AssertionError, match="violates PodSecurity"):
        relay.kubectl("run", "root", "--image=local.test/servers:1", "--", "sleep", "60")


@pytest.mark.parametrize("door", [1, 2])
def test_a_mail_through_the_service_arrives_and_its_client_is_the_customer(relay, account, door):
    send(relay, f"by door {door}", door=door)
    mail, = harness.wait_for(lambda: relay.find(f"Subject: by door {door}"), 60, "the mail arrives")
    event = harness.wait_for(lambda: relay.events("--event", "accepted", "--client", CUSTOMER), 60, "it is told")[-1]
    assert event["client"] == event["credential"] == CUSTOMER and event["account"] == account["account"]
    assert event["node"] in relay.pods("ingress")
    assert b"Received: " in mail


def test_who_comes_from_another_address_is_another(relay, account):
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        send(relay, "not mine", source=NEIGHBOUR)
    assert refused.value.smtp_code == 530
    event = harness.wait_for(lambda: relay.events("--event", "rejected", "--client", NEIGHBOUR), 90, "the refusal is told")[-1]
    assert event["client"] == NEIGHBOUR


@pytest.mark.parametrize("name", ["shout01", "shout02"])
def test_each_name_has_its_certificate_on_each_port(relay, name):
    trusted = ssl.create_default_context(cafile=relay.directory / name / "cert.pem")
    door = relay.door(int(name[-2:]))
    for port in (SMTP, SUBMISSION):
        with smtplib.SMTP(door, port, timeout=30) as client:
            client._host = f"{name}.provider.test"
            client.starttls(context=trusted)
            assert client.ehlo()[0] == 250
    with trusted.wrap_socket(socket.create_connection((door, SUBMISSIONS), 30), server_hostname=f"{name}.provider.test") as tls:
        assert tls.recv(4) == b"220 "


def test_a_renewed_certificate_is_served_without_a_restart(relay):
    before = [relay.pod(name)["metadata"]["uid"] for name in relay.pods("ingress")]
    trusted = ssl.create_default_context(cafile=relay.certificate("shout02"))

    def served():
        with smtplib.SMTP(relay.door(2), SUBMISSION, timeout=30) as client:
            client._host = "shout02.provider.test"
            try:
                client.starttls(context=trusted)
            except ssl.SSLError:
                return False
            return True
    harness.wait_for(lambda: all(served() for _ in range(8)), 180, "the new certificate is served by all")
    assert [relay.pod(name)["metadata"]["uid"] for name in relay.pods("ingress")] == before


def test_a_virus_is_held(relay, account):
    send(relay, "virus", NOTE.replace("Good morning.", harness.EICAR.decode()))
    held = harness.wait_for(lambda: relay.shoutctl("queue", "list", "--state", "held")["rows"], 60, "the mail is held")
    assert len(held) == 1
    event, = harness.wait_for(lambda: relay.events("--event", "held"), 60, "it is told")
    assert event["verdict"] == "infected" and event["signature"].startswith("Eicar-Test-Signature")
    assert not [mail for mail in relay.find("Subject: virus") if f"X-Sink-To: <{STRANGERS}>".encode() in mail]  # but the notice


def test_each_sender_has_a_name_of_its_own(relay, account):
    for number, name in enumerate(sorted(relay.pods("sender"))):
        assert f"/etc/shout/sender-{number}.yaml" in relay.kubectl("exec", name, "--", "cat", "/proc/1/cmdline")
    send(relay, "by whom")
    harness.wait_for(lambda: relay.find("Subject: by whom"), 60, "the mail arrives")
    delivered = harness.wait_for(lambda: relay.events("--event", "delivered"), 60, "the delivery is told")
    assert {event["node"] for event in delivered} <= set(relay.pods("sender"))


class TestPolicies:
    """Each way that is barred beside one that is open, so that silence of a pod that is down is no proof."""

    def address(self, relay, role):
        return relay.pod(relay.pods(role)[0])["status"]["podIP"]

    def inside(self, relay, pod, host, port):
        """Whether a pod gets a connection to host:port."""
        probe = f"import socket; socket.create_connection(('{host}', {port}), 3)"
        command, environment = relay.cluster._command(("kubectl", "-n", pod[0], "exec", pod[1], "--", "python3", "-c", probe))
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

    def test_customers_reach_haproxy_alone(self, relay):
        assert reachable(self.address(relay, "haproxy"), 2525)
        assert not reachable(self.address(relay, "ingress"), 2525)  # a PROXY header from there would be believed

    @pytest.mark.parametrize("role, port", [("ingress", 2525), ("ingress", 9090), ("control", 8080), ("valkey", 6379), ("sender", 9090)])
    def test_a_neighbour_reaches_nothing(self, relay, role, port):
        sink = relay.cluster.get("pods", "-n", "internet", "-l", "app=sink")["items"][0]["metadata"]["name"]
        assert self.inside(relay, ("internet", sink), "kafka.queue", 9092)
        assert not self.inside(relay, ("internet", sink), self.address(relay, role), port)

    def test_prometheus_reads_metrics_and_no_more(self, relay):
        name = relay.cluster.get("pods", "-n", "monitoring", "-l", "app=prometheus")["items"][0]["metadata"]["name"]
        assert self.inside(relay, ("monitoring", name), self.address(relay, "ingress"), 9090)
        assert not self.inside(relay, ("monitoring", name), self.address(relay, "control"), 8080)

    def test_a_role_reaches_what_it_needs_and_no_more(self, relay):
        def connects(pod, host, port):
            """The shell's own /dev/tcp: the image has nothing else."""
            command, environment = relay.cluster._command(("kubectl", "-n", "mail", "exec", pod, "--", "timeout", "3", "bash", "-c",
                                                           f"exec 3<>/dev/tcp/{host}/{port}"))
            return subprocess.run(command, env=environment, capture_output=True).returncode == 0
        ingress, sender, control = (relay.pods(role)[0] for role in ("ingress", "sender", "control"))
        kafka = relay.cluster.get("service", "kafka", "-n", "queue")["spec"]["clusterIP"]
        for pod in (ingress, sender, control):
            assert connects(pod, kafka, 9092)
            assert not connects(pod, NODE, 6443)  # the API of Kubernetes
        assert connects(sender, "10.96.0.25", 25)
        assert not connects(ingress, "10.96.0.25", 25)
        assert not connects(control, self.address(relay, "ingress"), 2525)


class Traffic:
    """Mail from four sessions at once while something happens; at the end all that was accepted has arrived."""

    def __init__(self, relay):
        self.relay = relay
        self.load = Load([f"{relay.door(number)}:{SMTP}" for number in (1, 2)], sessions=4, pause=0.25, sender=OWN, recipient=STRANGERS)

    def __enter__(self):
        self.load.start()
        self.more(20)
        return self

    def more(self, count):
        """So many more are accepted: mail goes on."""
        before = self.load.accepted()
        harness.wait_for(lambda: self.load.accepted() >= before + count, 180, f"{count} more messages are accepted")

    def __exit__(self, kind, *_):
        self.load.stop()
        if kind is None:
            self.relay.wait_ready()
            accepted = {sent.name for sent in self.load.all("accepted")}
            harness.wait_for(lambda: accepted <= set(self.relay.names()), 300, "all that was accepted has arrived")

    def names(self):
        """Of this load alone."""
        return [name for name in self.relay.names() if name.startswith(f"{self.load.run}-")]

    def balance(self):
        found = balance(self.load, self)
        print(found)
        return found


@pytest.mark.parametrize("role", ROLES)
def test_a_pod_that_is_killed_under_load_loses_nothing(relay, account, role):
    with Traffic(relay) as traffic:
        victim = relay.pods(role)[0]
        before = relay.pod(victim)["metadata"]["uid"]
        relay.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
        traffic.more(20)
        harness.wait_for(lambda: before not in [relay.pod(name)["metadata"]["uid"] for name in relay.pods(role)], 60, "another pod is there")
        relay.wait_ready()
        traffic.more(20)
    found = traffic.balance()
    assert not found.lost and not found.extra


def test_kafka_killed_under_load_loses_nothing(relay, account):
    with Traffic(relay) as traffic:
        relay.cluster.kubectl("-n", "queue", "delete", "pod", "kafka-0", "--grace-period=0", "--force")
        relay.cluster.kubectl("-n", "queue", "rollout", "status", "statefulset/kafka", "--timeout=300s")
        traffic.more(20)
    found = traffic.balance()
    assert not found.lost and not found.extra


def test_a_rolling_upgrade_loses_nothing_and_turns_nobody_away(relay, account):
    with Traffic(relay) as traffic:
        relay.helm("upgrade", image__tag="2")
        traffic.more(20)
    found = traffic.balance()
    assert not found.lost and not found.extra and not found.duplicates
    assert not traffic.load.turned_away
    for role in ("ingress", "scanner", "sender", "control"):
        for name in relay.pods(role):
            assert "local.test/shout:2" in [container["image"] for container in relay.pod(name)["spec"]["containers"]]


def test_a_drain_of_the_node_obeys_the_budgets_and_loses_nothing(relay, account):
    """The node is the only one, so what was evicted returns when it may be used again; a budget keeps the last pod."""
    drained = "app.kubernetes.io/component!=valkey"
    before = relay.staying(drained)
    with Traffic(relay) as traffic:
        drain = relay.cluster.popen("kubectl", "drain", "node1", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=600s",
                                    f"--pod-selector=app.kubernetes.io/instance=shout,{drained}",
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            harness.wait_for(lambda: len(relay.pods("ingress")) == 2 and any(
                relay.pod(name)["status"]["phase"] == "Pending" for name in relay.pods("ingress")), 180, "a pod waits for another node")
            traffic.more(20)  # with one pod of each role
            relay.cluster.kubectl("uncordon", "node1")
            relay.wait_replaced(before, drained)
        finally:
            drain.terminate()
            said = drain.communicate()[0]
            relay.cluster.kubectl("uncordon", "node1")
        assert "violate the pod's disruption budget" in said
        traffic.more(20)
    found = traffic.balance()
    assert not found.lost and not found.extra and not found.duplicates


@pytest.fixture(scope="module")
def adapter(relay):
    """prometheus-adapter with the rules of the chart's example, on the node, as an API of the cluster."""
    cluster, pki = relay.cluster, relay.cluster.run / "pki"
    ending = threading.Event()
    teller = threading.Thread(target=relay.tell_prometheus, args=(ending,))
    teller.start()
    prometheus = cluster.get("service", "prometheus", "-n", "monitoring")["spec"]["clusterIP"]
    command, environment = cluster._command((
        "prometheus-adapter", f"--prometheus-url=http://{prometheus}:9090", f"--config={CHART}/examples/prometheus-adapter.yaml",
        "--secure-port=6444", "--metrics-relist-interval=5s", "--metrics-max-age=1m", f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key", *(f"--{what}-kubeconfig={pki}/admin.kubeconfig" for what in (
            "lister", "authentication", "authorization"))), inside=True)
    with open(cluster.run / "log/prometheus-adapter.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    cluster.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics", "namespace": "monitoring"},
         "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6444}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {"name": "metrics", "namespace": "monitoring", "labels": {"kubernetes.io/service-name": "metrics"}},
         "ports": [{"name": "https", "port": 6444}], "endpoints": [{"addresses": [NODE], "conditions": {"ready": True}}]},
        *({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"},
           "spec": {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True,
                    "service": {"name": "metrics", "namespace": "monitoring", "port": 443}}}
          for group, version in (("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1"))))
    yield
    cluster.kubectl("delete", "apiservice", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")
    process.terminate()
    process.wait()
    ending.set()
    teller.join()


class TestAutoscaling:
    def pods_wanted(self, relay, role):
        return relay.cluster.get("hpa", f"shout-{role}", "-n", "mail")["status"].get("desiredReplicas")

    @pytest.fixture(scope="class", autouse=True)
    def scaled(self, relay, account, adapter):
        before = set(relay.pods("ingress"))
        relay.helm("upgrade", image__tag="2", ingress__autoscaling={"enabled": True, "min": 2, "max": 3, "sessions": 6},
                   scanner__autoscaling={"enabled": True, "min": 1, "max": 3, "backlog": 4})
        assert before == set(relay.pods("ingress"))  # none stopped for want of a number
        yield
        relay.helm("upgrade", image__tag="2")

    def test_ingress_grows_with_its_sessions(self, relay):
        harness.wait_for(lambda: self.pods_wanted(relay, "ingress") == 2, 120, "the metric is known")
        clients = [smtplib.SMTP(relay.door(), SMTP, timeout=60) for _ in range(15)]
        try:
            harness.wait_for(lambda: len(relay.pods("ingress")) == 3, 180, "there is a third ingress")
            relay.wait_ready()
        finally:
            for client in clients:
                client.close()

    def test_scanners_grow_with_the_unfinished_records(self, relay):
        """clamds that stand still: their scanners have all mail in hand, and none of it is finished."""
        harness.wait_for(lambda: self.pods_wanted(relay, "scanner") in (1, 2), 120, "the metric is known")
        clamds = relay.cluster.inside("pgrep", "-x", "clamd").split()
        relay.cluster.inside("kill", "-STOP", *clamds)
        for number in range(12):
            send(relay, f"waits for a scanner {number}")
        harness.wait_for(lambda: self.pods_wanted(relay, "scanner") == 3, 180, "three scanners are wanted")
        relay.cluster.inside("kill", "-CONT", *clamds)
        harness.wait_for(lambda: len(relay.find("Subject: waits for a scanner")) >= 12, 300, "all of it is scanned")


def test_a_removal_leaves_mail_accounts_and_volumes(relay, account):
    held = [one["id"] for one in relay.shoutctl("queue", "list", "--state", "held")["rows"]]
    claims = {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in relay.cluster.get("pvc", "-n", "mail")["items"]}
    assert held and set(claims) == {"state-shout-control-0", "state-shout-sender-0", "state-shout-sender-1", "state-shout-valkey-0"}
    relay.cluster.helm("uninstall", "shout", "-n", "mail", "--wait", "--timeout=5m")
    harness.wait_for(lambda: not relay.cluster.get("pods", "-n", "mail")["items"], 180, "all pods have gone")
    assert {claim["metadata"]["name"]: claim["spec"]["volumeName"] for claim in relay.cluster.get("pvc", "-n", "mail")["items"]} == claims
    relay.helm("install", program="helm4")
    assert relay.shoutctl("account", "list")["accounts"][0]["id"] == account["account"]
    assert [one["id"] for one in relay.shoutctl("queue", "list", "--state", "held")["rows"]] == held
    send(relay, "after the removal")
    harness.wait_for(lambda: relay.find("Subject: after the removal"), 60, "the mail arrives")


def test_a_removal_leaves_strimzis_topics(relay):
    relay.cluster.kubectl("apply", "-f", HERE / "strimzi.yaml")
    relay.cluster.kubectl("wait", "--for=condition=Established", "crd/kafkatopics.kafka.strimzi.io", "--timeout=60s")
    relay.cluster.kubectl("create", "namespace", "topics")
    relay.cluster.helm("install", "shout", CHART, "-n", "topics", "-f", HERE / "values.yaml", "--set-json",
                       'kafka={"brokers":"","strimzi":{"enabled":true}}')
    kinds = "kafkas,kafkanodepools,kafkatopics"
    before = {one["metadata"]["uid"] for one in relay.cluster.get(kinds, "-n", "topics")["items"]}
    assert len(before) == 8
    relay.cluster.helm("uninstall", "shout", "-n", "topics")
    assert {one["metadata"]["uid"] for one in relay.cluster.get(kinds, "-n", "topics")["items"]} == before
    relay.cluster.kubectl("delete", "namespace", "topics", "--wait=false")
