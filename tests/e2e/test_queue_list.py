"""shoutctl queue list and show over a pile: 20,000 rows of several sites, accounts and states."""

import itertools
import subprocess

import pytest

import rows
from harness import BUILD, wait_for
from metrics_page import Page

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


def classes(group):
    return {reply["class"]: reply["total"] for reply in group["replies"]}


@pytest.mark.parametrize("by,groups", [
    ("provider", {"pile.example": 17800, "few.example": 2000, "": 200}),
    ("site", {"mx.pile.example": 17800, "mx.few.example": 2000, "": 200}),
    ("domain", {"pile.example": 18000, "few.example": 2000}),
    ("account", {"a1": 15800, "few0": 1000, "few1": 1000, ASLEEP: 2000, "a2": 200})])
def test_a_summary_counts_each_row_once(shout, by, groups):
    summary = shout.shoutctl("queue", "summary", "--by", by)
    assert {group[by]: group["total"] for group in summary["groups"]} == groups and summary["exact"]
    assert [group["total"] for group in summary["groups"]] == sorted(groups.values(), reverse=True)
    assert classes(summary["all"]) == {"4.3.x": 19800, "held": 200}
    assert summary["all"]["states"] == {"inbound": 0, "ready": 0, "attempting": 0, "waiting": 19800, "held": 200}
    assert summary["others"]["total"] == 0 and summary["all"]["total"] == COUNT
    assert sum(n for reply in summary["all"]["replies"] for n in reply["ages"].values()) == COUNT
    few = shout.shoutctl("queue", "summary", "--by", by, "--limit", 1)
    assert len(few["groups"]) == 1 and few["all"] == summary["all"]
    assert few["others"]["total"] == COUNT - max(groups.values())


@pytest.mark.parametrize("words,count", [
    (("--site", "mx.few.example"), 2000), (("--account", "a2"), 200), (("--domain", "few.example"), 2000),
    (("--provider", "pile.example"), 17800), (("--account", "nobody"), 0), (("--credential", "c2"), 2000),
    (("--site", "mx.pile.example", "--account", ASLEEP), 2000)])
def test_a_summary_is_of_what_is_selected(shout, words, count):
    summary = shout.shoutctl("queue", "summary", *words)
    assert summary["all"]["total"] == count == shout.shoutctl("queue", "list", "--limit", 1, *words)["total"]


@pytest.mark.parametrize("words", [("--by", "colour"), ("--limit", 0), ("--site", "a..b"), ("--limit", 1001)])
def test_a_wrong_summary_is_refused(shout, words):
    assert shout.shoutctl("queue", "summary", *words, check=False)["error"]


def test_a_summary_is_a_table(shout):
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "queue", "summary"], capture_output=True, text=True,
                          timeout=60)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["PROVIDER", "LAST", "REPLY", "TOTAL", "<5m", "<1h", "<4h", "<1d", "OLDER"]
    assert lines[1][:3] == ["pile.example", "4.3.x", "17800"] and lines[3][:3] == ["-", "held", "200"]
    assert lines[4][:3] == ["(all)", "4.3.x", "19800"] and lines[5][:2] == ["held", "200"]
    assert "\n20000 not delivered yet, since 20" in done.stdout
    assert "\n0 inbound, 0 ready, 0 attempting, 19800 waiting, 200 held\n" in done.stdout
    # each of its rows is suspended; what to look at next is said
    asleep = shout.shoutctl("queue", "summary", "--account", ASLEEP)["all"]
    assert asleep["suspended"] == asleep["total"] == 2000
    assert "\n2000 suspended by an operator: shoutctl suspensions\n" in done.stdout


def test_a_long_list_is_read_in_pages(shout):
    assert len(shout.shoutctl("queue", "list", "--limit", 2500)["rows"]) == 2500
    done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "queue", "list", "--site", "mx.few.example", "--limit", "3"],
                          capture_output=True, text=True, timeout=60)
    assert "3 of 2000 not delivered yet" in done.stdout
    assert done.stdout.count(" at mx.few.example,") == 3
    more = done.stdout.split("More: --after ")[1].split()[0]
    rest = shout.shoutctl("queue", "list", "--site", "mx.few.example", "--limit", 1000, "--after", more)
    assert len(rest["rows"]) == 1000 and rest["rows"][0]["id"] not in done.stdout


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
    assert Page(shout.get("/metrics")[1]).sum("shout_sender_delivered_total") == 2000
