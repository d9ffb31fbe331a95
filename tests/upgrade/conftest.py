"""What the upgrade trials take from the tests of a cluster."""

import sys

from harness import ROOT

sys.path.insert(0, str(ROOT / "tests/kafka"))
