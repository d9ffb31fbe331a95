"""Whoever has taken a thread over finds no program to run, no process to look into, no file to write."""

import os
import subprocess

import pytest

import harness
from harness import BUILD, ROOT, send, wait_for

SANITIZED = any(word in (BUILD / "shout").read_bytes() for word in (b"__asan_init", b"__tsan_init"))


@pytest.mark.skipif(SANITIZED, reason="a sanitizer does some of it itself")
@pytest.mark.parametrize("role", ["scanner", "sender"])
def test_what_is_forbidden_fails_in_a_running_process(rig, certificate, clamd, role):
    library, outside, sink = rig.directory / "marker.so", rig.directory / "outside", rig.sink()
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, ROOT / "tests/faults/marker.c", "-ldl"], check=True)
    shout = harness.Shout(rig.path("shout"), rig.redis(), clamd=clamd, route=sink.host, certificate=certificate)
    shout.env = {**os.environ, "LD_PRELOAD": str(library), "FORBIDDEN_FILE": str(outside)}
    rig.add(shout)
    with shout.smtp(account=shout.account_add()) as client:
        send(client, "anna@customer.example", "bob@elsewhere.example",
             f"From: anna@customer.example\r\nSubject: x\r\n\r\nFORBIDDEN-IN-{role}\r\n".encode())
    wait_for(lambda: sink.find("bob@elsewhere.example"))
    assert "forbidden: run ENOSYS, write EACCES, trace ENOSYS\n" in shout.log(), shout.log()[-3000:]
    assert not outside.exists()
