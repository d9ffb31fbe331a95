"""A Shout whose listeners are of every kind, with accounts of every kind."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import dialogue  # noqa: E402


@pytest.fixture(scope="module")
def redis(module_rig):
    redis = module_rig.redis()
    dialogue.seed_all(redis)
    return redis


@pytest.fixture(scope="module")
def door(module_rig, redis, sink, certificate):
    return dialogue.start(module_rig, redis, sink, certificate)


@pytest.fixture
def talk(door):
    """talk("plain") is a connection to that listener; all are closed in the end."""
    open_talks = []

    def connect(name="plain", **options):
        open_talks.append(dialogue.Talk(door.ports[name], **options))
        return open_talks[-1]

    yield connect
    for one in open_talks:
        one.socket.close()


@pytest.fixture
def ready(talk):
    """A session that may send."""
    def connect(name="plain", user="joe@acme.example", password="secret word", **options):
        one = talk(name, **options)
        one.hello()
        one.login(user, password)
        return one

    return connect
