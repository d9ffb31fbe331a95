"""The API's and the metrics' port: who has no token, and who only sits there, takes nothing from others."""

import contextlib
import os
import socket
import subprocess

import pytest
from harness import DEADLINE, wait_for

TOKEN_NEEDED = b'"error": "the token of state_dir/control.token is needed'


@pytest.fixture(scope="module")
def shout(module_rig):
    return module_rig.shout(module_rig.redis())


def connect(shout, port="control", source=None):
    return socket.create_connection(("127.0.0.1", shout.ports[port]), DEADLINE,
                                    source_address=(source, 0) if source else None)


def token(shout):
    return (shout.state_dir / "control.token").read_text().strip()


def everything(one):
    got = b""
    while more := one.recv(65536):
        got += more
    return got


def request(*fields, method="POST", path="accounts"):
    return "\r\n".join([f"{method} /api/v1/{path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


WITHOUT = {
    "no token": ["Content-Length: 500000"],
    "a wrong token": ["Content-Length: 500000", "Authorization: Bearer " + "0" * 64],
    "another scheme": ["Authorization: Basic eDp5", "Content-Length: 500000"],
    "a chunked body": ["Transfer-Encoding: chunked"],
    "one that waits to be asked": ["Content-Length: 500000", "Expect: 100-continue"],
    "a field folded": ["Content-Length: 500000", "Authorization: Bearer", " " + "0" * 64],
    "no body": [],
}


@pytest.mark.parametrize("fields", WITHOUT.values(), ids=WITHOUT.keys())
@pytest.mark.parametrize("step", [1, 100000], ids=["byte by byte", "at once"])
def test_without_the_token_no_body_is_waited_for(shout, fields, step):
    data = request(*fields)
    with connect(shout) as one:
        for i in range(0, len(data), step):
            one.sendall(data[i:i + step])
        answer = everything(one)
    assert answer.startswith(b"HTTP/1.1 401 ") and TOKEN_NEEDED in answer, answer


def test_who_sends_on_without_the_token_hears_so(shout):
    """Closing with input unread would take the answer with it."""
    for _ in range(20):
        with connect(shout) as one:
            one.sendall(request("Content-Length: 250000") + b"x" * 250000)
            assert everything(one).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("step", [1, 7, 100000])
def test_the_token_may_come_in_any_piece_and_place(shout, line_end, step):
    body = b'{"name": ""}'
    for fields in (["Content-Length: 12", f"authorization:   bearer {token(shout)} "],
                   [f"Authorization: Bearer {token(shout)}", "X: y", "Content-Length: 12"]):
        data = request(*fields).replace(b"\r\n", line_end.encode()) + body
        with connect(shout) as one:
            for i in range(0, len(data), step):
                one.sendall(data[i:i + step])
            assert one.recv(65536).startswith(b"HTTP/1.1 400 ")
            one.sendall(request(f"Authorization: Bearer {token(shout)}", method="GET"))
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
            one.sendall(request(method="GET"))
            assert one.recv(65536).startswith(b"HTTP/1.1 401 ")


def descriptors(shout):
    return len(os.listdir(f"/proc/{shout.process.pid}/fd"))


@pytest.mark.parametrize(("port", "most"), [("control", 100), ("metrics", 50)])
@pytest.mark.parametrize("addresses", [1, 20])
def test_who_only_sits_there_keeps_nobody_out(shout, port, most, addresses):
    before = descriptors(shout)
    closed = shout.metric("shout_http_closed_total", 'reason="room"')
    with contextlib.ExitStack() as stack:
        for i in range(300):
            one = stack.enter_context(connect(shout, port, f"127.0.9.{i % addresses + 1}"))
            one.sendall(b"POST /api/v1/accounts HTTP/1.1\r\nX: " + b"x" * 4000)
        shout.shoutctl("account", "list")
        assert shout.get("/livez") == (200, "ok\n")
        few = most if addresses > 1 else most // 2
        assert shout.metric("shout_http_closed_total", 'reason="room"') >= closed + 300 - few
        assert descriptors(shout) <= before + few + 10
    wait_for(lambda: descriptors(shout) <= before + 10)


def test_idle_connections_do_not_take_what_clients_need(rig, redis):
    """With few files: the pages have theirs, and those of ingress stay."""
    shout = rig.shout(redis, wrapper=["prlimit", "--nofile=1600"], settings={
        "ingress": {"connections_max": 50}, "sender": {"connections_max": 100}})
    with contextlib.ExitStack() as stack:
        for port in ("metrics", "control"):
            for i in range(800):
                stack.enter_context(connect(shout, port, f"127.0.9.{i % 40 + 1}"))
        for i in range(40):
            one = stack.enter_context(connect(shout, "plain", f"127.0.8.{i + 1}"))
            assert one.recv(1000).startswith(b"220 ")
    assert "cannot accept" not in shout.log()


def test_too_few_files_are_told_with_numbers(rig, redis):
    shout = rig.shout(redis, wrapper=["prlimit", "--nofile=1000"], settings={
        "ingress": {"connections_max": 5000}, "sender": {"connections_max": 100}})
    warning, = [line for line in shout.log_lines() if "open files" in line["message"]]
    assert warning["limit"] == "1000" and int(warning["needed"]) > 10000
    assert 0 < int(warning["connections"]) < 500
    check = subprocess.run(["prlimit", "--nofile=1000", shout.plain[-4], "check", "-c", shout.file],
                           capture_output=True, text=True, check=False)
    assert (f"open files   {warning['needed']} needed, but the limit is 1000: at most {warning['connections']} "
            "clients at once instead of 5000\n") in check.stdout


def test_no_files_for_clients_is_no_start(rig, redis):
    shout = rig.shout(redis, settings={"sender": {"connections_max": 900}})
    shout.stop()
    shout.command = ["prlimit", "--nofile=1000", *shout.plain]
    shout.start(wait=False)
    assert shout.process.wait(30) == 1
    assert "the limit of open files leaves none for clients" in shout.log()
