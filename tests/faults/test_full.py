"""No room: 452 at the door, and what is in the queue goes on."""

from harness import wait_for
from load import REFUSED

MAP = {"queue": {"map_size": "64M"}}


def fill(relay):
    """Sends until it is refused for want of room; the load, which goes on."""
    load = relay.load(sessions=8, size=20000, pause=0.001).start()
    wait_for(lambda: load.codes().get(452), 60, "452")
    return load


def drain(relay, load):
    """The sink takes mail again: what was accepted arrives, and new mail is accepted."""
    accepted = load.accepted()
    relay.sink.clear()
    wait_for(lambda: load.accepted() > accepted + 100, 60, "mail flows again")
    result = relay.settle(load.stop())
    assert not result.lost and not result.extra
    assert set(load.codes()) == {452}
    assert all(one.text.startswith("4.3.1") for one in load.all(REFUSED))
    assert result.accepted > 200


def test_a_full_map_is_452_until_there_is_room(relay):
    r = relay(settings=MAP)
    r.sink.on("banner", "421 4.3.2 not now")
    drain(r, fill(r))


def test_a_full_disk_is_452_until_there_is_room(relay):
    r = relay(disk="48m")
    r.sink.on("banner", "421 4.3.2 not now")
    drain(r, fill(r))


def test_a_disk_that_others_filled_is_452_until_they_leave(relay):
    r = relay(disk="48m")
    r.sink.on("banner", "421 4.3.2 not now")
    load = r.load(sessions=8, size=20000, pause=0.001).start()
    wait_for(lambda: load.accepted() > 100, what="some mail is in the queue")
    with open(r.shout.disk() / "filling", "wb", buffering=0) as filling:
        try:
            while True:
                filling.write(bytes(65536))
        except OSError:
            pass
    wait_for(lambda: load.codes().get(452), 60, "452")
    (r.shout.disk() / "filling").unlink()
    drain(r, load)
