ARG BASE
FROM ${BASE}
RUN groupadd -g 999 keeper && useradd -u 999 -g 999 keeper && install -d -o 999 -g 999 /data && \
    apt-get update && apt-get install -y --no-install-recommends valkey-server valkey-tools
WORKDIR /data
CMD ["valkey-server"]
