"""What queue.h promises, on the cluster's queue: the same unit tests that the embedded one passes."""

import os
import subprocess

from harness import BUILD


def test_the_clusters_queue_keeps_what_queue_h_promises(broker):
    done = subprocess.run([BUILD / "tests/unit/test_queue"], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "SHOUT_TEST_BROKERS": broker.address})
    assert done.returncode == 0, done.stdout + done.stderr
