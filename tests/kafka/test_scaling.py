"""A cluster grows under load, and shrinks: docs/cluster.md, done."""

import kafka
from cluster import GOOD, SLOW, Cluster
from harness import wait_for

FEW, MORE = 6, 9  # partitions
FLOW_S = 120


def flows(cluster, mail, what):
    accepted, copies = mail.accepted(), cluster.good.count()
    wait_for(lambda: mail.accepted() > accepted + 50 and cluster.good.count() > copies + 50, FLOW_S, f"mail flows after {what}")


def assert_nothing_lost(cluster, tell, what, *loads):
    result = cluster.settle(*[load.stop() for load in loads])
    explained, unexplained = cluster.explain()
    tell(f"{what}: {result}; {len(explained)} explained; refused {[dict(load.codes()) for load in loads]}")
    assert not result.lost and not result.extra and not unexplained and not cluster.ended
    assert set().union(*(load.codes() for load in loads)) <= {421}


WORK = {  # what shows that a process takes part
    "sender": ("shout_rows_partitions", ""),
    "scanner": ("shout_scanner_scans_total", 'verdict="clean"'),
    "ingress": ("shout_ingress_messages_total", ""),
}


def test_a_process_more_of_each_role_and_one_less(rig, certificate, tell):
    cluster = Cluster(rig, certificate)
    loads = [cluster.load(sessions=2, pause=0.05, recipient=recipient).start() for recipient in (GOOD, SLOW)]
    flows(cluster, loads[0], "the start")
    for role, metric in WORK.items():
        third = cluster.make(role, 3)
        third.start()
        loads.append(cluster.load(sessions=3, pause=0.1, recipient=GOOD).start())  # a session to each ingress
        wait_for(lambda: (third.metric(*metric) or 0) > 0, FLOW_S, f"{third.name} has work")
        assert third.stop() == 0
        del cluster.nodes[third.name]
        flows(cluster, loads[0], f"the end of {third.name}")
    assert_nothing_lost(cluster, tell, "a third of each role", *loads)


def test_partitions_are_added_under_load(rig, certificate, tell):
    cluster = Cluster(rig, certificate)
    mail = cluster.load(sessions=4, pause=0.05, recipient=GOOD).start()
    late = cluster.load(sessions=2, pause=0.05, recipient=SLOW).start()
    flows(cluster, mail, "the start")
    wait_for(lambda: cluster.waiting()["rows"], what="some mail waits in rows")
    for node in cluster.nodes.values():
        node.settings["queue"]["partitions"] = MORE
        node.write()
    found = kafka.topics(cluster.control.file)
    assert {t["partitions"] for t in found["topics"]} == {MORE, 1} and not found["findings"]
    flows(cluster, mail, "the new partitions")
    for node in cluster.of("ingress"):
        assert node.stop() == 0
        node.start()
        flows(cluster, mail, f"{node.name} knows them")
    for topic in ("mail.inbound", "mail.ready", "mail.state"):
        wait_for(lambda: all(cluster.kafka.offsets(topic)[number] for number in range(FEW, MORE)), FLOW_S,
                 f"the new ones of {topic} are used")
    assert_nothing_lost(cluster, tell, f"{FEW} to {MORE} partitions", mail, late)
    owned = sum(node.metric("shout_rows_partitions") or 0 for node in cluster.of("sender"))
    assert owned == MORE, owned
