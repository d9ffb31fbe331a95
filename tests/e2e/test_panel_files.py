"""The panel's files over HTTP: what anybody gets, in which form, and what nobody gets."""

import gzip
import hashlib
import http.client
import pathlib
import re
import socket

import pytest
from harness import DEADLINE, ROOT

PANEL = ROOT / "control" / "panel"
FILES = sorted(str(path.relative_to(PANEL)) for path in PANEL.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def shout(module_rig):
    return module_rig.shout(module_rig.redis(), settings={
        "control": {"panel": str(PANEL)},
        "service": {"name": "Example Telecom", "support": "help@telecom.example", "spf": "_spf.telecom.example"}})


def ask(shout, path, method="GET", **fields):
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=DEADLINE)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in fields.items()})
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def raw(shout, data):
    with socket.create_connection(("127.0.0.1", shout.ports["control"]), DEADLINE) as one:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        got = b""
        while more := one.recv(65536):
            got += more
    return got


@pytest.mark.parametrize("name", FILES)
def test_each_file_comes_as_it_is_and_compressed(shout, name):
    content = (PANEL / name).read_bytes()
    status, fields, body = ask(shout, f"/{name}")
    assert (status, body) == (200, content)
    assert fields["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"' and fields["Cache-Control"] == "no-cache"
    status, packed, body = ask(shout, f"/{name}", Accept_Encoding="gzip, deflate, br")
    assert status == 200 and packed["ETag"] != fields["ETag"] or "Content-Encoding" not in packed
    assert (gzip.decompress(body) if packed.get("Content-Encoding") == "gzip" else body) == content


def test_a_browser_that_has_a_file_gets_304(shout):
    for encoding in ("identity", "gzip"):
        tag = ask(shout, "/panel.css", Accept_Encoding=encoding)[1]["ETag"]
        status, fields, body = ask(shout, "/panel.css", Accept_Encoding=encoding, If_None_Match=f'"other", W/{tag}')
        assert (status, body, fields["ETag"]) == (304, b"", tag)
        assert ask(shout, "/panel.css", Accept_Encoding=encoding, If_None_Match='"other"')[0] == 200
    plain = ask(shout, "/panel.css")[1]["ETag"]
    assert ask(shout, "/panel.css", Accept_Encoding="gzip", If_None_Match=plain)[0] == 200


def test_head_has_the_length_and_no_body(shout):
    for path in ("/", "/panel.css", "/domains/acme.example"):
        status, fields, body = ask(shout, path, "HEAD")
        assert (status, body) == (200, b"") and int(fields["Content-Length"]) == len(ask(shout, path)[2])


PAGES = ["/", "/login", "/messages/01jdq4v0m3e8k5r2t7w9y1b6c0", "/domains/acme.example", "/op/accounts", "/nothing/of/the/kind",
         "/login?to=/messages", "/p", "/domains/a%2Fb"]


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_the_same_index(shout, path):
    status, fields, body = ask(shout, path)
    assert (status, body) == (200, (PANEL / "index.html").read_bytes())
    assert fields["Content-Type"] == "text/html; charset=utf-8"


def test_what_a_browser_is_told(shout):
    fields = ask(shout, "/")[1]
    policy = dict(rule.split(" ", 1) for rule in fields["Content-Security-Policy"].split("; "))
    assert policy == {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
                      "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'", "require-trusted-types-for": "'script'",
                      "trusted-types": "'none'"}
    assert (fields["X-Content-Type-Options"], fields["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert fields["Cross-Origin-Opener-Policy"] == fields["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in fields


OUTSIDE = ["/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/lib/../index.html/../../control.c", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
           "/lib/%00", "/lib\\dom.js", "/.git/config"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_path_leads_out_of_the_table(shout, path):
    got = raw(shout, f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"root:" not in got
    if head.startswith(b"HTTP/1.1 200"):
        assert body == (PANEL / "index.html").read_bytes()
    else:
        assert re.match(rb"HTTP/1.1 40[04] ", head), head


def test_a_file_that_is_not_there_is_no_page(shout):
    for path in ("/lib/none.js", "/none.css", "/text/de.js"):
        assert ask(shout, path)[0] == 404


def test_the_language_is_the_cookies_then_the_browsers(shout):
    rows = [({}, "en"), ({"Accept_Language": "it-IT,it;q=0.9,en;q=0.8"}, "it"), ({"Accept_Language": "it", "Cookie": "a=b; language=en"}, "en"),
            ({"Accept_Language": "en", "Cookie": "language=it"}, "it"), ({"Cookie": "language=../../x"}, "en")]
    for fields, language in rows:
        status, told, body = ask(shout, "/text.js", **fields)
        assert status == 200 and f"export const language = '{language}';".encode() in body
        assert told["Vary"] == "Accept-Encoding, Accept-Language, Cookie"
        assert f'<html lang="{language}">'.encode() in ask(shout, "/help", **fields)[2]


def test_nothing_else_is_open_to_strangers(shout):
    for method, path in (("POST", "/"), ("DELETE", "/login"), ("GET", "/api/v1/accounts"), ("GET", "/api/"), ("POST", "/api/v1/service")):
        assert ask(shout, path, method)[0] == 401, (method, path)
    status, _, body = ask(shout, "/api/v1/service")
    assert status == 200 and b'"Example Telecom"' in body and b'"help@telecom.example"' in body
    assert ask(shout, "/ip")[2] == b"127.0.0.1\n"


def test_a_browser_gets_the_page_of_a_link_and_curl_opens_it(shout):
    page = ask(shout, "/p/none", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (page[0], page[2]) == (200, (PANEL / "index.html").read_bytes())
    assert ask(shout, "/p/none", Accept="*/*")[0] in (404, 410)


def test_a_body_for_a_file_is_not_waited_for(shout):
    assert raw(shout, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").startswith(b"HTTP/1.1 4")


def test_the_budget_of_the_wire(shout):
    """The first page and all files, compressed, as panel.md has it."""
    size = {name: len(ask(shout, f"/{name}", Accept_Encoding="gzip")[2]) for name in FILES}
    index = (PANEL / "index.html").read_text()
    first = {"index.html", "main.js", "icon.svg", "pages/login.js"} | {name for name in FILES if f'"/{name}"' in index}
    assert {"panel.css", "theme.js", "lib/dom.js", "lib/api.js"} <= first
    assert sum(size[name] for name in first) + max(size["text/it.js"], size["text/en.js"]) <= 60_000
    assert sum(size.values()) <= 150_000, size


def test_a_panel_that_cannot_be_served_keeps_control_from_starting(rig):
    folder = rig.path("panel")
    folder.mkdir()
    (folder / "index.html").write_text("x")
    pathlib.Path(folder / "passwd.txt").symlink_to("/etc/passwd")
    with pytest.raises(AssertionError, match="a symbolic link is not followed"):
        rig.shout(rig.redis(), settings={"control": {"panel": str(folder)}})
    rig.started.pop()


def test_without_a_panel_strangers_get_nothing(rig):
    shout = rig.shout(rig.redis(), settings={"control": {"panel": "none"}})
    assert ask(shout, "/")[0] == 401 and ask(shout, "/panel.css")[0] == 401

