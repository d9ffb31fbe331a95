"""What the kernel sees: between the end of a message and its "250" the disk has said that it has it."""

import contextlib
import os
import re

import pytest

from harness import wait_for
from trace import Trace, read_calls

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


def paths(call):
    """Those that the arguments name, whole: strace -y says which directory a descriptor is."""
    bases = re.findall(r"(?:\d+|AT_FDCWD)<([^>]*)>, ", call.text)
    named = re.findall(r'"([^"]*)"', call.text)
    return [os.path.join(bases[min(i, len(bases) - 1)] if bases else "/", name) for i, name in enumerate(named)]


def made(calls, state_dir):
    """What was made in state_dir and stayed, and when."""
    found = {}
    for call in calls:
        if call.result < 0:
            continue
        if call.name in ("unlink", "unlinkat"):
            found.pop(paths(call)[0], None)
        elif call.name in ("rename", "renameat2"):
            found.pop(paths(call)[0], None)
            found[paths(call)[1]] = call
        elif call.name == "mkdir" or (call.name == "openat" and "O_CREAT" in call.text):
            found.setdefault(paths(call)[0], call)
    return {path: call for path, call in found.items() if path.startswith(str(state_dir))}


def test_what_is_made_in_state_dir_has_a_durable_name(relay, rig):
    log = rig.path("strace")
    names = "mkdir,openat,rename,renameat2,unlink,unlinkat,fsync,listen"
    r = relay(wrapper=["strace", "-D", "-f", "-y", "-o", log, "-e", f"trace={names}", "-e", "signal=none"])
    accepted = [r.load(sessions=1, count=1, size=size).start().join() for size in (1000, 400000)]
    r.settle(*accepted)
    assert r.shout.stop() == 0
    exited = re.compile(rf"^{r.shout.process.pid} +\+\+\+ exited", re.M)
    wait_for(lambda: exited.search(log.read_text(errors="replace")))
    calls = read_calls(log)
    ready = max(call.begun for call in calls if call.name == "listen")
    found = made(calls, r.shout.state_dir)
    assert {"state", "spool", "events", "queue.mdb", "lock", "control.token", "work.sender", "work.scanner"} \
        <= {os.path.basename(path) for path in found}
    assert any(path.endswith(".jsonl") for path in found)
    for path, call in found.items():
        one(calls, f"fsync after {path} was made", name=("fsync",), file=os.path.dirname(path), after=call.ended,
            before=ready if call.ended < ready else 1 << 62)
