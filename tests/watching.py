#!/usr/bin/python3
"""What watches a relay: rules, dashboards and runbook, held against each other and against METRICS.md; and a
Prometheus that runs them.

As a program (`make lint`): promtool and amtool take all files, each alert has its unit test and its section of the
runbook, each metric and label in use is one of METRICS.md, and Grafana can show the dashboards."""

import http.client
import json
import re
import subprocess
import sys
import urllib.parse

import yaml

from harness import ROOT, Server, free_port, wait_for
from metrics_page import documented

PROMETHEUS, ALERTMANAGER, GRAFANA = (ROOT / "deploy" / name for name in ("prometheus", "alertmanager", "grafana"))
METRIC = re.compile(r"(?<![\w:])((?:shout|process)_\w+?)(?:_bucket|_sum|_count)?(?![\w:])(?:\{([^}]*)\})?")
OF_TARGETS = {"job", "instance", "role"}  # labels that Prometheus adds to every metric
PANELS = {"row", "stat", "timeseries", "state-timeline", "table"}  # Grafana's own, no plugin's
VARIABLES = {"datasource", "job", "role", "instance"}
SEVERITIES = {"critical", "warning", "info"}


def alerts():
    return [rule for group in yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["groups"]
            for rule in group["rules"] if "alert" in rule]


def rules():
    """(name, expression) of alerts and recorded series."""
    return [(rule.get("alert") or rule["record"], rule["expr"])
            for group in yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["groups"] for rule in group["rules"]]


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels():
    """(dashboard and title, expression) of everything that is drawn."""
    return [(f"{name}: {panel['title']}", target["expr"]) for name, board in dashboards().items()
            for panel in board["panels"] for target in panel.get("targets", [])]


def used(expression):
    """{metric: labels that its selectors name}."""
    found = {}
    for name, selector in METRIC.findall(expression):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*[!=]", selector))
    return found


def sections():
    """{title: text} of the runbook."""
    return dict(part.split("\n", 1) for part in re.split(r"(?m)^## ", (ROOT / "docs/runbook.md").read_text())[1:])


# -- what lint says

def command(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    return [f"{words[0]}: {done.stdout}{done.stderr}"] if done.returncode else []


def route_faults():
    """What is critical has to reach the pager."""
    file = ALERTMANAGER / "alertmanager.yml"
    wanted = {"critical": "pager", "warning": "postmaster", "info": "postmaster"}
    return command("amtool", "check-config", file) + [
        fault for severity, receiver in wanted.items()
        for fault in command("amtool", "config", "routes", "test", f"--config.file={file}",
                             f"--verify.receivers={receiver}", f"severity={severity}")]


def unit_test_faults(name, tests):
    """Each alert's unit test has a time at which nobody fires and one at which it does, and it alone."""
    texts = [sample for test in tests if test.get("name") == name for sample in
             [[one["labels"] for one in at["exp_samples"]] for at in test["promql_expr_test"]]]
    fires = [labels for labels in texts if labels]
    if [] in texts and fires and all(len(one) == 1 and f'alertname="{name}"' in one[0] for one in fires):
        return []
    return [f"rules_test.yaml does not have {name} fire and not fire"]


def alert_faults(rule, tests, runbook):
    name, notes = rule["alert"], rule.get("annotations", {})
    severity = rule["labels"].get("severity")
    found = unit_test_faults(name, tests)
    if severity not in SEVERITIES:
        found.append(f"{name} has no severity")
    if not notes.get("summary") or not notes.get("description"):
        found.append(f"{name} has no summary or description")
    if notes.get("runbook") != f"docs/runbook.md#{name.lower()}":
        found.append(f"{name}: runbook should be docs/runbook.md#{name.lower()}")
    text = runbook.get(name, "")
    if not text.strip().startswith(f"*{severity}.") or "```sh" not in text or "Over " not in text:
        found.append(f"docs/runbook.md: {name} lacks its section, its severity, what to look at, or when it is over")
    return found + [f"{name} says {label}, which its expression does not have"
                    for label in set(re.findall(r"\$labels\.(\w+)", str(notes))) - labels_of(rule["expr"])]


def labels_of(expression):
    """Those that a result has: what it is summed by, or what its metrics have."""
    groups = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    if groups:
        return {label.strip() for group in groups for label in group.split(",")}
    docs = documented()
    return OF_TARGETS.union(*(docs.get(name, ("", set()))[1] for name in used(expression)))


def use_faults(where, expression):
    docs = documented()
    for name, labels in used(expression).items():
        if name not in docs:
            yield f"{where}: {name} is not in METRICS.md"
        elif labels - docs[name][1] - OF_TARGETS - {"le"}:
            yield f"{where}: {name} has no labels {labels - docs[name][1] - OF_TARGETS}"


def overlaps(board):
    taken = {}
    for panel in board["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel)
                if other is not panel or x >= 24:
                    yield f"{panel['title']} lies on {other['title']}, or out of the page"
                    break


def panel_faults(panel):
    if panel["type"] == "row":
        return
    if panel["type"] not in PANELS:
        yield "is a plugin's"
    if not panel["description"] or not panel["title"]:
        yield "says nothing about itself"
    if panel["type"] in ("stat", "timeseries") and not panel["fieldConfig"]["defaults"].get("unit"):
        yield "has no unit"
    for one in (panel, *panel["targets"]):
        if one["datasource"]["uid"] != "${datasource}":
            yield "has a data source of its own"
    if panel["type"] == "timeseries" and not all(target["legendFormat"] for target in panel["targets"]):
        yield "has a line without a legend"
    if len({target["refId"] for target in panel["targets"]}) != len(panel["targets"]):
        yield "has one refId twice"


def board_faults(name, board):
    ids = [panel["id"] for panel in board["panels"]]
    first = [panel["type"] for panel in board["panels"]][:5]
    found = list(overlaps(board)) + [f"{panel['title']} {fault}" for panel in board["panels"] for fault in panel_faults(panel)]
    if len(set(ids)) != len(ids):
        found.append("an id is there twice")
    if first != ["row"] + ["stat"] * 4:
        found.append("does not begin with big numbers")
    if {one["name"] for one in board["templating"]["list"]} != VARIABLES:
        found.append(f"has not the variables {VARIABLES}")
    unknown = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"]))) - VARIABLES - {"__rate_interval"}
    return [f"{name}: {fault}" for fault in found + [f"uses ${one}" for one in unknown]]


def faults():
    """What is wrong with the files, a text each."""
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yaml").read_text())["tests"]
    runbook, boards = sections(), dashboards()
    found = (command("promtool", "check", "rules", PROMETHEUS / "rules.yaml")
             + command("promtool", "test", "rules", PROMETHEUS / "rules_test.yaml")
             + command("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
             + command(sys.executable, GRAFANA / "dashboards.py", "--check") + route_faults())
    for rule in alerts():
        found += alert_faults(rule, tests, runbook)
    found += [f"docs/runbook.md: there is no alert {name}" for name in runbook.keys() - {rule["alert"] for rule in alerts()}]
    for where, expression in rules() + panels():
        found += use_faults(where, expression)
    for name, board in boards.items():
        found += board_faults(name, board)
    if len({board["uid"] for board in boards.values()}) != len(boards):
        found.append("two dashboards have one uid")
    recorded = [rule for rule in rules() if ":" in rule[0]]
    drawn = {name for _, expression in panels() + recorded for name in used(expression)}
    return found + [f"{name} is on no dashboard" for name in sorted(documented().keys() - drawn)]


# -- a Prometheus for tests

def instance(shout):
    return f"127.0.0.1:{shout.ports['metrics']}"


class Prometheus(Server):
    """With deploy's rules and settings, but in a hurry: a scrape and an evaluation a second, and what holds once
    fires at once. Targets come by file_sd as deploy has it: watch() adds one while it runs."""

    name = "prometheus"

    def __init__(self, directory):
        super().__init__(directory)
        self.port, self.targets = free_port(), []
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "shout"]
        del config["alerting"], config["scrape_configs"][0]["dns_sd_configs"]
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.directory / "rules.yaml").write_text(
            re.sub(r"(?m)^( *for:).*", r"\1 0s", (PROMETHEUS / "rules.yaml").read_text()))
        (self.directory / "targets").mkdir()
        self.command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn",
                        f"--web.listen-address=127.0.0.1:{self.port}"]

    def get(self, path, **words):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(words)}")
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def ready(self):
        return self.get("/-/ready")[0] == 200

    def api(self, path, **words):
        status, text = self.get(f"/api/v1/{path}", **words)
        answer = json.loads(text)
        assert status == 200 and answer["status"] == "success", (words, answer)
        return answer["data"]

    def query(self, expression):
        """Its samples as [(labels, value)]; AssertionError when it cannot be evaluated."""
        return [(one["metric"], float(one["value"][1])) for one in self.api("query", query=expression)["result"]]

    def watch(self, *shouts):
        """Scrapes each from now on. Prometheus looks for new targets every five seconds."""
        self.targets += [{"labels": {"role": shout.role}, "targets": [instance(shout)]} for shout in shouts]
        file = self.directory / "targets/shout.yaml"
        file.with_suffix(".new").write_text(yaml.safe_dump(self.targets))
        file.with_suffix(".new").rename(file)

    def scraped(self, shout, times=1):
        """Waits until it has been scraped so often from now on."""
        series = f'up{{instance="{instance(shout)}"}}'
        wait_for(lambda: self.query(f"{series} == 1"), what=f"{shout.role} is scraped")
        for _ in range(times):
            last = self.query(f"timestamp({series})")
            wait_for(lambda last_=last: self.query(f"timestamp({series})") != last_, what="one more scrape")

    def firing(self, name=None):
        """The alerts that fire, {alertname: [annotations]}; or those annotations of one."""
        found = {}
        for one in self.api("alerts")["alerts"]:
            if one["state"] == "firing":
                found.setdefault(one["labels"]["alertname"], []).append(one["annotations"])
        return found.get(name, []) if name else found

    def draw(self, expression):
        """query() of a panel's expression, all relays, roles and processes chosen."""
        for variable, value in (("$__rate_interval", "15s"), ("$job", "shout.*"), ("$role", ".*"), ("$instance", ".*")):
            expression = expression.replace(variable, value)
        return self.query(expression)

    def empty(self, but):
        """The panels' expressions with nothing to show, but for those of the metrics `but`, and for what shows only
        what there is (alerts, refusals)."""
        drawn = [(where, expression, self.draw(expression)) for where, expression in panels()]
        assert len(drawn) > 100
        return [(where, expression) for where, expression, samples in drawn
                if not samples and not used(expression).keys() & but
                and not expression.startswith("ALERTS{") and not re.search(r"> 0\)?$", expression)]

    def missing(self, wanted):
        """Of {metric: labels}, what no scrape has brought, a text each."""
        for name, labels in sorted(wanted.items()):
            kind = documented()[name][0]
            series = self.api("series", **{"match[]": name + ("_bucket" if kind == "histogram" else "")})
            if not series:
                yield f"{name} is not scraped"
            elif not labels | OF_TARGETS <= set(series[0]):
                yield f"{name} has the labels {sorted(series[0])}, not {sorted(labels)}"


def in_use():
    """{metric: its labels} of all that rules and dashboards use."""
    return {name: documented()[name][1] for _, expression in rules() + panels() for name in used(expression)}


def of_clusters():
    """The metrics that only a cluster has: the last table of METRICS.md."""
    text = (ROOT / "METRICS.md").read_text().split("## In a cluster")[1]
    return {name for name in documented() if f"`{name}`" in text}


def main():
    found = faults()
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
