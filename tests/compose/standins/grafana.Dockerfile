# Debian has no Grafana: this one only says what it was given.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3 && useradd -u 472 -g 0 grafana && \
    install -d -o 472 -g 0 /var/lib/grafana
COPY grafana.py /grafana.py
USER 472:0
CMD ["python3", "-u", "/grafana.py"]
