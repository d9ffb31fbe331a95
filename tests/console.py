"""What an operator has at night: shoutctl, /readyz, /metrics and the log."""

import os
import shlex
import subprocess

from harness import BUILD, DEADLINE, wait_for

LOOKS_MAX = 3
WIDTH = 100


class Console:
    """Runs command lines as they are typed: `shoutctl` and `shout` know their configuration, $page is the metrics
    page's address, $log the file that the service manager writes."""

    def __init__(self, shout):
        self.shout = shout
        self.bin = shout.directory / "bin"
        self.bin.mkdir(exist_ok=True)
        self.env = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
                    "page": f"http://127.0.0.1:{shout.ports['metrics']}", "log": str(shout.log_path)}

    def write(self, name, *words):
        path = self.bin / name
        path.write_text("#!/bin/sh\nexec " + " ".join(shlex.quote(str(w)) for w in words) + ' "$@"\n')
        path.chmod(0o755)

    def type(self, line):
        """What it prints."""
        # state_dir may be a disk that only the process sees
        self.write("shoutctl", *self.shout.inside(), BUILD / "shoutctl", "-c", self.shout.file)
        self.write("check", *self.shout.inside(), BUILD / "shout", "check", "-c", self.shout.file)
        done = subprocess.run(["sh", "-c", line], env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def finds(self, *looks):
        """Each look, a command line and the words that it has to show, within a while: news travel."""
        assert len(looks) <= LOOKS_MAX
        for line, *words in looks:
            self.look(line, words)

    def look(self, line, words):
        shown = ""

        def told():
            nonlocal shown
            shown = self.type(line)
            return all(word in " ".join(shown.split()) for word in words)

        try:
            wait_for(told, DEADLINE)
        except AssertionError:
            missing = [word for word in words if word not in " ".join(shown.split())]
            raise AssertionError(f"$ {line}\n{shown}\ndoes not say {missing}") from None
        print(f"$ {line}\n{shown}")
        # events are a line each where they go into a file, and so is a part of /readyz
        if line.startswith("shoutctl") and "events" not in line:
            wide = [row for row in shown.splitlines() if len(row) > WIDTH]
            assert not wide, f"$ {line}\n" + "\n".join(wide)
