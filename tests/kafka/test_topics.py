"""`shout topics` on real brokers."""

import json
import subprocess

import pytest
import yaml

import harness
import kafka


@pytest.fixture
def settings(rig, broker):
    """Writes a shout.yaml with the given settings of `queue`."""
    def write(**queue):
        file = rig.path("shout.yaml")
        file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": broker.queue(**queue)}))
        return file
    return write


def alter(broker, kind, name, **values):
    kafka.tool("kafka.admin.ConfigCommand", "--bootstrap-server", broker.address, "--alter", f"--{kind}",
               name, "--add-config", ",".join(f"{key}={value}" for key, value in values.items()))


def test_creates_what_is_missing_once(settings):
    first = kafka.topics(settings())
    again = kafka.topics(settings())
    assert {t["topic"]: t["partitions"] for t in again["topics"]} == {
        "mail.inbound": 3, "mail.ready": 3, "mail.deferred": 3, "mail.state": 3, "mail.events": 3,
        "relay.config": 1}
    assert not any(t["created"] for t in again["topics"])
    assert first["findings"] == again["findings"] == []


def test_adds_partitions(settings):
    kafka.topics(settings())
    more = kafka.topics(settings(partitions=5))
    assert {t["topic"]: t["partitions"] for t in more["topics"]} == {
        "mail.inbound": 5, "mail.ready": 5, "mail.deferred": 5, "mail.state": 5, "mail.events": 5,
        "relay.config": 1}
    assert kafka.topics(settings(partitions=3))["findings"] == []  # fewer would lose mail: left alone


def printed(file):
    """What `shout topics --crd` prints."""
    done = subprocess.run([harness.BUILD / "shout", "topics", "--crd", "my-kafka", "-c", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_topics_made_from_what_it_prints_are_in_order(rig):
    own = rig.add(kafka.Kafka(rig.path("kafka")))
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": own.queue(events_keep="40d")}))
    resources = printed(file)
    for resource in resources:
        assert (resource["apiVersion"], resource["kind"]) == ("kafka.strimzi.io/v1", "KafkaTopic")
        assert resource["metadata"]["labels"] == {"strimzi.io/cluster": "my-kafka"}
        assert resource["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        words = [word for name, value in resource["spec"]["config"].items() for word in ("--config", f"{name}={value}")]
        kafka.tool("TopicCommand", "--bootstrap-server", own.address, "--create", "--topic", resource["metadata"]["name"],
                   "--partitions", resource["spec"]["partitions"], "--replication-factor", resource["spec"]["replicas"], *words)
    found = kafka.topics(file)
    assert found["findings"] == []
    assert {t["topic"]: t["partitions"] for t in found["topics"]} == {r["metadata"]["name"]: r["spec"]["partitions"] for r in resources}
    assert not any(t["created"] for t in found["topics"])


def test_names_what_could_lose_mail(rig):
    changed = rig.add(kafka.Kafka(rig.path("kafka")))
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": changed.queue()}))
    kafka.topics(file)
    wrong = {
        "mail.inbound": {"retention.ms": "604800000", "max.message.bytes": "1048588",
                         "flush.messages": "1000", "message.timestamp.type": "CreateTime",
                         "message.timestamp.before.max.ms": "3600000",
                         "message.timestamp.after.max.ms": "3600000"},
        "mail.ready": {"retention.bytes": "1000000000"},
        "mail.deferred": {"cleanup.policy": "compact"},
        "mail.state": {"cleanup.policy": "delete", "delete.retention.ms": "3600000"},
        "mail.events": {"retention.ms": "3600000"},
        "relay.config": {"unclean.leader.election.enable": "true"},
    }
    for topic, values in wrong.items():
        alter(changed, "topic", topic, **values)
    found = kafka.topics(file, check=False)
    for finding in found["findings"]:
        name = finding["what"].split()[0]
        assert finding["what"].startswith(f"{name} is {wrong[finding['where']].pop(name)}; it has to be ")
    assert not any(wrong.values())


def test_names_too_few_copies(settings):
    kafka.topics(settings())
    found = kafka.topics(settings(replication=3), check=False)["findings"]
    assert {"where": "mail.state", "what": "has 1 copies; queue.replication says 3"} in found
    assert any(f["where"] == "mail.inbound" and f["what"].startswith("min.insync.replicas is 1;") for f in found)
    assert any(f["where"] == "broker 1" for f in found)


def test_names_a_broker_that_forgets(rig):
    forgetful = rig.add(kafka.Kafka(rig.path("kafka"), settings={
        "offsets.retention.minutes": 10080, "auto.create.topics.enable": "true",
        "unclean.leader.election.enable": "true"}))
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": forgetful.queue()}))
    found = kafka.topics(file, check=False)
    assert {f["what"].split()[0] for f in found["findings"] if f["where"] == "broker 1"} == {
        "offsets.retention.minutes", "auto.create.topics.enable", "unclean.leader.election.enable"}


def test_says_that_nobody_answers(rig):
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": {
        "backend": "kafka", "brokers": f"127.0.0.1:{harness.free_port()}"}}))
    done = subprocess.run([harness.BUILD / "shout", "topics", "-c", file], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("brokers: 127.0.0.1:")


def test_needs_as_many_brokers_as_copies(rig):
    lonely = rig.add(kafka.Kafka(rig.path("kafka")))
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": lonely.queue(replication=3)}))
    found = kafka.topics(file, check=False)["findings"]
    assert len(found) == 1 and "refuse" in found[0]["what"]


def look(rig, **queue):
    """What `shout check` finds of the brokers: (errors, warnings)."""
    file = rig.path("shout.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "user": "root", "queue": queue}))
    done = subprocess.run([harness.BUILD / "shout", "check", "--json", "-c", file], capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["findings"]
    return [sorted(f["text"] for f in found if f["level"] == level and ("broker" in f["text"] or "topic" in f["text"]))
            for level in ("error", "warning")]


def test_a_check_names_brokers_that_are_away(rig):
    dead = [f"127.0.0.1:{harness.free_port()}" for _ in range(2)]
    errors, warnings = look(rig, backend="kafka", brokers=",".join(dead))
    assert errors == ["no broker answers: start them, or correct queue.brokers"]
    assert len(warnings) == 2 and all(any(one.startswith(f"broker {broker} ") for one in warnings) for broker in dead)


def test_a_check_names_topics_that_are_missing_and_creates_none(rig):
    eager = rig.add(kafka.Kafka(rig.path("kafka"), settings={"auto.create.topics.enable": "true"}))
    dead, queue = f"127.0.0.1:{harness.free_port()}", eager.queue()
    for _ in range(2):
        errors, warnings = look(rig, **{**queue, "brokers": f"{dead},{eager.address}"})
        assert errors == [f"the brokers have no topic {topic}: shout topics creates it" for topic in (
            "mail.deferred", "mail.events", "mail.inbound", "mail.ready", "mail.state", "relay.config")]
        assert len(warnings) == 1 and warnings[0].startswith(f"broker {dead} does not answer: ")
    file = rig.path("topics.yaml")
    file.write_text(json.dumps({"state_dir": str(rig.path("state")), "queue": queue}))
    assert all(topic["created"] for topic in kafka.topics(file, check=False)["topics"])
    assert look(rig, **queue) == [[], []]
