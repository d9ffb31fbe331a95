"""`shout check`: what it warns of, which is no error yet."""

import json
import os
import pwd
import socket
import subprocess

import pytest

import sentinels
from harness import BUILD, Redis, accepts, free_port, make_certificate, make_dated_certificate

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
            "hostname": "shout.test", "state_dir": str(self.state_dir), "user": USER.pw_name,
            "redis": {"address": redis.address}, "scanner": {"enabled": False},
            "sender": {"route": "127.0.0.1:25"},
            "ingress": {"listen": [{"address": f"127.0.0.1:{free_port()}", "tls": "starttls"}],
                        "tls": {"certificate": str(self.certificate), "key": str(self.key)}},
            "control": {"listen": f"127.0.0.1:{free_port()}"}, "metrics": {"listen": f"[::1]:{free_port('::1')}"}}

    def run(self, **settings):
        """(exit status, warnings, everything)"""
        if not self.file.exists():
            self.file.touch(0o640)
            if ROOT:
                os.chown(self.file, 0, USER.pw_gid)
        mode = self.file.stat().st_mode & 0o777
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
    assert status == 1 and 'error        user NOT usable: user: "nemo-of-nowhere"' in output and output.endswith("NOT ok\n")


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
    assert any(line.startswith(f"{path} ") and why in line for line in said), output
    assert status == ("redis" in settings)  # which asks for no password


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
@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "198.51.100.1", "[2001:db8::1]"])
def test_pages_beyond_this_machine(checked, name, address):
    status, said, output = checked.run(**{name: {"listen": f"{address}:{free_port()}"}})
    assert said == [f"{name}.listen is open beyond this machine, without TLS"]
    assert status == ("is no address of this machine" in output) == ("1" in address)


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


def errors(output):
    return [line.removeprefix("error").strip() for line in output.splitlines() if line.startswith("error ")]


def test_a_redis_that_is_away_hangs_says_no_or_takes_no_write(checked, small_redis):
    def why(**redis):
        status, _, output = checked.run(redis={**checked.settings["redis"], **redis})
        assert status == 1 and len(errors(output)) == 1 and output.count("NOT ok") == 1, output
        return errors(output)[0]

    assert "does not answer" in why(address="unix:/nowhere/redis.sock")
    with small_redis.paused():
        assert "does not answer" in why()
    assert "does not" in why(password="wrong")
    small_redis.run("CONFIG", "SET", "maxmemory", "1")
    try:
        assert why().startswith("Redis takes no write")
    finally:
        small_redis.run("CONFIG", "SET", "maxmemory", "64mb")


def test_each_sentinel_and_the_master_are_tried(checked, module_rig):
    guarded = sentinels.Guarded(module_rig)
    first, second = guarded.servers
    away = f"127.0.0.1:{free_port()}"

    def run(addresses=(), **redis):
        status, said, output = checked.run(redis={
            **guarded.settings, "sentinels": guarded.settings["sentinels"] + list(addresses), **redis})
        return status, said, errors(output), output

    status, said, wrong, output = run()
    assert (status, said, wrong) == (0, [], []), output
    assert f"redis        master {sentinels.MASTER}\n" in output and f"sentinels    name {first.address}\n" in output
    status, said, wrong, _ = run([away])
    assert (status, wrong) == (0, []) and said == [f"sentinel {away} names no master mail: Connection refused"]
    with guarded.sentinels[0].paused(), guarded.sentinels[1].paused():
        status, said, wrong, _ = run()
    assert (status, wrong) == (0, []) and len(said) == 2 and all("no answer within a second" in one for one in said)
    status, said, wrong, _ = run(master="other")
    assert status == 1 and len(said) == 3 and all("it knows no such master" in one for one in said)
    assert wrong[0].startswith("the Redis master other does not answer (no sentinel names it: ")
    status, said, wrong, _ = run(sentinel_password="wrong")
    assert status == 1 and all("WRONGPASS" in one for one in said) and len(wrong) == 1
    for sentinel in guarded.sentinels:
        sentinel.kill()
    stale = module_rig.add(sentinels.Sentinel(module_rig.path("sentinel"), second))
    status, said, wrong, _ = run(sentinels=[stale.address])
    assert status == 1 and said == [] and "it is a replica, not the master" in wrong[0]


def test_a_port_that_another_process_has(checked):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        status, _, output = checked.run(control={"listen": address})
    assert status == 1
    error, = errors(output)
    assert error.startswith(f"control.listen: {address} is in use by ")
    if ROOT:
        assert f"pid {os.getpid()}: stop it" in error


def test_beside_the_service_that_runs_its_ports_are_no_error(shout):
    done = subprocess.run([BUILD / "shout", "check", "-c", shout.file], capture_output=True, text=True, timeout=60)
    assert "is in use by this Shout, which runs" in done.stdout and f"pid {shout.process.pid})" in done.stdout
    assert not [line for line in errors(done.stdout) if "in use" in line], done.stdout


def certificate(directory, days, name="shout.test"):
    cert, key = make_dated_certificate(directory, days, name)
    key.chmod(0o640)
    os.chown(key, -1, USER.pw_gid)
    return {"certificate": str(cert), "key": str(key)}


@pytest.mark.parametrize("days, word, level", [(12.5, "expires within 13 days", "warning"), (-1, "has expired", "error"), (15, None, None)])
def test_a_certificate_that_ends(checked, days, word, level):
    tls = certificate(checked.file.parent, days)
    status, said, output = checked.run(ingress={**checked.settings["ingress"], "tls": tls})
    assert status == (level == "error"), output
    assert len(said + errors(output)) == (word is not None) and (not word or word in (said + errors(output))[0]), output


def test_a_certificate_of_another_name_and_a_key_of_another_certificate(checked):
    tls = certificate(checked.file.parent, 100, "elsewhere.example")
    status, said, output = checked.run(ingress={**checked.settings["ingress"], "tls": tls})
    assert status == 0 and said == ["no certificate has the name shout.test (hostname): clients that check it refuse TLS"], output
    tls["certificate"] = str(checked.certificate)
    status, _, output = checked.run(ingress={**checked.settings["ingress"], "tls": tls})
    assert status == 1 and "does not belong to the certificate" in errors(output)[0] + output


def test_names_and_addresses_of_this_machine(checked):
    status, said, output = checked.run(hostname="mail", sender={"route": "127.0.0.1:25", "source_address": ["127.0.0.1", "2001:db8::9"]})
    assert status == 1 and any(line.startswith("hostname mail has no dot") for line in said)
    error, = errors(output)
    assert error.startswith("sender.source_address[1]: 2001:db8::9 is no address of this machine")


@pytest.mark.parametrize("state_dir, why", [("/nowhere/at/all", "cannot be made: /nowhere/at"), ("/etc/passwd/state", "is no directory")])
def test_a_state_dir_that_cannot_be_made(checked, state_dir, why):
    status, _, output = checked.run(state_dir=state_dir)
    assert status == 1 and why in errors(output)[0], output


def test_a_disk_with_less_room_than_is_asked(checked):
    disk = os.statvfs(checked.state_dir)
    if disk.f_bavail * 100 >= disk.f_blocks * 90:
        pytest.skip("the disk is nearly empty")
    status, _, output = checked.run(queue={"min_free": 90})
    assert status == 1 and "has less than 90 % free" in errors(output)[0]


def test_which_name_server_is_dead(checked, rig):
    nsd, dead = rig.nsd({"shout.test": "@ A 127.0.0.1\n"}), f"127.0.0.1:{free_port()}"
    settings = {"sender": {"route": "mx"}}
    assert checked.run(**settings, dns={"forward": [nsd.address]})[:2] == (0, [])
    status, said, _ = checked.run(**settings, dns={"forward": [nsd.address, dead]})
    assert status == 0 and said == [f"dns.forward[1]: {dead} does not answer: Connection refused"]
    refusing = rig.nsd({"elsewhere.example": ""})
    status, said, output = checked.run(**settings, dns={"forward": [refusing.address, dead]})
    assert status == 1 and "answers REFUSED to everything" in said[0] and errors(output)[0].startswith("no name server answers")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        status, said, _ = checked.run(**settings, dns={"forward": [f"127.0.0.1:{silent.getsockname()[1]}"]})
    assert status == 1 and "timed out" in said[0]


def test_each_clamd_is_tried(checked, clamd):
    good, away = str(clamd.address), "unix:/nowhere/clamd.sock"
    assert accepts(clamd.socket)
    for path, mode in ((clamd.socket, 0o666), (clamd.directory, 0o755), (clamd.directory.parent, 0o755)):
        os.chmod(path, mode)
    assert checked.run(scanner={"clamd": [good]})[1] == []
    status, said, _ = checked.run(scanner={"clamd": [good, away]})
    assert status == 0 and said[0].startswith(f"clamd at {away} will not do")
    status, _, output = checked.run(scanner={"clamd": [away]})
    assert status == 1 and errors(output)[0].startswith("no clamd scans")


def test_as_json(checked):
    checked.run(hostname="mail")
    done = subprocess.run([BUILD / "shout", "check", "--json", "-c", checked.file], capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["ok"] and found["errors"] == 0 and found["warnings"] == len(found["findings"]) == 2
    assert found["findings"][0]["level"] == "warning" and "has no dot" in found["findings"][0]["text"]
    checked.run(redis={"address": "unix:/nowhere"})
    done = subprocess.run([BUILD / "shout", "check", "--json", "-c", checked.file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not json.loads(done.stdout)["ok"]
