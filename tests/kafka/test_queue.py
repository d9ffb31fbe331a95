"""What queue.h promises, on the cluster's queue: the same unit tests that the embedded one passes."""

import os
import subprocess

import pytest

from harness import BUILD


@pytest.mark.parametrize("suite", ["test_queue", "test_queue_rows"])
def test_the_clusters_queue_keeps_what_queue_h_promises(broker, suite):
    done = subprocess.run([next((BUILD / "tests/unit").rglob(suite))], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "SHOUT_TEST_BROKERS": broker.address})
    assert done.returncode == 0, done.stdout + done.stderr
