# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for 1Password's `op`, with a folder of its own."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import sys
import typing as t
from pathlib import Path

from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed, run

STANDIN = Path(__file__).resolve().parents[1] / "standins" / "op"


class Op:
    """``items`` are the vaults, ``calls`` what was called; an instance is a Runner, for C(op) alone."""

    def __init__(self, folder: Path, items: t.Mapping[str, t.Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        if items is not None:
            self.items = dict(items)

    def __call__(self, argv: list[str], timeout: float = 30, *, stdin: bytes = b"") -> Completed:
        assert argv[0] == "op"
        # Without site-packages it starts twice as fast.
        return run(["env", f"OP_SIM_FOLDER={self.folder}", sys.executable, "-IS", str(STANDIN), *argv[1:]], timeout, stdin=stdin)

    def in_process(self, argv: list[str], *, stdin: bytes = b"") -> Completed:
        """The same in this process, where it takes no time; it is not noted among the calls."""
        assert argv[0] == "op"
        try:
            return Completed(0, _standin().Account(self.folder).does(argv[1:], stdin.decode()), "")
        except _standin().OpError as error:
            return Completed(1, "", f"[ERROR] 2026/11/25 12:00:00 {error.args[0]}")

    @property
    def items(self) -> dict[str, t.Any]:
        return json.loads(self.folder.joinpath("items.json").read_text(encoding="utf-8"))

    @items.setter
    def items(self, vaults: t.Mapping[str, t.Any]) -> None:
        self.folder.joinpath("items.json").write_text(json.dumps(vaults), encoding="utf-8")

    def behaves(self, *faults: t.Mapping[str, t.Any] | str, **settings: t.Any) -> None:
        """From now on, see the stand-in; the name of a fault is its next call."""
        listed = [{"fault": fault} if isinstance(fault, str) else dict(fault) for fault in faults]
        self.folder.joinpath("faults.json").write_text(json.dumps({**settings, "faults": listed}), encoding="utf-8")

    @property
    def calls(self) -> list[dict[str, t.Any]]:
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []

    @property
    def commands(self) -> list[str]:
        return [" ".join(call["argv"][:2]) if call["argv"][0] == "item" else call["argv"][0] for call in self.calls]

    def on_path(self) -> Path:
        """A folder that holds it as C(op), for a PATH; OP_SIM_FOLDER has to name ``folder``."""
        link = self.folder / "bin" / "op"
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(STANDIN)
        return link.parent


@functools.cache
def _standin() -> t.Any:
    loader = importlib.machinery.SourceFileLoader("standin_op", str(STANDIN))
    spec = importlib.util.spec_from_loader("standin_op", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no cache beside a file that is no .py
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module
