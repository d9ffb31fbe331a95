"""The API's and the metrics' port: who has no token, and who only sits there, takes nothing from others."""

import contextlib
import json
import os
import socket
import subprocess

import pytest
from harness import DEADLINE, ROOT, wait_for

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


@pytest.mark.parametrize("step", [1, 7, 100000])
def test_the_token_may_come_in_any_piece_and_place(shout, step):
    body = b'{"name": ""}'
    for fields in (["Content-Length: 12", f"authorization:   bearer {token(shout)} "],
                   [f"Authorization: Bearer {token(shout)}", "X: y", "Content-Length: 12"]):
        data = request(*fields) + body
        with connect(shout) as one:
            for i in range(0, len(data), step):
                one.sendall(data[i:i + step])
            assert one.recv(65536).startswith(b"HTTP/1.1 400 ")
            one.sendall(request(f"Authorization: Bearer {token(shout)}", method="GET"))
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
            one.sendall(request(method="GET"))
            assert one.recv(65536).startswith(b"HTTP/1.1 401 ")


# Every refusal is a problem (RFC 9457), whoever refuses

PROBLEM = {"type", "title", "status", "detail", "error", "field"}


def head(shout, line, *fields):
    return "\r\n".join([line, "Host: a", f"Authorization: Bearer {token(shout)}", *fields, "", ""]).encode()


LONG = "x" * 20000
CHUNKED = "Transfer-Encoding: chunked"
GET, POST = (f"{method} /api/v1/accounts HTTP/1.1" for method in ("GET", "POST"))
REFUSED = [  # the first line, the fields behind it, what follows; the status, what the error says
    ("FOO /api/v1/accounts HTTP/1.1", [], b"", 405, "method"), ("get /api/v1/accounts HTTP/1.1", [], b"", 405, "method"),
    ("TRACE /api/v1/accounts HTTP/1.1", [], b"", 405, "method"), ("CONNECT a:1 HTTP/1.1", [], b"", 404, "path"),
    ("PUT /api/v1/accounts HTTP/1.1", [], b"", 405, "method"), ("FOO /elsewhere HTTP/1.1", [], b"", 404, "path"),
    ("GET /api/v1/accounts HTTP/2.0", [], b"", 505, "HTTP/1.1"), ("GET /api/v1/accounts HTTP/1.9", [], b"", 505, "HTTP/1.1"),
    ("GET /api/v1/accounts", [], b"", 400, "first line"), ("GET", [], b"", 400, "first line"), ("", [], b"", 400, "first line"),
    ("GET  /api/v1/accounts HTTP/1.1", [], b"", 400, "first line"), ("GET /api/v1/accounts ICY/1.1", [], b"", 400, "first line"),
    ("GET accounts HTTP/1.1", [], b"", 400, "path"), ("GET //a:b/c HTTP/1.1", [], b"", 400, "path"),
    ("GET ftp://a/b HTTP/1.1", [], b"", 400, "path"), ("GET * HTTP/1.1", [], b"", 404, "path"),
    ("GET / HTTP/1.1", [], b"", 404, "path"), ("GET /api/v1/ HTTP/1.1", [], b"", 404, "path"),
    ("GET /api/v1/accounts/ HTTP/1.1", [], b"", 404, "path"), ("GET /api/v1//accounts HTTP/1.1", [], b"", 404, "path"),
    ("GET /api/v1/a/b/c/d/e/f/g/h/i/j HTTP/1.1", [], b"", 404, "path"),
    (f"GET /api/v1/{LONG} HTTP/1.1", [], b"", 414, "16384"), (GET, [f"X: {LONG}"], b"", 431, "16384"),
    (GET, ["X: y"] * 3000, b"", 431, "16384"), (GET, ["X"], b"", 400, "Name: value"), (GET, [": x"], b"", 400, "Name: value"),
    (GET, ["X : y"], b"", 400, "Name: value"), (GET, ["X: y", " z"], b"", 400, "Name: value"),
    (GET, ["Host: a"], b"", 400, "Host"), (GET, ["X: y\nContent-Length: 5"], b"hello", 400, "CR LF"),
    (GET, ["X: y\0"], b"", 400, "NUL"), (GET, ["X: \ry"], b"", 400, "CR"),
    (POST, ["Content-Length: x"], b"", 400, "Content-Length"), (POST, ["Content-Length: -1"], b"", 400, "Content-Length"),
    (POST, ["Content-Length: +1"], b"x", 400, "Content-Length"), (POST, ["Content-Length:"], b"", 400, "Content-Length"),
    (POST, ["Content-Length: 0x2"], b"{}", 400, "Content-Length"), (POST, ["Content-Length: 1, 1"], b"{", 400, "Content-Length"),
    (POST, ["Content-Length: 2"] * 2, b"{}", 400, "Content-Length"),
    (POST, ["Content-Length: 2", CHUNKED], b"2\r\n{}\r\n0\r\n\r\n", 400, "Content-Length"),
    (POST, ["Content-Length: 1048577"], b"", 413, "1048576"), (POST, ["Content-Length: " + "9" * 40], b"", 413, "1048576"),
    (POST, ["Content-Length: 2000000", "Expect: 100-continue"], b"", 413, "1048576"),
    (POST, ["Content-Length: 2", "Expect: tea"], b"", 417, "100-continue"),
    (POST, [CHUNKED], b"100001\r\n", 413, "1048576"), (POST, [CHUNKED], b"f" * 40 + b"\r\n", 413, "1048576"),
    (POST, [CHUNKED], b"80000\r\n" + b"x" * 0x80000 + b"\r\n80001\r\n", 413, "1048576"),
    (POST, [CHUNKED], b"2\n{}\r\n0\r\n\r\n", 400, "CR LF"),
    (POST, [CHUNKED], b"x\r\n", 400, "chunk"), (POST, [CHUNKED], b"\r\n", 400, "chunk"), (POST, [CHUNKED], b"-2\r\n", 400, "chunk"),
    (POST, [CHUNKED], b"2;a=b\r\n{}\r\n", 400, "chunk"), (POST, [CHUNKED], b"2\r\n{}x\r\n", 400, "chunk"),
    (POST, [CHUNKED], b"0\r\nX: y\r\n\r\n", 400, "behind the body"), (POST, [CHUNKED], b"0" * 20000, 400, "chunk"),
    (POST, ["Transfer-Encoding: gzip"], b"", 400, "Transfer-Encoding"), (POST, [CHUNKED] * 2, b"", 400, "Transfer-Encoding"),
    (POST, ["Transfer-Encoding: gzip, chunked"], b"", 400, "Transfer-Encoding"),
    (POST, ["Content-Length: 2", "Content-Type: text/plain"], b"{}", 415, "Content-Type"),
    (POST, ["Content-Length: 2", "Content-Type: application/json; charset=latin1"], b"{}", 415, "Content-Type"),
    (POST, ["Content-Length: 2", "Content-Encoding: gzip"], b"{}", 415, "Content-Encoding"),
    (POST, [CHUNKED], b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 400, "name"),  # all of it is right
]


def answer_of(data):
    """(status, fields, body) of one response."""
    top, _, body = data.partition(b"\r\n\r\n")
    first, *fields = top.decode().split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, value in (one.split(": ", 1) for one in fields)}, body


@pytest.mark.parametrize(("line", "fields", "rest", "status", "error"), REFUSED)
@pytest.mark.parametrize("step", [1000, 1 << 20], ids=["in pieces", "at once"])
def test_every_refusal_is_json_that_says_why(shout, line, fields, rest, status, error, step):
    data = head(shout, line, *fields) + rest
    with connect(shout) as one, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for i in range(0, len(data), step):
            one.sendall(data[i:i + step])
        one.shutdown(socket.SHUT_WR)
        found, told, body = answer_of(everything(one))
        assert found == status and told["content-type"] == "application/problem+json", (line, fields, found, told, body)
        answer = json.loads(body)
        assert int(told["content-length"]) == len(body) and set(answer) >= PROBLEM and answer["status"] == status, body
        assert answer["detail"] == answer["error"] and answer["type"].startswith("/problems/"), answer
        assert error in answer["error"] or error == answer["field"], answer
        if status == 405:
            assert told["allow"] == "GET, HEAD, OPTIONS, POST", told
    assert shout.get("/livez") == (200, "ok\n")


def test_what_is_refused_behind_a_request_takes_no_answer_from_it(shout):
    """Two in one packet: the first is answered, and the connection ends."""
    good = head(shout, "GET /api/v1/suspensions HTTP/1.1")
    for bad in (head(shout, "FOO / HTTP/1.1"), head(shout, POST, "Content-Length: x")):
        with connect(shout) as one:
            one.sendall(good + bad)
            status, fields, body = answer_of(everything(one))
            assert status == 200 and fields["connection"] == "close" and json.loads(body)["suspensions"] == []
    with connect(shout) as one:  # two good ones: two answers
        one.sendall(good + good.replace(b"Host: a", b"Host: a\r\nConnection: close"))
        assert everything(one).count(b"HTTP/1.1 200 ") == 2


def test_head_and_options(shout):
    for path, allow in (("accounts", "GET, HEAD, OPTIONS, POST"), ("accounts/x", "GET, HEAD, OPTIONS, PATCH, DELETE"),
                        ("suspensions", "GET, HEAD, OPTIONS, POST, DELETE"), ("rebuild", "OPTIONS, POST"),
                        ("queue/bad", "GET, HEAD, OPTIONS"), ("queue/bad/x", "GET, HEAD, OPTIONS, DELETE")):
        for line, wanted in ((f"OPTIONS /api/v1/{path}", 204), (f"PUT /api/v1/{path}", 405), (f"BREW /api/v1/{path}?a", 405)):
            with connect(shout) as one:
                one.sendall(head(shout, f"{line} HTTP/1.1", "Connection: close"))
                status, fields, body = answer_of(everything(one))
            assert (status, fields["allow"]) == (wanted, allow) and bool(body) == (wanted == 405), (line, fields)
    for path, wanted in (("accounts", 200), ("accounts/x", 404), ("nowhere", 404), ("rebuild", 405)):
        answers = []
        for method in ("GET", "HEAD"):
            with connect(shout) as one:
                one.sendall(head(shout, f"{method} /api/v1/{path} HTTP/1.1", "Connection: close"))
                answers.append(answer_of(everything(one)))
        (status, fields, body), (head_status, head_fields, nothing) = answers
        assert status == head_status == wanted and not nothing and len(body) == int(head_fields["content-length"])
        assert fields["content-type"] == head_fields["content-type"]


def test_the_description_is_served(shout):
    with connect(shout) as one:
        one.sendall(head(shout, "GET /api/v1/openapi.yaml HTTP/1.1", "Connection: close"))
        status, fields, body = answer_of(everything(one))
    assert (status, fields["content-type"]) == (200, "application/yaml")
    assert body.decode() == (ROOT / "control" / "http" / "openapi.yaml").read_text()


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
