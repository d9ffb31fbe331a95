"""A process's clocks, moved while it runs."""

import os
import struct
import subprocess

from harness import ROOT


class Clock:
    def __init__(self, directory):
        self.file, self.library = directory / "ahead", directory / "clock.so"
        self.file.write_bytes(struct.pack("qq", 0, 0))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", self.library, ROOT / "tests/faults/clock.c", "-ldl"], check=True)
        self.env = {**os.environ, "LD_PRELOAD": str(self.library), "CLOCK_AHEAD": str(self.file)}

    def ahead(self, seconds=0, day=0):
        """`seconds` of the clock that only goes forward, `day` of the time of day."""
        with open(self.file, "r+b") as file:
            file.write(struct.pack("qq", seconds, day))
