#!/usr/bin/python3
"""Runs the unit test programs and pytest, and ends with one line: N passed, N failed."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_SECONDS = 600
UNITS_AT_ONCE = 3 * os.cpu_count()  # they wait most of the time


def run_unit(program):
    """A test program's (passed, failed); one that dies counts as one more failure."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    try:
        done = subprocess.run([program], cwd=ROOT, env=env, timeout=UNIT_SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, status = late.stdout or b"", "timeout"
    output = output.decode(errors="replace")
    passed = len(re.findall(r"^\s*ok ", output, re.M))
    failed = len(re.findall(r"^\s*not ok ", output, re.M))
    if status != 0 and not failed:
        failed = 1
    print(f"{'ok  ' if not failed else 'FAIL'} {program.name}: {passed} passed, {failed} failed"
          + (f" (exit {status})\n{output}" if failed else ""), flush=True)
    return passed, failed


def run_pytest(build, name_filter, kafka):
    """pytest's (passed, failed). It runs in a group of its own, so that nothing survives it."""
    report = build / "pytest.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider",
               "--junitxml", str(report)]
    if not kafka:  # a file's tests share servers, and stay together
        command += ["-n", str(os.cpu_count()), "--dist", "loadfile"]
    apart = ["tests/kafka", "tests/kubernetes", "tests/compose", "tests/upgrade", "tests/panel"]
    command += ["tests/kafka"] if kafka else [*(f"--ignore={one}" for one in apart), "tests"]
    if name_filter:
        command += ["-k", name_filter]
    env = dict(os.environ, SHOUT_BUILD=str(build))
    process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)
    try:
        status = process.wait()
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if not report.exists():
        return 0, 1
    suites = list(xml.parse(report).getroot().iter("testsuite"))
    total, bad, skipped = (sum(int(s.get(key, 0)) for s in suites for key in keys)
                           for keys in (("tests",), ("failures", "errors"), ("skipped",)))
    if status not in (0, 5) and not bad:
        bad = 1
    return max(0, total - bad - skipped), bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--filter", default="")
    parser.add_argument("--kafka", action="store_true", help="those of the cluster's queue")
    parser.add_argument("--all", action="store_true", help="those and all others")
    args = parser.parse_args()
    build = (ROOT / args.build).resolve()
    passed = failed = 0
    units = [build / source.relative_to(ROOT).with_suffix("") for source in sorted((ROOT / "tests/unit").rglob("test_*.c"))
             if args.filter in source.stem and (not args.kafka or "kafka" in source.stem)]
    with concurrent.futures.ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
        for good, bad in pool.map(run_unit, units):
            passed, failed = passed + good, failed + bad
    for kafka in (False, True) if args.all else (args.kafka,):
        good, bad = run_pytest(build, args.filter, kafka)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
