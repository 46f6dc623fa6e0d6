# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Dagger's engine, and the module of docs/examples called through the real SDK, whose Python runs this.

    PYTHON tests/standins/dagger_engine.py docs/examples/push-dagger/src/push/main.py    # LOG, KEY and THERE from the environment

It has the part of the API that the module needs, and builds and pushes nothing: C(imageRef) finds an image where THERE is set, C(publish)
gives a reference. The SDK writes the queries, so that names and arguments are its own; each is a line in LOG.
"""

from __future__ import annotations

import asyncio
import http.server
import importlib.util
import json
import os
import sys
import threading
from pathlib import Path

import graphql

SCHEMA = graphql.build_schema("""
  interface Node { id: ID! }
  type Query { version: String! container: Container! directory: Directory! secret(uri: String!): Secret! node(id: ID!): Node }
  type Secret implements Node { id: ID! plaintext: String! }
  type Directory implements Node { id: ID! dockerBuild: Container! }
  type Container implements Node {
    id: ID!
    withRegistryAuth(address: String!, username: String!, secret: ID!): Container!
    from(address: String!): Container!
    imageRef: String!
    publish(address: String!): String!
  }
""")
DIGEST = "@sha256:" + "0" * 64
IMAGE = "registry.test/blumeops/hello:1"


class Secret:
    """The engine keeps what it is; who calls has its id."""

    id = "secret-1"

    def plaintext(self, _info):
        return os.environ["KEY"]


class Container:
    """``steps`` are what it was asked to become."""

    id = "container-1"

    def __init__(self, steps=()):
        self.steps = steps

    def withRegistryAuth(self, _info, address, username, secret):  # noqa: N802 - the API's name
        return Container((*self.steps, ("login", address, username, secret)))

    def imageRef(self, _info):  # noqa: N802 - the API's name
        if not os.environ["THERE"]:
            raise graphql.GraphQLError("not found")
        return self._reference("from")

    def publish(self, _info, address):
        return self._reference("publish", address)

    def _reference(self, what, address=""):
        if ("login", "registry.test", "zot-ci", Secret.id) not in self.steps:
            raise graphql.GraphQLError("denied")
        return (address or dict(step[:2] for step in self.steps)[what]) + DIGEST


setattr(Container, "from", lambda self, _info, address: Container((*self.steps, ("from", address))))


class Directory:
    id = "directory-1"

    def dockerBuild(self, _info):  # noqa: N802 - the API's name
        return Container((("build",),))


class Root:
    def version(self, _info):
        return "v0.21.11"  # the SDK warns of another one than its own

    def container(self, _info):
        return Container()

    def directory(self, _info):
        return Directory()

    def secret(self, _info, uri):
        if uri != "env:ZOT_CI_API_KEY":
            raise graphql.GraphQLError(f"no secret {uri}")
        return Secret()

    def node(self, _info, id):  # noqa: A002 - the API's name
        return {"secret-1": Secret(), "directory-1": Directory()}[id]


for kind in (Secret, Directory, Container):
    SCHEMA.type_map[kind.__name__].is_type_of = lambda value, _info, kind=kind: isinstance(value, kind)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "__schema" not in asked["query"]:
            with Path(os.environ["LOG"]).open("a") as log:
                log.write(json.dumps([" ".join(asked["query"].split()), asked.get("variables") or {}]) + "\n")
        result = graphql.graphql_sync(SCHEMA, asked["query"], Root(), variable_values=asked.get("variables"))
        body = json.dumps(result.formatted).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing: LOG has it."""


async def call(path):
    import dagger
    from dagger import dag

    spec = importlib.util.spec_from_file_location("push", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["push"] = module
    spec.loader.exec_module(module)
    async with dagger.connection():
        print(await module.Push().publish(source=dag.directory(), image=IMAGE, key=dag.secret("env:ZOT_CI_API_KEY")))


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["DAGGER_SESSION_PORT"] = str(server.server_port)
    os.environ["DAGGER_SESSION_TOKEN"] = "made-up"
    asyncio.run(call(sys.argv[1]))


if __name__ == "__main__":
    main()
