"""The API as the network sees it: TLS, its name, who a request is from, and what a browser is told."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess

import pytest
from harness import BUILD, DEADLINE, make_certificate, wait_for

PROXY, STRANGER = "127.0.7.1", "127.0.7.9"
NAMES = ("panel.shout.test", "localhost")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("control"), NAMES)


@pytest.fixture(scope="module")
def shout(module_rig, certificate):
    """Behind a proxy at PROXY, and with TLS."""
    return module_rig.shout(module_rig.redis(), settings={"control": {
        "tls": {"certificate": str(certificate[0]), "key": str(certificate[1])},
        "proxies": [f"{PROXY}/32"], "hosts": [NAMES[0]]}})


@pytest.fixture(scope="module")
def token(shout):
    return (shout.state_dir / "control.token").read_text().strip()


@contextlib.contextmanager
def connected(shout, source=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", shout.ports["control"]), DEADLINE,
                                  source_address=(source, 0) if source else None) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as one:
            yield one


def answer_of(one):
    response = http.client.HTTPResponse(one)
    response.begin()
    return response.status, response.headers, response.read()


def ask(shout, token, method="GET", path="/api/v1/suspensions", *fields, host="localhost", body=b"", source=None):
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}",
            *([f"Content-Length: {len(body)}"] if body else []), *fields, "Connection: close", "", ""]
    with connected(shout, source) as one:
        one.sendall("\r\n".join(head).encode() + body)
        return answer_of(one)


def test_shoutctl_finds_its_way_by_the_settings_and_by_a_url(shout, certificate, token):
    assert shout.shoutctl("account", "list")["accounts"] == []
    file = shout.state_dir / "control.token"
    word = [BUILD / "shoutctl", "--json", "--token-file", file, "suspensions", "--url"]
    url = f"https://localhost:{shout.ports['control']}"
    done = subprocess.run([*word, url, "--ca-file", certificate[0]], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["suspensions"] == []
    for words, error in (([url], "certificate"), ([url.replace("localhost", "127.0.0.1"), "--ca-file", certificate[0]], "127.0.0.1"),
                         ([url.replace("https", "http")], "no answer")):
        done = subprocess.run([*word, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and error in done.stderr, done


def test_a_renewed_certificate_counts_from_sighup_on(shout, certificate, tmp_path, token):
    """Who is connected stays so; a certificate that cannot be used changes nothing."""
    def serial():
        with connected(shout) as one:
            return ssl.DER_cert_to_PEM_cert(one.getpeercert(binary_form=True))

    def reload(said):
        count = shout.log().count(said)
        os.kill(shout.process.pid, signal.SIGHUP)
        wait_for(lambda: shout.log().count(said) > count, what=said)

    old = serial()
    files = [file.read_text() for file in certificate]
    new = make_certificate(tmp_path, NAMES)
    with connected(shout) as one:
        for file, other in zip(certificate, new):
            file.write_text(other.read_text())
        reload("control: the certificate was read again")
        assert serial() == new[0].read_text() != old
        one.sendall(f"GET /api/v1/accounts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert answer_of(one)[0] == 200
    certificate[0].write_text("nothing")
    reload("control: the certificate stays as it was")
    assert serial() == new[0].read_text()
    for file, text in zip(certificate, files):
        file.write_text(text)
    reload("control: the certificate was read again")
    assert serial() == old
    assert shout.shoutctl("account", "list")["accounts"] == []


def test_only_tls_that_is_safe_is_spoken(shout):
    old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{shout.ports['control']}", "-tls1_1", "-cipher",
                          "DEFAULT@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "alert protocol version" in old.stderr, old
    with socket.create_connection(("127.0.0.1", shout.ports["control"]), DEADLINE) as plain:
        plain.sendall(b"GET /api/v1/accounts HTTP/1.1\r\nHost: a\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert not plain.recv(4096).startswith(b"HTTP")
    assert shout.shoutctl("account", "list")["accounts"] == []


@pytest.mark.parametrize(("host", "status"), [
    (NAMES[0], 200), (NAMES[0].upper(), 200), (f"{NAMES[0]}:8025", 200), ("localhost", 200), ("localhost:1", 200), ("127.0.0.1", 200),
    ("127.0.0.1:99", 200), ("[::1]:99", 200), ("evil.example", 421), (f"x.{NAMES[0]}", 421), (f"{NAMES[0]}.evil.example", 421),
    ("192.0.2.1", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421), ("[2001:db8::1]", 421), ("", 421)])
def test_only_its_own_names_lead_here(shout, token, host, status):
    """A page whose name leads here (DNS rebinding) gets nothing."""
    found, fields, body = ask(shout, token, host=host)
    assert found == status and (status == 200 or json.loads(body)["type"] == "/problems/misdirected"), body


def test_the_target_names_the_host_before_the_field_does(shout, token):
    """RFC 9112 3.2.2"""
    assert ask(shout, token, path="http://evil.example/api/v1/suspensions")[0] == 421
    assert ask(shout, token, path=f"http://{NAMES[0]}/api/v1/suspensions", host="evil.example")[0] == 200


def test_a_client_behind_our_proxy_is_known_by_its_own_address(shout, token):
    """The audit event has it; a stranger's claim counts for nothing."""
    rows = [(PROXY, ["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"), (PROXY, [], PROXY),
            (PROXY, ["X-Forwarded-For: 10.9.9.9, 198.51.100.8"], "198.51.100.8"),
            (PROXY, ["X-Forwarded-For: 10.9.9.9", f"X-Forwarded-For: 198.51.100.9, {PROXY}"], "198.51.100.9"),
            (PROXY, ["X-Forwarded-For: junk"], PROXY), (STRANGER, ["X-Forwarded-For: 198.51.100.7"], STRANGER),
            (None, ["X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7", "X-Real-IP: 198.51.100.7"], "127.0.0.1")]
    for i, (source, fields, client) in enumerate(rows):
        body = json.dumps({"name": "n", "contact": "it@a.example", "domains": [f"front{i}.example"]}).encode()
        status, _, answer = ask(shout, token, "POST", "/api/v1/accounts", *fields, body=body, source=source)
        assert status == 201, answer
        account = json.loads(answer)["account"]
        events = wait_for(lambda account=account: [one for one in shout.events("audit") if one.get("account") == account])
        assert [event["client"] for event in events] == [client], (source, fields)


def test_a_browser_is_told_to_be_careful(shout, token):
    for path in ("/api/v1/suspensions", "/api/v1/nowhere"):
        fields = ask(shout, token, "GET", path)[1]
        assert (fields["X-Content-Type-Options"], fields["Referrer-Policy"]) == ("nosniff", "no-referrer")
        assert fields["Cross-Origin-Resource-Policy"] == fields["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in fields["Content-Security-Policy"] and "max-age" in fields["Strict-Transport-Security"]
        assert fields["Cache-Control"] == "no-store" and "Access-Control-Allow-Origin" not in fields


def test_a_proxy_of_ours_may_have_more_connections_than_a_stranger(shout, token):
    """50 of 100 are one address's share: of a proxy's many clients each is somebody else."""
    rooms = shout.metric("shout_http_closed_total", 'reason="room"')
    with contextlib.ExitStack() as stack:
        ours = [stack.enter_context(connected(shout, PROXY)) for _ in range(60)]
        for one in ours:
            one.sendall(f"GET /api/v1/suspensions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            assert answer_of(one)[0] == 200
        assert shout.metric("shout_http_closed_total", 'reason="room"') == rooms
