"""account check: what real DNS says of a customer's domain, by shoutctl and by the API alike."""

import concurrent.futures
import json
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import BUILD, wait_for

OURS = "include:_spf.relay.example"
SPF = {  # name: the zone's records; the state; what the problem names; the proposal
    "fine": (f'@ TXT "v=spf1 a {OURS} -all"', "ok", None, None),
    "other": ('@ TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"', "by-other-means", None, None),
    "open": ('@ TXT "v=spf1 +all"', "by-other-means", "everybody", None),
    "none": ('@ TXT "something else"', "missing", "no SPF record", f"v=spf1 {OURS} ~all"),
    "without": ('@ TXT "v=spf1 mx -all exp=e.%{d}"', "missing", "192.0.2.25", f"v=spf1 mx {OURS} -all exp=e.%{{d}}"),
    "half": ('@ TXT "v=spf1 ip4:192.0.2.25 -all"', "missing", "2001:db8::25", f"v=spf1 ip4:192.0.2.25 {OURS} -all"),
    "moved": ('@ TXT "v=spf1 redirect=other.example"\nx A 192.0.2.1', "by-other-means", None, None),
    "away": ('@ TXT "v=spf1 redirect=_hosts.away.example"\n_hosts TXT "v=spf1 ip4:198.51.100.1 -all"', "missing", "192.0.2.25",
             f"v=spf1 {OURS} redirect=_hosts.away.example"),
    "twice": ('@ TXT "v=spf1 -all"\n@ TXT "v=spf1 +all"', "two-records", "more than one", None),
    "typo": ('@ TXT "v=spf1 ipv4:192.0.2.25 -all"', "syntax", "ipv4:192.0.2.25", None),
    "dangling": ('@ TXT "v=spf1 include:nowhere.dangling.example -all"', "syntax", "nowhere.dangling.example", None),
    "long": ("@ TXT \"v=spf1 " + " ".join(f"a:h{i}.long.example" for i in range(3)) + " -all\"", "too-many-lookups", "2 look-ups", None),
}
MORE = {
    "deep": "@ TXT \"v=spf1\" " + " ".join(f'" include:i{i}.deep.example"' for i in range(11)) + " \" -all\"\n" +
            "\n".join(f'i{i} TXT "v=spf1 ip4:198.51.100.{i} -all"' for i in range(11)),
    "strange": '@ TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"\n_shout TXT "a\\027[31mb\\255"',
    "pct": '_dmarc TXT "v=DMARC1; p=quarantine; pct=10"',
    "reject": '_dmarc TXT "v=DMARC1; p=reject; sp=none"',
    "both": '_dmarc TXT "v=DMARC1; p=reject"\n_dmarc TXT "v=DMARC1; p=none"',
    "nonsense": '_dmarc TXT "v=DMARC1; p=maybe"',
}
ZONES = {"example": "", "relay.example": '_spf TXT "v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all"',
         **{f"{name}.example": row[0] for name, row in SPF.items()}, **{f"{name}.example": text for name, text in MORE.items()}}


def comparable(report):
    """Without its time, and what DNS gives in no order sorted."""
    return {**report, "at": None, "checks": {name: {**row, "found": sorted(row["found"])} for name, row in report["checks"].items()}}


class Checked:
    def __init__(self, rig, certificate, forward, service=None):
        self.shout = rig.shout(rig.redis(), route="127.0.0.1:9", certificate=certificate, settings={
            "service": service if service is not None else {"spf": "_spf.relay.example", "addresses": ["192.0.2.25", "2001:db8::25"]},
            "dns": {"forward": [forward], "trust_anchor": "none"}})
        self.account = None

    def add(self, *domains, verified=False):
        words = [word for domain in domains for word in ("--domain", domain)]
        self.account = self.shout.shoutctl("account", "add", "--name", "n", "--contact", "x@y.example", *words,
                                           *(["--verified"] if verified else []))["account"]

    def ask(self, method, path):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.shout.ports['control']}/api/v1/{path}", method=method,
            headers={"Authorization": f"Bearer {(self.shout.state_dir / 'control.token').read_text().strip()}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def __call__(self, domain):
        """What the API says, after shoutctl said the same."""
        told = self.shout.shoutctl("account", "check", self.account, "--domain", domain)["domains"]
        asked = self.look(domain)
        assert [comparable(one) for one in told] == [comparable(asked)]
        return asked

    def look(self, domain):
        return self.ask("POST", f"accounts/{self.account}/domains/{domain}/check")


@pytest.fixture(scope="module")
def nsd(module_rig):
    return module_rig.nsd(ZONES)


@pytest.fixture(scope="module")
def checked(module_rig, certificate, nsd):
    checked = Checked(module_rig, certificate, nsd.address)
    checked.add(*(name for name in ZONES if name != "example"), "sub.reject.example", "gone.fine.example")
    return checked


@pytest.mark.parametrize("name", SPF)
def test_each_verdict_on_spf(checked, name):
    domain, (_, state, problem, proposal) = f"{name}.example", SPF[name]
    report = checked(domain)
    spf = report["checks"]["spf"]
    assert spf["state"] == state, spf
    assert problem is None and spf["problem"] is None or problem in spf["problem"], spf
    assert (spf["record"] or {}).get("value") == proposal, spf
    assert proposal is None or (spf["record"]["name"], spf["record"]["short"]) == (domain, "@")
    assert not report["ready"]  # nobody has proved whose the domain is
    assert report["dns"]["hosts"] == [f"ns.{domain}"] and report["dns"]["zone"] == domain


def test_too_many_lookups(checked):
    spf = checked("deep.example")["checks"]["spf"]
    assert spf["state"] == "too-many-lookups" and "10 look-ups" in spf["problem"] and spf["record"] is None, spf


def test_dmarc_is_the_domains_or_its_organizations(checked):
    def dmarc(domain):
        row = checked(domain)["checks"]["dmarc"]
        return row["state"], row.get("policy"), row.get("of")
    assert dmarc("reject.example") == ("ok", "reject", "reject.example")
    assert dmarc("sub.reject.example") == ("ok", "none", "reject.example")
    assert dmarc("both.example") == ("two-records", None, None)
    assert dmarc("nonsense.example") == ("syntax", None, None)
    assert "pct=" in checked("pct.example")["checks"]["dmarc"]["problem"]
    missing = checked("fine.example")["checks"]["dmarc"]
    assert missing["state"] == "missing" and missing["record"]["short"] == "_dmarc"


def test_what_is_not_in_the_dns_has_no_zone(checked):
    report = checked("gone.fine.example")
    assert report["checks"]["soa"]["state"] == "missing" and not report["ready"]


def test_what_dns_says_is_cleaned(checked):
    found, = checked("strange.example")["checks"]["ownership"]["found"]
    assert found == "a [31mb?"


def test_ownership_is_proved_by_the_token_or_by_an_operator(rig, certificate):
    zone = f'@ TXT "v=spf1 {OURS} -all"\nmail TXT "v=spf1 {OURS} -all"'
    nsd = rig.nsd({"mine.example": zone, "relay.example": ZONES["relay.example"]})
    checked = Checked(rig, certificate, nsd.address)
    checked.add("mine.example", "mail.mine.example")
    report = checked("mine.example")
    assert report["checks"]["ownership"]["state"] == "missing" and not report["ready"]
    record = report["checks"]["ownership"]["record"]
    below = checked("mail.mine.example")["checks"]["ownership"]["record"]
    assert (record["type"], record["name"], record["short"]) == ("TXT", "_shout.mine.example", "_shout")
    assert (below["name"], below["short"]) == ("_shout.mail.mine.example", "_shout.mail")
    assert record["value"].startswith("shout=") and len(record["value"]) == 38 and below["value"] != record["value"]
    nsd.stop()
    nsd.write_zone("mine.example", f'{zone}\n_shout TXT "{record["value"]}x"\n_shout.mail TXT "{below["value"]}"')
    nsd.start()
    wait_for(lambda: checked.look("mail.mine.example")["ready"])  # that there was nothing is soon forgotten
    report = checked("mine.example")["checks"]["ownership"]
    assert report["state"] == "missing" and report["found"] == [f"{record['value']}x"]  # another token
    report = checked("mail.mine.example")
    assert report["checks"]["ownership"]["state"] == "ok" and report["ready"], report["checks"]["ownership"]
    assert report["dns"]["zone"] == "mine.example"
    checked.shout.shoutctl("account", "add-domain", checked.account, "--domain", "mine.example", "--verified")
    report = checked("mine.example")
    assert report["checks"]["ownership"]["state"] == "operator" and report["ready"] and report["verified"]


def test_people_read_the_record_to_paste(checked):
    done = subprocess.run([BUILD / "shoutctl", "-c", checked.shout.file, "account", "check", checked.account, "--domain",
                           "half.example"], capture_output=True, text=True, timeout=60)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines[0] == ["Domain", "half.example:", "not", "ready"], done
    assert ["SPF", "missing"] in lines and ["value", *SPF["half"][3].split()] in lines, done.stdout
    assert ["Ownership", "missing"] in lines and ["name", "_shout.half.example", "(_shout)"] in lines, done.stdout


def test_who_has_no_such_account_or_domain_is_told(checked):
    for path in (f"accounts/{'2' * 10}/domains/fine.example/check", f"accounts/{checked.account}/domains/x.example/check",
                 f"accounts/{checked.account}/domains/%20/check"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            checked.ask("POST", path)
        assert refused.value.code == 404 and json.load(refused.value)["field"] in ("account", "domain")


@pytest.fixture
def silent(rig, certificate):
    """A relay whose resolver never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        checked = Checked(rig, certificate, f"127.0.0.1:{resolver.getsockname()[1]}")
        checked.add("silent.example", verified=True)
        checked.resolver = resolver
        yield checked


def assert_unknown(report):
    assert not report["ready"]
    assert {name: row["state"] for name, row in report["checks"].items()} == {
        "ownership": "operator", "spf": "unknown", "dmarc": "unknown", "soa": "unknown"}
    assert report["dns"]["hosts"] == [] and report["dns"]["zone"] is None


def test_a_dns_that_does_not_answer_is_unknown_and_never_good(silent):
    assert_unknown(silent.look("silent.example"))


def test_an_account_has_two_checks_at_a_time_and_a_stop_ends_them(silent):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(silent.look, "silent.example") for _ in range(3)]
        done, waiting = concurrent.futures.wait(asked, return_when=concurrent.futures.FIRST_COMPLETED)
        with pytest.raises(urllib.error.HTTPError) as refused:
            done.pop().result()
        assert refused.value.code == 429 and len(waiting) == 2
        silent.resolver.recv(512)  # the others are under way
        assert silent.shout.stop() == 0


def test_a_relay_that_is_not_told_what_to_include_says_so(rig, certificate, nsd):
    checked = Checked(rig, certificate, nsd.address, service={})
    checked.add("other.example")
    spf = checked("other.example")["checks"]["spf"]
    assert spf["state"] == "unknown" and "service.spf" in spf["problem"]
