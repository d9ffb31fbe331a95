"""The cluster, with what a relay finds around it, for the whole run."""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402
from cluster import HERE, PROGRAMS, Cluster  # noqa: E402

DIRECTORY = pathlib.Path(os.environ.get("SHOUT_KUBERNETES", harness.BUILD / "kubernetes"))


def programs(*names):
    """Builds those that are not there yet, which takes minutes the first time; their directory."""
    subprocess.run([HERE / "build.sh", DIRECTORY, *names], check=True)
    return DIRECTORY / "bin"


@pytest.fixture(scope="session")
def node():
    import kafka
    programs(*PROGRAMS)
    kafka.fetch_jars()
    subprocess.run([HERE / "images.sh", DIRECTORY, harness.BUILD, kafka.JARS], check=True)
    cluster = Cluster(DIRECTORY)
    try:
        cluster.up()
        cluster.enter()
        yield cluster
    finally:
        cluster.down()
