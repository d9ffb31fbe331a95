"""1,000 messages through Shout under valgrind, and a stop: no error, nothing leaked."""

from harness import BUILD, EICAR, send, wait_for
from scale import scale

HEADER = b"From: anna@customer.example\r\nSubject: x\r\n\r\n"


def valgrind(log):
    """Valgrind's command line; a sanitizer's build looks for the same itself, and cannot run under it."""
    if any(word in (BUILD / "shout").read_bytes() for word in (b"__asan_init", b"__tsan_init")):
        return []
    return ["valgrind", "--leak-check=full", "--show-leak-kinds=definite,possible",
            "--errors-for-leak-kinds=definite,possible", "--error-exitcode=99", f"--log-file={log}"]


def what_is_not_plain(r):
    """TLS, AUTH, a spilled body, a virus, a retry, a bounce, Redis going away."""
    r.sink.on("rcpt", "451 4.2.2 later", match="later", times=2)
    r.sink.on("rcpt", "550 5.1.1 nobody", match="nobody")
    account = r.account
    sender, body = "boss@other.example", HEADER.replace(b"anna@customer", b"boss@other")
    for kind in ("starttls", "implicit"):
        with r.shout.smtp(kind, account) as client:
            send(client, sender, ["bob@elsewhere.example", "later@elsewhere.example"], body + b"hi\r\n")
            send(client, sender, "nobody@elsewhere.example", body + b"hi\r\n")
            send(client, sender, "bob@elsewhere.example", body + EICAR + b"\r\n")
            send(client, sender, "bob@elsewhere.example", body + (b"x" * 76 + b"\r\n") * 5000)
    r.redis.kill()
    with r.shout.smtp("starttls") as client:
        client.ehlo()
        client.mail(sender)
    r.redis.start()
    for event, count in (("bounced", 2), ("held", 2), ("deferred", 1)):
        wait_for(lambda e=event, n=count: len(r.shout.events(e)) >= n, 60, event)


def test_valgrind_finds_nothing(relay, rig, clamd):
    log = rig.path("valgrind.log")
    r = relay(clamd=clamd, wrapper=valgrind(log))
    load = r.load(sessions=10, count=scale("SHOUT_VALGRIND_MESSAGES")).start()
    what_is_not_plain(r)
    accepted = load.join().accepted()
    wait_for(lambda: r.sink.count() >= accepted, 60, "all arrive")
    r.shout.get("/metrics")
    r.shout.shoutctl("queue", "list")
    r.shout.shoutctl("queue", "summary", "--by", "account")
    status = r.shout.stop(60)
    report = log.read_text(errors="replace") if log.exists() else r.shout.log()
    assert status == 0 and (not log.exists() or "ERROR SUMMARY: 0 errors" in report), report[-8000:]
    assert accepted == scale("SHOUT_VALGRIND_MESSAGES")
    r.shout.assert_no_sanitizer_report()
