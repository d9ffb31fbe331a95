"""The mail programs that customers send with. Each takes a Mail and returns (whether the server took
it, what the program told its user or wrote to its log)."""

import functools
import os
import pathlib
import re
import smtplib
import subprocess
from dataclasses import dataclass

import harness
from exim import Exim
from postfix import Postfix

SOURCES = pathlib.Path(__file__).resolve().parent / "clients"
CLASSES = harness.ROOT / "build" / "clients"
JARS = ":".join(f"/usr/share/java/{name}.jar" for name in ("jakarta-mail", "jakarta-activation"))
HOST = "localhost"  # the name in the test's certificate


@dataclass
class Mail:
    """What one attempt is made of."""
    directory: pathlib.Path  # for the program's own files
    port: int
    kind: str                # "starttls", "implicit", or "plain" for what a relay by address needs
    certificate: pathlib.Path
    username: str            # "" for no AUTH
    password: str
    sender: str
    recipient: str
    message: bytes           # with CRLF
    hostname: str            # of a customer's server
    source: str = "127.0.0.1"

    def write(self, name, text):
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        os.utime(path, (1, 1))  # Postfix waits for seconds before it reads a file that has just changed
        return path

    def words(self):
        """The command line of the programs in tests/clients."""
        return [HOST, str(self.port), self.kind, str(self.certificate), self.username, self.password,
                self.sender, self.recipient]


def run(command, mail, env=None, stdin=None):
    done = subprocess.run([str(word) for word in command], input=mail.message if stdin is None else stdin,
                          capture_output=True, timeout=harness.DEADLINE, env={**os.environ, **(env or {})})
    return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


def readme(program, mail):
    """What docs/clients.md tells the program's users to write, with this mail's server, port and password."""
    text = (harness.ROOT / "docs/clients.md").read_text()
    block = text.split(f"\n{program}", 1)[1].split("```\n", 2)[1]
    for told, ours in (("shout01.provider.example", HOST), ("587", str(mail.port)), ("USERNAME", mail.username),
                       ("PASSWORD", mail.password), ("/etc/ssl/certs/ca-certificates.crt", str(mail.certificate)),
                       ("you@customer.example", mail.sender)):
        assert told in block or told == "you@customer.example", (program, told)
        block = block.replace(told, ours)
    return block


def without_lines(text, pattern):
    return re.sub(rf"(?m)^\s*(?:{pattern}).*\n", "", text)


def swaks(mail, mechanism="PLAIN"):
    message = mail.write("message", mail.message.removesuffix(b"\r\n"))  # swaks adds one
    auth = ["--auth", mechanism, "--auth-user", mail.username, "--auth-password", mail.password]
    return run(["swaks", "--server", HOST, "--port", mail.port, "--from", mail.sender, "--to", mail.recipient,
                "--tls" if mail.kind == "starttls" else "--tls-on-connect", "--tls-verify",
                "--tls-ca-path", mail.certificate, *(auth if mail.username else []),
                "--data", f"@{message}"], mail)


def python_smtplib(mail):
    context = harness.client_tls(mail.certificate)
    try:
        if mail.kind == "implicit":
            client = smtplib.SMTP_SSL(HOST, mail.port, timeout=harness.DEADLINE, context=context)
        else:
            client = smtplib.SMTP(HOST, mail.port, timeout=harness.DEADLINE)
        with client:
            if mail.kind == "starttls":
                client.starttls(context=context)
            if mail.username:
                client.login(mail.username, mail.password)
            client.sendmail(mail.sender, [mail.recipient], mail.message)
        return True, ""
    except smtplib.SMTPResponseException as error:
        return False, f"{error.smtp_code} {error.smtp_error.decode()}"


def curl(mail):
    scheme = "smtps" if mail.kind == "implicit" else "smtp"
    user = ["--user", f"{mail.username}:{mail.password}"] if mail.username else []
    return run(["curl", "--silent", "--show-error", "--verbose", "--ssl-reqd", "--cacert", mail.certificate,
                *user, "--mail-from", mail.sender, "--mail-rcpt", mail.recipient, "--upload-file", "-",
                f"{scheme}://{HOST}:{mail.port}"], mail)


def msmtp(mail, mechanism="on"):
    text = readme("msmtp", mail).replace("auth on", f"auth {mechanism if mail.username else 'off'}")
    if mail.kind == "implicit":
        text = text.replace("tls_starttls on", "tls_starttls off")
    return run(["msmtp", "-C", mail.write("msmtprc", text), "--", mail.recipient], mail)


def nodemailer(mail):
    return run(["node", SOURCES / "send.js", *mail.words()], mail, {"NODE_PATH": "/usr/share/nodejs"})


@functools.cache
def java_setup(certificate):
    """The compiled program, and the certificate in a store of Java's own kind."""
    store = certificate.with_suffix(".jks")
    CLASSES.mkdir(parents=True, exist_ok=True)
    subprocess.run(["javac", "-cp", JARS, "-d", CLASSES, SOURCES / "Send.java"], check=True)
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "test", "-file", certificate, "-keystore",
                    store, "-storepass", "changeit"], check=True, capture_output=True)
    return store


def jakarta_mail(mail):
    store = java_setup(mail.certificate)
    return run(["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", f"-Djavax.net.ssl.trustStore={store}",
                "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", f"{JARS}:{CLASSES}", "Send",
                *mail.words()], mail)


@functools.cache
def go_program():
    """Built by Debian's Go from its standard library alone."""
    program = CLASSES / "send"
    CLASSES.mkdir(parents=True, exist_ok=True)
    subprocess.run(["/usr/bin/go", "build", "-o", program, SOURCES / "send.go"], check=True,
                   env={**os.environ, "GOROOT": "", "GOFLAGS": "", "GOPROXY": "off",
                        "GOCACHE": str(CLASSES / "go-cache")})
    return program


def go_net_smtp(mail):
    return run([go_program(), *mail.words()], mail, {"SSL_CERT_FILE": str(mail.certificate)})


def postfix_settings(mail):
    main, passwords = readme("Postfix", mail).split("# /etc/postfix/sasl_passwd, mode 600\n")
    path = mail.write("sasl_passwd", passwords)
    if mail.kind == "plain":
        main = without_lines(main, "smtp_tls_")
    if not mail.username:
        main = without_lines(main, "smtp_sasl_")
    lines = without_lines(main, "#").replace("/etc/postfix/sasl_passwd", str(path)).splitlines()
    wrapped = {"smtp_tls_wrappermode": "yes"} if mail.kind == "implicit" else {}
    return dict(line.split(" = ", 1) for line in lines) | wrapped


def postfix(mail):
    client = Postfix(mail.directory / "postfix", harness.free_port(), {
        "smtp_host_lookup": "native",
        "myhostname": mail.hostname, "smtp_bind_address": mail.source, **postfix_settings(mail)})
    client.start()
    try:
        client.wait_for(lambda: harness.accepts(("127.0.0.1", client.port)), what="Postfix listens")
        with smtplib.SMTP("127.0.0.1", client.port, timeout=harness.DEADLINE) as local:
            harness.send(local, mail.sender, mail.recipient, mail.message)
        text = client.wait_for(lambda: _attempt(client.mail_log, mail.recipient), what="Postfix has tried")
        if "status=bounced" in text:
            client.wait_for(lambda: client.waiting() == 0, what="Postfix has sent its bounce")
    finally:
        client.stop()
    return "status=sent" in text, text


def _attempt(log, recipient):
    """What Postfix's log says about its first attempt."""
    lines = pathlib.Path(log).read_text(errors="replace").splitlines() if os.path.exists(log) else []
    return next((line for line in lines if f"to=<{recipient}>" in line and " status=" in line), None)


def exim_settings(mail):
    authority = mail.write("authority.pem", mail.certificate.read_bytes())
    authority.chmod(0o644)
    text = readme("Exim", mail).replace(str(mail.certificate), str(authority))
    # this host is its own smarthost
    text = text.replace(" byname\n", " byname\n  self = send\n")
    transport = f"  driver = smtp\n  interface = {mail.source}\n"
    if mail.kind == "implicit":
        transport += "  protocol = smtps\n"
    text = text.replace("  driver = smtp\n", transport)
    if mail.kind == "plain":
        text = without_lines(text, "hosts_require_tls|tls_verify")
    if not mail.username:
        text = without_lines(text, "hosts_require_auth")
    return f"domainlist local_domains =\n\n{text}\nbegin retry\n* * F,4d,15m\n"


def exim(mail):
    log = Exim(mail.directory / "exim", mail.hostname, exim_settings(mail)).submit(
        mail.sender, mail.recipient, mail.message)
    return f"=> {mail.recipient} " in log, log


PROGRAMS = {
    "swaks": swaks,
    "smtplib": python_smtplib,
    "curl": curl,
    "msmtp": msmtp,
    "nodemailer": nodemailer,
    "Jakarta Mail": jakarta_mail,
    "net/smtp": go_net_smtp,
    "Postfix": postfix,
    "Exim": exim,
}
