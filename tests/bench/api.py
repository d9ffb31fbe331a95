"""How long the API takes for each call when there are 10,000 accounts and 1,000,000 traced messages.

    make bench-api
    make bench-api API="--accounts 1000 --messages 100000 --rounds 5"

Each GET of control/http/openapi.yaml is asked with and without an account, and some changes are made, one request after
the other on one connection. Prints for each call the median and the longest of its rounds, as parts of the aim of 100 ms;
fails when a median misses it. The time is the whole answer's, as the client on this machine sees it."""

import argparse
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import time

import yaml

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from harness import BUILD, ROOT, Rig, wait_for  # noqa: E402

AIM_MS = 100
# Whole backups and exports are as large as what they hold; /why wants a question.
NOT_A_CALL = {"/backup", "/export", "/why"}


def account_id(number):
    """As bench_trace.c has them."""
    return f"acc{number:07d}".translate(str.maketrans("01", "xy"))


ONE = account_id(1)


def fill(shout, rig, accounts, messages):
    """Accounts by an import; the trace by bench_trace, while the process is down."""
    made = shout.account_add(name="bench", domain="bench.example")
    file = rig.path("one")
    shout.shoutctl("account", "export", made["account"], "--output", file)
    head, one, _ = file.read_text().splitlines()
    shout.shoutctl("account", "delete", made["account"])
    many = rig.path("many")
    with many.open("w") as out:
        print(head, file=out)
        for number in range(accounts):
            print(one.replace(made["account"], account_id(number)).replace("bench.example", f"bench{number}.example")
                  .replace(made["username"], f"benchuser{number}"), file=out)
        print(json.dumps({"end": accounts}), file=out)
    began = time.monotonic()
    subprocess.run([BUILD / "shoutctl", "-c", shout.file, "account", "import", many], check=True, stdout=subprocess.DEVNULL)
    print(f"{accounts} accounts imported in {time.monotonic() - began:.0f} s")
    shout.stop()
    midnight = int(time.time()) // 86400 * 86400
    subprocess.run([BUILD / "tests/bench/bench_trace", shout.state_dir / "trace", str(messages), str(midnight)], stdout=subprocess.DEVNULL)
    subprocess.run(["chown", "-R", "--reference", shout.state_dir, shout.state_dir / "trace"], check=True)
    shout.start()


def calls():
    """(method, path, body) of everything that is measured."""
    described = yaml.safe_load((ROOT / "control/http/openapi.yaml").read_text())
    for path, item in sorted(described["paths"].items()):
        words = path.replace("{account}", ONE).replace("{domain}", "bench1.example")
        if "get" in item and "{" not in words and path not in NOT_A_CALL:
            yield "GET", words, None
    for query in ("recipient=person4711@d723.example", "domain=d0.example", "state=deferred", "state=bounced&class=bad-mailbox"):
        yield "GET", f"/messages?{query}", None
        yield "GET", f"/accounts/{ONE}/messages?{query}", None
    yield "GET", "/accounts?limit=1000", None
    yield "GET", f"/why?q={ONE}", None
    yield "GET", "/why?q=person4711@d723.example", None
    yield "PATCH", f"/accounts/{ONE}", {"language": "it"}
    yield "PUT", f"/accounts/{ONE}/mailboxes", {"domains": [{"name": "bench1.example", "mailboxes": 9}]}


class Client:
    def __init__(self, shout):
        self.token = (shout.state_dir / "control.token").read_text().strip()
        self.connection = http.client.HTTPConnection("127.0.0.1", shout.ports["control"], timeout=120)

    def time(self, method, path, body):
        """(status, milliseconds)."""
        began = time.monotonic()
        self.connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None,
                                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        answer = self.connection.getresponse()
        answer.read()
        return answer.status, (time.monotonic() - began) * 1000


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=10000)
    parser.add_argument("--messages", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    missed = 0
    rig = Rig()
    try:
        shout = rig.shout(rig.redis())
        fill(shout, rig, options.accounts, options.messages)
        client = Client(shout)
        wait_for(lambda: client.time("GET", f"/accounts/{ONE}/messages", None)[0] == 200, 120, "the trace answers")
        for method, path, body in calls():
            results = [client.time(method, path, body) for _ in range(options.rounds)]
            times = [took for _, took in results]
            missed += statistics.median(times) > AIM_MS
            print(f"{method:6} {path:75} {results[-1][0]} median {statistics.median(times) / AIM_MS:6.2f}  longest {max(times) / AIM_MS:6.2f}")
    finally:
        rig.close()
    print(f"{missed} calls take more than {AIM_MS} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
