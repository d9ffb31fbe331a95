"""deploy/compose made a relay, by the steps of docs/compose.md: production.env filled in, the operator's certificates,
nothing of the demo."""

import os
import re
import shutil

import pytest

import docker
from harness import make_certificate, send, wait_for
from names import NameServer
from sink import Sink
from stack import ADDRESSES, NAMES, OFFICE, ROAMING, UP_S, Stack, slowly

READERS = 10001
MAIL = b"From: it@rossi.example\r\nTo: friend@elsewhere.example\r\nSubject: to-an-mx\r\n\r\nhello\r\n"


def put_certificates(directory, scratch):
    for name in NAMES.values():
        (scratch / name).mkdir()
        for made, wanted in zip(make_certificate(scratch / name, (f"{name}.provider.example",)), ("pem", "key")):
            file = directory / f"{name}.{wanted}"
            shutil.copy(made, file)
            os.chown(file, 0, READERS)
            file.chmod(0o640)


def fill_in(file, **words):
    """What an editor does to lines of .env."""
    text = file.read_text()
    for word, value in words.items():
        text, found = re.subn(rf"(?m)^{word}=.*$", f"{word}={value}", text)
        assert found == 1, word
    file.write_text(text)


@pytest.fixture(scope="module")
def relay(daemon, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("production")
    shutil.copytree(docker.COMPOSE.parent, scratch / "deploy")
    directory = scratch / "deploy/compose"
    certificates = scratch / "certificates"
    certificates.mkdir()
    put_certificates(certificates, scratch)
    shutil.copy(directory / "production.env", directory / ".env")
    fill_in(directory / ".env", SHOUT_CERTIFICATES=certificates)
    shutil.copy(directory.parent / "alertmanager/alertmanager.yml", directory)
    one = Stack(daemon, "compose.yaml", directory=directory, production=True)
    one.down("-v")
    try:
        yield one.up()
    finally:
        one.down("-v")


def test_nothing_of_the_demo_is_left(relay):
    said = relay.exec("sender1", "cat", "/etc/shout/sender.yaml")
    for line in ('hostname: "shout01.provider.example"', '  route: "mx"', "  allow_networks: []", "  forward: []",
                 "  trust_anchor: ~", "  partitions: 12"):
        assert f"{line}\n" in said, line
    names = relay.daemon.docker("ps", "-a", "--format", "{{.Names}}").split()
    assert len(names) > 15 and not [name for name in names if "sink" in name]
    for name in NAMES.values():
        assert relay.certificate(name) == (relay.directory.parent.parent / f"certificates/{name}.pem").read_text()


def test_what_is_wrong_is_looked_for(relay):
    """And nothing is but this internet, which has no root servers."""
    said = relay.compose("run", "--rm", "--no-deps", "--entrypoint", "sh", "control", "-c", "shout check; true")
    errors = [line.split(maxsplit=1)[1] for line in said.splitlines() if line.startswith("error ")]
    assert len(errors) == 1 and errors[0].startswith("no root name server answers"), said


def test_a_mail_goes_to_the_mx_of_its_domain(relay):
    """Once .env names a resolver, and lets it out to addresses that are for documentation alone."""
    fill_in(relay.directory / ".env", SHOUT_DNS=f"{ROAMING}:53", SHOUT_TRUST_ANCHOR="none",
            SHOUT_ALLOW_NETWORKS="203.0.113.0/24")
    relay.compose("up", "-d", "setup")
    relay.compose("restart", "sender1", "sender2")
    relay.await_ready()
    rossi = relay.account("rossi.example", "--mode", "credentials")
    names, host = NameServer({"": OFFICE}, at=(ROAMING, 53)), Sink(address=OFFICE, port=25)
    try:
        relay.compose("run", "--rm", "--no-deps", "control", "check")  # finds nothing wrong any more
        for address in ADDRESSES:
            with relay.smtp(address, 587) as client:
                client.login(rossi["username"], rossi["password"])
                queued = send(client, "it@rossi.example", "friend@elsewhere.example", MAIL)
            wait_for(slowly(lambda: relay.events("--event", "delivered", "--id", queued)), UP_S)
        assert [mail.helo for mail in host.find("friend@elsewhere.example")] == ["shout01.provider.example"] * 2
    finally:
        host.stop()
        names.stop()
