# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole life of CI's key, told in full, crashes and failures too: its secrets are in the store and in the forge, and nowhere else."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Kept
from integration.conftest import Mac
from integration.test_ci_key import PLAYBOOKS, House
from support.forge import standin_forge
from support.onepassword import Op
from support.processes import Watch, forms

KEY = re.compile(rb"zak_[0-9a-f]{32}")
STORE = "op/items.json"
RENEWED = {"zot_ci_key_state": "renewed"}

# Ansible has no callback that shows everything. A run can be made to crash where it holds a secret.
CALLBACK = """
import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "everything"

    def v2_on_any(self, *args, **kwargs):
        with open(os.environ["CANARY_RESULTS"], "a") as file:
            for given in (*args, *kwargs.values()):
                told = getattr(given, "_result", None) or getattr(given, "result", None)
                file.write(json.dumps(told, default=str) + "\\n")

    def v2_playbook_on_start(self, playbook):
        place = os.environ.get("CANARY_CRASH")
        if place:
            from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge
            from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating_ports import RealPorts

            def crash(*secrets):
                raise RuntimeError("made by a test")

            setattr(*{"prove": (RealPorts, "prove"), "publish": (Forge, "set_secret")}[place], crash)
"""


class Life:
    """Runs playbooks and watches them: what they print and log, what callbacks get, and every process meanwhile."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.folder = house.mac.folder
        self.secrets: set[str] = set()
        self.output = ""
        self.watch = Watch()
        # Python makes sockets there, whose names may not be long.
        self.tmp = Path(tempfile.mkdtemp(prefix="life-"))
        for name in ("callbacks", "person"):
            (self.folder / name).mkdir()
        (self.folder / "callbacks" / "everything.py").write_text(CALLBACK)
        self.learn()

    def learn(self) -> None:
        """What is secret by now."""
        fields = self.house.fields
        kept = Kept.read(fields.get("zot-ci-api"), fields.get("zot-ci-api-rotation"), "the store")
        held = [each.secret for each in (kept.current, kept.next, *kept.previous) if each]
        given = [fields[name] for name in ("api-token", "zot-ci-api-password") if fields.get(name)]
        self.secrets |= {secret for secret in (*held, *given, self.house.secret) if secret}

    def run(self, playbook: str, *arguments: str, crash: str = "", **more: t.Any) -> int:
        op = self.house.op
        environment = {
            "PATH": f"{op.on_path()}:/usr/bin:/bin",
            "OP_SIM_FOLDER": str(op.folder),
            "HOME": str(self.folder / "person"),
            "TMPDIR": str(self.tmp),
            "ANSIBLE_LOG_PATH": str(self.folder / "ansible.log"),
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "ANSIBLE_CALLBACK_PLUGINS": str(self.folder / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "everything",
            "CANARY_RESULTS": str(self.folder / "results"),
            "CANARY_CRASH": crash,
        }
        play = self.house.mac.playing(PLAYBOOKS / playbook, **environment)
        log = self.folder / "output"
        variables = {**self.house.variables, **more}
        with log.open("w") as output, play.start("-vvv", "--diff", *arguments, output=output, **variables) as process:
            self.watch.until_end(process)
        self.learn()
        self.output = log.read_text()
        return process.returncode

    def assert_told_nothing(self) -> None:
        """Each secret as it is, and as it goes over the wire."""
        files = {path: path.read_bytes() for top in (self.folder, self.tmp) for path in top.rglob("*") if path.is_file()}
        seen = {str(path.relative_to(self.folder) if path.is_relative_to(self.folder) else path): data for path, data in files.items()}
        holders = {name for secret in self.secrets for form in forms(secret) for name, data in seen.items() if form in data}
        holders |= {name for name, data in seen.items() if KEY.search(data)}
        assert holders == {STORE}
        processes = self.watch.everything
        assert not [number for number, secret in enumerate(sorted(self.secrets)) for form in forms(secret) if form in processes]
        calls = json.dumps(self.house.op.calls)
        assert not [number for number, secret in enumerate(sorted(self.secrets)) if secret in calls]


@pytest.fixture
def life(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    monkeypatch.delenv("ANSIBLE_KEEP_REMOTE_FILES", raising=False)
    with standin_forge() as forge:
        forge.make_repository("eblume", "blumeops")
        token = forge.token("eblume", "write:repository")
        lived = Life(House(mac, forge, Op(mac.folder / "op", {"blumeops": {"Forgejo Secrets": {"api-token": token}}})))
        yield lived
        shutil.rmtree(lived.tmp)


def test_the_secrets_of_a_whole_life_are_in_the_store_alone(life: Life) -> None:
    house = life.house
    assert life.run("provision_indri.yml") == 0, life.output[-3000:]
    first = house.secret
    assert life.run("rotate_ci_key.yml", **RENEWED) == 0, life.output[-3000:]
    assert house.secret not in (None, first)

    # The key that is to follow is stored, and the store then fails.
    house.op.behaves({"on": "item edit", "fault": "unknown", "after": 1})
    assert life.run("rotate_ci_key.yml", **RENEWED) == 2, life.output[-3000:]
    assert json.loads(house.fields["zot-ci-api-rotation"])["next"]
    house.op.behaves({"fault": "locked", "times": None})
    assert life.run("rotate_ci_key.yml") == 2, life.output[-3000:]
    assert "unlock it" in " ".join(life.output.split())
    house.op.behaves()

    for place in ("prove", "publish"):
        assert life.run("rotate_ci_key.yml", crash=place) == 2, life.output[-3000:]
        assert "made by a test" in life.output
        assert "Traceback (most recent call last)" in life.output

    house.forge.fail(403, method="PUT", path="/secrets/", times=99)
    assert life.run("rotate_ci_key.yml", **RENEWED) == 2, life.output[-3000:]
    assert "answers 403" in life.output
    house.forge.heal()

    assert life.run("rotate_ci_key.yml", "--check", **RENEWED) == 0, life.output[-3000:]
    assert life.run("revoke_keys.yml") == 0, life.output[-3000:]
    assert house.job() == 200

    # Password, token, and the keys: the first, those of three renewals, and that after the leak.
    assert len(life.secrets) == 7
    life.assert_told_nothing()
    # All of this was looked at.
    seen = life.watch.everything.replace(b"\0", b" ")
    assert b"op item edit" in seen
    assert b"CANARY_RESULTS=" in seen
    assert '"steps"' in (life.folder / "results").read_text()
    assert "TASK [" in (life.folder / "ansible.log").read_text()
