"""docs/disasters.md: a relay in each state, and the commands of its page, which show what the page says."""

import pytest

import readme
import test_incidents as incidents
from harness import wait_for

pytestmark = incidents.pytestmark
PAGE = "docs/disasters.md"
PLAYS = {}


@pytest.fixture(scope="module")
def relay(module_rig, certificate):
    return incidents.Relay(module_rig, clamd=module_rig.clamd(), certificate=certificate, disk="200m",
                           queue={"map_size": "4G", "min_free": 10})


def disaster(title):
    """The function brings the relay into the state, yields for each command what it has to show (and words in
    capitals), and mends it."""
    def add(play):
        PLAYS[title] = play
        return play
    return add


def scans(relay):
    """A clamd that was not fit for use is tried again half a minute later."""
    wait_for(lambda: "scanner: ready" in relay.shout.get("/readyz")[1], 120, "clamd is in use")


def told(relay, event, mail):
    return mail in relay.console.type(f"shoutctl events --event {event} --limit 1000")


def answer_to_mail(relay):
    with relay.shout.smtp("plain", account=relay.account) as client:
        return client.mail("boss@customer.example")[0]


@disaster("Redis is lost")
def _redis(relay):
    relay.redis.kill()
    yield "redis: degraded", "Could not connect", "redis"
    relay.redis.start()
    relay.is_ready("redis", "control")


@disaster("The disk is full")
def _disk(relay):
    filling = relay.shout.disk() / "filling"
    with open(filling, "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(1 << 20))
    yield "queue: failed: the disk of", "100%", "filling"
    filling.unlink()
    relay.is_ready("queue")


@disaster("clamd lets viruses through")
def _signatures(relay):
    database = relay.clamd.directory / "db"
    kept = {path: path.read_bytes() for path in database.iterdir()}
    relay.clamd.stop()
    for path in kept:
        path.unlink()
    (database / "other.hdb").write_text("0" * 32 + ":68:Other\n")
    relay.clamd.start()
    wait_for(lambda: "EICAR" in relay.shout.get("/readyz")[1], 120, "clamd has been tried")
    yield "EICAR", "shout_scanner_clamd_refused", "other.hdb"
    relay.clamd.stop()
    for path, data in kept.items():
        path.write_bytes(data)
    relay.clamd.start()
    scans(relay)


@disaster("clamd takes good mail for a virus")
def _good_mail_held(relay):
    database = relay.clamd.directory / "db"
    (database / "bad.ndb").write_text(f"Bad.Signature:0:*:{b'quarterly figures'.hex()}\n")
    relay.clamd.stop()
    relay.clamd.start()
    scans(relay)
    mail = relay.submit("board@fine.example", b"The quarterly figures")
    wait_for(lambda: told(relay, "held", mail), what="it is held")
    yield mail, "Bad.Signature", "", {"SIGNATURE": "Bad.Signature"}
    relay.clamd.stop()
    relay.clamd.start()
    scans(relay)
    relay.shout.shoutctl("queue", "release", mail)
    wait_for(lambda: relay.hosts["fine"].find("board@fine.example"), what="it is delivered")
    again = relay.submit("again@fine.example", b"The quarterly figures")
    wait_for(lambda: relay.hosts["fine"].find("again@fine.example"), what="the signature does not count")
    assert not told(relay, "held", again)


@disaster("Our address is listed")
def _listed(relay):
    rule = relay.hosts["listed"].on("mail", "550 5.7.1 blocked using zen.spamhaus.org")
    relay.submit("a@listed.example")
    yield 'class="dnsbl"', "zen.spamhaus.org", "listed.example", {"PROVIDER": "listed.example"}
    mail = relay.submit("b@listed.example")
    relay.console.look(f"shoutctl queue show {mail}", ["Suspended provider listed.example"])
    assert not told(relay, "bounced", mail)
    relay.hosts["listed"].rules.remove(rule)
    relay.shout.shoutctl("resume", "--provider", "listed.example")
    relay.shout.shoutctl("queue", "retry", "--provider", "listed.example")
    wait_for(lambda: relay.hosts["listed"].find("b@listed.example"), what="it goes out after all")


@disaster("A customer was hacked")
def _hacked(relay):
    relay.hosts["news"].on("rcpt", "550 5.1.1 No such user here", times=20)
    relay.submit("a@news.example", b"win", count=20)
    relay.hosts["rated"].on("mail", "421 4.7.0 unusual rate")
    waiting = relay.submit("a@rated.example", b"win", count=5)
    account = relay.account["account"]
    yield account, "20 unknown users", account, {"ACCOUNT": account}
    wait_for(lambda: answer_to_mail(relay) == 550, what="the account is disabled")
    relay.shout.shoutctl("queue", "bounce", "--account", account)
    wait_for(lambda: told(relay, "bounced", waiting), what="what waited goes back")
    relay.shout.shoutctl("account", "enable", account)


def here(relay, command, words):
    """The command of the page, for servers of a test; state_dir is a disk that only the relay sees."""
    if command.startswith(("df ", "du ")):
        command = " ".join(map(str, relay.shout.inside())) + " " + command
    for there, place in {**words, "http://127.0.0.1:9090": "$page", "/run/redis/redis-server.sock": relay.redis.socket,
                         "/var/lib/shout": str(relay.shout.state_dir), "/var/lib/clamav": str(relay.clamd.directory / "db"),
                         "journalctl -u shout -n 20": "tail -n 20 $log"}.items():
        command = command.replace(there, place)
    return command


BLOCKS = {title: lines for title, mark, lines in readme.blocks(PAGE) if mark == "disaster"}


def test_each_page_is_played():
    assert BLOCKS.keys() == PLAYS.keys() and all(len(lines) == 3 for lines in BLOCKS.values())


@pytest.mark.parametrize("title", PLAYS)
def test_the_commands_of_the_page_show_it(relay, title):
    play = PLAYS[title](relay)
    *shown, last = next(play)
    shown, words = ([*shown, last], {}) if isinstance(last, str) else (shown, last)
    try:
        for command, word in zip(BLOCKS[title], shown, strict=True):
            relay.console.look(here(relay, command, words), [word])
    finally:
        next(play, None)
