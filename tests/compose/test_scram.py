"""The image's librdkafka logs in to brokers of Kafka 4 by SCRAM."""

import docker
import pytest
from harness import wait_for
from stack import UP_S, slowly

KAFKA = next(image for image in docker.pinned() if image.startswith("apache/kafka:"))
MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
PASSWORD = "a password with a = in it"
SETTINGS = {
    "KAFKA_NODE_ID": "1", "KAFKA_PROCESS_ROLES": "broker,controller", "CLUSTER_ID": "5hoUtRelAyScrAmTestsQ",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093", "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_LISTENERS": "CLIENT://:9092,CONTROLLER://:9093,WITHIN://:9094",
    "KAFKA_ADVERTISED_LISTENERS": "CLIENT://localhost:9092,WITHIN://localhost:9094",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT,WITHIN:PLAINTEXT",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "WITHIN", "KAFKA_LOG_DIRS": "/var/lib/kafka/data",
    "KAFKA_SASL_ENABLED_MECHANISMS": ",".join(MECHANISMS), "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    **{f"KAFKA_LISTENER_NAME_CLIENT_{mechanism.lower().replace('-', '___')}_SASL_JAAS_CONFIG":
       "org.apache.kafka.common.security.scram.ScramLoginModule required;" for mechanism in MECHANISMS},
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false", "KAFKA_OFFSETS_RETENTION_MINUTES": "44640", "KAFKA_HEAP_OPTS": "-Xmx512m"}
CONFIG = ("java", "-Xmx128m", "-cp", "/opt/kafka/libs/*", "kafka.admin.ConfigCommand", "--bootstrap-server", "localhost:9094",
          "--alter", "--entity-type", "users", "--entity-name")


@pytest.fixture(scope="module")
def broker(daemon):
    """Its container."""
    words = [word for item in SETTINGS.items() for word in ("-e", "=".join(item))]
    name = daemon.docker("run", "-d", *words, KAFKA).split()[-1]
    try:
        for mechanism in MECHANISMS:
            wait_for(slowly(lambda: daemon.docker("exec", name, *CONFIG, mechanism.lower(), "--add-config", f"{mechanism}=[password={PASSWORD}]",
                                                  check=False)), UP_S, "the broker knows the user")
        yield name
    finally:
        daemon.docker("rm", "-f", "-v", name)


def topics(daemon, broker, directory, mechanism, password, check=True):
    """What `shout topics` says; None when it fails, without `check`."""
    (directory / "password").write_text(password)
    (directory / "shout.yaml").write_text(
        "state_dir: /var/lib/shout\nredis: {address: localhost:6379}\nqueue:\n  backend: kafka\n  brokers: localhost:9092\n"
        f"  replication: 1\n  sasl: {{mechanism: {mechanism}, username: {mechanism.lower()}, password_file: /etc/shout/password}}\n")
    return daemon.docker("run", "--rm", "--network", f"container:{broker}", "-v", f"{directory}:/etc/shout:ro", docker.SHOUT,
                         "topics", check=check)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_login_by_scram(daemon, broker, tmp_path, mechanism):
    tmp_path.chmod(0o755)
    assert "mail.inbound" in topics(daemon, broker, tmp_path, mechanism, PASSWORD)
    assert topics(daemon, broker, tmp_path, mechanism, "wrong", check=False) is None
