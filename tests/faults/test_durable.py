"""What the kernel sees: between the end of a message and its "250" the disk has said that it has it."""

import contextlib
import os

import pytest

from trace import Trace

CALLS = ("recvfrom", "read", "sendto", "write", "writev", "pwrite64", "pwritev", "fdatasync", "fsync", "renameat2")


@pytest.fixture
def traced(relay, rig):
    """traced(size, count) -> (what was sent, calls, the queue's synchronous descriptors)"""
    def run(size, count):
        r = relay()
        trace = Trace(r.shout.process.pid, rig.path("strace"), CALLS)
        load = r.load(sessions=4, count=count, size=size).start().join()
        assert r.settle(load).accepted == count  # so that strace has seen the end of the last reply
        return load.sent, trace.calls(), synchronous(r.shout.process.pid)
    return run


def synchronous(pid):
    """The descriptors of the queue that were opened with O_DSYNC."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").endswith("/queue.mdb"):
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as info:
                    if int(info.read().partition("flags:")[2].split()[0], 8) & os.O_DSYNC:
                        found.add(int(fd))
    return found


def one(calls, what, **wanted):
    """The first call that fits: name, file (its end), text (a part), begun after, ended before."""
    for call in calls:
        if (call.name in wanted["name"] and call.result >= 0
                and call.file.endswith(wanted.get("file", "")) and wanted.get("text", "") in call.text
                and wanted.get("after", -1) <= call.begun and call.ended <= wanted.get("before", call.ended)
                and call.fd in wanted.get("fds", (call.fd,))):
            return call
    raise AssertionError(f"no {what}: {wanted}")


WRITE = ("write", "writev", "pwrite64", "pwritev")


def committed(calls, after, before, dsync):
    """LMDB: fdatasync of the pages, then the root by a descriptor that is synchronous."""
    sync = one(calls, "fdatasync of the queue", name=("fdatasync",), file="/queue.mdb", after=after, before=before)
    one(calls, "write of the root", name=WRITE, file="/queue.mdb", fds=dsync, after=sync.ended, before=before)
    return sync


def test_250_comes_after_the_commit_that_holds_the_message(traced):
    sent, calls, dsync = traced(1000, 20)
    for message in sent:
        named = f"X-Load-Id: {message.name}\\r"
        arrival = one(calls, "arrival", name=("recvfrom", "read"), text=named)
        assert "\\r\\n.\\r\\n\"" in arrival.text
        reply = one(calls, "reply", name=("sendto",), text=f"250 2.0.0 queued as {message.queued}")
        body = one(calls, "write of the body", name=WRITE, file="/queue.mdb", text=named,
                   after=arrival.ended, before=reply.begun)
        committed(calls, body.ended, reply.begun, dsync)


def test_250_of_a_large_message_comes_after_file_directory_and_commit(traced):
    sent, calls, dsync = traced(400000, 3)
    for message in sent:
        reply = one(calls, "reply", name=("sendto",), text=f"250 2.0.0 queued as {message.queued}")
        file = f"/spool/{message.queued}"
        parts = [c for c in calls if c.name in WRITE and c.file.endswith(file)]
        assert sum(c.result for c in parts) > 400000
        last = max(c.ended for c in parts)
        synced = one(calls, "fdatasync of the file", name=("fdatasync",), file=file, after=last, before=reply.begun)
        directory = one(calls, "fsync of the directory", name=("fsync",), file="/spool",
                        after=synced.ended, before=reply.begun)
        record = one(calls, "write of the record", name=WRITE, file="/queue.mdb", text="anna@customer.example",
                     after=directory.ended, before=reply.begun)
        committed(calls, record.ended, reply.begun, dsync)
