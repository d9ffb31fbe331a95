#!/usr/bin/python3
"""Holds the API against its description, from outside: schemathesis makes requests of openapi.yaml, right and wrong ones,
and looks at each answer. What the suite itself holds against it is tests/e2e/test_openapi.py.

    tests/api_fuzz.py [SECONDS]      `make test-api`; SCHEMATHESIS names the program (in a venv: pip install schemathesis)"""

import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import Rig  # noqa: E402

# An answer of 400 for what JSON Schema cannot say (two fields that exclude each other, a plan that is not there) is right.
SKIPPED = ("positive_data_acceptance",)
# Of files of other relays the description tells the form alone.
LEFT_OUT = ("/import", "/restore")


def run(program, shout, seconds):
    token = (shout.state_dir / "control.token").read_text().strip()
    url = f"http://127.0.0.1:{shout.ports['control']}/api/v1"
    left_out = [word for path in LEFT_OUT for word in ("--exclude-path", path)]
    return subprocess.run(
        [program, "run", f"{url}/openapi.yaml", "--url", url, "--header", f"Authorization: Bearer {token}", "--phases",
         "coverage,fuzzing", "--checks", "all", "--exclude-checks", ",".join(SKIPPED), *left_out, "--max-time", str(seconds),
         "--request-timeout", "60", "--max-response-time", "45", "--generation-deterministic", "--no-color"], cwd=shout.directory, check=False).returncode


def main():
    program = shutil.which(os.environ.get("SCHEMATHESIS", "schemathesis"))
    if not program:
        sys.exit("there is no schemathesis: python3 -m venv DIR && DIR/bin/pip install schemathesis; then SCHEMATHESIS=DIR/bin/schemathesis")
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    rig = Rig()
    try:
        shout = rig.shout(rig.redis(), route="127.0.0.1:9", settings={"dns": {"forward": ["127.0.0.1:9"]}})
        shout.account_add()
        status = run(program, shout, seconds)
    finally:
        rig.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
