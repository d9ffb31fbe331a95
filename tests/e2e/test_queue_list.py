"""shoutctl queue list and show over a pile: 20,000 rows of several sites, accounts and states."""

import itertools
import subprocess

import pytest

import rows
from harness import BUILD, wait_for

COUNT = 20000
ASLEEP = "asxeep2222"  # an account


def pile():
    for i in range(COUNT):
        if i % 100 == 99:
            yield rows.row(i, site="held", state=rows.HELD, account="a2")
        elif i % 10 == 0:
            yield rows.row(i, site="mx.few.example", domain="few.example", credential="c2", account=f"few{i // 10 % 2}")
        elif i % 10 == 1:
            yield rows.row(i, due_us=0, account=ASLEEP)
        else:
            yield rows.row(i)


@pytest.fixture(scope="module")
def shout(module_rig, redis, certificate, sink):
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate, settings={
        "sender": {"retry": {"first": "1h", "max": "1d"}}})  # rows are due in a day
    shout.shoutctl("suspend", "--account", ASLEEP, "--reason", "enough")
    assert shout.stop() == 0
    rows.write(shout.state_dir, pile())
    shout.restart()
    wait_for(lambda: shout.metric("shout_sender_waiting") == COUNT, what="all rows")
    return shout


def every_page(shout, *words):
    seen, after = [], ()
    while True:
        page = shout.shoutctl("queue", "list", "--limit", 1000, *words, *after)
        seen += [row["id"] for row in page["rows"]]
        if page["next"] is None:
            return seen
        after = ("--after", page["next"])


@pytest.mark.parametrize("words,count", [
    ((), COUNT), (("--site", "mx.few.example"), 2000), (("--site", "MX.pile.example"), 17800),
    (("--state", "held"), 200), (("--state", "waiting"), 19800), (("--account", "a2"), 200),
    (("--credential", "c2"), 2000), (("--domain", "few.example"), 2000), (("--provider", "few.example"), 2000),
    (("--site", "mx.pile.example", "--account", ASLEEP), 2000), (("--account", "nobody"), 0),
    (("--site", "mx.few.example", "--state", "held"), 0)])
def test_each_filter_has_its_total_and_its_pages(shout, words, count):
    first = shout.shoutctl("queue", "list", "--limit", 7, *words)
    assert first["total"] == count and first["total_exact"]
    assert len(first["rows"]) == min(7, count)
    seen = every_page(shout, *words)
    assert len(seen) == len(set(seen)) == count


def test_a_long_list_is_read_in_pages(shout):
    assert len(shout.shoutctl("queue", "list", "--limit", 2500)["rows"]) == 2500
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "queue", "list", "--site", "mx.few.example", "--limit", "3"],
                          capture_output=True, text=True, timeout=60)
    assert "3 of 2000 not delivered yet" in done.stdout and done.stdout.count("mx.few.example") == 3


def test_a_site_is_listed_by_account_and_due_time(shout):
    rows = shout.shoutctl("queue", "list", "--site", "mx.few.example", "--limit", 2500)["rows"]
    runs = [(account, [row["due"] for row in run]) for account, run in itertools.groupby(rows, lambda row: row["account"])]
    assert len(runs) == len({account for account, _ in runs}) > 1
    assert all(dues == sorted(dues) for _, dues in runs)


def test_a_message_is_shown_whole(shout):
    asleep = shout.shoutctl("queue", "list", "--account", ASLEEP, "--limit", 1)["rows"][0]
    row, = shout.shoutctl("queue", "show", asleep["id"])["rows"]
    assert row["body"] == "queue.mdb" and row["attempts"] == 1 and row["due"] is None
    assert row["suspension"]["selector"] == {"account": ASLEEP} and row["suspension"]["reason"] == "enough"
    assert row["credential"] == "c1" and row["last_reply"].startswith("451") and row["client"] == "192.0.2.7"
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "queue", "show", asleep["id"]], capture_output=True,
                          text=True, timeout=60)
    assert f"account {ASLEEP}: enough" in done.stdout


def test_the_cursor_of_another_list_is_refused(shout):
    cursor = shout.shoutctl("queue", "list", "--limit", 1)["next"]
    assert shout.shoutctl("queue", "list", "--site", "mx.few.example", "--after", cursor, check=False)["error"]


def test_suspended_rows_cost_no_timer_and_wake_on_resume(shout):
    assert shout.metric("shout_sender_timers") == 2
    assert shout.metric("shout_sender_loaded") == 0
    shout.shoutctl("resume", "--account", ASLEEP)
    wait_for(lambda: shout.shoutctl("queue", "list", "--account", ASLEEP)["total"] == 0, 120, "all have gone")
    assert shout.metric("shout_sender_delivered_total") == 2000
