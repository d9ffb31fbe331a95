"""shoutctl with whatever is wrong: a clear message, the documented status, and JSON with --json."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request

import pytest

from harness import BUILD, ROOT, make_certificate, server_tls

NOBODY = "0" * 26  # an id of nothing
REFUSED, WRONG = 1, 2

COMMANDS = {  # complete, and nothing is there that they name
    "account list": 0, f"account show {NOBODY}": REFUSED, f"account disable {NOBODY}": REFUSED,
    f"account enable {NOBODY}": REFUSED, f"account password {NOBODY}": REFUSED,
    f"account check {NOBODY}": REFUSED, f"account check {NOBODY} --domain a.example": REFUSED,
    f"account change {NOBODY} --name x": REFUSED, f"account add-domain {NOBODY} --domain a.example": REFUSED,
    f"account remove-domain {NOBODY} --domain a.example": REFUSED,
    f"account add-address {NOBODY} --ip 192.0.2.1": REFUSED,
    f"account remove-address {NOBODY} --ip 192.0.2.1": REFUSED, f"account add-user {NOBODY}": REFUSED,
    f"account remove-user {NOBODY} --username x": REFUSED,
    "account add --name n --contact x --domain d.example": REFUSED,
    "queue list": 0, "queue list --site nowhere.example": 0, f"queue list --id {NOBODY}": 0,
    "queue list --state held": 0,
    f"queue show {NOBODY}": REFUSED, f"queue retry {NOBODY}": REFUSED, f"queue bounce {NOBODY}": REFUSED,
    f"queue release {NOBODY}": REFUSED, "queue bad": 0, "queue bad show 00": REFUSED, "queue bad remove 00": REFUSED,
    f"resume --account {NOBODY}": REFUSED, "suspensions": 0, "rules": 0, f"why {NOBODY}": 0, f"events --id {NOBODY}": 0,
    "events --client 192.0.2.1 --username x --account x --from x@y.example --to x@y.example --domain y.example": 0,
    "events --event rejected --since 1h --until 10m --limit 1": 0, "rebuild": 0,
}
REFUSALS = [  # what the API is asked and refuses
    "queue show short",
    "queue list --state sleeping", "queue list --after nowhere", "why x --limit 0",
    "why x --limit 1&q=y", "events --client here", "events --since yesterday", "events --event rejcted",
    "events --after nowhere", "events --id short", "suspend --egress-ip here", "queue retry short",
    "suspend --domain a..example", "suspend --account nobody", "queue bounce --domain nowhere.example",
    "queue bounce --domain nowhere.example --dry-run",
]
WRONGS = [  # what is no command line
    "", "account", "queue", "nonsense", "account nonsense", "account show", "account show a b", "queue show",
    "queue list extra", "queue list --colour", "queue list --verified", "queue list --limit", "queue list --limit x",
    "queue list --limit -1", "queue list --limit 0", "account list --limit many", "queue bad show", "queue bad show a b", "queue bad look 00", "queue retry a b",
    "suspend --site x --for soon", "suspensions all", "why", "why a b", "events x", "events --limit 0",
    "events --limit x", "events --follow --until 1h", "events --follow=1", "rebuild now", "-x", "-c",
    "account add --name n", "account add-domain a", "account remove-user a",
    ["queue", "bounce", ""], ["account", "show", ""], ["account", "disable", ""], ["queue", "show", ""], ["why", ""],
    ["queue", "bounce", "--account", "", "--site", "x"], "queue bounce --account a --account b",
    "suspend --site a --site b",
    [b"queue", b"bounce", b"--account", b"\xff", b"--site", b"x"],
    "queue retry", "queue bounce --dry-run", "queue release", "suspend --for 1h", "resume", "account change a",
    "queue bad --raw", "queue bad show 00 --limit 1", "queue bad remove 00 --raw", "queue list -- --limit",
]
NAMED = {  # what is wrong, as it was typed, is in the message
    "queue list --colour red": "--colour", "queue list --colour=red": "--colour", "--colour queue list": "--colour",
    "queue list --lim 1": "--lim", "account change a --messages 1": "--messages", "--js queue list": "--js",
    "account add --verif": "--verif", "queue list --Limit 1": "--Limit", "queue list --l=1": "--l",
    "queue list -x": "-x", "queue list -limit 1": "-limit", "queue list -xc": "-xc", "queue list -\u00e9": "-\u00e9",
    "queue list --limit": "--limit", "queue list --limit=": "--limit", "queue list -c": "-c",
    "queue list --limit --after x": "--limit", "account change a --name --policy strict": "--name",
    "queue list -c --limit": "-c",
    "--json=1 queue list": "--json", "account add --verified=no": "--verified", "queue list --help=x": "--help",
    "queue list --limit 1 --limit 1": "--limit", "-c a -c b queue list": "-c",
    "account change a --name=a --name=b": "--name",
    "account add-domain a --domain a.example --domain b.example": "--domain", "suspend --for 1h --for 1d": "--for",
    "queue list --verified": "--verified", "account show a --name x": "--name", "rebuild --site x": "--site",
    "account enable a --reason x": "--reason", "why a --account b": "--account", "resume --reason x": "--reason",
    "account add --name n --contact a@b.example": "--domain", "account add --name n --domain d.example": "--contact",
    "account add-address a": "--ip", "account remove-domain a": "--domain", "account remove-user a": "--username",
    "queue retry": "the ID of a message, or one of --domain, --site", "resume --dry-run": "--id", "suspend": "--egress-ip",
    "account change a": "--messages-hour",
    "queue show": "ID", "account change": "ACCOUNT", "queue bad show": "KEY", "why": "ADDRESS",
    "queue show a b": "\"b\"",
    "suspensions all": "\"all\"", "acount list": "\"acount list\"", "account lst": "\"account lst\"",
    "queue list x": "\"x\"",
}


def ctl(file, words, *more):
    words = words.split() if isinstance(words, str) else words
    return subprocess.run([BUILD / "shoutctl", "-c", file, *more, *words], timeout=60, capture_output=True, text=True)


def check(file, words, status):
    done = ctl(file, words)
    assert done.returncode == status, (words, done)
    if status:
        assert done.stderr.strip() and not done.stdout, (words, done)
    else:
        assert done.stdout.strip() and not done.stderr, (words, done)
    done = ctl(file, words, "--json")
    lines = "events" in words and not status  # an object a line, of which there may be none
    answer = {} if lines else json.loads(done.stdout)
    assert done.returncode == status and bool(answer.get("error")) == bool(status), (words, done)
    if status:
        assert answer["error"] in done.stderr and "status" not in done.stderr, (words, done)


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    return module_rig.shout(redis, route=sink.host, certificate=certificate)


def test_what_is_there_and_what_is_not(shout):
    for words, status in COMMANDS.items():
        check(shout.file, words, status)
    assert "Nothing is known about" in ctl(shout.file, f"why {NOBODY}").stdout
    assert "Nothing is suspended" in ctl(shout.file, "suspensions").stdout


def test_what_the_api_refuses(shout):
    for words in REFUSALS:
        check(shout.file, words, REFUSED)


def test_what_is_no_command_line(shout):
    for words in WRONGS:
        check(shout.file, words, WRONG)


def test_what_is_wrong_is_named_as_it_was_typed(shout):
    for words, named in NAMED.items():
        check(shout.file, words, WRONG)
        assert named in ctl(shout.file, words).stderr, words


def test_options_may_be_written_in_any_way(shout):
    for words in ("queue list --limit 1 --site nowhere.example", "--limit=1 queue --site=nowhere.example list",
                  "queue list --site nowhere.example --limit=1 --json", "--json --json queue list", "queue -- list"):
        for environment in ({}, {"POSIXLY_CORRECT": "1"}):
            done = subprocess.run([BUILD / "shoutctl", f"-c{shout.file}", *words.split()], timeout=60,
                                  capture_output=True, text=True, env={**os.environ, **environment})
            assert done.returncode == 0 and done.stdout and not done.stderr, (words, done)
    assert ctl(shout.file, ["why", "--", "--limit"]).returncode == 0


def test_accents_are_no_danger(shout):
    """A message that is cut within a character once ended the process."""
    for name in ("a" + "\u00e9" * 60, "\u00e9" * 60, "\u20ac" * 60, "\U0001f600" * 60):
        for words in (["account", "show", name], ["account", "remove-domain", name, "--domain", name],
                      ["why", name], ["queue", "show", name], ["queue", "list", "--site", name],
                      ["account", "remove-address", name, "--ip", name], ["resume", "--account", name],
                      ["account", "password", name, "--username", name], ["queue", "bad", "show", name]):
            done = ctl(shout.file, words, "--json")
            assert done.returncode in (0, REFUSED) and json.loads(done.stdout), done
    assert ctl(shout.file, "account list").returncode == 0


def test_nothing_that_is_shown_moves_the_cursor_or_turns_text(shout):
    name, hidden = "a\x9b2J\u202e b \u200f\u2069 \u061c\u20ac", set("\x9b\u202e\u200f\u2069\u061c")
    account = shout.account_add(name, domain="turned.example")["account"]
    seen = "a 2J  b     \u20ac"
    for words, shown in ((["account", "list"], seen), (["account", "show", account], seen),
                         (["suspend", "--site", "turned.example", "--reason", name], "suspended"), (["suspensions"], seen),
                         (["resume", "--site", "turned.example"], "resumed")):
        done = ctl(shout.file, words)
        assert done.returncode == 0 and shown in done.stdout and not hidden & set(done.stdout), done
    token = (shout.state_dir / "control.token").read_text().strip()
    page = urllib.request.urlopen(urllib.request.Request(
        f"http://127.0.0.1:{shout.ports['control']}/api/v1/accounts/{account}", headers={"Authorization": f"Bearer {token}"}))
    for text in (ctl(shout.file, ["account", "show", account], "--json").stdout, page.read().decode()):
        assert "\\u009b" in text and "\u20ac" in text and not hidden & set(text), text
        assert json.loads(text)["name"] == name
    done = ctl(shout.file, ["account", "show", "\u202enobody"])
    assert done.returncode == REFUSED and not hidden & set(done.stderr)


def test_paths_are_taken_as_they_are(shout):
    """".." once was the path above."""
    for name in ("..", ".", "a/../b", "../accounts", "%2e%2e", "a?b=c", "a#b", "a b", "a&b", "a%00b", "+"):
        done = ctl(shout.file, ["account", "show", name])
        assert done.returncode == REFUSED and f'no account "{name}"' in done.stderr, done


def test_an_answer_that_cannot_be_written_is_no_success(shout):
    account = shout.account_add(domain="full.example")["account"]
    for words in (["account", "password", account], ["account", "list"], ["--json", "queue", "list"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, *words], timeout=60, stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        assert done.returncode == REFUSED and "cannot be written" in done.stderr, done


NAMES = re.findall(r'\{ "([a-z -]+)", "[^"]*",', (ROOT / "cmd/shoutctl.c").read_text())


def test_help(tmp_path):
    """A page for every command, which needs neither a file nor an answer."""
    everything = ctl(tmp_path / "none", "-h").stdout
    assert len(NAMES) >= len({re.match("[a-z -]+", words)[0].split(" --")[0].rstrip(" 0") for words in COMMANDS})
    for name in NAMES:
        done = ctl(tmp_path / "none", [*name.split(), "-h"])
        page = done.stdout
        assert done.returncode == 0 and not done.stderr and ctl(tmp_path / "none", f"{name} --json --help").stdout == page, name
        assert re.findall(r"^([A-Z][A-Z ]+)$", page, re.M) == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS",
                                                         "EXAMPLES"], (name, page)
        assert f"shoutctl {name} - " in page and f"\n    {name}" in everything, name
        assert max(map(len, page.splitlines())) <= 100 and all(one == one.rstrip() for one in page.splitlines()), name
    for words in ("--help", "queue --help", "nonsense --help", "--json --help"):
        done = ctl(tmp_path / "none", words)
        assert done.returncode == 0 and "SYNOPSIS" in done.stdout and not done.stderr, words
    assert "account add" not in ctl(tmp_path / "none", "queue --help").stdout
    for words, expected in (("account change", "--messages-hour"), ("account add", "--domain DOMAIN..."),
                            ("resume", "(*) one of these"), ("queue retry", "or the ID")):
        assert expected in ctl(tmp_path / "none", f"{words} -h").stdout
    assert re.fullmatch(r"shoutctl \d+\.\d+\.\d+\n", ctl(tmp_path / "none", "--version").stdout)


@pytest.mark.parametrize("name", NAMES)
def test_each_example_of_the_help_is_a_command_line(shout, tmp_path, name):
    examples = ctl(tmp_path / "none", [*name.split(), "-h"]).stdout.split("\nEXAMPLES\n")[1]
    for example in examples.replace("\\\n", " ").splitlines():
        done = subprocess.run(["sh", "-c", f'shoutctl() {{ "{BUILD}/shoutctl" -c "{shout.file}" "$@"; }}; {example}'],
                              cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, REFUSED) and "no option" not in done.stderr, (example, done)
    for one in re.findall(r"suspend .*", examples):
        ctl(shout.file, ["resume", *re.findall(r"--(?:site|account) \S+", one)[0].split()])


TYPED = {  # what the API says of a field is said of the option
    "account change A --messages-hour -1": "--messages-hour: ", "account change A --recipients-day many": "--recipients-day: ",
    "account change A --policy lax": "--policy: ", "account change A --display-address x": "--display-address: ",
    "account change A --contact nobody": "--contact: ", "account add --name n --contact a@b.example --domain x..y": "--domain x..y: ",
    "account add --name n --contact a@b.example --domain a.example --domain b.example=-1": "--domain b.example=-1: ",
    "account add --name n --contact a@b.example --domain a.example --mode ip --ip 192.0.2.1 --ip here": "--ip here: ",
    "account add --name n --contact a@b.example --domain a.example --mode ip": "--ip: ",
    "account add --name n --contact a@b.example --domain a.example --mode both": "--mode: ",
    "account add-domain A --domain x..y": "--domain: ", "account add-domain A --domain x.example=-1": "--domain: ",
    "account remove-domain A --domain x.example": "--domain: ", "account add-address A --ip here": "--ip: ",
    "account remove-address A --ip 192.0.2.9": "--ip: ", "account remove-user A --username x": "--username: ",
    "account password A --username x": "--username: ", "account show nobody": "ACCOUNT: ", "queue show short": "ID: ",
    "queue retry short": "ID: ", "queue bad show xyz": "KEY: ", "queue list --id short": "--id: ",
    "queue list --egress-ip here": "--egress-ip: ", "queue list --state odd": "--state: ", "queue list --domain x..y": "--domain: ",
    "suspend --domain x..y": "--domain: ", "suspend --site a --for 9999d": "--for: ", "resume --account nobody": "--account: ",
    "queue bounce --domain nowhere.example": "no open message matches", f"why {'x' * 999}": "ID|MESSAGE-ID|ADDRESS|CLIENT|USERNAME|ACCOUNT: ",
    "events --client xy": "--client: ", "events --since xy": "--since: ", "events --after x": "--after: ",
    "why x@y.example --limit 0": "--limit", "queue list --after x": "--after: ", "account list --after x": "--after: ",
}


def test_what_is_refused_is_said_of_what_was_typed(shout):
    account = shout.account_add(domain="typed.example")["account"]
    for words, expected in TYPED.items():
        done = ctl(shout.file, words.replace(" A", f" {account}"))
        assert done.returncode and done.stderr.startswith(f"shoutctl: {expected}"), (words, done)


def test_what_keeps_it_from_asking(shout, tmp_path):
    def file(name, change):
        settings = json.loads(shout.file.read_text())
        change(settings)
        path = tmp_path / name
        path.write_text(json.dumps(settings))
        return path

    files = {
        "cannot be read": tmp_path / "none",
        "unknown key": file("unknown", lambda s: s.update(colour="red")),
        "control.listen is not set": file("unset", lambda s: s["control"].pop("listen")),
        "control.token": file("elsewhere", lambda s: s.update(state_dir=str(tmp_path))),
        "does shout run?": file("down", lambda s: s["control"].update(listen="127.0.0.1:1")),
    }
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/control.token").write_text("0" * 64)
    files["token"] = file("wrong.yaml", lambda s: s.update(state_dir=str(tmp_path / "wrong")))
    for expected, path in files.items():
        for words in (*COMMANDS, "suspend --site x"):
            done = ctl(path, words, "--json")
            assert done.returncode == REFUSED and expected in done.stderr, (expected, words, done)
            assert expected in json.loads(done.stdout)["error"], (expected, words, done)


# What answers in its place

class Odd:
    """Answers every connection with the same bytes, and keeps what it was asked."""

    def __init__(self, answer, more=b"", times=0, address="127.0.0.1"):
        self.asked, self.answer, self.more, self.times = [], answer, more, times
        self.listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                with connection, contextlib.suppress(OSError):
                    self.asked.append(connection.recv(65536))
                    connection.sendall(self.answer)
                    for _ in range(self.times):
                        connection.sendall(self.more)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

    def close(self):
        self.listener.close()


def http(status, body=b"", headers=b""):
    return b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


ODD = [  # what comes, and what is said
    (b"", "no answer from"), (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"rows\": [", "no answer from"),
    (b"220 mail.example ESMTP\r\n", "does not speak HTTP"), (b"\x15\x03\x01\x00\x02\x02\x46", "does not speak HTTP"),
    (b"\x00" * 40, "does not speak HTTP"), (b"-ERR unknown command\r\n", "does not speak HTTP"),
    (http(b"200 OK"), "no JSON object"), (http(b"200 OK", b"<html>"), "no JSON object"),
    (http(b"200 OK", b"[]"), "no JSON object"),
    (http(b"200 OK", b"5"), "no JSON object"), (http(b"204 No Content"), "no JSON object"),
    (http(b"200 OK", b"{} {}"), "no JSON object"),
    (http(b"200 OK", b'{"a": "\xff"}'), "no JSON object"), (http(b"500 Oops"), "HTTP status 500"),
    (http(b"502 Bad", b"<html>"), "HTTP status 502"), (http(b"400 Bad", b'{"error": 5}'), "HTTP status 400"),
    (http(b"400 Bad", b'{"error": "because", "field": "x"}'), "x: because"),
    (http(b"404 No", b'{"error": "gone"}'), "gone"),
    (http(b"401 No", headers=b"WWW-Authenticate: Basic\r\n"), "HTTP status 401"),
]


def elsewhere(shout, tmp_path, port, address="127.0.0.1"):
    """Settings with the right token for an API at another port."""
    settings = json.loads(shout.file.read_text())
    settings["control"]["listen"] = f"{address}:{port}"
    file = tmp_path / f"{port}.yaml"
    file.write_text(json.dumps(settings))
    return file


def test_it_asks_where_the_api_listens(shout, tmp_path):
    for address in ("127.0.0.1", "localhost", "0.0.0.0"):
        done = ctl(elsewhere(shout, tmp_path, shout.ports["control"], address), "suspensions")
        assert done.returncode == 0 and "Nothing is suspended" in done.stdout, (address, done)
    six = Odd(http(b"200 OK", b'{"suspensions": []}'), address="::1")
    for address in ("[::1]", "[::]", "[0:0::0:1]"):
        assert ctl(elsewhere(shout, tmp_path, six.port, address), "suspensions").returncode == 0, address
    six.close()


def test_odd_answers_are_told_as_what_they_are(shout, tmp_path):
    token = (shout.state_dir / "control.token").read_text().strip()
    for answer, expected in ODD:
        odd = Odd(answer)
        for words in ("queue list", "account change a --name x", "rebuild", "account remove-user a --username b"):
            done = ctl(elsewhere(shout, tmp_path, odd.port), words, "--json")
            assert done.returncode == REFUSED and expected in json.loads(done.stdout)["error"], (answer, done)
            assert expected in done.stderr and token not in done.stdout + done.stderr, (answer, done)
            assert ("may still be done" in done.stderr) == ("no answer" in done.stderr and words != "queue list"), done
        assert len(odd.asked) == 4
        odd.close()


def test_an_endless_answer_ends(shout, tmp_path):
    odd = Odd(b"HTTP/1.1 200 OK\r\n\r\n[", b" " * (1 << 20), 100)
    done = ctl(elsewhere(shout, tmp_path, odd.port), "queue list")
    assert done.returncode == REFUSED and "64 MiB" in done.stderr and not done.stdout
    odd.close()


def test_only_the_api_hears_the_token(shout, tmp_path):
    """Neither a proxy, nor what it is sent on to, nor what .netrc says."""
    other = Odd(http(b"200 OK", b'{"rows": []}'))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    proxy = f"http://127.0.0.1:{other.port}"
    environment = {"HOME": str(tmp_path), "http_proxy": proxy, "HTTP_PROXY": proxy, "all_proxy": proxy,
                   "ALL_PROXY": proxy}
    for status in (b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"):
        odd = Odd(http(status, headers=f"Location: {proxy}/api/v1/queue\r\n".encode()))
        for words in ("queue list", "rebuild"):
            done = subprocess.run([BUILD / "shoutctl", "-c", elsewhere(shout, tmp_path, odd.port), *words.split()],
                                  timeout=60,
                                  capture_output=True, text=True, env={**os.environ, **environment})
            assert done.returncode == REFUSED and f"HTTP status {status[:3].decode()}" in done.stderr, done
        assert all(asked.count(b"Authorization: Bearer ") == 1 and b"Basic" not in asked for asked in odd.asked)
        odd.close()
    assert not other.asked
    other.close()


def test_every_request_says_how_long_it_is(shout, tmp_path):
    """A PATCH without its length is one without a body."""
    odd = Odd(http(b"200 OK", b'{"account": "a"}'))
    for words, method in (("account change a --name x", b"PATCH"), ("account add-user a", b"POST"),
                          ("rebuild", b"POST"),
                          ("account add-address a --ip 192.0.2.1", b"POST"), ("suspend --site x", b"POST")):
        assert ctl(elsewhere(shout, tmp_path, odd.port), words).returncode == 0
        head, _, body = odd.asked[-1].partition(b"\r\n\r\n")
        assert head.startswith(method) and f"Content-Length: {len(body)}".encode() in head
        assert (b"Content-Type: application/json" in head) == bool(body)
    odd.close()


# From another machine

def by_url(words, url, token_file, *more, environment=()):
    return subprocess.run([BUILD / "shoutctl", "--url", url, "--token-file", token_file, *more, *words.split()], timeout=60,
                          capture_output=True, text=True, env={**os.environ, **dict(environment)})


@contextlib.contextmanager
def tls_in_front(shout, directory):
    """As a reverse proxy is: (port, certificate, what it was sent)."""
    directory.mkdir()
    certificate, key = make_certificate(directory)
    listener, sent = socket.create_server(("127.0.0.1", 0)), []

    def carry(source, to, keep=sent):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                keep.append(data)
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                plain = listener.accept()[0]
                with plain, contextlib.suppress(OSError):
                    client = server_tls(certificate, key).wrap_socket(plain, server_side=True)
                    with client, socket.create_connection(("127.0.0.1", shout.ports["control"])) as api:
                        threading.Thread(target=carry, args=(client, api), daemon=True).start()
                        carry(api, client, [])

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1], certificate, sent
    finally:
        listener.close()


@pytest.fixture
def token_file(shout, tmp_path):
    file = tmp_path / "token"
    file.write_text((shout.state_dir / "control.token").read_text())
    file.chmod(0o600)
    return file


def test_a_url_and_a_token_are_enough(shout, token_file):
    url = f"http://127.0.0.1:{shout.ports['control']}"
    for one in (url, f"{url}/", f"http://localhost:{shout.ports['control']}"):
        done = by_url("suspensions", one, token_file)
        assert done.returncode == 0 and "Nothing is suspended" in done.stdout and not done.stderr, done
    environment = {**os.environ, "SHOUT_URL": url, "SHOUT_TOKEN_FILE": str(token_file)}
    done = subprocess.run([BUILD / "shoutctl", "suspensions"], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    environment["SHOUT_URL"] = "http://127.0.0.1:1"  # what is typed counts more, and so does a file that is named
    assert by_url("suspensions", url, token_file, environment=environment).returncode == 0
    for words in (["-c", shout.file], ["--url", url], ["-c", shout.file, "--token-file", token_file]):
        done = subprocess.run([BUILD / "shoutctl", *words, "suspensions"], capture_output=True, text=True, env=environment,
                              timeout=60)
        assert done.returncode == 0 and not done.stderr, (words, done)
    assert "127.0.0.1:1" in subprocess.run([BUILD / "shoutctl", "suspensions"], capture_output=True, text=True, env=environment,
                                           timeout=60).stderr


def test_https_is_believed_only_with_its_certificate(shout, token_file, tmp_path):
    with tls_in_front(shout, tmp_path / "tls") as (port, certificate, sent):
        done = by_url("suspensions", f"https://localhost:{port}", token_file, "--ca-file", certificate)
        assert done.returncode == 0 and "Nothing is suspended" in done.stdout, done
        done = by_url("suspensions", f"https://localhost:{port}", token_file, environment={"SHOUT_CA_FILE": str(certificate)})
        assert done.returncode == 0 and not done.stderr, done
        assert b"Bearer" in sent[0]
        sent.clear()
        for url, ca in ((f"https://localhost:{port}", "/etc/ssl/certs/ca-certificates.crt"),
                        (f"https://127.0.0.1:{port}", certificate), (f"https://localhost:{port}", tmp_path / "none")):
            done = by_url("rebuild", url, token_file, "--ca-file", ca)
            assert done.returncode == REFUSED and "no answer from" in done.stderr and "may still be done" not in done.stderr, done
        assert not sent


@pytest.mark.parametrize("url", ["relay.example", "ftp://a.example", "http://", "https://a@b.example", "https://a.example?x",
                                 "https://a b", "file:///etc/passwd", "http:/a", "https://a.example#x", ""])
def test_what_is_no_url_is_not_asked(token_file, url):
    done = by_url("suspensions", url, token_file)
    assert done.returncode in (REFUSED, WRONG) and "URL" in done.stderr or "--url" in done.stderr, done


def test_what_is_wrong_with_a_token_file_is_told(shout, token_file, tmp_path):
    url, token = f"http://127.0.0.1:{shout.ports['control']}", token_file.read_text()
    for mode, warns in ((0o600, False), (0o640, False), (0o604, True), (0o602, True)):
        token_file.chmod(mode)
        done = by_url("suspensions", url, token_file)
        assert done.returncode == 0 and (str(token_file) in done.stderr) == warns and token.strip() not in done.stderr, done
    for name, text in (("short", token[:40]), ("other", "x" * 64), ("empty", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
        done = by_url("suspensions", url, tmp_path / name)
        assert done.returncode == REFUSED and "holds no token" in done.stderr and (not text or text not in done.stderr), done
    assert "cannot read" in by_url("suspensions", url, tmp_path / "none").stderr
    assert "cannot read" in by_url("suspensions", url, tmp_path).stderr
    assert "--token-file" in subprocess.run([BUILD / "shoutctl", "--url", url, "suspensions"], capture_output=True, text=True,
                                            timeout=60).stderr
    assert "without https" in by_url("suspensions", "http://192.0.2.1:1", tmp_path / "short").stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_an_operator_needs_no_secret_but_the_token(shout, token_file):
    """Neither keys nor the password of Redis: their files, and state_dir, are closed to others."""
    secret = token_file.parent / "redis.password"
    secret.write_text("secret")
    secret.chmod(0o600)
    settings = json.loads(shout.file.read_text())
    settings["redis"]["password_file"] = str(secret)
    key = token_file.parent / "key.pem"
    key.write_bytes(shout.key.read_bytes())
    key.chmod(0o600)
    settings["ingress"]["tls"]["key"] = str(key)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        file, token = os.path.join(directory, "shout.yaml"), os.path.join(directory, "token")
        program = shutil.copy(BUILD / "shoutctl", directory)
        with open(file, "w") as config:
            json.dump(settings, config)
        shutil.copy(token_file, token)
        shutil.chown(token, 65534)
        for words, status in ((["--token-file", token], 0), ([], REFUSED)):
            done = subprocess.run([program, "-c", file, *words, "suspensions"], user=65534, group=65534, extra_groups=[],
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode == status and ("--token-file" in done.stderr) == bool(status), done
            assert "key.pem" not in done.stderr and "redis.password" not in done.stderr, done
