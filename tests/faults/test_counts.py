"""Whatever dies, hangs, comes back or is refused: no value of /metrics is ever below 0, and no count goes
back but with its process."""

import time

from harness import wait_for
from metrics_page import Watch, faults
from scale import scale
from sink import DROP, HANG, RESET
from test_outage import hanging, killed, paused, stopped

AWAY_S = scale("SHOUT_OUTAGE_S") / 3


def spell():
    """The load goes on meanwhile."""
    time.sleep(AWAY_S)


def spells(r):
    """One trouble after another."""
    for away in (killed(r.redis), paused(r.redis), stopped(r.sink), hanging(r.sink), killed(r.clamd),
                 paused(r.clamd)):
        with away:
            spell()
        spell()
    for step, action in (("rcpt", "550 5.1.1 no"), ("rcpt", "450 4.2.1 later"), ("dot", DROP), ("mail", RESET),
                         ("banner", "421 4.3.2 busy"), ("ehlo", HANG)):
        rule = r.sink.on(step, action, times=50)
        spell()
        r.sink.rules.remove(rule)


def test_no_value_is_below_0_and_no_count_goes_back(relay, rig):
    r = relay(clamd=rig.clamd(), settings={"sender": {"timeout": {"command": "2s", "connect": "2s"}}})
    load = r.load(sessions=4, pause=0.02).start()
    with Watch(r.shout) as watch:
        wait_for(lambda: load.accepted() > 50, what="mail flows")
        spells(r)
        r.shout.kill()
        r.shout.restart()
        spell()
        r.shout.stop(90)
        r.shout.restart()
        spells(r)
    load.stop()
    assert watch.faults == []
    assert watch.pages > 100
    assert faults(r.shout.get("/metrics")[1]) == []
