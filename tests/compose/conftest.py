"""One daemon for all: its images, its internet, and a client's place there."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import docker  # noqa: E402
import stack  # noqa: E402


@pytest.fixture(scope="session")
def daemon():
    docker.build()
    with docker.Daemon() as running, docker.network(running, stack.ADDRESSES, stack.CLIENTS) as client, \
            stack.within(client):
        yield running


def bring_up(daemon, file):
    one = stack.Stack(daemon, file)
    one.down("-v")  # of a run that was cut short
    try:
        yield one.up()
    finally:
        one.down("-v")


@pytest.fixture(scope="module")
def cluster(daemon):
    yield from bring_up(daemon, "compose.yaml")


@pytest.fixture(scope="module")
def single(daemon):
    yield from bring_up(daemon, "compose.single.yaml")
