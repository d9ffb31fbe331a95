"""Block lists: an egress IP that one lists, by two checks, rests and comes back; a list that answers everything, one
that refuses and one that is dead make nothing rest. Real name servers."""

from harness import send, wait_for

TEST = "2.0.0.127 0 A 127.0.0.2\n"
LISTS = {
    "lists.example": TEST + "11.0.0.127 0 A 127.0.0.4\n",
    "clean.example": TEST,
    "everything.example": "* 0 A 127.0.0.2\n",
    "refuses.example": "* 0 A 127.255.255.254\n",
    "sold.example": "* 0 A 198.51.100.7\n",
    "dead.example": "",
}


def standing(redis):
    lines = redis.run("HGETALL", "dnsbl:standing").splitlines()
    return dict(zip(lines[::2], lines[1::2]))


def test_only_a_list_that_can_be_believed_makes_an_ip_rest(rig, certificate):
    nsd = rig.nsd(LISTS)
    redis, sink = rig.redis(), rig.sink()
    shout = rig.shout(redis, route=sink.host, certificate=certificate, settings={
        "dns": {"forward": [nsd.address], "trust_anchor": "none"},
        "dnsbl": {"lists": list(LISTS), "every": "1s"}})
    account = shout.account_add()
    for number in (11, 12):
        shout.shoutctl("egress", "add", f"127.0.0.{number}", "--helo", f"out{number}.relay.example", "--pool", "good")
    wait_for(lambda: shout.metric("shout_sender_egress_ips") == 2)
    with shout.smtp(account=account) as client:
        for number in range(30):
            send(client, "anna@customer.example", f"b{number}@d{number}.example",
                 b"From: anna@customer.example\r\nSubject: x\r\n\r\nx\r\n")

    def shown(number):
        return shout.shoutctl("egress", "show", f"127.0.0.{number}")
    wait_for(lambda: shown(11)["rest_until"], what="the listed one rests")
    assert not shown(12)["rest_until"]
    event = wait_for(lambda: shout.events("listed"))[0]
    assert (event["egress_ip"], event["list"]) == ("127.0.0.11", "lists.example")
    assert wait_for(lambda: shout.metric("shout_dnsbl_listed") == 1)
    wait_for(lambda: len(standing(redis)) == 2 * len(LISTS), what="each list was asked")
    for place, value in standing(redis).items():
        ip, name = place.split()
        expected = ("listed" if name == "lists.example" and ip == "127.0.0.11" else
                    "clean" if name in ("lists.example", "clean.example") else "unknown")
        assert f'"state":"{expected}"' in value, (place, value)
    assert len(shout.events("listed")) == 1
    # its mail leaves by the other one
    with shout.smtp(account=account) as client:
        send(client, "anna@customer.example", "after@d1.example", b"From: anna@customer.example\r\nSubject: y\r\n\r\nx\r\n")
    assert wait_for(lambda: sink.find("after@d1.example"))[0].peer == "127.0.0.12"
    # a process that begins anew knows it, and takes the IP back when the list does not have it any more
    shout.stop()
    nsd.stop()
    nsd.write_zone("lists.example", TEST)
    nsd.start()
    shout.start()
    wait_for(lambda: not shown(11)["rest_until"], what="it comes back")
    event, = wait_for(lambda: shout.events("delisted"))
    assert (event["egress_ip"], event["list"]) == ("127.0.0.11", "lists.example")
    assert len(shout.events("listed")) == 1 and shout.metric("shout_dnsbl_listed") == 0


def test_without_lists_nothing_is_asked(shout):
    assert shout.metric("shout_dnsbl_listed") == 0
    assert not shout.events("listed")
