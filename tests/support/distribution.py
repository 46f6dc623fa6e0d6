# SPDX-License-Identifier: GPL-3.0-or-later
"""A real upstream: the registry of the Distribution project (Debian's docker-registry), which keeps a log of what it was asked."""

from __future__ import annotations

import contextlib
import json
import re
import typing as t
from pathlib import Path

from support.oci import HttpClient, Image, make_image
from support.programs import Background
from support.zot_binary import ask, free_port

PROGRAM = "docker-registry"


class Distribution(Background):
    """Can be stopped and started again at the same port. ``asked`` are its requests, such as C(GET /v2/library/app/manifests/1)."""

    def __init__(self, folder: Path, program: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.authority = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.authority}"
        config = folder / "config.yml"
        settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder / "data")}}, "http": {"addr": self.authority}}
        config.write_text(json.dumps({**settings, "log": {"accesslog": {"disabled": False}}}), encoding="utf-8")
        self.argv = [program, "serve", str(config)]

    def is_ready(self) -> bool:
        return ask(f"{self.url}/v2/", "", "")[0] == 200

    def seed(self, repository: str, tag: str = "1") -> Image:
        """A new image, of which nobody has a part."""
        image = make_image(self.folder / "seeds" / repository / tag, random=True)
        pushed = HttpClient().push(self.url, repository, tag, image=image)
        assert pushed.ok, pushed.error
        return image

    def asked(self, repository: str) -> list[str]:
        """Pulls alone: what has read a manifest or a blob of that repository."""
        found = re.findall(r'"((?:GET|HEAD) /v2/[^ "]+) HTTP/1\.[01]" (\d+)', self.log)
        return [request for request, status in found if f"/v2/{repository}/" in request and status == "200"]

    def blobs(self, repository: str) -> list[str]:
        return [request for request in self.asked(repository) if request.startswith("GET ") and "/blobs/" in request]

    @contextlib.contextmanager
    def stopped(self) -> t.Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()
