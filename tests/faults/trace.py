"""strace on a process that runs: its system calls in their order."""

import re
import signal
import subprocess

from harness import wait_for

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$", re.S)
_UNFINISHED = " <unfinished ...>"
_RESULT = re.compile(r"(.*)\) += (-?\d+|\?)", re.S)


class Call:
    """A system call: `begun` and `ended` are places in the order of all beginnings and ends."""

    def __init__(self, name, text, begun):
        self.name, self.text, self.begun = name, text, begun
        self.ended, self.result = 1 << 62, -1

    def end(self, place):
        self.ended = place
        found = _RESULT.match(self.text)
        self.result = int(found[2]) if found and found[2] != "?" else -1

    @property
    def file(self):
        """The path behind the first argument, a descriptor."""
        found = re.match(r"\d+<([^>]*)>", self.text)
        return found[1] if found else ""

    @property
    def fd(self):
        return int(re.match(r"\d+", self.text)[0])


class Trace:
    def __init__(self, pid, path, calls):
        self.path = path
        self.process = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "400000", "-e", "trace=" + ",".join(calls), "-e", "signal=none",
             "-o", path, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
        assert "attached" in self.process.stderr.readline()
        wait_for(self._all_attached(pid), what="strace has all threads")

    @staticmethod
    def _all_attached(pid):
        def tracers():
            done = subprocess.run(f"cat /proc/{pid}/task/*/status", shell=True, capture_output=True, text=True)
            return "TracerPid:\t0\n" not in done.stdout
        return tracers

    def calls(self):
        """Ends the trace; the calls in the order of their beginnings."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()
        return read_calls(self.path)


def read_calls(path):
    """What strace -f wrote, in the order of the beginnings."""
    calls, pending = [], {}
    with open(path, encoding="latin-1") as lines:
        for place, line in enumerate(lines):
            found = _LINE.match(line.rstrip("\n"))
            if found and found[2]:
                call = pending.pop(found[1], None)
                if call:
                    call.text += found[3]
                    call.end(place)
            elif found:
                call = Call(found[4], found[5].removesuffix(_UNFINISHED), place)
                calls.append(call)
                if found[5].endswith(_UNFINISHED):
                    pending[found[1]] = call
                else:
                    call.end(place)
    return calls
