#!/usr/bin/python3
"""Who may include and call whom: a row a room, and what `make lint` checks of the rooms.

    tests/rooms.py BUILD      BUILD holds the objects, whose symbols tell the calls

A room may use itself and the rooms of its row. Nothing calls or includes upwards, no folder has more
than 20 modules, no more than 4 files call each other in a circle, no file is longer than 600 lines."""

import collections
import pathlib
import re
import subprocess
import sys

BASE = {"shared/base", "shared/metrics"}
SHARED = BASE | {"shared/dkim", "shared/score", "shared/egress", "shared/http", "shared/process", "shared/mail", "shared/config", "shared/redis", "shared/account", "shared/dns",
                 "shared/queue", "shared/work"}
KAFKA = "shared/queue/kafka"
BELOW_KAFKA = BASE | {"shared/mail", "shared/config", "shared/queue"}
SENDER = SHARED | {"sender/reply", "sender/policy"}

MAY_USE = {
    "shared/base": set(),
    "shared/metrics": {"shared/base"},
    "shared/http": BASE | {"shared/process"},
    "shared/mail": BASE,
    "shared/config": BASE | {"shared/mail"},
    "shared/dkim": BASE | {"shared/mail", "shared/config"},
    "shared/egress": BASE,
    "shared/process": BASE | {"shared/config"},
    "shared/redis": BASE | {"shared/config"},
    "shared/account": BASE | {"shared/mail", "shared/config", "shared/redis"},
    "shared/score": BASE | {"shared/mail", "shared/config", "shared/redis"},
    "shared/dns": BASE | {"shared/config"},
    "shared/queue": BASE | {"shared/mail", "shared/config"},
    "shared/queue/lmdb": BELOW_KAFKA,
    f"{KAFKA}/client": BELOW_KAFKA,
    f"{KAFKA}/produce": BELOW_KAFKA | {f"{KAFKA}/client"},
    f"{KAFKA}/body": BELOW_KAFKA | {f"{KAFKA}/{room}" for room in ("client", "produce")},
    f"{KAFKA}/rows": BELOW_KAFKA | {f"{KAFKA}/{room}" for room in ("client", "produce", "body")},
    f"{KAFKA}/consume": BELOW_KAFKA | {f"{KAFKA}/{room}" for room in ("client", "produce", "body", "rows")},
    KAFKA: BELOW_KAFKA | {f"{KAFKA}/{room}" for room in ("client", "produce", "body", "rows", "consume")},
    "shared/queue/open": BELOW_KAFKA | {"shared/queue/lmdb", KAFKA},
    "shared/work": SHARED,
    "scanner": SHARED,
    "sender/reply": SHARED | {"deploy"},  # the rules that are compiled in
    "sender/policy": SHARED | {"sender/reply"},
    "sender/schedule": SENDER,
    "sender/route": SENDER,
    "sender/egress": SENDER | {"sender/schedule"},
    "sender/smtp": SENDER | {"sender/route", "sender/egress"},
    "sender/waiting": SENDER | {"sender/schedule", "sender/route"},
    "sender/mail": SENDER | {"sender/schedule", "sender/egress", "sender/route", "sender/smtp", "sender/waiting"},
    "sender/operator": SENDER | {"sender/schedule", "sender/egress", "sender/route", "sender/waiting", "sender/mail"},
    "ingress/door": SHARED,
    "ingress/message": SHARED,
    "ingress/session": SHARED | {"ingress/door", "ingress/message"},
    "ingress/verb": SHARED | {"ingress/door", "ingress/message", "ingress/session"},
    "control/look": SHARED,
    "control/config": SHARED,
    "control/domain": SHARED,
    "control/static": SHARED,
    "control/notices": SHARED,
    "control/trace": SHARED | {"control/look", "control/config", "control/account", "control/http"},
    "control/leader": SHARED | {"control/config"},
    "control/account": SHARED | {"control/look", "control/config", "control/leader"},
    "control/mails": SHARED | {"control/look", "control/config", "control/account", "control/leader", "control/notices", "control/domain", "control/watch"},
    "control/rounds": SHARED | {"control/config", "control/account", "control/leader"},
    "control/people": SHARED | {"control/config", "control/account", "control/look"},
    "control/http": SHARED | {"control/look", "control/config", "control/account", "control/people", "control/session"},
    "control/reseller": SHARED | {"control/config", "control/account", "control/people", "control/look"},
    "control/dkim": SHARED | {"control/look", "control/config", "control/account", "control/http"},
    "control/score": SHARED | {"control/look", "control/config", "control/account", "control/http", "control/queue"},
    "control/session": SHARED | {"control/look", "control/config", "control/account", "control/people"},
    "control/queue": SHARED | {"control/look", "control/config", "control/account", "control/people", "control/http"},
    "control/egress": SHARED | {"control/look", "control/config", "control/account", "control/people", "control/http"},
    "control/watch": SHARED | {"control/leader", "control/look", "control/config", "control/account", "control/domain", "control/notices"},
    "control/api": SHARED | {"control/egress", "control/look", "control/config", "control/account", "control/domain", "control/mails", "control/people", "control/trace", "control/http", "control/queue", "control/dkim", "control/score", "control/watch", "control/session", "control/login", "control/static", "control/webhook", "control/reseller"},
    "control/login": SHARED | {"control/look", "control/config", "control/account", "control/notices", "control/people",
                               "control/session", "control/http"},
    "control/webhook": SHARED | {"control/look", "control/config", "control/account", "control/people", "control/http", "control/leader"},
}
MAY_USE["control/connection"] = SHARED | {"control/look", "control/config", "control/account", "control/people", "control/session", "control/http",
                                          "control/trace"}
MAY_USE["control/api"] = MAY_USE["control/api"] | {"control/connection"}
for role in ("sender", "ingress", "control"):
    MAY_USE[role] = SHARED | {room for room in MAY_USE if room.startswith(role + "/")}
# `shout topics` and `shout check` look at the cluster itself.
TOOLS = {"cmd": {KAFKA}, "cmd/check": {KAFKA}}

MODULES_MAX = 20
CIRCLE_MAX = 4
LINES_MAX = 600

findings = []


def room_of(path):
    return str(pathlib.PurePath(path).parent)


def may_use(room, other):
    if room == other or other == "build":
        return True
    if room.startswith("cmd"):
        return (other.startswith("cmd") or not other.startswith("shared/queue/")
                or other in TOOLS.get(room, ()) or other == "shared/queue/open")
    if other == "shared/queue/open":
        return room in SHARED or not room.startswith("shared/")
    return other in MAY_USE[room]


def sources():
    listed = subprocess.run(["git", "ls-files", "shared", "ingress", "scanner", "sender", "control", "cmd"],
                            check=True, capture_output=True, text=True).stdout.split()
    return [path for path in listed if path.endswith((".c", ".h"))]


def check_folders(paths):
    modules = collections.defaultdict(set)
    for path in paths:
        modules[room_of(path)].add(pathlib.PurePath(path).stem)
        lines = len(pathlib.Path(path).read_text().splitlines())
        if lines > LINES_MAX:
            findings.append(f"{path} has {lines} lines; split it")
    for room, names in modules.items():
        if len(names) > MODULES_MAX:
            findings.append(f"{room} has {len(names)} modules; it wants rooms")
        if not room.startswith("cmd") and room not in MAY_USE:
            findings.append(f"{room} is no room that tests/rooms.py knows")


def check_includes(paths):
    for path in paths:
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            found = re.match(r'#include "([^"]+/)[^"]+"', line)
            if found and not may_use(room_of(path), found.group(1).rstrip("/")):
                findings.append(f"{path}:{number}: {room_of(path)} may not include {found.group(1)}")


def symbols(build, path):
    """What an object defines, and what it wants of others."""
    listed = subprocess.run(["nm", f"{build}/{path[:-2]}.o"], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return ({row[-1] for row in rows if row[-2] in "TDBRCVW" and len(row) == 3}, {row[-1] for row in rows if row[-2] == "U"})


def calls(build, paths):
    found = {path: symbols(build, path) for path in paths if path.endswith(".c")}
    where = {name: path for path, (defined, _) in found.items() for name in defined}
    return {path: {where[name] for name in wanted if name in where} - {path} for path, (_, wanted) in found.items()}


def circles(graph):
    """The strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, out = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph.get(node, ()):
            if following not in index:
                visit(following)
            if following in stack:
                low[node] = min(low[node], low[following])
        if low[node] == index[node]:
            part = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(part) > 1:
                out.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return out


def check_calls(build, paths):
    graph = calls(build, paths)
    for path, called in sorted(graph.items()):
        for other in sorted(called):
            if not may_use(room_of(path), room_of(other)):
                findings.append(f"{path} may not call {other}")
    for part in circles(graph):
        if len(part) > CIRCLE_MAX:
            findings.append(f"{len(part)} files call each other in a circle: {' '.join(part)}")


def check_architecture():
    """ARCHITECTURE.md, docs/promises.md and docs/decisions.md name files and functions that exist."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split()
    names = {pathlib.PurePath(path).name for path in listed}
    code = "\n".join(pathlib.Path(path).read_text() for path in listed if path.endswith((".c", ".h", ".py")))
    known = set(re.findall(r"\b([a-z_]+)\(", code))
    for page in ("ARCHITECTURE.md", "docs/promises.md", "docs/decisions.md"):
        text = pathlib.Path(page).read_text()
        for name in sorted(set(re.findall(r"`([\w/.-]+\.(?:c|h|py|proto))`", text))):
            if name not in listed and ("/" in name or name not in names):
                findings.append(f"{page} names {name}, which is not there")
        for name in sorted(set(re.findall(r"`([a-z_]+)\(\)`", text)) - known):
            findings.append(f"{page} names {name}(), which is not there")


def main():
    sys.setrecursionlimit(10000)
    paths = sources()
    check_folders(paths)
    check_includes(paths)
    check_architecture()
    check_calls(sys.argv[1], paths)
    for finding in findings:
        print(f"rooms: {finding}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
