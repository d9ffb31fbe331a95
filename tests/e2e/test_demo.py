"""The demo, as far as it can be tried without its fixed ports."""

import os
import shutil
import socket
import subprocess

from harness import ROOT, accepts

SINK = 2526


def test_taken_ports_are_named_before_a_former_run_goes(tmp_path):
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/demo.sh", tmp_path / "deploy")
    mail = tmp_path / "run/sink/former.eml"
    mail.parent.mkdir(parents=True)
    mail.write_text("kept")
    with socket.socket() as other:
        ours = not accepts(("127.0.0.1", SINK))
        if ours:
            other.bind(("127.0.0.1", SINK))
            other.listen()
        done = subprocess.run([tmp_path / "deploy/demo.sh", "start"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"demo: port {SINK} is taken by " in done.stderr, done
    if ours:
        assert f"(pid {os.getpid()})" in done.stderr
    assert mail.read_text() == "kept"
