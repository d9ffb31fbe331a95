"""200,000 waiting rows: what reads them all lets other requests have their turn, and answers stay bounded."""

import json
import select
import socket

import pytest

import rows
from harness import wait_for

COUNT = 200_000


def pile():
    for i in range(COUNT):
        yield rows.row(i, domain=f"d{i % 30_000}.example", site=f"mx.d{i % 30_000}.example")


@pytest.fixture(scope="module")
def shout(module_rig, redis, certificate, sink):
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate, settings={
        "sender": {"retry": {"first": "1h", "max": "1d"}}})  # rows are due in a day
    assert shout.stop() == 0
    rows.write(shout.state_dir, pile())
    shout.start(wait=False)
    wait_for(lambda: shout.running() and shout.metric("shout_sender_waiting") == COUNT, 120, "all rows")
    return shout


def ask(shout, path):
    """A request that is on its way; the token stands in state_dir."""
    token = (shout.state_dir / "control.token").read_text().strip()
    connection = socket.create_connection(("127.0.0.1", shout.ports["control"]))
    connection.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                       "Connection: close\r\n\r\n".encode())
    return connection


def test_a_summary_of_all_lets_others_have_their_turn(shout):
    some = shout.shoutctl("queue", "list", "--limit", 1)["rows"][0]["id"]
    summary = ask(shout, "queue/summary?by=domain")
    for _ in range(3):
        assert ask(shout, f"queue/{some}").recv(65536).startswith(b"HTTP/1.1 200")
        assert not select.select([summary], [], [], 0)[0], "the summary was first"
    assert summary.recv(100).startswith(b"HTTP/1.1 200")
    summary.close()


def test_a_list_of_all_lets_others_have_their_turn(shout):
    some = shout.shoutctl("queue", "list", "--limit", 1)["rows"][0]["id"]
    lists = [ask(shout, "queue?domain=nobody.example") for _ in range(3)]
    assert ask(shout, f"queue/{some}").recv(65536).startswith(b"HTTP/1.1 200")
    assert not select.select(lists, [], [], 0)[0], "a list was first"
    for one in lists:
        assert json.loads(one.makefile("rb").read().partition(b"\r\n\r\n")[2])["total"] == 0
        one.close()


def test_more_groups_than_are_kept_are_counted_all_the_same(shout):
    summary = shout.shoutctl("queue", "summary", "--by", "domain", "--limit", 1000)
    assert len(summary["groups"]) == 1000 and summary["all"]["total"] == COUNT and summary["exact"]
    assert sum(group["total"] for group in summary["groups"]) + summary["others"]["total"] == COUNT
    assert shout.shoutctl("queue", "summary")["all"] == summary["all"]
    assert len(str(shout.shoutctl("queue", "summary", "--by", "site"))) < 100_000


def test_pages_cover_all_and_each_is_bounded(shout):
    first = shout.shoutctl("queue", "list", "--limit", 1000)
    assert first["total"] == COUNT and first["total_exact"] and len(first["rows"]) == 1000 and first["next"]
    state = shout.shoutctl("queue", "list", "--state", "waiting", "--limit", 5)
    assert state["total"] == COUNT or not state["total_exact"]
    assert shout.shoutctl("queue", "list", "--state", "attempting")["total"] == 0


def test_requests_that_wait_for_redis_keep_no_process_from_its_end(shout, redis):
    with redis.paused():
        requests = [ask(shout, "queue?limit=1") for _ in range(5)]
        assert shout.stop() == 0
    assert all(request.recv(100)[:12] in (b"", b"HTTP/1.1 200") for request in requests)
