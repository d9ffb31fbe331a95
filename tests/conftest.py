"""Fixtures: servers for the whole run where sharing is safe, and a Shout of its own a module."""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

pytest.register_assert_rewrite("operator_steps")

import harness  # noqa: E402


@pytest.fixture(scope="session")
def session_rig():
    rig = harness.Rig()
    yield rig
    rig.close()


@pytest.fixture(scope="session")
def clamd(session_rig):
    """clamd keeps no state between scans."""
    return session_rig.clamd()


@pytest.fixture(scope="session")
def certificate(session_rig):
    directory = session_rig.path("certificate")
    directory.mkdir()
    return harness.make_certificate(directory)


@pytest.fixture(scope="module")
def module_rig():
    rig = harness.Rig()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def redis(module_rig):
    return module_rig.redis()


@pytest.fixture(scope="module")
def sink(module_rig):
    return module_rig.sink()


@pytest.fixture(scope="module")
def shout(module_rig, redis, clamd, sink, certificate):
    """`shout all` that scans, and delivers everything to `sink`."""
    return module_rig.shout(redis, clamd=clamd, route=sink.host, certificate=certificate)


@pytest.fixture(scope="module")
def account(shout):
    return shout.account_add()


@pytest.fixture
def rig():
    """For a test that needs servers of its own: rig.redis(), rig.sink(), rig.shout(...)."""
    own = harness.Rig()
    yield own
    own.close()


@pytest.fixture
def dice():
    """Random numbers; SHOUT_SEED repeats those of an earlier run."""
    seed = int(os.environ.get("SHOUT_SEED", random.randrange(1 << 32)))
    print(f"SHOUT_SEED={seed}")
    rolled = random.Random(seed)
    rolled.told_seed = seed
    return rolled


@pytest.fixture
def tell(capfd):
    """Prints a line that shows although the test passes."""
    def line(text):
        with capfd.disabled():
            print(f"\n{text}", flush=True)
    return line
