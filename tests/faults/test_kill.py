"""kill -9 at any moment: what was acknowledged arrives, and only what was between the remote's reply
and the ledger arrives twice."""

import collections
import time

from harness import accepts, wait_for
from scale import scale

# A kill leaves some of these counted in Redis. They must not add up: they are put right while the queue is so small
# that it were below half of this even if each of its messages weighed the most (21).
IN_FLIGHT = {"ingress": {"in_flight_max": 50000}}


def start_again(shout):
    """Returns as soon as it accepts connections."""
    shout.start(wait=False)
    where = ("127.0.0.1", shout.ports["plain"])
    while not accepts(where):
        assert shout.running(), shout.log()[-4000:]
        time.sleep(0.001)


def in_flight(relay):
    """After a kill: {(message id, copies so far)} that the sink has and the ledger does not."""
    wait_for(lambda: not relay.sink.sessions, what="the sink has read all that was sent to it")
    ledger = {key.split("{")[1].split("}")[0] for key in relay.redis.run("KEYS", "sent:*").split()}
    copies = collections.Counter(queued for _, queued in relay.sink.received)
    return {(queued, count) for queued, count in copies.items() if queued not in ledger}


def test_no_acknowledged_mail_is_lost_in_random_kills(relay, dice, tell):
    r, kills = relay(settings=IN_FLIGHT), scale("SHOUT_KILLS")
    load = r.load(sessions=4, pause=0.004).start()
    spilled = r.load(sessions=1, pause=0.02, size=300000).start()
    for _ in range(kills):
        time.sleep(dice.uniform(0, 0.15))
        r.shout.kill()
        start_again(r.shout)
    result = r.settle(load.stop(), spilled.stop())
    tell(f"{kills} random kills: {result}; {spilled.accepted()} accepted are spill files")
    assert not result.lost and not result.extra and not load.codes() and not spilled.codes()
    assert result.accepted > kills and spilled.accepted() > 0
    wait_for(lambda: not list(r.shout.state_dir.glob("spool/*")), what="no spill file is left")


def test_kills_in_mid_load_lose_nothing_and_double_only_what_was_in_flight(relay, dice, tell):
    r, kills, doubtful = relay(), scale("SHOUT_KILLS_LOADED"), set()
    load = r.load(sessions=20, pause=0.01).start()
    for _ in range(kills):
        before = len(r.sink.received)
        wait_for(lambda: len(r.sink.received) > before, what="mail flows")
        time.sleep(dice.uniform(0, 0.15))
        r.shout.kill()
        doubtful |= in_flight(r)
        start_again(r.shout)
    result = r.settle(load.stop())
    tell(f"{kills} kills in mid-load: {result}; {len(doubtful)} were in flight")
    assert not result.lost and not result.extra
    seen = collections.Counter()
    for _, queued in r.sink.received:
        assert not seen[queued] or (queued, seen[queued]) in doubtful, f"{queued} came twice without need"
        seen[queued] += 1
