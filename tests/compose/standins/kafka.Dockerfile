# apache/kafka: its jars, and its own program that makes settings of KAFKA_... (KafkaDockerWrapper).
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-21-jre-headless && \
    useradd --uid 1000 --home-dir /home/appuser --create-home appuser && \
    install -d -o appuser /opt/kafka/config /var/lib/kafka/data /etc/kafka/docker /mnt/shared/config && \
    touch /etc/kafka/docker/server.properties
COPY jars /opt/kafka/libs
COPY log4j2.yaml /etc/kafka/docker/log4j2.yaml
COPY log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml
COPY kafka-run /etc/kafka/docker/run
USER appuser
CMD ["/etc/kafka/docker/run"]
