"""deploy/compose/compose.single.yaml as it is, and the image by itself."""

import json

import docker
from harness import EICAR, send, wait_for
from stack import ADDRESSES, OFFICE, PORTS, ROAMING, Flow, slowly

BIND = 1 << 10  # CAP_NET_BIND_SERVICE


def message(subject, text=b"hello"):
    return f"From: it@rossi.example\r\nTo: friend@elsewhere.example\r\nSubject: {subject}\r\n\r\n".encode() + text + b"\r\n"


def test_mail_goes_in_and_out_and_is_there_after_down_and_up(single):
    rossi = single.account("rossi.example", "--mode", "credentials")
    single.account("office.example", "--mode", "ip", "--ip", OFFICE)

    def put(subject, port=587, text=b"hello"):
        with single.smtp(ADDRESSES[0], port) as client:
            client.login(rossi["username"], rossi["password"])
            return send(client, "it@rossi.example", "friend@elsewhere.example", message(subject, text))
    for port in PORTS:
        queued = put(f"by-{port}", port)
        single.arrives(f"by-{port}")
        assert wait_for(slowly(lambda: single.events("--event", "accepted", "--id", queued)))[-1]["client"] == ROAMING

    def mail_from_office():
        with single.smtp(ADDRESSES[0], 25, source=OFFICE) as client:
            client.ehlo()
            return client.mail("anna@office.example")[0]
    wait_for(slowly(lambda: mail_from_office() == 250))
    single.compose("stop", "sink")
    held, waiting = put("virus", text=EICAR), put("waits")
    wait_for(slowly(lambda: single.events("--event", "held", "--id", held)), 300)
    wait_for(slowly(lambda: waiting in single.waiting()), 300)
    accounts = single.ctl("account", "list")
    single.down()
    single.up()
    assert single.ctl("account", "list") == accounts and single.ctl("queue", "show", held)["rows"][0]["id"] == held
    single.exec(single.api, "shoutctl", "queue", "retry", waiting, check=False)  # it may have left by itself
    single.arrives("waits")
    assert "virus" not in single.sunk()


def test_ports_below_1024_take_one_capability(single):
    now = single.status("shout01")
    assert now["Uid"].split() == ["10001"] * 4 and int(now["CapEff"], 16) == int(now["CapPrm"], 16) == 0
    assert int(now["CapBnd"], 16) & ~BIND == 0
    assert single.exec("shout01", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start").strip() == "1024"
    assert single.exec("shout01", "touch", "/x", check=False) is None
    without = single.daemon.docker(
        "run", "--rm", "--cap-drop", "ALL", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024",
        "--volumes-from", single.name("shout01"), "--read-only", "--entrypoint", "sh", docker.SHOUT, "-c", "shout check; true")
    assert "0.0.0.0:25 needs root, or the capability CAP_NET_BIND_SERVICE" in without


def test_a_kill_of_the_machine_s_one_process_loses_nothing(single):
    flow = Flow(single)
    flow.await_more()
    name = single.name("shout01")
    single.daemon.docker("kill", name)
    single.daemon.docker("start", name)
    single.await_ready(["shout01"])
    flow.await_more()
    copies, _ = flow.settle()
    assert copies <= 20


def test_the_image_says_what_it_is(daemon):
    image = json.loads(daemon.docker("image", "inspect", docker.SHOUT))[0]["Config"]
    assert image["User"] == "10001:10001" and image["StopSignal"] == "SIGTERM"
    assert image["Healthcheck"]["Test"] == ["CMD", "health"]
    said = daemon.docker("run", "--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
                         docker.SHOUT, "--version")
    assert said.split()[:2] == ["shout", image["Labels"]["org.opencontainers.image.version"]]
    assert "account add" in daemon.docker("run", "--rm", "--entrypoint", "shoutctl", docker.SHOUT, "--help")


def test_two_builds_are_the_same(daemon):
    """Of one tree, each compiled from nothing, at another time and with another date to write into files."""
    def programs(tag):
        return daemon.docker("run", "--rm", "--entrypoint", "sha256sum", tag, "/usr/local/bin/shout",
                             "/usr/local/bin/shoutctl")
    assert programs(docker.AGAIN) == programs(docker.SHOUT)
