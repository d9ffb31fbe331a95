"""Egress IPs: which address mail leaves from, by which name, through which proxy, and what happens when one cannot be
used. Every 127.x.y.z is this machine's, and so can be bound."""

import json
import subprocess

import pytest

from harness import BUILD, Server, accepts, free_port, wait_for
from test_sender import BODY, SENDER, Site, ended, names

PROXY = "socks5://shout:s%40cret@127.0.0.1"


class Microsocks(Server):
    """Debian's SOCKS5 proxy, which sends from `address`."""

    name = "microsocks"

    def __init__(self, directory, address):
        super().__init__(directory)
        self.port = free_port()
        self.command = ["microsocks", "-i", "127.0.0.1", "-p", str(self.port), "-b", address, "-u", "shout", "-P", "s@cret"]

    def ready(self):
        return accepts(("127.0.0.1", self.port))


@pytest.fixture
def site(rig, certificate):
    return Site(rig, certificate)


def egress(site, *words):
    return site.shout.shoutctl("egress", *words)


def add(site, number, pool="good", *words):
    ip = f"127.0.0.{number}"
    egress(site, "add", ip, "--helo", f"out{number}.relay.example", "--pool", pool, *words)
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips"), what="the sender knows the IP")
    return ip


def sent(site, to):
    """Posts a message; how it arrived, and the event."""
    message_id = site.post(to)
    event, = ended(site.shout, message_id, "delivered")
    return site.sink.find(to)[0], event


def test_without_egress_ips_mail_leaves_as_before(site):
    message, event = sent(site, "bob@elsewhere.example")
    assert (message.peer, message.helo) == ("127.0.0.1", "shout.test") and "egress_ip" not in event


def test_mail_leaves_from_its_ip_by_its_name_and_keeps_it_in_a_retry(site):
    ips = {add(site, 11), add(site, 12), add(site, 13)}
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 3)
    site.sink.on("rcpt", "451 4.7.1 greylisted", match="^grey@", times=1)
    message_id = site.post("grey@elsewhere.example")
    delivered, = ended(site.shout, message_id, "delivered")
    deferred, = site.shout.events("deferred", message_id)
    message, = site.sink.find("grey@elsewhere.example")
    assert message.peer == delivered["egress_ip"] == deferred["egress_ip"] and message.peer in ips
    assert message.helo == f"out{message.peer.rsplit('.')[-1]}.relay.example"
    # one account and one site: one IP
    for i in range(5):
        assert sent(site, f"b{i}@elsewhere.example")[0].peer == message.peer


def test_a_row_keeps_its_ip_over_a_restart_and_moves_when_the_ip_rests(site):
    first = add(site, 11)
    site.sink.on("rcpt", "451 4.7.1 greylisted", match="^wait@")
    message_id = site.post("wait@elsewhere.example")
    ended(site.shout, message_id, "deferred")
    add(site, 12, "good", "--weight", "1000")
    site.shout.stop()
    site.sink.clear()
    site.shout.restart()
    delivered, = ended(site.shout, message_id, "delivered")
    assert delivered["egress_ip"] == first
    site.sink.on("rcpt", "451 4.7.1 greylisted", match="^move@")
    egress(site, "remove", "127.0.0.12")
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 1)
    message_id = site.post("move@elsewhere.example")
    ended(site.shout, message_id, "deferred")
    add(site, 12)
    shown = egress(site, "rest", first, "--until", "2099-01-01")
    assert shown["state"] == "resting" and shown["rest_until"] == "2099-01-01T00:00:00.000Z"
    site.sink.clear()
    delivered, = ended(site.shout, message_id, "delivered")
    assert delivered["egress_ip"] == "127.0.0.12"
    assert egress(site, "rest", first, "--until", "now")["state"] == "active"


def test_reports_leave_from_the_bounce_pool(site):
    add(site, 11, "good")
    add(site, 12, "bounce")
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 2)
    site.sink.on("rcpt", "550 5.1.1 no such user", match="^nobody@")
    message_id = site.post("nobody@elsewhere.example")
    bounced, = ended(site.shout, message_id, "bounced")
    report = wait_for(lambda: site.sink.find(SENDER), 60, "a DSN")[0]
    assert bounced["egress_ip"] == "127.0.0.11" and report.peer == "127.0.0.12"


def test_an_ip_that_cannot_be_bound_is_our_fault_and_mail_takes_another(site):
    egress(site, "add", "192.0.2.7", "--helo", "out7.relay.example", "--pool", "good", "--weight", "1000")
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 1)
    message_id = site.post("bob@elsewhere.example")
    wait_for(lambda: site.shout.metric("shout_sender_egress_unusable") == 1, what="it cannot be bound")
    # nothing else can send: the mail waits, and no attempt counts
    wait_for(lambda: [row for row in site.shout.shoutctl("queue", "list")["rows"] if row["state"] == "waiting"], 60, "a row")
    assert "deferred" not in names(site.shout, message_id)
    add(site, 11)
    delivered, = ended(site.shout, message_id, "delivered")
    assert (delivered["attempts"], delivered["egress_ip"]) == (1, "127.0.0.11")
    assert site.shout.metric("shout_sender_sites_resting") == 0
    alarm, = [line for line in site.shout.log_lines() if line["message"] == "an egress IP cannot be used"]
    assert alarm["egress_ip"] == "192.0.2.7" and "Cannot assign requested address" in alarm["error"]


def test_a_proxy_sends_from_its_address_and_when_it_is_down_others_do(rig, site):
    proxy = rig.add(Microsocks(rig.path("microsocks"), "127.0.0.77"))
    via = f"{PROXY}:{proxy.port}"
    # the address is the proxy's: this machine could not bind it
    egress(site, "add", "192.0.2.77", "--helo", "out77.relay.example", "--pool", "good", "--via", via)
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 1)
    message, event = sent(site, "bob@elsewhere.example")
    assert (message.peer, message.helo, event["egress_ip"]) == ("127.0.0.77", "out77.relay.example", "192.0.2.77")
    proxy.stop()
    wait_for(lambda: site.shout.metric("shout_sender_connections") == 0, 60, "the connection has gone")
    add(site, 11)
    delivered, = ended(site.shout, site.post("eve@elsewhere.example"), "delivered")
    first = delivered["egress_ip"]
    if first != "127.0.0.11":  # it was sent before the proxy ended
        delivered, = ended(site.shout, site.post("joe@elsewhere.example"), "delivered")
    assert delivered["egress_ip"] == "127.0.0.11"
    # a wrong password is the proxy's refusal: ours, too
    proxy.start()
    egress(site, "remove", "127.0.0.11")
    site.shout.shoutctl("egress", "remove", "192.0.2.77")
    egress(site, "add", "192.0.2.77", "--helo", "out77.relay.example", "--pool", "good", "--via",
           f"socks5://shout:wrong@127.0.0.1:{proxy.port}")
    message_id = site.post("ann@elsewhere.example")
    wait_for(lambda: site.shout.metric("shout_sender_egress_unusable") == 1, 60, "the proxy refuses")
    assert "deferred" not in names(site.shout, message_id)
    assert "refuses the user or the password" in site.shout.log() and "s@cret" not in site.shout.log()
    assert "wrong@" not in site.shout.log() and "s%40cret" not in site.shout.log()


def test_a_dead_host_behind_a_proxy_is_the_hosts_fault(rig, site):
    proxy = rig.add(Microsocks(rig.path("microsocks"), "127.0.0.77"))
    egress(site, "add", "192.0.2.77", "--helo", "out77.relay.example", "--pool", "good", "--via", f"{PROXY}:{proxy.port}")
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 1)
    site.sink.stop()
    message_id = site.post("bob@elsewhere.example")
    deferred = ended(site.shout, message_id, "deferred")
    assert "refused" in deferred[0]["reply"].lower() and site.shout.metric("shout_sender_egress_unusable") == 0
    site.sink.resume()
    ended(site.shout, message_id, "delivered")


def test_what_operators_say_is_checked_and_shown_without_the_password(site):
    add(site, 11, "dedicated:acme-1", "--weight", "7", "--warm", "--via", f"{PROXY}:1080")
    shown = egress(site, "show", "127.0.0.11")
    assert (shown["pool"], shown["weight"], shown["via"], shown["state"]) == (
        "dedicated:acme-1", 7, "socks5://127.0.0.1:1080", "warming")
    assert "cret" not in json.dumps([shown, egress(site, "list")])
    assert egress(site, "pool", "127.0.0.11", "suspect")["pool"] == "suspect"
    assert egress(site, "list")["total"] == 1
    for words, field in ((("add", "127.0.0.11", "--helo", "a.example", "--pool", "good"), "IP"),
                         (("add", "999.0.0.1", "--helo", "a.example", "--pool", "good"), "IP"),
                         (("add", "127.0.0.12", "--helo", "localhost", "--pool", "good"), "--helo"),
                         (("add", "127.0.0.12", "--helo", "a.example", "--pool", "fine"), "--pool"),
                         (("add", "127.0.0.12", "--helo", "a.example", "--pool", "good", "--weight", "0"), "--weight"),
                         (("add", "127.0.0.12", "--helo", "a.example", "--pool", "good", "--via", "x"), "--via"),
                         (("rest", "127.0.0.11", "--until", "2001-01-01"), "over"),
                         (("show", "127.0.0.99"), "no such egress IP"), (("remove", "127.0.0.99"), "no such egress IP")):
        done = subprocess.run([BUILD / "shoutctl", "-c", site.shout.file, "egress", *words], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode != 0 and field in done.stderr, (words, done.stderr)
    audit = json.dumps(site.shout.events("audit"))
    assert "egress.add" in audit and "cret" not in audit.replace("secret", "")
    assert egress(site, "remove", "127.0.0.11") and egress(site, "list")["total"] == 0


def test_a_suspension_by_egress_ip_covers_mail_that_leaves_from_it(site):
    ip = add(site, 11)
    site.shout.shoutctl("suspend", "--egress-ip", ip)
    message_id = site.post("bob@elsewhere.example")
    wait_for(lambda: [row for row in site.shout.shoutctl("queue", "list")["rows"] if row["state"] == "waiting"], 60, "a row")
    assert not site.sink.find("bob@elsewhere.example")
    site.shout.shoutctl("resume", "--egress-ip", ip)
    ended(site.shout, message_id, "delivered")
    assert BODY.split(b"\r\n")[-2] in site.sink.find("bob@elsewhere.example")[0].body


def test_a_refusal_that_blames_our_ip_waits_for_that_ip_and_other_mail_takes_another(rig, certificate):
    own = rig.path("own.yaml")
    own.write_text("limits:\n  - {connections: 5}\n")
    site = Site(rig, certificate, replies=str(own))
    first = add(site, 11)
    blocked = "550 5.7.1 Service unavailable; Client host [127.0.0.11] blocked using zen.spamhaus.org"
    site.sink.on("rcpt", lambda session, text: blocked if session.peer == first else None)
    message_id = site.post("blamed@elsewhere.example")
    deferred = ended(site.shout, message_id, "deferred")[0]
    assert (deferred["scope"], deferred["egress_ip"]) == ("egress-ip", first)
    add(site, 12)
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 2)
    # what was refused is not sent from elsewhere, unlike what was not tried yet
    others = [site.post(f"other{i}@elsewhere.example") for i in range(3)]
    assert {ended(site.shout, other, "delivered")[0]["egress_ip"] for other in others} == {"127.0.0.12"}
    row, = site.shout.shoutctl("queue", "list", "--id", message_id)["rows"]
    assert (row["reason"], row["egress_ip"], row["state"]) == ("ip-blamed", first, "waiting")
    assert "bounced" not in names(site.shout, message_id) and not site.sink.find("blamed@elsewhere.example")
    site.sink.rules.clear()
    assert egress(site, "lift", first)["lifted"]
    delivered, = ended(site.shout, message_id, "delivered")
    assert delivered["egress_ip"] == first and len(site.sink.find("blamed@elsewhere.example")) == 1


def test_what_is_too_much_for_a_new_ip_goes_from_a_warm_one(rig, certificate):
    own = rig.path("own.yaml")
    own.write_text("limits:\n  - {connections: 5}\n")
    site = Site(rig, certificate, replies=str(own))
    new, warm = add(site, 11, "good", "--warm", "--weight", "1000"), add(site, 12)
    wait_for(lambda: site.shout.metric("shout_sender_egress_ips") == 2)
    posted = [site.post(f"burst{i}@elsewhere.example") for i in range(6)]
    for one in posted:
        ended(site.shout, one, "delivered")
    for i in range(3):  # 20 an hour are one in three minutes
        posted.append(site.post(f"to{i}@elsewhere.example"))
        ended(site.shout, posted[-1], "delivered")
    used = [site.shout.events("delivered", one)[0]["egress_ip"] for one in posted]
    assert used.count(new) == 1 and used.count(warm) == 8, used
