"""The scanner between real clients, a real clamd and a sink: what is infected never arrives, and what
cannot be scanned now waits."""

import base64
import concurrent.futures
import io
import os
import pathlib
import zipfile

import pytest

from harness import EICAR, Clamd, Shout, send, wait_for

SENDER = "anna@customer.example"
CLEAN = b"From: anna@customer.example\r\nSubject: hello\r\n\r\nnothing here\r\n"


def attached(data, name="sample.bin"):
    """A mail with an attachment in base64."""
    text = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return (b"From: anna@customer.example\r\nSubject: look\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n'
            b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
            b"Content-Disposition: attachment; filename=" + name.encode() + b"\r\n\r\n" + text + b"--b--\r\n")


def zipped(layers):
    data, name = EICAR, "sample.com"
    for _ in range(layers):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
        data, name = out.getvalue(), "sample.zip"
    return data


def post(shout, account, body, sender=SENDER, to="bob@elsewhere.example"):
    with shout.smtp(account=account) as client:
        return send(client, sender, to, body)


def configure(clamd, settings):
    """Puts these lines in the place of those about the same."""
    config, names = clamd.directory / "clamd.conf", [line.split()[0] for line in settings.splitlines()]
    lines = [line for line in config.read_text().splitlines() if line.split()[0] not in names]
    config.write_text("\n".join([*lines, settings]) + "\n")


def unfit(rig, settings):
    clamd = Clamd(rig.path("clamd"))
    configure(clamd, settings)
    return rig.add(clamd)


def held(shout, message_id):
    events = wait_for(lambda: shout.events("held", message_id), what="a held event")
    assert len(events) == 1
    return events[0]


def to(sink, recipient):
    return [message for message in sink.find() if recipient in message.recipients]


def count_subject(sink, subject):
    return sum(subject in message.body for message in sink.find())


@pytest.fixture
def own(rig):
    """A Shout with a clamd of its own, which the test may mistreat: (shout, account, clamd, sink)."""
    clamd, sink = rig.clamd(), rig.sink()
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host,
                      settings={"scanner": {"timeout": "2s"}})
    return shout, shout.account_add(), clamd, sink


def test_clean_mail_is_delivered(shout, account, sink):
    message_id = post(shout, account, CLEAN, to="clean@elsewhere.example")
    wait_for(lambda: to(sink, "clean@elsewhere.example"))
    assert not shout.events("held", message_id)


def test_eicar_is_held_and_those_concerned_are_told(shout, account, sink):
    message_id = post(shout, account, attached(EICAR), to="eicar@elsewhere.example")
    event = held(shout, message_id)
    assert event["verdict"] == "infected"
    assert "Eicar" in event["signature"]
    for address in ("admin@customer.example", SENDER):
        notice = wait_for(lambda to_=address: to(sink, to_), what=f"a notice to {address}")[0]
        assert notice.sender == ""
        assert b"Auto-Submitted: auto-replied" in notice.body
        assert message_id.encode() in notice.body
        assert b"virus" in notice.body
    assert not to(sink, "eicar@elsewhere.example")


def test_viruses_count_in_the_score(shout):
    account = shout.account_add(name="infected", domain="infected.example")
    body = attached(EICAR).replace(b"customer.example", b"infected.example")
    held(shout, post(shout, account, body, "anna@infected.example"))
    wait_for(lambda: shout.shoutctl("account", "show", account["account"])["score"]["7d"] == {
        "sent": 0, "strangers": 0, "recipients": 0, "hard_bounces": 0, "unknown_users": 0, "complaints": 0,
        "viruses": 1, "alerts": 0, "spam": 0})


def test_eicar_in_a_zip_is_found(shout, account):
    message_id = post(shout, account, attached(zipped(3)))
    assert held(shout, message_id)["verdict"] == "infected"


def test_what_is_nested_beyond_the_limits_is_unscannable(shout, account, sink):
    message_id = post(shout, account, attached(zipped(30)), to="nested@elsewhere.example")
    event = held(shout, message_id)
    assert event["verdict"] == "unscannable"
    assert "MaxRecursion" in event["signature"]
    assert not to(sink, "nested@elsewhere.example")


def many_files():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"{number}.txt", b"text %d" % number)
        archive.writestr("sample.com", EICAR)
    return out.getvalue()


def unpacks_to(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.bin", bytes(size) + EICAR)
    return out.getvalue()


@pytest.mark.parametrize("setting, content", [
    ("MaxRecursion 4", lambda: zipped(10)),
    ("MaxFiles 3", many_files),
    ("MaxScanSize 120M", lambda: unpacks_to(130 << 20)),
])
def test_a_virus_beyond_a_limit_is_unscannable(rig, certificate, setting, content):
    clamd, sink = unfit(rig, setting), rig.sink()
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate)
    message_id = post(shout, shout.account_add(), attached(content()), to="beyond@elsewhere.example")
    event = held(shout, message_id)
    assert event["verdict"] == "unscannable"
    assert setting.split()[0] in event["signature"]
    assert not to(sink, "beyond@elsewhere.example")


def load(shout, account, count, during):
    """Posts `count` clean messages while during() runs."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        posted = [pool.submit(post, shout, account,
                              b"From: anna@customer.example\r\nSubject: load\r\n\r\n%d\r\n" % number)
                  for number in range(count)]
        during()
        return [one.result() for one in posted]


def test_mail_waits_for_a_clamd_that_is_killed(own):
    shout, account, clamd, sink = own

    def during():
        wait_for(lambda: count_subject(sink, b"Subject: load") > 5)
        clamd.kill()
        wait_for(lambda: shout.get("/readyz")[0] != 200, what="the probe fails")
        clamd.start()

    load(shout, account, 60, during)
    wait_for(lambda: count_subject(sink, b"Subject: load") == 60, deadline=60)
    wait_for(lambda: shout.get("/readyz")[0] == 200)
    assert not shout.events("held")


def test_mail_waits_for_a_clamd_that_hangs(own):
    shout, account, clamd, sink = own

    def during():
        wait_for(lambda: count_subject(sink, b"Subject: load") > 5)
        with clamd.paused():
            wait_for(lambda: shout.get("/readyz")[0] != 200, what="the probe fails")

    load(shout, account, 40, during)
    wait_for(lambda: count_subject(sink, b"Subject: load") == 40, deadline=90)
    assert not shout.events("held")


def test_mail_waits_while_clamd_has_no_room_to_unpack(rig, certificate):
    # with 72 KB of room clamd takes this mail, leaves out what is attached, and answers OK
    clamd, sink = rig.clamd(disk="16m", settings=["DisableCache yes"]), rig.sink()
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate,
                      settings={"ingress": {"message_size_limit": "1M"}})
    account, filling = shout.account_add(), pathlib.Path(clamd.unpacks_in()) / "filling"
    disk = os.statvfs(clamd.unpacks_in())
    filling.write_bytes(bytes(disk.f_bavail * disk.f_frsize - (72 << 10)))
    body = attached(EICAR).replace(b"hi\r\n", b"hi\r\n" + b"a line of text\r\n" * 4200)
    message_id = post(shout, account, body, to="room@elsewhere.example")
    wait_for(lambda: shout.get("/readyz")[0] == 503 and "needs" in shout.get("/readyz")[1],
             what="the probe names the lack of room")
    assert not shout.events("held", message_id)
    filling.unlink()
    assert held(shout, message_id)["verdict"] == "infected"
    wait_for(lambda: shout.get("/readyz")[0] == 200)
    assert shout.log().count("no clamd is used for want of room") == 1
    assert not to(sink, "room@elsewhere.example")


def test_one_of_two_clamd_is_enough(rig, certificate):
    clamd, dead, sink = rig.clamd(), Clamd(rig.path("dead")), rig.sink()
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate,
                      settings={"scanner": {"clamd": [dead.address, clamd.address]}})
    load(shout, shout.account_add(), 20, lambda: None)
    wait_for(lambda: count_subject(sink, b"Subject: load") == 20)
    assert shout.metric("shout_scanner_clamd_up", f'host="{dead.address}"') == 0
    assert shout.metric("shout_scanner_clamd_up", f'host="{clamd.address}"') == 1


UNFIT = [
    ("AlertExceedsMax no", "AlertExceedsMax yes"),
    ("StreamMaxLength 10M", "StreamMaxLength"),
    ("MaxFileSize 10M", "MaxFileSize"),
    ("MaxScanSize 60M", "MaxScanSize"),
    ("ScanArchive no", "ScanArchive yes"),
    ("ScanMail no", "ScanMail yes"),
    # a limit that mail would exceed in silence
    *((f"{limit}\nAlertExceedsMax no", "AlertExceedsMax yes") for limit in (
        "StreamMaxLength 10M", "MaxFileSize 10M", "MaxScanSize 10M", "MaxRecursion 100", "MaxFiles 3")),
]


@pytest.mark.parametrize("setting, why", UNFIT)
def test_a_clamd_with_unfit_settings_is_refused(rig, certificate, setting, why):
    shout = Shout(rig.path("shout"), rig.redis(), clamd=unfit(rig, setting), certificate=certificate)
    rig.started.append(shout.start(wait=False))
    wait_for(lambda: why in shout.get("/readyz")[1], what=f"the probe names {why}")
    assert shout.get("/readyz")[0] == 503


def test_a_clamd_that_comes_back_with_a_smaller_limit_is_refused(own):
    shout, account, clamd, _ = own
    clamd.kill()
    configure(clamd, "MaxScanSize 60M")
    clamd.start()
    message_id = post(shout, account, CLEAN)
    wait_for(lambda: "MaxScanSize" in shout.get("/readyz")[1], what="the probe names MaxScanSize")
    assert not shout.events("delivered", message_id)
