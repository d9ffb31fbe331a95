"""What a customer subscribes to: plan, mailboxes, host and language, by shoutctl and by the API alike."""

import json
import urllib.error
import urllib.request

import pytest

from harness import wait_for

HOSTS = ["shout01.relay.example", "shout02.relay.example"]
PLANS = [{"name": "base", "mailboxes_min": 2, "mailboxes_max": 20, "messages_hour": 40, "messages_day": 400},
         {"name": "large", "mailboxes_min": 10, "messages_day": 500}]


class Subscribed:
    def __init__(self, rig):
        self.redis = rig.redis()
        self.shout = rig.shout(self.redis, settings={"service": {"hosts": HOSTS, "plans": PLANS}})

    def ask(self, method, path, body=None):
        """(status, answer) of the API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.shout.ports['control']}/api/v1/{path}", method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {(self.shout.state_dir / 'control.token').read_text().strip()}",
                     "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def add(self, domain, *words):
        return self.shout.shoutctl("account", "add", "--name", "Acme SRL", "--contact", f"it@{domain.split('=')[0]}",
                                   "--domain", domain, "--verified", *words)["account"]

    def show(self, account):
        status, shown = self.ask("GET", f"accounts/{account}")
        assert status == 200 and shown == self.shout.shoutctl("account", "show", account)
        return shown

    def in_redis(self, account):
        return json.loads(self.redis.run("GET", f"account:{{{account}}}"))


@pytest.fixture(scope="module")
def subscribed(module_rig):
    return Subscribed(module_rig)


def test_limits_follow_from_plan_and_mailboxes(subscribed):
    account = subscribed.add("a.example=5", "--plan", "base", "--language", "it")
    shown = subscribed.show(account)
    assert (shown["plan"], shown["language"], shown["mailboxes"]) == ("base", "it", 5)
    assert shown["limits"] == {} and shown["limits_in_force"]["messages_day"] == 2000
    assert subscribed.in_redis(account)["limits"] == {"messages_hour": 200, "messages_day": 2000}
    subscribed.shout.shoutctl("account", "add-domain", account, "--domain", "b.example", "--verified")
    told = subscribed.shout.shoutctl("account", "mailboxes", account, "a.example=8", "b.example=4")
    assert told["mailboxes"] == 12 and told["limits_in_force"]["messages_day"] == 4800
    wait_for(lambda: subscribed.in_redis(account)["limits"]["messages_day"] == 4800)
    status, told = subscribed.ask("PUT", f"accounts/{account}/mailboxes", {"domains": [{"name": "b.example", "mailboxes": 2}]})
    assert status == 200 and told["mailboxes"] == 10
    assert [d["mailboxes"] for d in subscribed.show(account)["domains"]] == [8, 2]
    subscribed.shout.shoutctl("account", "change", account, "--plan", "large", "--messages-hour", "3")
    wait_for(lambda: subscribed.in_redis(account)["limits"] == {"messages_hour": 3, "messages_day": 5000})
    assert not {"plan", "language", "host", "mailboxes"} & set(subscribed.in_redis(account))


def test_what_the_plan_does_not_have_is_refused(subscribed):
    account = subscribed.add("c.example=5", "--plan", "base")
    before = subscribed.show(account)
    for words, said in ((("mailboxes", account, "c.example=21"), "plan base has 2 to 20"),
                        (("mailboxes", account, "c.example=many"), "domains[0].mailboxes"),
                        (("mailboxes", account, "d.example=3"), 'no "d.example"'),
                        (("change", account, "--plan", "huge"), "huge"),
                        (("change", account, "--plan", "large"), "begins at 10"),
                        (("change", account, "--host", "mail.elsewhere.example"), HOSTS[1]),
                        (("change", account, "--language", "fr"), "it, en, both")):
        refused = subscribed.shout.shoutctl("account", *words, check=False)
        assert said in refused["error"], refused
    assert subscribed.show(account) == before
    refused = subscribed.shout.shoutctl("account", "mailboxes", account, check=False)
    assert refused["error"] == "account mailboxes needs ACCOUNT DOMAIN=N..."
    subscribed.shout.shoutctl("account", "disable", account)
    status, told = subscribed.ask("PUT", f"accounts/{account}/mailboxes", {"domains": [{"name": "c.example", "mailboxes": 6}]})
    assert status == 409 and "not active" in told["error"]


def test_accounts_are_spread_over_the_hosts_and_can_move(subscribed):
    accounts = [subscribed.add(f"h{i}.example") for i in range(4)]
    hosts = [subscribed.show(account)["host"] for account in accounts]
    assert sorted(hosts) == sorted(HOSTS * 2), hosts
    other = HOSTS[1 - HOSTS.index(hosts[0])]
    subscribed.shout.shoutctl("account", "change", accounts[0], "--host", other)
    shown = subscribed.show(accounts[0])
    assert (shown["host"], shown["host_before"]) == (other, hosts[0]) and shown["host_before_until"] > shown["changed"]


def test_a_backup_and_a_file_bring_it_all_back(subscribed, module_rig, tmp_path):
    account = subscribed.add("e.example=3", "--plan", "base", "--language", "en")
    subscribed.shout.shoutctl("account", "change", account, "--host", HOSTS[1])
    subscribed.shout.shoutctl("account", "export", account, "--output", tmp_path / "account")
    subscribed.shout.shoutctl("backup", tmp_path / "backup")
    shown = subscribed.show(account)
    for words in (("restore", tmp_path / "backup"), ("account", "import", tmp_path / "account")):
        other = module_rig.shout(module_rig.redis(), settings={"service": {"hosts": HOSTS, "plans": PLANS}})
        other.shoutctl(*words)
        back = other.shoutctl("account", "show", account)
        assert {**back, "changed": None} == {**shown, "changed": None}
        other.stop()
