"""shoutctl with whatever is wrong: a clear message, the documented status, and JSON with --json."""

import json
import subprocess

import pytest

from harness import BUILD

NOBODY = "0" * 26  # an id of nothing
REFUSED, WRONG = 1, 2

COMMANDS = {  # complete, and nothing is there that they name
    "account list": 0, f"account show {NOBODY}": REFUSED, f"account disable {NOBODY}": REFUSED,
    f"account enable {NOBODY}": REFUSED, f"account password {NOBODY}": REFUSED,
    f"account change {NOBODY} --name x": REFUSED, f"account add-domain {NOBODY} --domain a.example": REFUSED,
    f"account remove-domain {NOBODY} --domain a.example": REFUSED,
    f"account add-address {NOBODY} --ip 192.0.2.1": REFUSED,
    f"account remove-address {NOBODY} --ip 192.0.2.1": REFUSED, f"account add-user {NOBODY}": REFUSED,
    f"account remove-user {NOBODY} --username x": REFUSED,
    "account add --name n --contact x --domain d.example": REFUSED,
    "queue list": 0, "queue list --site nowhere.example": 0, f"queue list --id {NOBODY}": 0, "queue list --state held": 0,
    f"queue show {NOBODY}": REFUSED, f"queue retry {NOBODY}": 0, f"queue bounce {NOBODY}": 0,
    f"queue release {NOBODY}": 0, "queue bad": 0, "queue bad show 00": REFUSED, "queue bad remove 00": REFUSED,
    f"resume --account {NOBODY}": REFUSED, "suspensions": 0, f"why {NOBODY}": 0, "rebuild": 0,
}
REFUSALS = [  # what the API is asked and refuses
    "queue retry", "queue bounce", "queue release", "suspend", "resume", "queue show short",
    "queue list --state sleeping", "queue list --limit 0", "queue list --after nowhere", "why x --limit 0",
    "why x --limit 1&q=y", "account list --limit many", "suspend --egress-ip here", "queue retry short",
]
WRONGS = [  # what is no command line
    "", "account", "queue", "nonsense", "account nonsense", "account show", "account show a b", "queue show",
    "queue list extra", "queue list --colour", "queue list --verified", "queue list --limit", "queue list --limit x",
    "queue list --limit -1", "queue bad show", "queue bad show a b", "queue bad look 00", "queue retry a b",
    "suspend --site x --for soon", "suspensions all", "why", "why a b", "rebuild now", "-x", "-c",
    "account add --name n", "account add-domain a", "account remove-user a",
    ["queue", "bounce", ""], ["account", "show", ""], ["account", "disable", ""], ["queue", "show", ""], ["why", ""],
    ["queue", "bounce", "--account", "", "--site", "x"], "queue bounce --account a --account b", "suspend --site a --site b",
    [b"queue", b"bounce", b"--account", b"\xff", b"--site", b"x"],
]


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
    answer = json.loads(done.stdout)
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


def test_help(tmp_path):
    for words in ("--help", "queue --help", "account add --help", "nonsense --help", "--json --help"):
        done = ctl(tmp_path / "none", words)
        assert done.returncode == 0 and "usage: shoutctl" in done.stdout and not done.stderr, words


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
