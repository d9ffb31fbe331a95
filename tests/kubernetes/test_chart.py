"""The chart as text: what Helm renders, against the real schemas and against what Shout itself says. Needs no cluster."""

import itertools
import json
import pathlib
import re

import pytest
import yaml

import harness
from cluster import HERE, run
from conftest import DIRECTORY, programs
from relay import CHART, PROXY_CHART

EXAMPLES = sorted(path for path in (CHART / "examples").glob("*.yaml") if "image" in yaml.safe_load_all(path.read_text()).__next__())
# Their schemas are their operators'.
FOREIGN = ("kafka.strimzi.io", "cert-manager.io", "keda.sh", "monitoring.coreos.com")
VERSION = "1.36.3"  # of the schemas
LEAST = {"image": {"repository": "local.test/shout"}, "hostnames": ["shout01.provider.test"], "tls": {"secrets": ["shout01"]},
         "kafka": {"brokers": "kafka:9092"}, "redis": {"address": "redis:6379"}}


@pytest.fixture(scope="module", params=["helm", "helm4"])
def helm(request):
    return programs(request.param) / request.param


def render(helm, *values):
    """The objects that a file of values, or a dict, makes."""
    files = ["-f", "-"] if isinstance(values[0], dict) else [word for path in values for word in ("-f", path)]
    text = run(helm, "template", "shout", CHART, "-n", "mail", "--kube-version", VERSION, *files, input=json.dumps(values[0]) if isinstance(values[0], dict) else None)
    return [one for one in yaml.safe_load_all(text) if one], text


@pytest.fixture(scope="module")
def schemas():
    """Of the version that the cluster's programs have."""
    at = DIRECTORY / "schemas"
    if not at.exists():
        module = json.loads(run("go", "mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}"))
        run(HERE / "mkschemas.py", pathlib.Path(module["Dir"]) / "api/openapi-spec/swagger.json", at)
    return at


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == (harness.ROOT / "VERSION").read_text().strip()


def test_helm_finds_no_fault(helm):
    for example in EXAMPLES:
        run(helm, "lint", "--strict", "--kube-version", VERSION, CHART, "-f", example)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_what_kubernetes_takes(helm, schemas, example):
    objects, text = render(helm, example)
    foreign = sorted({f"{one['apiVersion']}/{one['kind']}" for one in objects if one["apiVersion"].split("/")[0] in FOREIGN})
    said = run(programs("kubeconform") / "kubeconform", "-strict", "-summary", "-output", "json", "-skip", ",".join(foreign), "-schema-location",
               f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", "-", input=text)
    summary = json.loads(said)["summary"]
    assert summary["valid"] >= 15 and not summary["invalid"] and not summary["errors"]


def there(directory, path):
    """What a pod mounts at this path, elsewhere."""
    at = directory / path[1:]
    if "temporary" in path:
        at.mkdir(parents=True, exist_ok=True)
    else:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text("secret\n")
    return str(at)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_shout_takes_the_settings(helm, example, tmp_path):
    objects, _ = render(helm, example)
    config, = (one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "shout")
    assert {"shout.yaml", "ingress.yaml", "scanner.yaml", "sender.yaml"} <= config["data"].keys()
    for name, text in config["data"].items():
        file = tmp_path / name
        file.write_text(re.sub(r"/(?:etc/shout-|run/clamav-temporary)\S*", lambda path: there(tmp_path, path[0]), text))
        run(harness.BUILD / "shout", "topics", "--crd", "kafka", "-c", file)


@pytest.mark.parametrize("partitions, replication, days", [(12, 3, 30), (1, 1, 7)])
def test_topics_are_what_shout_asks_for(helm, tmp_path, partitions, replication, days):
    values = {**LEAST, "kafka": {"partitions": partitions, "replication": replication, "strimzi": {"enabled": True, "eventsKeep": f"{days}d"}}}
    objects, _ = render(helm, values)
    file = tmp_path / "shout.yaml"
    file.write_text(json.dumps({"state_dir": str(tmp_path), "queue": {"backend": "kafka", "brokers": "kafka:9092", "partitions": partitions,
                                                                       "replication": replication, "events_keep": f"{days}d"}}))
    wanted = list(yaml.safe_load_all(run(harness.BUILD / "shout", "topics", "--crd", "shout-kafka", "-c", file)))
    key = lambda topic: topic["metadata"]["name"]  # noqa: E731
    assert sorted((one for one in objects if one["kind"] == "KafkaTopic"), key=key) == sorted(wanted, key=key)


def images(objects):
    for one in objects:
        spec = one.get("spec", {}).get("template", {}).get("spec", {})
        for container in itertools.chain(spec.get("containers", []), spec.get("initContainers", [])):
            yield container["image"]


def test_no_image_is_the_latest(helm):
    for example in EXAMPLES:
        found = set(images(render(helm, example)[0]))
        assert found and all(not image.endswith(":latest") and ":" in image.rpartition("/")[2] for image in found)


@pytest.mark.parametrize("values, why", [
    ({"image": {"repository": "x", "tag": "latest"}}, "tag"),
    ({"hostnames": []}, "hostnames"),
    ({"hostnames": ["shout01"]}, "hostnames"),
    ({"kafka": {"brokers": ""}}, "kafka.brokers"),
    ({"redis": {"address": ""}}, "redis.address"),
    ({"redis": {"sentinels": ["sentinel:26379"]}}, "redis.master"),
    ({"tls": {"secrets": []}}, "tls.secrets"),
    ({"sender": {"hostnames": ["out01.provider.test"]}}, "1 names for 2 replicas"),
    ({"kafka": {"replication": 3, "strimzi": {"enabled": True, "brokers": 1}}}, "more copies than"),
    ({"valkey": {"enabled": True}}, "only one"),
    ({"ingress": {"clientAddress": "proxy"}}, "networkPolicy.clients"),
    ({"scaner": {}}, "scaner"),
    ({"haproxy": {"image": "haproxy:latest"}}, "haproxy"),
])
def test_wrong_values_are_refused_by_name(helm, values, why):
    with pytest.raises(AssertionError, match=why):
        render(helm, {**LEAST, **values})


@pytest.mark.parametrize("chart", [CHART, PROXY_CHART], ids=lambda path: path.name)
def test_units(chart):
    """Its folder tests/, by helm-unittest."""
    run(programs("helm-unittest") / "helm-unittest", "--strict", chart)


PROXY = {"image": {"repository": "local.test/egress-proxy", "tag": "1"}, "from": ["10.244.0.0/16"],
         "proxies": [{"name": "mx-a", "node": "node1", "address": "192.0.2.1", "port": 1080}, {"name": "mx-b", "node": "node1", "address": "2001:db8::1", "port": 1081}]}


def render_proxy(helm, values):
    return run(helm, "template", "egress", PROXY_CHART, "-n", "egress", "--kube-version", VERSION, "-f", "-", input=json.dumps(values))


def test_proxies_are_what_kubernetes_takes(helm, schemas):
    said = run(programs("kubeconform") / "kubeconform", "-strict", "-summary", "-output", "json", "-schema-location",
               f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json", "-", input=render_proxy(helm, PROXY))
    summary = json.loads(said)["summary"]
    assert summary["valid"] == 5 and not summary["invalid"] and not summary["errors"]


@pytest.mark.parametrize("values, why", [
    ({"proxies": []}, "proxies"),
    ({"from": []}, "from"),
    ({"from": ["everybody"]}, "from"),
    ({"image": {"repository": "x", "tag": "latest"}}, "tag"),
    ({"proxies": [{**PROXY["proxies"][0], "port": 25}]}, "port"),
    ({"proxies": [PROXY["proxies"][0], {**PROXY["proxies"][1], "port": 1080}]}, "share the port"),
    ({"proxies": [PROXY["proxies"][0], {**PROXY["proxies"][1], "name": "mx-a"}]}, "two are called"),
    ({"proxie": []}, "proxie"),
])
def test_wrong_values_of_proxies_are_refused_by_name(helm, values, why):
    with pytest.raises(AssertionError, match=why):
        render_proxy(helm, {**PROXY, **values})
