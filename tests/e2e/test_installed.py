"""What `make install` lays beside the programs: units, manual pages, completion."""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess

import pytest
import yaml

from harness import BUILD, ROOT

PREFIX = "/opt/shout"
ROLES = ("ingress", "scanner", "sender", "control")
UNITS = ("shout", *(f"shout-{role}" for role in ROLES))
BINDING = ("shout", "shout-ingress")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", f"B={BUILD}", f"DESTDIR={place}", f"PREFIX={PREFIX}", "install"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, timeout=600)
    return place


def files(place):
    return {"/" + str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()}


def unit(place, name):
    text = (place / PREFIX[1:] / f"lib/systemd/system/{name}.service").read_text()
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))


@pytest.mark.parametrize("name", UNITS)
def test_each_role_has_a_unit_that_is_never_root(place, name):
    settings = unit(place, name)
    assert settings["ExecStart"] == (f"{PREFIX}/bin/shout {name.removeprefix('shout-') if '-' in name else 'all'} "
                                     "-c /etc/shout/shout.yaml")
    assert settings["User"] == "shout" and settings["Type"] == "notify"
    for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert settings[key] == ("CAP_NET_BIND_SERVICE" if name in BINDING else "")


@pytest.mark.parametrize("name", UNITS)
def test_each_unit_exposes_little(place, name):
    """2.0 of 10 at most; what is above a network service's least is the network, and clamd's /tmp."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20",
         place / PREFIX[1:] / f"lib/systemd/system/{name}.service"], capture_output=True, text=True, timeout=60)
    print(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_that_are_there_stay(place):
    settings = place / "etc/shout/shout.yaml"
    assert yaml.safe_load(settings.read_text()) == yaml.safe_load((ROOT / "deploy/single.yaml").read_text())
    settings.write_text("mine\n")
    subprocess.run(["make", f"B={BUILD}", f"DESTDIR={place}", f"PREFIX={PREFIX}", "install"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, timeout=600)
    assert settings.read_text() == "mine\n"


def test_uninstall_leaves_the_settings_alone(place, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    subprocess.run(["make", f"B={BUILD}", f"DESTDIR={copy}", f"PREFIX={PREFIX}", "uninstall"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL, timeout=600)
    assert files(copy) == {"/etc/shout/shout.yaml"}


PAGES = ("man8/shout.8", "man1/shoutctl.1", "man5/shout.yaml.5")


@pytest.mark.parametrize("page", PAGES)
def test_no_tool_finds_fault_with_a_page(place, page):
    file = place / PREFIX[1:] / "share/man" / page
    linted = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", file], capture_output=True, text=True, timeout=60)
    assert (linted.returncode, linted.stdout) == (0, "")
    shown = subprocess.run(["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-z", file], capture_output=True, text=True,
                           timeout=60)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_page_of_the_settings_has_every_key(place):
    text = (place / PREFIX[1:] / "share/man/man5/shout.yaml.5").read_text().replace("\\-", "-")
    items = set(re.findall(r"(?m)^\.TP\n\.B (\S+)$", text))

    def keys(value, path):
        for key, below in value.items():
            yield from keys(below, f"{path}{key}.") if isinstance(below, dict) else [f"{path}{key}"]

    wanted = set(keys(yaml.safe_load((ROOT / "deploy/shout.yaml").read_text()), ""))
    assert {item for item in items if "[]" not in item} == wanted and len(wanted) > 80
    assert {"ingress.listen[].address", "ingress.listen[].proxies"} <= items


def help_of(command):
    return subprocess.run([BUILD / "shoutctl", *command.split(), "--help"], capture_output=True, text=True, check=True,
                          timeout=60).stdout


def commands():
    section = help_of("").split("COMMANDS\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"(?m)^    ([a-z][a-z-]*(?: [a-z][a-z-]*)*)(?=  | [A-Z\[]|$)", section)


def test_the_page_of_shoutctl_has_every_command_with_its_options(place):
    text = (place / PREFIX[1:] / "share/man/man1/shoutctl.1").read_text().replace("\\-", "-")
    chapters = dict(re.findall(r"(?ms)^\.SS ([^\n]+)\n(.*?)(?=^\.S[SH] )", text))
    assert list(chapters) == commands() and len(chapters) > 30
    for command, chapter in chapters.items():
        page = help_of(command)
        options = re.findall(r"(?m)^    (--[a-z-]+)", page.split("OPTIONS\n")[1].split("    -c FILE")[0])
        assert re.findall(r"(?m)^\.TP\n\.B (--[a-z-]+)", chapter) == options, command
        assert all(line.strip() in chapter.replace("\\e", "\\")
                   for line in page.split("EXAMPLES\n")[1].splitlines()), command


def test_the_page_of_shout_has_every_command(place):
    text = (place / PREFIX[1:] / "share/man/man8/shout.8").read_text()
    for name in ("all", *ROLES, "check", "topics"):
        assert re.search(rf"(?m)^\.B {name}$", text), name


class Terminal:
    """A bash at a terminal, with the completion that was installed."""

    def __init__(self, place, directory):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(directory)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {
                "PATH": f"{place}{PREFIX}/bin:{os.environ['PATH']}", "TERM": "dumb", "PS1": "", "COLUMNS": "5000",
                "HISTFILE": "", "LC_ALL": "C.UTF-8", "INPUTRC": "/dev/null"})
        self.pid = pid
        self.run(f". {place}{PREFIX}/share/bash-completion/completions/shoutctl", "stty cols 5000")

    def run(self, *lines):
        for number, line in enumerate((*lines, "")):
            os.write(self.terminal, f"{line}\necho re''ady-{number}\n".encode())
            said = self.until(f"ready-{number}\r\n")
        return said

    def until(self, end):
        said = ""
        while end not in said:
            assert select.select([self.terminal], [], [], 60)[0], said
            said += os.read(self.terminal, 65536).decode()
        return said

    def completes(self, line):
        """The words that stand in the place of the last one, once all completions are inserted."""
        os.write(self.terminal, line.encode() + b"\x1b*\x01echo '<' \x05 '>'\n")
        words = re.findall(r"(?m)^< (.*) >\r$", self.until(" >\r\n"))[-1].split()
        return words[len(line.split()) - (not line.endswith(" ")):]

    def stop(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def terminal(place, tmp_path_factory):
    directory = tmp_path_factory.mktemp("typed")
    pathlib.Path(directory, "accounts.jsonl").touch()
    terminal = Terminal(place, directory)
    yield terminal
    terminal.stop()


@pytest.mark.parametrize("line, words", [
    ("shoutctl queue s", ["show", "summary"]),
    ("shoutctl sus", ["suspend", "suspensions"]),
    ("shoutctl queue bad ", ["remove", "show"]),
    ("shoutctl --json --url http://127.0.0.1:1 account add-", ["add-address", "add-domain", "add-user"]),
    ("shoutctl account add --mode ", ["credentials", "ip"]),
    ("shoutctl account add --mode c", ["credentials"]),
    ("shoutctl account password k3m9x2p7qa --us", ["--username"]),
    ("shoutctl account import acc", ["accounts.jsonl"]),
    ("shoutctl -c acc", ["accounts.jsonl"]),
    ("shoutctl account export --output acc", ["accounts.jsonl"]),
])
def test_bash_completes(terminal, line, words):
    assert terminal.completes(line) == words


def test_bash_offers_every_command_and_every_option(terminal):
    assert terminal.completes("shoutctl ") == sorted({command.split()[0] for command in commands()})
    for command in commands():
        assert terminal.completes(f"shoutctl {command} --") == sorted(
            re.findall(r"(?m)^    (--[a-z-]+)", help_of(command).split("OPTIONS\n")[1])), command
