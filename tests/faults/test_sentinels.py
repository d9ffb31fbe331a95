"""A Redis master dies and its sentinels name another one: under load nothing is lost, no known client is
refused, what the new master lacks is written anew, and nobody has to help."""

import pytest

import sentinels
from harness import wait_for
from test_outage import unknown_is_told_to_come_again


def redis_line(shout):
    return next((line for line in shout.get("/readyz")[1].splitlines() if line.startswith("redis: ")), "")


def is_ready(shout):
    return redis_line(shout) == "redis: ready"


def changes(shout):
    return shout.metric("shout_redis_master_changes_total")


@pytest.fixture
def guarded(rig):
    return sentinels.Guarded(rig)


def test_mail_flows_through_failovers(relay, guarded, tell):
    r = relay(redis=guarded)
    first, second = guarded.servers
    load = r.load(sessions=8, pause=0.01).start()
    for old, new in ((first, second), (second, first)):
        before, moved = load.accepted(), changes(r.shout)
        wait_for(lambda: load.accepted() > before + 200, what="mail flows")
        old.kill()
        wait_for(lambda: redis_line(r.shout).startswith("redis: degraded: "), what="the master is missed")
        assert unknown_is_told_to_come_again(r) == (454, 451)
        wait_for(lambda: new.role() == "master", what="the sentinels made a new master")
        wait_for(lambda: is_ready(r.shout) and changes(r.shout) > moved, what="the new master is used")
        before = load.accepted()
        wait_for(lambda: load.accepted() > before + 200, what="mail flows")
        old.start()
        wait_for(lambda: old.role() == "slave", what="the old master follows the new one")
        guarded.await_quorum()
        assert is_ready(r.shout)
    assert unknown_is_told_to_come_again(r) == (535, 530)
    result = r.settle(load.stop())
    tell(f"two failovers: {result}")
    assert not result.lost and not result.extra and not load.codes()
    assert result.accepted > 800
    assert any(line["message"] == "redis: another master" for line in r.shout.log_lines())


def test_accounts_that_the_new_master_lacks_are_written_anew(relay, guarded):
    r = relay(redis=guarded)
    first, second = guarded.servers
    with second.paused():
        late = r.shout.account_add("late", domain="late.example")
        assert late["username"] in first.run("KEYS", "*")
        first.kill()
    wait_for(lambda: second.role() == "master", what="the sentinels made a new master")
    wait_for(lambda: is_ready(r.shout) and late["username"] in second.run("KEYS", "*"), what="the account is there")
    with r.shout.smtp("plain", late) as client:
        assert client.noop()[0] == 250


def test_it_is_said_what_each_sentinel_answers(relay, guarded):
    r = relay(redis=guarded)
    first, second = guarded.servers
    up = [f'sentinel="{sentinel.address}"' for sentinel in guarded.sentinels]
    for server in guarded.sentinels[:2]:
        server.kill()
    wait_for(lambda: [r.shout.metric("shout_redis_sentinel_up", labels) for labels in up] == [0, 0, 1],
             what="two sentinels are missed")
    assert is_ready(r.shout)
    with guarded.sentinels[2].paused():
        first.kill()
        wait_for(lambda: "no sentinel names it" in redis_line(r.shout), what="the sentinels are missed")
        line = redis_line(r.shout)
        assert line.startswith("redis: degraded: ") and f"master {sentinels.MASTER}: " in line
        for sentinel in guarded.sentinels[:2]:
            assert f"{sentinel.address}: Connection refused" in line
        assert f"{guarded.sentinels[2].address}: no answer within a second" in line
    wait_for(lambda: f"master {sentinels.MASTER} at {first.address}: Connection refused" in redis_line(r.shout),
             what="the dead master is named")
    for server in guarded.sentinels[:2]:
        server.start()
    wait_for(lambda: is_ready(r.shout) and second.role() == "master", 60, "there is a new master")
    wait_for(lambda: [r.shout.metric("shout_redis_sentinel_up", labels) for labels in up] == [1, 1, 1],
             what="all sentinels are back")
