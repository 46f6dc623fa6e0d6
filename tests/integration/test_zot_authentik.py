# SPDX-License-Identifier: GPL-3.0-or-later
"""The role over Ansible: what it delivers, where, and that a check and a second run tell the truth."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from integration.playbook import CHECKOUT, Outcome, Play
from support.authentik import Authentik
from support.blueprints import GRANTS, SETTINGS

PLAYBOOK = CHECKOUT / "playbooks" / "authentik_blueprint.yml"
MANIFEST = """# what ArgoCD delivers
apiVersion: v1
kind: ConfigMap
metadata:
  name: authentik-blueprints
  namespace: authentik
data:
  common.yaml: |
    version: 1
    entries: []
"""


class House:
    """A registry's host with its variables, and a folder that is a repository on the controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "blueprint.yaml"
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(folder / "remote"),
            "zot_external_url": SETTINGS["external_url"],
            "zot_oidc": SETTINGS["oidc"],
            "zot_grants": GRANTS,
            "zot_authentik_release": "2026.2",
        }
        inventory = folder / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"indri": variables}}}))
        self.play = Play(PLAYBOOK, [inventory], folder / "controller")

    def __call__(self, *words: str, **variables: t.Any) -> Outcome:
        return self.play(*words, **{"zot_authentik_path": str(self.path), **variables})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_file_that_authentik_takes(house: House) -> None:
    planned = house("--check", "--diff")
    assert (planned.changed, house.path.exists()) == (1, False)
    assert "+      client_secret: !Env AUTHENTIK_ZOT_CLIENT_SECRET" in planned.stdout
    assert house().changed == 1
    assert house("--tags", "zot_authentik").changed == 0
    authentik = Authentik({"AUTHENTIK_ZOT_CLIENT_SECRET": "canary-4d5e"})
    authentik.apply(house.path.read_text())
    assert authentik.one("authentik_core.application", slug="zot")
    assert house(zot_authentik_state="judged", zot_authentik_fail_on="warning").changed == 0


def test_a_key_of_a_manifest_and_a_file_on_a_host(house: House) -> None:
    house.path.write_text(MANIFEST)
    worker = house.folder / "worker"
    worker.mkdir()
    places = {"zot_authentik_config_map": {"name": "authentik-blueprints"}, "zot_authentik_host_path": str(worker / "zot.yaml")}
    assert house("--check", **places).changed == 2
    assert (house.path.read_text(), list(worker.iterdir())) == (MANIFEST, [])
    assert house(**places).changed == 2
    text = house.path.read_text()
    assert text.startswith(MANIFEST)
    assert yaml.safe_load(text)["data"]["zot.yaml"] == (worker / "zot.yaml").read_text()
    assert house(**places).changed == 0
    assert house(**{**places, "zot_authentik_path": "", "zot_authentik_config_map": {}}).changed == 0


def test_what_differs_ends_the_run_with_all_of_it(house: House) -> None:
    house()
    done = house(
        zot_authentik_state="judged", zot_external_url="https://other.example.org", zot_grants=[{"groups": ["more"], "actions": ["read"]}]
    )
    assert done.rc == 2
    assert "AK203" in done.errors[0] or "AK203" in done.stdout
    assert "AK211" in done.stdout
    assert "https://other.example.org/zot/auth/callback/oidc" in done.stdout


def test_what_was_made_by_hand_stays(house: House) -> None:
    house.path.write_text("version: 1\n")
    assert house().rc == 2
    assert house.path.read_text() == "version: 1\n"


def test_a_place_is_wanted(house: House) -> None:
    done = house(zot_authentik_path="")
    assert done.rc == 2
    assert "set zot_authentik_path" in done.stdout


@pytest.mark.parametrize("check", [[], ["--check"]])
@pytest.mark.parametrize("place", ["missing/zot.yaml", "zot.yml"])
def test_a_file_on_a_host_that_authentik_would_not_read_is_refused(house: House, place: str, check: list[str]) -> None:
    done = house(*check, zot_authentik_path="", zot_authentik_host_path=str(house.folder / place))
    assert done.rc == 2
    assert "zot_authentik_host_path has to be a file in a folder that is there" in done.stdout
    assert not (house.folder / place).exists()
