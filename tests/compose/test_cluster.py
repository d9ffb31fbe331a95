"""deploy/compose/compose.yaml as it is: who comes in and as whom, who holds what right, and who may die."""

import os
import signal
import time

import pytest

from harness import EICAR, send, wait_for
from stack import ADDRESSES, NAMES, OFFICE, PORTS, ROAMING, Flow, slowly

# What dies between a message and the word for it may bring that message twice: a sender that had no time to note the
# remote's 250, and a sink whose 250 was lost.
MAY_REPEAT = ["sender1", "sender2", "sink"]
HAD_LATELY = 60  # copies: what each of them had in hand, at concurrency_max connections
BIND = 1 << 10   # CAP_NET_BIND_SERVICE


@pytest.fixture(scope="module")
def rossi(cluster):
    """Logs in."""
    return cluster.account("rossi.example", "--mode", "credentials")


@pytest.fixture(scope="module")
def office(cluster):
    """Known by its address."""
    return cluster.account("office.example", "--mode", "ip", "--ip", OFFICE)


def message(subject, text=b"hello"):
    return f"From: it@rossi.example\r\nTo: friend@elsewhere.example\r\nSubject: {subject}\r\n\r\n".encode() + text + b"\r\n"


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_each_name_has_its_certificate_at_each_port(cluster, rossi, address, port):
    subject = f"by-{NAMES[address]}-{port}"
    with cluster.smtp(address, port) as client:
        assert client.greeting.startswith(f"{NAMES[address]}.provider.example ")
        client.login(rossi["username"], rossi["password"])
        queued = send(client, "it@rossi.example", "friend@elsewhere.example", message(subject))
    cluster.arrives(subject)
    event = wait_for(slowly(lambda: cluster.events("--event", "accepted", "--id", queued)))[-1]
    assert (event["client"], event["node"]) == (ROAMING, f"{NAMES[address]}.provider.example")
    with cluster.smtp(address, port, sni=False):
        pass


def test_an_address_is_known_through_the_proxy(cluster, office):
    def mail_from(source):
        with cluster.smtp(ADDRESSES[0], 25, source=source) as client:
            client.ehlo()
            return client.mail("anna@office.example")[0]
    wait_for(slowly(lambda: mail_from(OFFICE) == 250))
    assert mail_from(ROAMING) == 530
    with cluster.smtp(ADDRESSES[0], 25, source=OFFICE) as client:
        queued = send(client, "anna@office.example", "bob@elsewhere.example", message("by-address").replace(
            b"it@rossi.example", b"anna@office.example"))
    event = wait_for(slowly(lambda: cluster.events("--event", "accepted", "--id", queued)))[-1]
    assert (event["client"], event["credential"]) == (OFFICE, OFFICE)


def test_a_virus_is_held(cluster, rossi):
    with cluster.smtp(ADDRESSES[1], 587) as client:
        client.login(rossi["username"], rossi["password"])
        queued = send(client, "it@rossi.example", "friend@elsewhere.example", message("virus", EICAR))
    event = wait_for(slowly(lambda: cluster.events("--event", "held", "--id", queued)), 120)[-1]
    assert (event["verdict"], "Eicar" in event["signature"]) == ("infected", True)
    assert "virus" not in cluster.sunk()


def test_no_container_has_a_right(cluster):
    for service in cluster.roles():
        now = cluster.status(service)
        assert now["Uid"].split() == ["10001"] * 4, service
        for kind in ("Inh", "Prm", "Eff", "Amb"):
            assert int(now[f"Cap{kind}"], 16) == 0, (service, kind)
        assert int(now["CapBnd"], 16) & ~BIND == 0 and now["NoNewPrivs"] == "1", service
        for path in "/", "/usr/local/bin/", "/etc/shout/", "/tmp/":
            assert cluster.exec(service, "touch", f"{path}x", check=False) is None, (service, path)


def test_each_scanner_and_sender_tells_what_it_has_in_hand(cluster):
    """Of two with one name and number, the one would overwrite the other's word."""
    def tellers():
        return sorted(node["role"] for node in cluster.ctl("queue", "summary")["nodes"])
    wait_for(slowly(lambda: tellers() == ["scanner", "scanner", "sender", "sender"]))


def test_secrets_are_in_files_alone(cluster):
    password = cluster.exec("control", "cat", "/etc/shout/redis-password").strip()
    assert len(password) == 48
    for service in cluster.services():
        assert password not in str(cluster.inspect(service)), service
    assert "NOAUTH" in cluster.exec("valkey", "valkey-cli", "dbsize")


def test_what_is_within_is_not_reached_from_without(cluster):
    for service in ("kafka1", "valkey", "clamd", "shout01", "scanner1", "sender1"):
        assert not any((cluster.inspect(service)["NetworkSettings"]["Ports"] or {}).values()), service
    for service in cluster.services():
        for ports in (cluster.inspect(service)["NetworkSettings"]["Ports"] or {}).values():
            for port in ports or []:
                assert service == "haproxy" or port["HostIp"] == "127.0.0.1", (service, port)


def test_nothing_is_unbounded(cluster):
    for service in cluster.services():
        host = cluster.inspect(service)["HostConfig"]
        assert host["Memory"] > 0 and host["LogConfig"]["Config"]["max-size"], service
        assert host["RestartPolicy"]["Name"] == "always", service


def test_prometheus_and_grafana_see_all(cluster):
    def roles():
        return sorted(labels["role"] for labels, value in cluster.query('up{job="shout"}') if value == 1)
    wanted = ["control", "ingress", "ingress", "scanner", "scanner", "sender", "sender"]
    wait_for(slowly(lambda: roles() == wanted), 300, "all are scraped")
    assert '"ok"' in cluster.outside(3000, "/api/health")
    assert '"alertmanager"' in cluster.outside(9091, "/api/v1/alertmanagers") or \
        "alertmanager:9093" in cluster.outside(9091, "/api/v1/alertmanagers")


@pytest.mark.parametrize("services", [
    ["haproxy", "shout01", "shout02", "control"], ["scanner1", "scanner2", "clamd", "valkey"], ["kafka1", "kafka2", "kafka3"],
    ["prometheus", "alertmanager", "grafana", "freshclam"], MAY_REPEAT], ids=" ".join)
def test_a_kill_loses_nothing(cluster, office, services, tell):
    """Of each container in turn, while mail flows."""
    flow = Flow(cluster)
    for service in services:
        flow.await_more()
        name = cluster.name(service)
        cluster.daemon.docker("kill", name)
        if service != "haproxy":
            flow.await_more()
        cluster.daemon.docker("start", name)
        cluster.await_ready([service])
        flow.await_more()
    copies, more = flow.settle()
    tell(f"{' '.join(services)} killed: {flow.told()}, {copies} came twice, {more} without a 250")
    assert copies == 0 or services == MAY_REPEAT and copies <= HAD_LATELY


def test_a_crash_is_started_again_also_after_a_reload(cluster):
    cluster.compose("kill", "-s", "HUP", "scanner1")
    before = cluster.inspect("scanner1")["State"]["Pid"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: cluster.inspect("scanner1")["State"]["Pid"] not in (0, before), 60, "Docker starts it again")
    cluster.await_ready(["scanner1"])


def test_a_rolling_restart_refuses_no_connection(cluster, office, tell):
    """Those that are open hear 421 between two messages; whoever connects is served."""
    flow = Flow(cluster)
    knocks, asked = [], []

    def knock(address):
        with cluster.smtp(address, 25, source=OFFICE) as client:
            knocks.append(client.greeting.split(".")[0])
    for service in ("shout01", "shout02"):
        began = time.monotonic()
        cluster.daemon.docker("restart", "--time", "60", cluster.name(service), timeout=300)
        asked.append(time.monotonic() - began)
        for address in ADDRESSES * 3:
            knock(address)
        cluster.await_ready([service])
        cluster.await_served(service)
    copies, more = flow.settle()
    away = [said for said in flow.load.turned_away if said[0] != 421]
    tell(f"restarts of {[round(one) for one in asked]} s: {flow.told()}")
    assert (copies, more, away, flow.load.unconnected) == (0, 0, [], 0)


def test_down_and_up_keeps_accounts_and_mail(cluster, rossi, office):
    cluster.compose("stop", "sink")
    with cluster.smtp(ADDRESSES[0], 587) as client:
        client.login(rossi["username"], rossi["password"])
        waiting = send(client, "it@rossi.example", "friend@elsewhere.example", message("waits"))
        held = send(client, "it@rossi.example", "friend@elsewhere.example", message("virus-2", EICAR))
    wait_for(slowly(lambda: waiting in cluster.waiting()), 300)
    wait_for(slowly(lambda: cluster.events("--event", "held", "--id", held)), 300)
    accounts = cluster.ctl("account", "list")
    cluster.down()
    cluster.up()
    assert cluster.ctl("account", "list") == accounts
    cluster.exec(cluster.api, "shoutctl", "queue", "retry", waiting, check=False)  # it may have left by itself
    cluster.arrives("waits")
    assert cluster.ctl("queue", "show", held)["rows"][0]["id"] == held
    with cluster.smtp(ADDRESSES[1], 465) as client:
        client.login(rossi["username"], rossi["password"])
        send(client, "it@rossi.example", "friend@elsewhere.example", message("after"))
    cluster.arrives("after")
