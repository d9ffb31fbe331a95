"""One account's slow mail does not make others' wait: a name server that keeps back what it is asked below
slow.example until the test lets it answer."""

from harness import send, wait_for
from names import NEVER, NameServer


def test_slow_names_of_one_message_hold_up_neither_others_nor_its_own(rig, certificate):
    sink = rig.sink(address="127.0.0.2")
    names = rig.add(NameServer({"": sink.address}, {"slow.example": NEVER}))
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": sink.port}, "dns": {"forward": [names.address], "trust_anchor": "none"}})
    slow = [f"x@n{i}.slow.example" for i in range(300)]
    one, other = shout.account_add(), shout.account_add(name="other", domain="other.example")
    with shout.smtp(account=one) as client:
        for part in range(4):
            send(client, "boss@customer.example", [f"own{part}@quick.example"]
                 + [to.replace("@n", f"@m{part}-") for to in slow],
                 b"From: boss@customer.example\r\nSubject: slow\r\n\r\nHello.\r\n")
    wait_for(lambda: len(names.asked) >= 64, what="slow names are asked for")
    with shout.smtp(account=other) as client:
        for i in range(3):
            send(client, "boss@other.example", [f"other{i}@d{i}.example"],
                 b"From: boss@other.example\r\nSubject: quick\r\n\r\nHello.\r\n")
    for i in range(3):
        wait_for(lambda: sink.find(f"other{i}@d{i}.example"), what="the other account's mail")
    for part in range(4):
        wait_for(lambda: sink.find(f"own{part}@quick.example"), what="its own mail to a quick name")
    assert len(names.asked) <= 96, "one account has part of the look-ups only"
    names.release()
    wait_for(lambda: sink.find("x@m0-0.slow.example"), 60, "the slow ones come in the end")
