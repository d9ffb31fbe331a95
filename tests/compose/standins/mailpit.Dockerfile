# tests/sink.py with the part of Mailpit's API that the test reads.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3 && install -d /data
COPY sink.py mailpit.py /
CMD ["python3", "-u", "/mailpit.py"]
