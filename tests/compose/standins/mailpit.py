"""SMTP at 1025; GET /api/v1/messages?start=N&limit=N and /api/v1/message/ID/raw at 8025, newest first. A message is on
the disk before it is answered."""

import http.server
import json
import os
import pathlib
import signal
import threading
import urllib.parse

from sink import Sink

MAILS = pathlib.Path(os.environ["MP_DATABASE"]).parent / "mails"


def keep(message):
    with lock:
        number = len(kept) + 1
        path = MAILS / f"{number}.eml"
        with open(path, "wb") as out:
            out.write(message.body)
            out.flush()
            os.fsync(out.fileno())
        kept.append(entry(number, message.body))


def entry(number, body):
    head = body.split(b"\r\n\r\n", 1)[0].decode("latin-1") + "\r\n"
    fields = dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line and line[:1] not in " \t")
    return {"ID": str(number), "MessageID": fields.get("Message-ID", "").strip("<>"), "Subject": fields.get("Subject", "")}


class Page(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/api/v1/messages":
            asked = {key: int(value[0]) for key, value in urllib.parse.parse_qs(url.query).items()}
            with lock:
                newest = kept[::-1]
            page = newest[asked.get("start", 0):][:asked.get("limit", 50)]
            body = json.dumps({"total": len(newest), "messages": page}).encode()
        else:
            body = (MAILS / f"{url.path.split('/')[4]}.eml").read_bytes()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


MAILS.mkdir(exist_ok=True)
lock = threading.Lock()
kept = [entry(int(path.stem), path.read_bytes()) for path in sorted(MAILS.glob("*.eml"), key=lambda path: int(path.stem))]
sink = Sink(address="0.0.0.0", port=1025, on_message=keep)
server = http.server.ThreadingHTTPServer(("", 8025), Page)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
sink.stop()
