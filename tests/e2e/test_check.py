"""`shout check`: what it warns of, which is no error yet."""

import json
import os
import pwd
import subprocess

import pytest

from harness import BUILD, Redis, make_certificate

ROOT = os.geteuid() == 0
USER = pwd.getpwnam("nobody") if ROOT else pwd.getpwuid(os.geteuid())


class Checked:
    """Settings that nothing is wrong with, to be changed, and what `shout check` says of them."""

    def __init__(self, directory, redis):
        self.file = directory / "shout.yaml"
        self.password = directory / "password"
        self.password.write_text("secret\n")
        self.state_dir = directory / "state"
        self.state_dir.mkdir(mode=0o700)
        self.certificate, self.key = make_certificate(directory)
        self.key.chmod(0o640)
        if ROOT:
            os.chown(self.state_dir, USER.pw_uid, USER.pw_gid)
            os.chown(self.key, 0, USER.pw_gid)
        self.settings = {
            "state_dir": str(self.state_dir), "user": USER.pw_name,
            "redis": {"address": redis.address}, "scanner": {"enabled": False},
            "ingress": {"listen": [{"address": "127.0.0.1:2525", "tls": "starttls"}],
                        "tls": {"certificate": str(self.certificate), "key": str(self.key)}},
            "control": {"listen": "127.0.0.1:8080"}, "metrics": {"listen": "[::1]:9090"}}

    def run(self, **settings):
        """(exit status, warnings, everything)"""
        mode = self.file.stat().st_mode & 0o777 if self.file.exists() else 0o600
        self.file.write_text(json.dumps({**self.settings, **settings}))
        self.file.chmod(mode)
        done = subprocess.run([BUILD / "shout", "check", "-c", self.file], capture_output=True, text=True, timeout=60)
        said = [line.removeprefix("warning").strip() for line in done.stdout.splitlines() if line.startswith("warning")]
        return done.returncode, said, done.stdout + done.stderr


@pytest.fixture(scope="module")
def small_redis(module_rig):
    """As it should be: a limit, and nothing is dropped."""
    module_rig.directory.chmod(0o755)
    redis = Redis(module_rig.path("redis"))
    redis.command += ["--maxmemory", "64mb", "--maxmemory-policy", "noeviction", "--unixsocketperm", "777"]
    return module_rig.add(redis)


@pytest.fixture
def checked(module_rig, small_redis):
    directory = module_rig.path("check")
    directory.mkdir()
    directory.chmod(0o755)
    return Checked(directory, small_redis)


def test_nothing_to_warn_of(checked):
    status, said, output = checked.run()
    assert (status, said) == (0, []) and output.endswith("\nok\n"), output
    (checked.state_dir / "control.token").write_text("token")
    (checked.state_dir / "control.token").chmod(0o600)
    os.chown(checked.state_dir / "control.token", USER.pw_uid, USER.pw_gid)
    assert checked.run()[:2] == (0, [])


@pytest.mark.skipif(not ROOT, reason="only root is warned")
@pytest.mark.parametrize("user, why", [("root", "Shout runs as root"), (None, "user is not set: a start by root is refused")])
def test_root(checked, user, why):
    for path in (checked.state_dir, checked.key):
        os.chown(path, 0, 0)
    status, said, output = checked.run(user=user)
    assert status == 0 and len(said) == 1 and why in said[0] and output.endswith("\n1 warning\nok\n"), output


def test_a_user_that_is_not_there_is_an_error(checked):
    status, _, output = checked.run(user="nemo-of-nowhere")
    assert status == 1 and 'user         NOT usable: user: "nemo-of-nowhere"' in output and output.endswith("NOT ok\n")


def loose(checked, what, mode, group=None):
    """Makes the file `what` as loose as that; the settings it needs."""
    settings = {}
    path = {"file": checked.file, "password_file": checked.password, "key": checked.key, "certificate": checked.certificate,
            "token": checked.state_dir / "control.token", "state_dir": checked.state_dir}[what]
    if what == "password_file":
        settings = {"redis": {**checked.settings["redis"], "password_file": str(path)}}
    elif what == "token":
        path.write_text("token")
        os.chown(path, USER.pw_uid, USER.pw_gid)
    elif what == "file":
        path.touch()
        settings = {"redis": {**checked.settings["redis"], "password": "secret"}}
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(mode)
    return path, settings


OTHER_GROUP = 54321


@pytest.mark.parametrize("what, mode, group, why", [
    ("file", 0o644, None, "may be read by everybody"),
    ("file", 0o660, OTHER_GROUP, "may be read by another group"),
    ("password_file", 0o604, None, "may be read by everybody"),
    ("password_file", 0o640, OTHER_GROUP, "may be read by another group"),
    ("key", 0o644, None, "may be read by everybody"),
    ("key", 0o640, OTHER_GROUP, "may be read by another group"),
    ("key", 0o642, None, "may be changed by everybody"),
    ("certificate", 0o646, None, "may be changed by everybody"),
    ("certificate", 0o664, OTHER_GROUP, "may be changed by another group"),
    ("token", 0o644, None, "may be read by everybody"),
    ("state_dir", 0o755, None, "may be looked into by others"),
    ("state_dir", 0o710, None, "may be looked into by others"),
])
def test_who_may_read_and_change_what(checked, what, mode, group, why):
    if group and not ROOT:
        pytest.skip("only root gives files away")
    path, settings = loose(checked, what, mode, group)
    status, said, output = checked.run(**settings)
    assert status == 0 and any(line.startswith(f"{path} ") and why in line for line in said), output


@pytest.mark.parametrize("what, mode", [("file", 0o600), ("password_file", 0o600), ("key", 0o640), ("certificate", 0o644)])
def test_what_is_kept_well_is_not_warned_of(checked, what, mode):
    path, settings = loose(checked, what, mode)
    assert not [line for line in checked.run(**settings)[1] if line.startswith(str(path))]


def test_settings_without_a_password_may_be_read(checked):
    path, _ = loose(checked, "file", 0o644)
    assert checked.run()[:2] == (0, [])


@pytest.mark.skipif(not ROOT, reason="a start as root reads more than a reload")
def test_a_key_that_a_reload_cannot_read(checked):
    checked.key.chmod(0o600)
    status, said, output = checked.run()
    assert status == 0 and len(said) == 1, output
    assert said[0].startswith("SIGHUP will not read the certificates again") and str(checked.key) in said[0]


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_state_dir_with_files_of_another_user_is_an_error(checked):
    (checked.state_dir / "queue.mdb").touch()
    status, _, output = checked.run()
    assert status == 1 and f"CANNOT be used: {checked.state_dir}/queue.mdb belongs to another user" in output


@pytest.mark.parametrize("name", ["control", "metrics"])
@pytest.mark.parametrize("address", ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "[2001:db8::1]:8080"])
def test_pages_beyond_this_machine(checked, name, address):
    status, said, _ = checked.run(**{name: {"listen": address}})
    assert status == 0 and said == [f"{name}.listen is open beyond this machine, without TLS"]


@pytest.mark.parametrize("setting, value, why", [
    ("maxmemory-policy", "allkeys-lru", "Redis drops what it holds when it is full (maxmemory-policy allkeys-lru): set noeviction"),
    ("maxmemory-policy", "volatile-ttl", "Redis drops what it holds when it is full (maxmemory-policy volatile-ttl): set noeviction"),
    ("maxmemory", "0", "Redis has no memory limit: set maxmemory"),
])
def test_a_redis_that_forgets(checked, small_redis, setting, value, why):
    before = small_redis.run("CONFIG", "GET", setting).splitlines()[1]
    try:
        small_redis.run("CONFIG", "SET", setting, value)
        assert checked.run()[:2] == (0, [why])
    finally:
        small_redis.run("CONFIG", "SET", setting, before)


def test_a_redis_that_is_away_hangs_or_says_no(checked, small_redis):
    status, said, _ = checked.run(redis={"address": "unix:/nowhere/redis.sock"})
    assert status == 0 and len(said) == 1 and "does not answer" in said[0]
    with small_redis.paused():
        status, said, _ = checked.run()
    assert status == 0 and len(said) == 1 and "does not answer" in said[0]
    status, said, _ = checked.run(redis={"address": small_redis.address, "password": "wrong"})
    assert status == 0 and len(said) == 1 and "does not" in said[0]
