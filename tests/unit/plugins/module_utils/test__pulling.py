# SPDX-License-Identifier: GPL-3.0-or-later
"""How each client is called, and what it leaves. That the programs take this is shown in tests/system/test_mirrors.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._pulling import CLIENTS, NAMESPACE, last_words, puller
from ansible_collections.blumeops.zot.plugins.module_utils._runner import Completed
from support.runners import Programs

IMAGE = "docker.io/library/app:1"
FAILED = Completed(1, "", "it is broken")


def client_of(kind, programs, *command):
    return puller(kind, list(command), "/certs.d", "/scratch", programs)


@pytest.mark.parametrize("kind", CLIENTS)
def test_each_kind_of_client_has_a_program(kind):
    programs = Programs({"crictl images -o json": '{"images": []}'})
    words = {
        "containerd": ["crictl"],
        "k3s": ["k3s", "crictl"],
        "rke2": ["/var/lib/rancher/rke2/bin/crictl", "--runtime-endpoint", "unix:///run/k3s/containerd/containerd.sock"],
        "podman": ["podman"],
        "skopeo": ["skopeo"],
        "docker": ["docker"],
        "minikube": ["minikube", "ssh", "--", "sudo", "crictl"],
    }
    client = client_of(kind, programs)
    assert (client.command, client.name) == (words[kind], {"k3s": "crictl", "rke2": "crictl"}.get(kind, words[kind][-1]))
    assert client_of(kind, programs, "/opt/crictl", "-D").command == ["/opt/crictl", "-D"]


def test_containerd_without_cri_is_asked_by_ctr():
    assert client_of("containerd", Programs({"crictl images -o json": FAILED})).command == ["ctr"]
    assert client_of("containerd", Programs()).stands_in is True
    assert client_of("containerd", Programs(), "/usr/bin/ctr", "-a", "/sock").name == "ctr"
    assert client_of("containerd", Programs(), "/usr/bin/crictl").stands_in is False


# ---- CRI


class Node(Programs):
    """A node's images, by their ids."""

    def __init__(self, **images):
        super().__init__()
        self.images = images
        self["crictl images -o json"] = self._listed
        self[f"crictl rmi {IMAGE}"] = lambda: self.images.clear() or ""

    def _listed(self):
        return json.dumps({"images": [{"id": number, "repoTags": tags} for number, tags in self.images.items()]})

    def pulls(self, number):
        self[f"crictl pull {IMAGE}"] = lambda: self.images.setdefault(number, []).append(IMAGE) or ""


def test_a_node_pulls_and_removes():
    node = Node(other=["docker.io/library/other:1"])
    client = client_of("containerd", node)
    assert client.has(IMAGE) is False
    assert client.drop(IMAGE) == ""
    assert f"crictl rmi {IMAGE}" not in node.ran
    node.pulls("new")
    assert client.pull(IMAGE, 60).rc == 0
    assert (client.had(IMAGE), client.has(IMAGE)) == (False, True)


def test_a_node_is_rid_of_what_was_pulled():
    node = Node()
    node.pulls("new")
    client = client_of("containerd", node)
    client.has(IMAGE)
    client.pull(IMAGE, 60)
    assert client.drop(IMAGE) == ""
    assert node.ran[-1] == f"crictl rmi {IMAGE}"
    client.pull(IMAGE, 60)
    node[f"crictl rmi {IMAGE}"] = FAILED
    assert client.drop(IMAGE) == "crictl does not remove it: it is broken"


def test_a_further_name_of_an_image_is_left_as_others_would_go_with_it():
    node = Node(same=["docker.io/library/theirs:1"])
    node.pulls("same")
    client = client_of("containerd", node)
    client.has(IMAGE)
    client.pull(IMAGE, 60)
    assert client.had(IMAGE) is True
    assert client.drop(IMAGE).startswith(f"{IMAGE}, a further name of an image that was there: ctr -n k8s.io images rm {IMAGE}")
    assert f"crictl rmi {IMAGE}" not in node.ran


@pytest.mark.parametrize("tags", [None, []])
def test_images_without_a_name(tags):
    assert client_of("containerd", Node(nameless=tags)).has(IMAGE) is False


@pytest.mark.parametrize(("answer", "said"), [(FAILED, "it is broken"), ("no JSON", "does not list images as JSON")])
def test_a_node_that_does_not_tell(answer, said):
    client = client_of("k3s", Programs({"k3s crictl images -o json": answer}))
    with pytest.raises(ZotError, match=said):
        client.has(IMAGE)


# ---- ctr


class Daemon(Programs):
    """containerd's namespaces, with the names and the content in each."""

    DIGEST = "sha256:" + "a" * 64

    def __init__(self, **namespaces):
        super().__init__({"crictl images -o json": FAILED})
        self.namespaces = namespaces
        self["ctr namespaces ls -q"] = lambda: "\n".join(self.namespaces)
        own = f"ctr -n {NAMESPACE}"
        self[f"{own} content fetch --hosts-dir /certs.d {IMAGE}"] = lambda: self.namespaces.update({NAMESPACE: [IMAGE]}) or ""
        self[f"{own} images rm --sync {IMAGE}"] = lambda: self.namespaces[NAMESPACE].clear() or ""
        self[f"ctr namespaces rm {NAMESPACE}"] = lambda: "" if self.namespaces.pop(NAMESPACE) == [] else FAILED
        self[f"{own} images ls"] = f"REF TYPE DIGEST SIZE\n{IMAGE} application/vnd.oci.image.manifest.v1+json {self.DIGEST} 1.8 KiB\n"
        for name, images in namespaces.items():
            self[f"ctr -n {name} images ls -q"] = "\n".join(images)
            self[f"ctr -n {name} content ls -q"] = "sha256:" + "b" * 64


def test_ctr_pulls_into_a_namespace_of_its_own():
    daemon = Daemon(default=["docker.io/library/other:1"])
    client = client_of("containerd", daemon)
    assert (client.has(IMAGE), client.drop(IMAGE)) == (False, "")
    assert client.pull(IMAGE, 60).rc == 0
    assert (client.had(IMAGE), client.drop(IMAGE)) == (False, "")
    assert list(daemon.namespaces) == ["default"]


def test_ctr_removes_first_what_a_run_left_that_was_stopped():
    daemon = Daemon(**{"default": [], NAMESPACE: [IMAGE]})
    client = client_of("containerd", daemon)
    assert client.has(IMAGE) is False
    client.pull(IMAGE, 60)
    assert daemon.ran[-3:-1] == [f"ctr -n {NAMESPACE} images rm --sync {IMAGE}", f"ctr namespaces rm {NAMESPACE}"]


def test_ctr_looks_into_every_namespace():
    daemon = Daemon(**{"default": [], "k8s.io": [IMAGE]})
    assert client_of("containerd", daemon).has(IMAGE) is True
    daemon = Daemon(**{"default": [], "k8s.io": []})
    daemon["ctr -n k8s.io content ls -q"] = f"sha256:{'b' * 64}\n{Daemon.DIGEST}"
    client = client_of("containerd", daemon)
    client.pull(IMAGE, 60)
    assert client.had(IMAGE) is True


def test_what_ctr_cannot_remove_is_told():
    daemon = Daemon(default=[])
    client = client_of("containerd", daemon)
    client.pull(IMAGE, 60)
    daemon[f"ctr namespaces rm {NAMESPACE}"] = FAILED
    assert client.drop(IMAGE) == "ctr does not remove it: it is broken"
    daemon[f"ctr namespaces rm {NAMESPACE}"] = ""
    daemon[f"ctr -n {NAMESPACE} images rm --sync {IMAGE}"] = FAILED
    assert client.drop(IMAGE) == "ctr does not remove it: it is broken"


# ---- the others


STORE = "podman --root /scratch/s --runroot /scratch/r --storage-driver vfs --events-backend none"


def test_podman_pulls_into_a_store_of_its_own():
    programs = Programs({f"{STORE} pull --quiet {IMAGE}": "", f"{STORE} image exists {IMAGE}": "", f"{STORE} rmi {IMAGE}": ""})
    client = client_of("podman", programs)
    assert (client.has(IMAGE), client.pull(IMAGE, 60).rc, client.had(IMAGE), client.drop(IMAGE)) == (False, 0, False, "")
    assert programs.ran == [f"{STORE} pull --quiet {IMAGE}", f"{STORE} image exists {IMAGE}", f"{STORE} rmi {IMAGE}"]
    programs[f"{STORE} rmi {IMAGE}"] = FAILED
    assert client.drop(IMAGE) == "podman does not remove it: it is broken"
    programs[f"{STORE} image exists {IMAGE}"] = Completed(1, "", "")
    assert client.drop(IMAGE) == ""


def test_skopeo_pulls_into_a_folder():
    line = f"skopeo --override-os linux copy docker://{IMAGE} dir:/scratch/image"
    programs = Programs({line: ""})
    client = client_of("skopeo", programs)
    assert (client.has(IMAGE), client.pull(IMAGE, 60).rc, client.had(IMAGE), client.drop(IMAGE)) == (False, 0, False, "")
    assert programs.ran == [line]


def test_docker_pulls_what_it_does_not_have():
    inspect = f"docker image inspect --format {{{{.Id}}}} {IMAGE}"
    programs = Programs({inspect: Completed(1, "", f"Error: No such image: {IMAGE}"), f"docker pull --quiet {IMAGE}": ""})
    client = client_of("docker", programs)
    assert (client.has(IMAGE), client.pull(IMAGE, 60).rc, client.drop(IMAGE)) == (False, 0, "")
    assert f"docker image rm {IMAGE}" not in programs.ran
    programs[inspect] = "sha256:1"
    assert client.has(IMAGE) is True
    assert client.drop(IMAGE) == "docker does not remove it: no such program"
    programs[f"docker image rm {IMAGE}"] = ""
    assert client.drop(IMAGE) == ""


def test_a_program_that_is_not_there_is_named():
    with pytest.raises(ZotError, match=r"crictl cannot be asked what it has \(k3s\): no such program"):
        client_of("k3s", Programs({})).has(IMAGE)


def test_docker_that_does_not_answer():
    programs = Programs({f"docker image inspect --format {{{{.Id}}}} {IMAGE}": Completed(1, "", "Cannot connect to the Docker daemon")})
    with pytest.raises(ZotError, match="docker cannot be asked what it has: Cannot connect"):
        client_of("docker", programs).has(IMAGE)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Completed(1, "a\n", "b\nc\n\n"), "c"),
        (Completed(1, "a\n", ""), "a"),
        (Completed(3, "", " \n"), "exit status 3"),
        (Completed(1, "", "get https://node:canary-1@registry.test/v2/: no"), "get https://node:(secret)@registry.test/v2/: no"),
        (Completed(1, "", "x" * 500), "x" * 400),
    ],
)
def test_the_last_words_of_a_program(said, words):
    assert last_words(said) == words
