"""DKIM: what arrives carries signatures that two other programs verify (dkimpy, and rspamd by a real name server), whatever
the body is like; keys are made, rotated, switched off; a key that cannot be used loses no mail."""

import json
import re

import dkim
import pytest

from harness import free_port, send, wait_for
from rspamd import Rspamd

BODIES = {
    "plain": b"hello\r\n",
    "empty": b"",
    "blank lines": b"\r\n\r\n \t\r\n\r\n",
    "white space": b"a  b \t c   \r\n  d\t\r\n\r\n\r\n",
    "dots": b".\r\n..\r\n.x\r\n",
    "8-bit": "perché così è più bello\r\n".encode("latin-1") + "日本\r\n".encode(),
    "long line": b"x" * 400_000 + b" " * 5000 + b"y\r\n",
    "no line end": b"the last line has none",
}
BOTH = ["--algorithm", "rsa-sha256", "--algorithm", "ed25519-sha256"]


def records(shown):
    """{name: text} of what the DNS has to have."""
    return {key["record"]["name"]: key["record"]["value"] for key in shown["keys"]}


def verified(raw, dns):
    """Whether each signature verifies, by (domain, selector, algorithm)."""
    def ask(name, timeout=5):
        return dns.get(name.decode().rstrip("."), "").encode() or None
    count = len(re.findall(rb"(?im)^dkim-signature:", raw.split(b"\r\n\r\n", 1)[0]))
    found = {}
    for index in range(count):
        one = dkim.DKIM(raw, minkey=1024)
        good = one.verify(idx=index, dnsfunc=ask)
        fields = one.signature_fields
        found[fields[b"d"].decode(), fields[b"s"].decode(), fields[b"a"].decode()] = good
    return found


def arrives(sink, subject):
    return wait_for(lambda: [one for one in sink.find() if one.header("Subject") == subject], what=subject)[0].body


def post(shout, account, subject, body, sender="anna@customer.example", fields=b""):
    with shout.smtp(account=account) as client:
        return send(client, sender, "to@elsewhere.example",
                    b"From: Anna <" + sender.encode() + b">\r\nTo: to@elsewhere.example\r\n" + fields + b"Subject: "
                    + subject.encode() + b"\r\n\r\n" + body)


@pytest.fixture(scope="module")
def signing(module_rig, redis, clamd, sink, certificate):
    shout = module_rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate, settings={
        "dkim": {"domain": "Relay.example", "sender_id": "shout-test"}})
    account = shout.account_add(domain=["customer.example", "other.example"])
    dns = records(shout.shoutctl("dkim", "enable", "customer.example", *BOTH))
    dns.update(records(shout.shoutctl("dkim", "enable", "relay.example")))
    return shout, account, dns


def zone_of(dns, domain):
    lines = []
    for name, text in dns.items():
        if name.endswith("." + domain):
            parts = " ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))
            lines.append(f"{name}. TXT {parts}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def judge(module_rig, signing):
    dns = signing[2]
    nsd = module_rig.nsd({name: zone_of(dns, name) for name in ("customer.example", "relay.example")})
    return module_rig.add(Rspamd(module_rig.path("rspamd"), dns=nsd.address, modules=["dkim"]))


ALL = {("customer.example", "shout1", "rsa-sha256"), ("customer.example", "shout1e", "ed25519-sha256"),
       ("relay.example", "shout1", "rsa-sha256")}


@pytest.mark.parametrize("kind", BODIES)
def test_two_verifiers_take_each_signature(signing, sink, judge, kind):
    shout, account, dns = signing
    post(shout, account, f"body: {kind}", BODIES[kind])
    raw = arrives(sink, f"body: {kind}")
    assert verified(raw, dns) == dict.fromkeys(ALL, True)
    symbols = judge.check(raw)["symbols"]
    assert set(symbols["R_DKIM_ALLOW"]["options"]) >= {
        f"{domain}:s={selector}" for domain, selector, _ in ALL}, symbols
    broken = raw.replace(b"Subject: body", b"Subject: BODY", 1)
    assert not any(verified(broken, dns).values())


def test_thirty_megabytes(signing, sink, judge):
    shout, account, dns = signing
    body = b"".join(b"%07d 0123456789 abcdefghijklmnopqrstuvwxyz  \r\n" % i for i in range(640_000))
    assert len(body) > 30_000_000
    post(shout, account, "large", body)
    raw = arrives(sink, "large")
    assert raw.endswith(body)
    assert verified(raw, dns) == dict.fromkeys(ALL, True)
    assert "R_DKIM_ALLOW" in judge.check(raw)["symbols"]


def test_what_we_add_is_signed_and_a_second_from_breaks_it(signing, sink):
    shout, account, dns = signing
    with shout.smtp(account=account) as client:  # no Date, no Message-ID
        send(client, "anna@customer.example", "to@elsewhere.example",
             b"From: anna@customer.example\r\nSubject: bare\r\nTo: b@x.example\r\nTo: c@x.example\r\n\r\nx\r\n")
    raw = arrives(sink, "bare")
    head = raw.split(b"\r\n\r\n")[0]
    assert raw.startswith(b"DKIM-Signature:") and b"\r\nDate: " in head and b"\r\nMessage-ID: " in head
    names = re.sub(rb"\s", b"", re.search(rb"h=([^;]*);", raw)[1]).lower().split(b":")
    assert names.count(b"from") == 2 and names.count(b"to") == 2 and {b"date", b"message-id"} <= set(names)
    assert verified(raw, dns) == dict.fromkeys(ALL, True)
    twice = b"From: thief@elsewhere.example\r\n" + raw
    assert not any(verified(twice, dns).values())
    assert re.search(rb"\r\nFeedback-ID: " + account["account"].encode() + rb":relay::shout-test\r\n", head)
    assert b"feedback-id" in names


def test_a_customers_own_feedback_id_stays_the_only_one(signing, sink):
    shout, account, dns = signing
    post(shout, account, "own id", b"x\r\n", fields=b"Feedback-ID: a:b:c:theirs1\r\n")
    raw = arrives(sink, "own id")
    assert raw.split(b"\r\n\r\n")[0].lower().count(b"feedback-id: ") == 1
    assert verified(raw, dns) == dict.fromkeys(ALL, True)


def test_another_domain_of_the_account_gets_our_signature_alone(signing, sink):
    shout, account, dns = signing
    post(shout, account, "other", b"x\r\n", sender="anna@other.example")
    assert verified(arrives(sink, "other"), dns) == {("relay.example", "shout1", "rsa-sha256"): True}


def test_keys_rotate_are_switched_off_and_survive_a_restart(rig, redis, certificate, sink):
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"dkim": {"zone": "dkim.relay.example"}})
    account = shout.account_add()
    shown = shout.shoutctl("dkim", "enable", "customer.example")
    assert [(key["selector"], key["state"]) for key in shown["keys"]] == [("shout1", "active"), ("shout2", "next")]
    first = shown["keys"][0]
    assert first["record"] == {"type": "CNAME", "name": "shout1._domainkey.customer.example",
                               "value": "shout1.customer.example.dkim.relay.example"}
    dns = {key["record"]["name"]: key["published"]["value"] for key in shown["keys"]}
    assert first["published"]["name"] == first["record"]["value"]
    assert shout.shoutctl("dkim", "enable", "CUSTOMER.example.")["keys"] == shown["keys"]  # nothing is made anew

    def signs(subject):
        post(shout, account, subject, b"x\r\n")
        found = verified(arrives(sink, subject), dns)
        assert all(found.values())
        return [selector for _, selector, _ in found]
    wait_for(lambda: signs(f"first {free_port()}") == ["shout1"], what="the first key signs")
    turned = shout.shoutctl("dkim", "rotate", "customer.example")
    assert turned["done"] == "switched" and [key["state"] for key in turned["keys"]] == ["former", "active"]
    wait_for(lambda: signs(f"turned {free_port()}") == ["shout2"], what="the next key signs")
    refused = shout.shoutctl("dkim", "rotate", "customer.example", check=False)
    assert "former key" in refused["error"]
    shout.stop()
    shout.start()
    assert signs("after a restart") == ["shout2"]
    renewed = shout.shoutctl("dkim", "rotate", "customer.example", "--now")
    assert renewed["done"] == "renewed"
    fresh = {key["selector"]: key for key in renewed["keys"]}["shout1"]
    assert fresh["state"] == "next" and fresh["published"]["value"] != first["published"]["value"]
    shout.shoutctl("dkim", "disable", "customer.example")
    wait_for(lambda: signs(f"off {free_port()}") == [], what="nothing signs")
    assert shout.shoutctl("dkim", "list")["domains"] == [
        {"domain": "customer.example", "account": account["account"], "enabled": False, "selectors": ["shout2"]}]
    assert not shout.shoutctl("dkim", "enable", "stranger.example", check=False).get("keys")
    # no private key, sealed or not, is told to anybody
    told = json.dumps([shown, turned, renewed, shout.events()])
    assert "sealed" not in told and "PRIVATE" not in told


def test_a_key_that_cannot_be_opened_loses_no_mail(rig, certificate, sink):
    secret = rig.path("secret")
    secret.write_text("ab" * 32 + "\n")
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate,
                      settings={"dkim": {"secret_file": str(secret)}})
    account = shout.account_add()
    dns = records(shout.shoutctl("dkim", "enable", "customer.example"))
    shout.stop()
    secret.write_text("cd" * 32 + "\n")
    shout.start()
    post(shout, account, "unsigned", b"x\r\n")
    assert verified(arrives(sink, "unsigned"), dns) == {}
    assert shout.metric("shout_dkim_failures_total") == 1
    assert shout.metric("shout_dkim_domains_broken") == 1
    shout.stop()
    shout.settings["dkim"]["on_failure"] = "wait"
    shout.write()
    shout.start()
    post(shout, account, "waits", b"x\r\n")
    wait_for(lambda: shout.metric("shout_dkim_failures_total"), what="it is tried")
    assert not [one for one in sink.find() if one.header("Subject") == "waits"]
    shout.stop()
    secret.write_text("ab" * 32 + "\n")
    shout.start()
    assert verified(arrives(sink, "waits"), dns) == {("customer.example", "shout1", "rsa-sha256"): True}


def test_a_key_signs_for_its_account_alone(signing, sink):
    """A redirect: the From is another account's, the Resent-From is the sender's own."""
    shout, _, dns = signing
    thief = shout.account_add(domain="thief.example")
    with shout.smtp(account=thief) as client:
        client.ehlo()
        client.mail("x@thief.example")
        client.rcpt("to@elsewhere.example")
        code, text = client.data(b"Resent-From: x@thief.example\r\nFrom: anna@customer.example\r\nSubject: stolen\r\n\r\nx\r\n")
    if code == 250:
        assert ("customer.example", "shout1", "rsa-sha256") not in verified(arrives(sink, "stolen"), dns)
    else:
        assert code == 550, text
