# freshclam is one that knows EICAR: signatures are not to be had without the internet.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends clamav-daemon && rm -f /usr/bin/freshclam
COPY freshclam clamdcheck.sh /usr/local/bin/
COPY clamav-init /init
ENTRYPOINT ["/init"]
