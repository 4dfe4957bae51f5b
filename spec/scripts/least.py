# A service that answers with the least that it may: no metrics, no times, no names. Every batch ends in the state of
# the argument. Prints its port.
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status, body = 200, "{}"
        if self.command == "POST" and self.path.endswith("/import/batches"):
            status, body = 201, '{"id":"b1","status":"loading"}'
        elif self.path.endswith("/catalog/batches/b1"):
            body = '{"b1":{"status":"%s"}}' % sys.argv[1]
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PUT = do_PATCH = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
