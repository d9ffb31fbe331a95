"""Where a message is that did not arrive: what each stage last said about it, and which of the brokers'
records had it.

    for line in autopsy.report(cluster, names): print(line)
"""

import contextlib
import json
import re
import subprocess

import kafka

TOPICS = ("mail.inbound", "mail.ready", "mail.deferred")
LINE = re.compile(rb"^(?:Dumping .*/(?P<topic>[\w.]+)-(?P<partition>\d+)/\d+\.log|\|? ?offset: (?P<offset>\d+).*"
                  rb"|.*?X-Load-Id: (?P<name>\S+).*)$", re.M)


def records(cluster):
    """{name of a message: {(topic, partition, offset)}} of all that lies on the brokers' disks: also of
    what was trimmed lately."""
    files = [file for broker in cluster.kafka.brokers for topic in TOPICS
             for file in sorted((broker.directory / "data").glob(f"{topic}-*/*.log"))]
    done = subprocess.run(kafka.java("512m", "org.apache.kafka.tools.DumpLogSegments", "--print-data-log", "--files",
                                     ",".join(map(str, files))), capture_output=True, timeout=120)
    found, topic, partition, offset = {}, None, None, None
    for line in LINE.finditer(done.stdout):
        if line["topic"]:
            topic, partition = line["topic"].decode(), int(line["partition"])
        elif line["offset"]:
            offset = int(line["offset"])
        else:
            found.setdefault(line["name"].decode(), set()).add((topic, partition, offset))
    return found


def groups(cluster):
    """What each group has committed, and up to where there is something."""
    return kafka.tool("consumer.group.ConsumerGroupCommand", "--bootstrap-server", cluster.kafka.address,
                      "--describe", "--all-groups", check=False).splitlines()


def last_lines(cluster, message_id):
    """The last line about it in the log of each process."""
    for node in cluster.nodes.values():
        lines = [line for line in node.log().splitlines() if message_id in line]
        if lines:
            yield f"{node.name}: {lines[-1]}"


def events(cluster, message_id):
    with contextlib.suppress(AssertionError, KeyError, ValueError):
        for message in cluster.control.shoutctl("why", message_id)["messages"]:
            for event in message.get("events", []):
                yield f"event {json.dumps(event)}"
            for row in message.get("rows", []):
                yield f"waits {json.dumps(row)}"


def story(cluster, sent, held):
    yield f"{sent.name}: {sent.state} by {sent.address} as {sent.queued} ({sent.code} {sent.text})"
    if sent.queued:
        yield from events(cluster, sent.queued)
        yield from last_lines(cluster, sent.queued)
    for topic, partition, offset in sorted(held.get(sent.name, ())):
        yield f"was written to {topic}, partition {partition}, offset {offset}"


def report(cluster, messages, most=10):
    """What is known of each of `messages` (those of load.Load), the first `most`."""
    if not messages:
        return
    held = records(cluster)
    for sent in messages[:most]:
        yield from story(cluster, sent, held)
    yield from groups(cluster)
