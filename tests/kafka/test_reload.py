"""SIGHUP in a cluster: each process, whatever its role, takes the settings of its own file."""

import os
import signal

import kafka
from harness import Shout, wait_for

ROLES = ("control", "sender", "scanner", "ingress")
CLEAN = b"From: anna@customer.example\r\nSubject: hello\r\n\r\nnothing here\r\n"


def lines(node, message):
    return [line for line in node.log_lines() if line["message"] == message]


def reload(node, message):
    before = len(lines(node, message))
    node.write()
    os.kill(node.process.pid, signal.SIGHUP)
    wait_for(lambda: len(lines(node, message)) > before, what=message)


def answer(ingress, account):
    with ingress.smtp(account=account) as client:
        client.ehlo()
        client.mail("anna@customer.example")
        client.rcpt("bob@elsewhere.example")
        code, _ = client.docmd("DATA")
        return client.getreply()[0] if code == 354 and not client.send(CLEAN + b".\r\n") else code


def test_each_process_takes_the_settings_of_its_file(rig, redis, broker, sink):
    nodes = {role: Shout(rig.path(role), redis, role=role, route=sink.host, settings={"queue": broker.queue()})
             for role in ROLES}
    rig.started.extend(nodes.values())
    kafka.topics(nodes["control"].file)
    for node in nodes.values():
        node.start(wait=False)
    wait_for(lambda: all(node.ready() for node in nodes.values()), 60)
    account = nodes["control"].account_add()
    wait_for(lambda: answer(nodes["ingress"], account) == 250)
    for node in nodes.values():
        node.settings["sender"]["retry"]["max"] = "7s"
        node.settings["limits"]["default"]["messages_hour"] = 1
        node.settings["queue"]["partitions"] = 7
        reload(node, "configuration read again")
        assert {line["key"]: line["after"] for line in lines(node, "setting changed")} == {
            "sender.retry.max": "7s", "limits.default.messages_hour": "1"}
        assert [line["key"] for line in lines(node, "this setting needs a restart")] == ["queue.partitions"]
    wait_for(lambda: answer(nodes["ingress"], account) == 451)
    for node in nodes.values():
        node.settings["sender"]["retry"]["first"] = "1h"
        reload(node, "the configuration stays as it was")
        assert len(lines(node, "configuration read again")) == 1
    assert all(node.stop() == 0 for node in nodes.values())
