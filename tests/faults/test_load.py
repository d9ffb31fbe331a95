"""The account itself: it has to notice what the other tests look for."""

from harness import wait_for
from load import ACCEPTED, REFUSED, UNKNOWN, UNSENT, Balance, Load, Sent


def sent(**states):
    made = []
    for name, state in states.items():
        one = Sent(name, "")
        one.state = state
        made.append(one)
    return made


def test_the_balance_tells_lost_double_and_extra_messages():
    result = Balance(sent(a=ACCEPTED, b=ACCEPTED, c=REFUSED, d=UNKNOWN, e=UNSENT, f=UNKNOWN),
                     ["b", "b", "b", "c", "d", "e", ""])
    assert result.lost == ["a"]
    assert result.duplicates == {"b": 2}
    assert result.extra == ["", "c", "e"]
    assert (result.accepted, result.refused, result.unknown, result.unknown_arrived) == (2, 1, 2, 1)


def test_a_load_turns_to_the_next_address_when_one_is_dead(relay, rig):
    r, dead = relay(), rig.sink()
    dead.on("dot", "451 4.3.0 never", times=None)
    load = Load([dead.host, r.address, "127.0.0.1:1"], sessions=3)
    load.start()
    wait_for(lambda: load.accepted() > 50, what="mail flows")
    result = r.settle(load.stop())
    assert not result.lost and not result.extra and not result.duplicates
    assert set(load.codes()) == {451}
    assert {one.address for one in load.all(ACCEPTED)} == {r.address}
