"""SIGHUP reads the settings again: what can change does, by its name and values in the log, what cannot is named, and
a file with an error is refused as a whole."""

import json
import os
import re
import signal
import smtplib
import threading

import pytest

from harness import EICAR, make_certificate, send, wait_for
from test_scanner import CLEAN, SENDER, attached, held, post, to


def log(shout, message, **fields):
    return [line for line in shout.log_lines()
            if line["message"] == message and all(line.get(key) == value for key, value in fields.items())]


def reload(shout, message="configuration read again"):
    """SIGHUP; the lines since."""
    before = len(shout.log_lines())
    os.kill(shout.process.pid, signal.SIGHUP)
    last = message if shout.settings["log"]["level"] == "error" else "reloaded"
    for one in (message, last):
        wait_for(lambda one=one: [line for line in shout.log_lines()[before:] if line["message"] == one], what=one)
    return shout.log_lines()[before:]


def change(shout, **sections):
    for section, keys in sections.items():
        for key, value in keys.items():
            if isinstance(value, dict):
                shout.settings.setdefault(section, {}).setdefault(key, {}).update(value)
            else:
                shout.settings.setdefault(section, {})[key] = value
    shout.write()


def changed(lines):
    return {line["key"]: (line["before"], line["after"]) for line in lines if line["message"] == "setting changed"}


def stays(lines):
    return {line["key"]: (line["runs with"], line["file says"]) for line in lines
            if line["message"] == "this setting needs a restart"}


@pytest.fixture
def own(rig, sink, clamd, certificate):
    shout = rig.shout(rig.redis(), clamd=clamd, route=sink.host, certificate=certificate)
    return shout, shout.account_add(), sink


def test_the_log_level_changes_and_back(own):
    shout, account, sink = own
    change(shout, log={"level": "error"})
    assert changed(reload(shout)) == {"log.level": ("debug", "error")}
    post(shout, account, CLEAN, to="quiet@elsewhere.example")
    wait_for(lambda: to(sink, "quiet@elsewhere.example"))
    change(shout, log={"level": "debug"})
    lines = reload(shout)
    assert changed(lines) == {"log.level": ("error", "debug")}
    assert not [line for line in lines if line["level"] not in ("error", "info")]
    post(shout, account, CLEAN, to="loud@elsewhere.example")
    wait_for(lambda: [line for line in shout.log_lines() if line["message"] == "client" and line["level"] == "debug"])


def answer(shout, account):
    """To DATA."""
    try:
        post(shout, account, CLEAN)
    except AssertionError as why:
        return str(why)
    return "taken"


def test_a_default_limit_limits_from_then_on_and_no_longer_when_it_is_lifted(own):
    shout, account, _ = own
    for _ in range(3):
        post(shout, account, CLEAN)
    change(shout, limits={"default": {"messages_hour": 1}})
    assert changed(reload(shout)) == {"limits.default.messages_hour": ("0", "1")}
    # what the two threads hold of the former limit is used up first
    refused = wait_for(lambda: (heard := answer(shout, account)) != "taken" and heard)
    assert "messages per hour" in refused
    change(shout, limits={"default": {"messages_hour": 0}})
    reload(shout)
    wait_for(lambda: answer(shout, account) == "taken")


def test_ingress_scanner_and_sender_take_their_settings(own):
    shout, account, sink = own
    change(shout, ingress={"recipients_max": 100, "connections_per_address": 3, "timeout": "300s"},
           scanner={"timeout": "50s", "pua": "tag"},
           sender={"retry": {"max": "3s"}, "timeout": {"idle": "0"}, "connections_max": 7}, queue={"floods_size": "1M"})
    assert changed(reload(shout)) == {
        "ingress.recipients_max": ("1000", "100"), "ingress.connections_per_address": ("100", "3"),
        "scanner.timeout": ("1m", "50s"), "scanner.pua": ("hold", "tag"), "sender.retry.max": ("2s", "3s"),
        "sender.timeout.idle": ("5s", "0"), "sender.connections_max": ("1000", "7"), "queue.floods_size": ("100M", "1M")}
    with shout.smtp(account=account) as client:
        client.mail(SENDER)
        codes = [client.rcpt(f"r{number}@elsewhere.example")[0] for number in range(101)]
    assert codes == [250] * 100 + [452]
    clients = [smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=10) for _ in range(3)]
    with pytest.raises(smtplib.SMTPConnectError, match="421"):
        smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=10)
    for client in clients:
        client.close()
    post(shout, account, CLEAN, to="after@elsewhere.example")
    wait_for(lambda: to(sink, "after@elsewhere.example"))


def test_what_needs_a_restart_is_named_and_secrets_are_not_shown(own):
    shout, _, _ = own
    change(shout, redis={"password": "sesame-1"}, sender={"port": 2525, "allow_networks": ["127.0.0.0/8"]},
           log={"level": "info"}, ingress={"threads": 3, "tls": {}})
    shout.settings["hostname"] = "other.test"
    shout.settings["ingress"]["listen"].pop()
    shout.write()
    for _ in range(2):
        lines = reload(shout)
        assert set(stays(lines)) == {"hostname", "redis.password", "sender.port", "sender.allow_networks",
                                     "ingress.threads", "ingress.listen",
                                     "ingress.help_url", "ingress.postmaster"}  # these two follow the hostname
        assert stays(lines)["hostname"] == ("shout.test", "other.test")
        assert stays(lines)["sender.allow_networks"] == ("[127.0.0.0/8, ::1]", "[127.0.0.0/8]")
        assert stays(lines)["redis.password"] == ("(secret)", "(secret)")
    assert "sesame" not in shout.log()
    assert shout.smtp("plain").ehlo_or_helo_if_needed() is None


@pytest.mark.parametrize("break_it, why", [
    (lambda text: text.replace('"level": "info"', '"level": "loud"'), r"shout\.yaml:\d+: log\.level: \"loud\""),
    (lambda text: text.replace('"first": "1s"', '"first": "1h"'), r"shout\.yaml:\d+: sender\.retry\.first"),
    (lambda text: text[:-20], r"shout\.yaml:\d+: not YAML"),
    (lambda text: "", r"shout\.yaml:1: the file is empty"),
    (lambda text: None, r"shout\.yaml: cannot be read"),
    (lambda text: text.replace("cert.pem", "none.pem"), r"none\.pem"),
])
def test_a_broken_file_is_refused_as_a_whole(own, break_it, why):
    shout, account, sink = own
    change(shout, log={"level": "info"}, limits={"default": {"messages_day": 1}})
    good = shout.file.read_text()
    broken = break_it(good)
    if broken is None:
        shout.file.unlink()
    else:
        shout.file.write_text(broken)
    lines = reload(shout, "the configuration stays as it was")
    assert not changed(lines) and not stays(lines)
    assert re.search(why, [line["error"] for line in lines if line["message"] == "the configuration stays as it was"][0])
    for number in range(3):  # neither the level nor the limit
        post(shout, account, CLEAN, to=f"still{number}@{account['account']}.example")
    wait_for(lambda: to(sink, f"still2@{account['account']}.example"))
    assert [line for line in shout.log_lines() if line["level"] == "debug"]
    shout.file.write_text(good)
    assert set(changed(reload(shout))) == {"log.level", "limits.default.messages_day"}


def test_other_certificates_are_shown_and_unfit_ones_are_not(own, rig):
    shout, account, _ = own
    directory = rig.path("other")
    directory.mkdir()
    certificate, key = make_certificate(directory, names=("other.test",))
    change(shout, ingress={"tls": {"certificate": str(certificate), "key": str(key)}})
    assert set(changed(reload(shout))) == {"ingress.tls.certificate", "ingress.tls.key"}

    def names():
        with shout.smtp("implicit") as client:
            return client.sock.getpeercert(True)

    import ssl
    expiry = "shout_certificate_expiry_timestamp_seconds"
    assert shout.metric(expiry, f'file="{certificate}"') > 1.7e9
    assert str(shout.metric(expiry, f'file="{shout.certificate}"')) == "nan"  # alarms nobody any more
    served = ssl.DER_cert_to_PEM_cert(names())
    assert served.strip() == certificate.read_text().strip()
    key.write_text("no key")  # in place: the old one stays, and the settings are taken all the same
    change(shout, ingress={"errors_max": 5})
    lines = reload(shout)
    assert set(changed(lines)) == {"ingress.errors_max"}
    wait_for(lambda: log(shout, "certificates stay as they were"))
    assert ssl.DER_cert_to_PEM_cert(names()) == served


def test_twice_quickly_and_under_load_nothing_is_lost(own):
    shout, account, sink = own
    stop, sent = threading.Event(), []

    def load(name):
        while not stop.is_set():
            recipient = f"{name}x{len(sent)}@elsewhere.example"
            post(shout, account, CLEAN, to=recipient)
            sent.append(recipient)

    threads = [threading.Thread(target=load, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for number in range(40):
        change(shout, ingress={"errors_max": 5 + number, "connections_max": 200 + number},
               sender={"connections_max": 20 + number, "retry": {"max": f"{2 + number % 3}s"}},
               scanner={"timeout": f"{20 + number}s"}, limits={"default": {"messages_day": 1000000 + number}})
        os.kill(shout.process.pid, signal.SIGHUP)
        if number % 2:
            os.kill(shout.process.pid, signal.SIGHUP)
        wait_for(lambda n=number: log(shout, "setting changed", key="ingress.errors_max", after=str(5 + n)))
    stop.set()
    for thread in threads:
        thread.join()
    assert len(sent) > 4
    wait_for(lambda: all(to(sink, recipient) for recipient in sent), deadline=60)
    assert shout.stop() == 0
    shout.assert_no_sanitizer_report()


def test_a_user_who_may_not_read_the_file_any_more_keeps_the_old_one(rig, sink, certificate):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    change(shout, log={"level": "info"})
    shout.file.chmod(0o000)
    # root without capabilities is nobody special
    lines = reload(shout, "the configuration stays as it was")
    assert not changed(lines)
    assert "cannot be read: Permission denied" in str(lines)
    shout.file.chmod(0o600)
    assert set(changed(reload(shout))) == {"log.level"}
