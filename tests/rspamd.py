"""A real rspamd with a configuration of its own: what a test wants of it, and nothing that asks the internet."""

import http.client
import json

from harness import Server, accepts, free_port


class Rspamd(Server):
    """rspamd's normal worker. `dns` is the address of the only name server it asks; `modules` are switched on, with their
    settings as UCL; `lua` is code of a test's own, which may register symbols; `settings` is UCL of further sections."""

    name = "rspamd"

    def __init__(self, directory, dns=None, modules=(), lua="", settings=""):
        super().__init__(directory)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        host, port = dns.rsplit(":", 1) if dns else ("127.0.0.1", free_port())
        (self.directory / "own.lua").write_text(lua)
        (self.directory / "tld").write_text("example\n")  # all of the internet's takes a minute to compile
        self.config = self.directory / "rspamd.conf"
        self.config.write_text(f"""
options {{ pidfile = "{self.directory}/rspamd.pid"; filters = "{' '.join(modules)}"; dns {{ nameserver = ["{host}:{port}:1"];
  timeout = 1s; retransmits = 1; }} local_networks = ["192.168.255.255"]; temp_dir = "{self.directory}";
  hs_cache_dir = "{self.directory}"; url_tld = "{self.directory}/tld"; disable_hyperscan = true;
  allow_raw_input = true; }}
logging {{ type = "console"; level = "info"; }}
worker "normal" {{ bind_socket = "{self.address}"; count = 1; }}
actions {{ reject = 15; "add header" = 6; greylist = 4; unknown_weight = 1; }}
lua = "{self.directory}/own.lua";
{settings}
""")
        self.command = ["rspamd", "-f", "-i", "-c", self.config]

    def ready(self):
        return accepts(("127.0.0.1", self.port)) and self.ask("GET", "/ping")[0] == 200

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def check(self, message, **headers):
        status, text = self.ask("POST", "/checkv2", message, headers)
        assert status == 200, text
        return json.loads(text)
