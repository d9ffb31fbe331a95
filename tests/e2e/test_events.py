"""`shoutctl events`, and the API behind it: pages, the newest, following, and what it costs others."""

import concurrent.futures
import contextlib
import datetime
import http.client
import json
import subprocess
import threading
import urllib.parse

import pytest

from harness import BUILD, send, wait_for

BODY = b"From: a@customer.example\r\nSubject: x\r\n\r\nx\r\n"
START = datetime.datetime(2026, 1, 2, 3, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def shout(module_rig, redis, sink, certificate):
    shout = module_rig.shout(redis, route=sink.host, certificate=certificate,
                             settings={"queue": {"events_size": "1G"}})
    shout.account = shout.account_add(domain="customer.example")
    return shout


def ask(shout, path):
    """(status, answer)"""
    connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=120)
    with contextlib.closing(connection):
        token = (shout.state_dir / "control.token").read_text().strip()
        connection.request("GET", f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def event(second, **fields):
    time = (START + datetime.timedelta(seconds=second)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": time, "event": "accepted", "id": "0" * 26, "node": "n", **fields}


def old_file(shout, name, lines):
    """Puts a file of events of another time there."""
    with open(shout.state_dir / "events" / name, "w", encoding="utf-8") as file:
        file.writelines(line if isinstance(line, str) else json.dumps(line, separators=(",", ":")) + "\n"
                        for line in lines)


@pytest.fixture(scope="module")
def old(shout):
    """Events of an old hour, in two parts and both classes, with what is broken between."""
    events = [event(i, client=f"198.51.100.{i % 2}", to=[f"u{i}@old.example"]) for i in range(250)]
    refused = [event(i + 0.5, event="rejected", client="198.51.100.1", to=["r@old.example"]) for i in range(0, 250, 50)]
    broken = ["\n", "{\n", "}\n", "nonsense\n", '{"time":"2026-01-02T03:00:01.000Z","event":"acc\n', "[]}\n", '"x}\n',
              '{"time":5,"event":[],"to":5,"client":{}}\n', "\0\0\0\n", '{"to":"a@old.example"}\n', "x" * 5000000 + "}\n"]
    old_file(shout, "20260102T03.jsonl", broken + events[:100] + broken)
    old_file(shout, "20260102T03_01.jsonl", events[100:] + ['{"time":"2026-01-02T03:59:59.000Z","to":["half@old.exa'])
    old_file(shout, "20260102T03.floods.jsonl", refused)
    return sorted(events + refused, key=lambda one: one["time"])


OLD = "since=2026-01-02&until=2026-01-03"


def test_pages_hold_each_event_once(shout, old):
    found, after, pages = [], "", 0
    while after is not None:
        status, page = ask(shout, f"events?{OLD}&domain=old.example&limit=100{after and '&after='}{after}")
        assert status == 200 and len(page["events"]) <= 100
        found += page["events"]
        after = page["next"] and urllib.parse.quote(page["next"])
        pages += 1
    assert sorted(found, key=lambda one: one["time"]) == old and pages >= 3
    status, page = ask(shout, f"events?{OLD}&domain=old.example&after={urllib.parse.quote(page['place'])}")
    assert status == 200 and page["events"] == [] and page["next"] is None


def test_without_a_time_the_newest_are_told(shout, old):
    for limit in (1, 10, 100, 1000):
        found = ask(shout, f"events?domain=old.example&until=2026-01-03&limit={limit}")[1]["events"]
        assert found == old[-limit:]
    assert ask(shout, "events?client=198.51.100.1&event=rejected&limit=2")[1]["events"] == [
        one for one in old if one["event"] == "rejected"][-2:]


def test_what_is_given_together_must_match_together(shout, old):
    found = ask(shout, f"events?{OLD}&client=198.51.100.0/31&event=accepted&to=U7@OLD.example")[1]["events"]
    assert [one["to"] for one in found] == [["u7@old.example"]]
    assert ask(shout, f"events?{OLD}&client=198.51.100.0&to=u7@old.example")[1]["events"] == []
    assert ask(shout, f"events?{OLD}&to=half@old.example")[1]["events"] == []


@pytest.mark.parametrize("query, field", [
    ("client=here", "client"), ("client=192.0.2.0/99", "client"), ("event=nonsense", "event"), ("event=rejected,", "event"),
    ("id=x", "id"), ("since=yesterday", "since"), ("until=10", "until"), ("limit=0", "limit"), ("limit=1001", "limit"),
    ("wait=26", "wait"), ("after=x", "after"), ("after=events:x", "after"), ("after=events:1,2,3", "after"),
    ("after=events:../../x:0,y:0", "after"), ("to=<>", "to"), ("domain=a..b", "domain"), ("site=x", "site")])
def test_what_can_match_nothing_is_refused(shout, query, field):
    status, answer = ask(shout, f"events?{urllib.parse.quote(query, safe='=&')}")
    assert status == 400 and answer["field"] == field, answer


def test_a_place_is_one_list_s(shout, old):
    place = urllib.parse.quote(ask(shout, f"events?{OLD}&limit=1")[1]["next"])
    assert ask(shout, f"events?{OLD}&after={place}")[0] == 200
    assert ask(shout, f"events?{OLD}&event=rejected&after={place}")[0] == 409
    assert ask(shout, f"queue?after={place}")[0] == 400


def test_shoutctl_goes_from_page_to_page(shout, old):
    def lines(*words):
        done = subprocess.run([BUILD / "shoutctl", "-c", shout.file, "--json", "events", "--since", "2026-01-02",
                               "--until", "2026-01-03", "--domain", "old.example", *words],
                              capture_output=True, text=True, timeout=60, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]
    assert lines("--limit", "5000") == old
    first = lines("--limit", "100")
    assert first[:-1] == old[:100] and set(first[-1]) == {"next"}
    assert lines("--limit", "100", "--after", first[-1]["next"])[:-1] == old[100:200]


def test_why_goes_from_page_to_page(shout):
    ids = [f"{i:026d}" for i in range(100, 125)]
    old_file(shout, "20260102T05.jsonl", [event(i, id=one, event=what, to=["why@old.example"])
                                          for what in ("accepted", "deferred", "delivered")
                                          for i, one in enumerate(ids)])
    old_file(shout, "20260102T05.floods.jsonl", [event(1, event="rejected", to=["why@old.example"])
                                                 | {"id": None} for _ in range(3)])
    found, after = [], ""
    while after is not None:
        status, page = ask(shout, f"why?q=WHY@old.example{after and '&after='}{after}")
        assert status == 200 and (page["total"] is None) == (page["next"] is not None)
        assert page["refused"] == (0 if after else 3)
        assert all([one["event"] for one in message["events"]] == ["accepted", "deferred", "delivered"]
                   for message in page["messages"])
        found = [message["id"] for message in page["messages"]] + found
        after = page["next"] and urllib.parse.quote(page["next"])
    assert found == ids


class Follower:
    """`shoutctl events --follow --json ...`; its events, as they come."""

    def __init__(self, shout, *words, reads=True, stderr=None):
        self.process = subprocess.Popen([BUILD / "shoutctl", "-c", shout.file, "--json", "events", "--follow", *words],
                                        stdout=subprocess.PIPE, stderr=stderr, text=True)
        self.events = []
        self.thread = threading.Thread(target=self.read)
        if reads:
            self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        if self.thread.is_alive():
            self.thread.join()
        self.process.wait()


def refuse(shout, sender, source="127.0.0.1"):
    with shout.smtp("plain", shout.account) as client:
        client.ehlo()
        assert client.mail(sender)[0] == 550


def test_who_follows_sees_what_comes_and_only_what_was_asked_for(shout):
    refuse(shout, "before@foreign.example")
    wait_for(lambda: ask(shout, "events?from=before@foreign.example")[1]["events"])
    with Follower(shout, "--domain", "foreign.example", "--event", "rejected") as follower:
        wait_for(lambda: follower.events)
        refuse(shout, "first@foreign.example")
        wait_for(lambda: len(follower.events) >= 2)
        refuse(shout, "other@third.example")
        refuse(shout, "second@foreign.example")
        wait_for(lambda: len(follower.events) >= 3)
        assert [one["from"].split("@")[0] for one in follower.events] == ["before", "first", "second"]


@pytest.fixture
def narrow(rig, sink, certificate):
    """A Shout whose files of events turn at 128 KiB."""
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate, settings={"queue": {"events_size": "1M"}})
    shout.account = shout.account_add(domain="narrow.example")
    return shout


def many(shout, count):
    """Sends messages whose events are some KB; their ids."""
    recipients = [f"a-recipient-{i}@elsewhere.example" for i in range(100)]
    with shout.smtp("plain", shout.account) as client:
        return [send(client, "a@narrow.example", recipients, BODY.replace(b"customer", b"narrow")) for _ in range(count)]


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "stops reading"])
def test_who_follows_misses_nothing_while_files_turn(narrow, reads):
    with Follower(narrow, "--event", "accepted", "--account", narrow.account["account"], reads=reads) as follower:
        ids = many(narrow, 1)  # one that the follower finds, be it before or after it has begun
        if reads:
            wait_for(lambda: follower.events)
        ids += many(narrow, 99)
        wait_for(lambda: len([*(narrow.state_dir / "events").glob("*.jsonl")]) > 2, what="files have turned")
        wait_for(lambda: len(narrow.events("accepted")) >= 1)
        assert ask(narrow, "queue")[0] == 200  # whoever does not read holds nothing up
        if not reads:
            follower.thread.start()
        wait_for(lambda: len(follower.events) >= 100, 60, "all of them")
        assert [one["id"] for one in follower.events] == ids


def test_followers_are_few_and_leave_when_their_clients_do(shout):
    token = (shout.state_dir / "control.token").read_text().strip()

    def hang():
        connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=60)
        connection.request("GET", "/api/v1/events?since=2099-01-01&wait=25", headers={"Authorization": f"Bearer {token}"})
        return connection

    waiting = [hang() for _ in range(40)]
    wait_for(lambda: ask(shout, "events")[0] == 503, what="there is no place left")
    status, answer = ask(shout, "why?q=x")
    assert status == 503 and "searches" in answer["error"]
    assert ask(shout, "queue")[0] == 200
    for connection in waiting:
        connection.close()
    wait_for(lambda: ask(shout, "events")[0] == 200, what="they have gone")


def test_a_stop_answers_who_waits(rig, sink, certificate):
    shout = rig.shout(rig.redis(), route=sink.host, certificate=certificate)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = [pool.submit(ask, shout, "events?since=2099-01-01&wait=25") for _ in range(5)]
        wait_for(lambda: (pool.submit(ask, shout, "queue").result())[0] == 200)
        assert shout.stop() == 0
        for answer in answers:
            with contextlib.suppress(OSError, http.client.HTTPException):  # it came too late
                assert answer.result()[0] in (200, 503)


def test_a_process_is_called_by_its_hostname_or_by_the_name_it_is_given(narrow):
    many(narrow, 1)
    assert narrow.stop() == 0
    narrow.command += ["--node", "shout-ingress-7"]
    narrow.restart()
    many(narrow, 1)
    nodes = wait_for(lambda: len(told := [one["node"] for one in narrow.events("accepted")]) == 2 and told)
    assert sorted(nodes) == ["shout-ingress-7", "shout.test"]


def test_who_follows_goes_on_after_a_restart_and_ends_with_a_wrong_token(narrow):
    said = narrow.directory / "follower"
    with said.open("w") as stderr, Follower(narrow, "--event", "accepted", stderr=stderr) as follower:
        first = many(narrow, 1)
        wait_for(lambda: [one["id"] for one in follower.events] == first)
        assert narrow.stop() == 0
        wait_for(lambda: "asked again until it answers" in said.read_text())
        assert follower.process.poll() is None
        narrow.restart()
        second = many(narrow, 2)
        wait_for(lambda: [one["id"] for one in follower.events] == first + second, 60)
        assert "answers again" in said.read_text()
        assert narrow.stop() == 0
        token = narrow.state_dir / "control.token"
        token.write_text("".join(reversed(token.read_text().strip())) + "\n")
        narrow.restart()
        assert follower.process.wait(60) == 1
        follower.thread.join()
        assert "error" in follower.events[-1] and len(follower.events) == 4


def test_a_search_lets_others_have_their_turn(shout):
    """Searches that have to parse every line go on while another request of the worker is answered."""
    lines = [event(i % 3000, id=f"{i:026d}", **{"from": f"sender{i}@large.example", "to": ["x" * 100 + "@large.example"]})
             for i in range(50000)]
    old_file(shout, "20260102T04.jsonl", lines)
    query = urllib.parse.quote("ü@large.example")
    try:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            searches = [pool.submit(ask, shout, f"why?q={query}") for _ in range(4)]
            searches += [pool.submit(ask, shout, f"events?since=2026-01-01&username={query}") for _ in range(4)]
            assert ask(shout, "queue")[0] == 200
            assert not all(search.done() for search in searches)
            assert {search.result()[0] for search in searches} == {200}
    finally:
        (shout.state_dir / "events" / "20260102T04.jsonl").unlink()
