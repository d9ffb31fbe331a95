"""The command line of shout."""

import json
import os
import pwd
import subprocess

import pytest

from harness import BUILD, ROOT

USER = pwd.getpwuid(os.geteuid()).pw_name


def shout(*words):
    return subprocess.run([str(BUILD / "shout"), *map(str, words)], capture_output=True, text=True,
                          timeout=60)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shout.yaml"
    path.write_text(json.dumps({"state_dir": str(tmp_path / "state"), "user": USER, "scanner": {"enabled": False}}))
    return path


@pytest.mark.parametrize("program", ["shout", "shoutctl"])
def test_each_program_says_which_version_it_is(program):
    done = subprocess.run([str(BUILD / program), "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{program} {(ROOT / 'VERSION').read_text()}")


def test_help_names_every_command():
    done = shout("--help")
    assert done.returncode == 0
    for command in ("all", "ingress", "scanner", "sender", "control", "check"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("words", [
    (), ("everything",), ("all", "extra"), ("all", "-c"), ("topics", "--crd"), ("topics", "--crd", "a: b"), ("check", "--crd", "kafka"),
    ("topics", "--json", "--crd", "kafka"), ("check", "--node", "pod-1"), ("all", "--node")])
def test_a_wrong_command_line_exits_2(words):
    done = shout(*words)
    assert done.returncode == 2 and "usage" in done.stderr


def test_check_tells_what_it_found(file):
    done = shout("check", "-c", file)
    assert done.returncode in (0, 1), done.stderr  # this machine may have no Redis at the usual place
    assert "unscanned" in done.stdout and done.stdout.splitlines()[-1] in ("ok", "NOT ok")


def test_check_tells_who_gets_mail_for_postmaster(file):
    settings = json.loads(file.read_text())
    for ingress, name in (({}, "postmaster@shout.test"), ({"postmaster": "ops@dest.example"}, "ops@dest.example")):
        file.write_text(json.dumps({**settings, "hostname": "shout.test", "ingress": ingress}))
        assert f"\npostmaster   {name}\n" in shout("check", "-c", file).stdout


def test_check_names_file_line_and_key(file):
    file.write_text("state_dir: /tmp\nlog:\n  level: loud\n")
    done = shout("check", "-c", file)
    assert done.returncode == 1
    assert f'{file}:3: log.level: "loud" is not one of: debug, info, warn, error' in done.stderr


def test_check_tries_the_certificates(file, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate\n")
    settings = json.loads(file.read_text())
    settings["ingress"] = {"tls": {"certificate": str(bad), "key": str(bad)}}
    file.write_text(json.dumps(settings))
    done = shout("check", "-c", file)
    assert done.returncode == 1
    assert "NOT usable" in done.stdout and str(bad) in done.stdout


def test_one_role_on_the_embedded_queue_is_refused(file):
    done = shout("sender", "-c", file)
    assert done.returncode == 1
    assert "queue.backend lmdb serves one process: run `shout all`" in done.stderr


def test_a_state_dir_that_cannot_be_used_is_refused(file, tmp_path):
    (tmp_path / "plain").write_text("")
    file.write_text(json.dumps({"state_dir": str(tmp_path / "plain" / "state"), "user": USER}))
    done = shout("all", "-c", file)
    assert done.returncode == 1
    assert "state_dir cannot be used" in done.stderr
