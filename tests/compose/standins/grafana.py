"""/api/health as Grafana has it; 500 unless its password, datasources and dashboards can be read."""

import http.server
import json
import os
import pathlib
import signal
import sys


def given():
    password = pathlib.Path(os.environ["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip()
    boards = [json.loads(path.read_text())["title"] for path in pathlib.Path("/var/lib/grafana/dashboards").glob("*.json")]
    sources = list(pathlib.Path("/etc/grafana/provisioning/datasources").glob("*.yaml"))
    return {"database": "ok" if len(password) >= 16 and boards and sources else "failing", "dashboards": sorted(boards)}


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(given()).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
http.server.ThreadingHTTPServer(("", 3000), Page).serve_forever()
