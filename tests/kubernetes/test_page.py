"""The commands of docs/kubernetes.md, those in ```sh blocks, one after the other, in a namespace that does not exist yet."""

import json
import re
import subprocess

import pytest

import harness
from cluster import HERE, NODE, run
from relay import AROUND, CHART, PROXY_CHART, Relay


def commands():
    page = (harness.ROOT / "docs/kubernetes.md").read_text()
    for block in re.findall(r"(?ms)^```sh kubernetes\n(.*?)^```$", page):
        yield from re.sub(r"\\\n\s*", "", block).splitlines()


@pytest.fixture(scope="module")
def relay(node):
    relay = Relay(node, node.run / "page")
    try:
        node.get("namespace", "queue")
    except AssertionError:
        relay.prepare()
    # first the pods: who deletes a namespace with pods in it waits as long as they may take to end
    node.helm("uninstall", "shout", "-n", "mail", "--ignore-not-found", "--wait", "--timeout=6m")
    node.kubectl("delete", "namespace", "mail", "--wait", "--timeout=300s")
    run("cp", HERE / "values.yaml", relay.directory / "values.yaml")
    (relay.directory / "proxies.yaml").write_text(json.dumps({
        "image": {"repository": "local.test/egress-proxy", "tag": "1"}, "from": ["10.0.0.0/8"],
        "proxies": [{"name": "mx-a", "node": "node1", "address": NODE, "port": 1080}]}))
    certificate, key = harness.make_certificate(relay.directory, ("shout01.provider.test",))
    certificate.rename(relay.directory / "shout01.pem")
    key.rename(relay.directory / "shout01.key")
    return relay


def drain(relay, words):
    """Of the only node: what was evicted waits for another one, until this one may be used again."""
    cluster = relay.cluster
    process = cluster.popen("bash", "-c", words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        harness.wait_for(lambda: cluster.get("pods", "-n", "mail", "--field-selector=status.phase=Pending")["items"], 300, "a pod was evicted")
    finally:
        cluster.kubectl("uncordon", "node1")
        process.terminate()
        process.communicate()
    for kind, namespace in AROUND:
        cluster.kubectl("-n", namespace, "rollout", "status", kind, "--timeout=300s")
    relay.wait_ready()


def test_the_page_can_be_followed(relay):
    done = 0
    for command in commands():
        words = command.replace("NODE", "node1").replace("VERSION", "2").replace("deploy/kubernetes/shout ", f"{CHART} ").replace(
            "deploy/kubernetes/egress-proxy ", f"{PROXY_CHART} ").replace(
            "-f values.yaml", "-f values.yaml --set-json 'tls.secrets=[\"shout01\"]'")
        if "kubectl drain" in words:
            drain(relay, words)
        else:
            line, environment = relay.cluster._command(("bash", "-c", words))
            result = subprocess.run(line, env=environment, cwd=relay.directory, capture_output=True, text=True, timeout=900)
            assert result.returncode == 0, f"{words}\n{result.stdout}{result.stderr}"
        done += 1
    assert done >= 15
    assert len(relay.cluster.get("pvc", "-n", "mail")["items"]) == 4
