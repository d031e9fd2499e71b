"""An OpenID Connect provider that answers over HTTP as the standard says, and lets in whom it is told to."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

KEY = "of the provider, which signs what it says with it"


class Answers(BaseHTTPRequestHandler):
    def answer(self, content, status=200):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self):
        address, asked = self.server.address, urlsplit(self.path)
        if asked.path == "/authorize":
            query = parse_qs(asked.query)
            self.send_response(302)
            back = urlencode({"code": "once", "state": query["state"][0]})
            self.send_header("Location", f"{query['redirect_uri'][0]}?{back}")
            self.end_headers()
            return
        answers = {
            "/.well-known/openid-configuration": {
                "issuer": address,
                "authorization_endpoint": f"{address}/authorize",
                "token_endpoint": f"{address}/token",
                "userinfo_endpoint": f"{address}/userinfo",
                "jwks_uri": f"{address}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            },
            "/userinfo": self.server.claims,
        }
        self.answer(answers[asked.path])

    def do_POST(self):
        self.server.sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        said = {"iss": self.server.address, "aud": "portal", "exp": 4_000_000_000, **self.server.claims}
        token = jwt.encode(said | self.server.wrong, KEY)
        self.answer({"access_token": "opaque", "token_type": "Bearer", "id_token": token}, self.server.status)

    def log_message(self, *args):
        pass


@contextmanager
def identity_provider(**claims):
    """A server with its `address`, the `claims` about whoever signs in, what it says `wrong` in its token, the `status`
    of its answer to a code, and what it was `sent` with one.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.claims, server.wrong, server.status, server.sent = claims, {}, 200, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
