# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: every key of a zot configuration, its kind, and the release whose loader first takes it.

Read from the structs of zot's own sources, 2.1.0 to 2.1.20 and the branch that became 2.1.21; no key was ever removed or renamed.
"""

from __future__ import annotations

import functools
import typing as t

# One line per key: path, kind, and the first release (none: 2.1.0 has it). C(*) is the key of a map, C([]) an item of a list,
# C({a,b}) several keys. Kinds: str, int, float, bool, dur (a Go duration), window (HH:MM-HH:MM), map (any keys), [str].
_STORAGE = """
rootDirectory str
{dedupe,remoteCache,gc,commit} bool
redirectBlobURL bool 2.1.18
maxRepos int 2.1.16
{gcDelay,gcInterval} dur
gcTimeWindow window 2.1.19
gcMaxSchedulerDelay dur 2.1.11
retention.dryRun bool
retention.delay dur
retention.policies[].repositories [str]
retention.policies[].{deleteReferrers,deleteUntagged} bool
retention.policies[].keepTags[].patterns [str]
retention.policies[].keepTags[].{pulledWithin,pushedWithin} dur
retention.policies[].keepTags[].{mostRecentlyPushedCount,mostRecentlyPulledCount} int
retention.policies[].keepUntagged.{pulledWithin,pushedWithin} dur 2.1.19
retention.policies[].keepUntagged.{mostRecentlyPushedCount,mostRecentlyPulledCount} int 2.1.19
{storageDriver,cacheDriver} map
"""

_KEYS = """
distSpecVersion str
{goVersion,commit,releaseTag,binaryType} str
storage.fastRestart bool 2.1.18
http.{address,externalUrl,port,allowOrigin,realm} str
http.{readTimeout,writeTimeout} dur 2.1.17
http.tls.{cert,key,cacert} str
http.ratelimit.rate int
http.ratelimit.methods[].method str
http.ratelimit.methods[].rate int
http.compat [str] 2.1.2
http.auth.failDelay int
http.auth.htpasswd.path str
http.auth.apikey bool
http.auth.sessionKeysFile str 2.1.2
http.auth.{sessionHashKey,sessionEncryptKey} bytes 2.1.2
http.auth.sessionDriver map 2.1.9
http.auth.secureSession bool 2.1.11
http.auth.mtls.identityAttributes [str] 2.1.12
http.auth.mtls.uriSanPattern str 2.1.12
http.auth.mtls.{uriSanIndex,dnsSanIndex,emailSanIndex} int 2.1.12
http.auth.ldap.{credentialsFile,address,userGroupAttribute,baseDN,userAttribute,caCert} str
http.auth.ldap.userFilter str 2.1.3
http.auth.ldap.port int
http.auth.ldap.{insecure,startTLS,skipVerify,subtreeSearch} bool
http.auth.bearer.{realm,service,cert} str
http.auth.bearer.oidc[].issuer str 2.1.14
http.auth.bearer.oidc[].audiences [str] 2.1.14
http.auth.bearer.oidc[].skipIssuerVerification bool 2.1.14
http.auth.bearer.oidc[].claimMapping.variables[].{name,expression} str 2.1.14
http.auth.bearer.oidc[].claimMapping.validations[].{expression,message} str 2.1.14
http.auth.bearer.oidc[].claimMapping.{username,groups} str 2.1.14
http.auth.bearer.oidc[].{certificateAuthority,certificateAuthorityFile} str 2.1.15
http.auth.bearer.awsSecretsManager.{region,secretName} str 2.1.15
http.auth.bearer.awsSecretsManager.refreshInterval dur 2.1.15
http.auth.bearer.upstreamTokenEndpoint.{realm,service} str 2.1.19
http.auth.bearer.upstreamTokenEndpoint.allowInsecureHttp bool 2.1.19
http.auth.openid.callbackAllowOrigins [str] 2.1.15
http.auth.openid.providers.*.{name,clientid,clientsecret,keypath,issuer} str
http.auth.openid.providers.*.scopes [str]
http.auth.openid.providers.*.credentialsFile str 2.1.6
http.auth.openid.providers.*.{authurl,tokenurl} str 2.1.11
http.auth.openid.providers.*.claimMapping.username str 2.1.11
http.auth.openid.providers.*.claimMapping.groups str 2.1.17
http.accessControl.repositories.*.policies[].{users,actions,groups} [str]
http.accessControl.repositories.*.policies[].conditions[].{expression,message} str 2.1.17
http.accessControl.repositories.*.{defaultPolicy,anonymousPolicy} [str]
http.accessControl.adminPolicy.{users,actions,groups} [str]
http.accessControl.adminPolicy.conditions[].{expression,message} str 2.1.17
http.accessControl.groups.*.users [str]
http.accessControl.metrics.users [str]
http.accessControl.metrics.anonymousPolicy [str] 2.1.18
log.{level,output,audit} str
scheduler.numWorkers int
cluster.members [str]
cluster.hashKey str
cluster.tls.{cert,key,cacert} str
extensions.{search,sync,metrics,scrub,lint,ui,mgmt,apikey,trust}.enable bool
extensions.events.enable bool 2.1.3
extensions.search.cve.updateInterval dur
extensions.search.cve.trivy.{dbRepository,javaDBRepository} str
extensions.search.cve.trivy.vulnSeveritySources [str] 2.1.16
extensions.search.cve.trivy.sbom.enable bool 2.1.18
extensions.search.cve.trivy.sbom.format str 2.1.18
extensions.metrics.prometheus.path str
extensions.scrub.interval dur
extensions.lint.mandatoryAnnotations [str]
extensions.trust.{cosign,notation} bool
extensions.events.sinks[].{type,address,channel,proxy} str 2.1.3
extensions.events.sinks[].timeout dur 2.1.3
extensions.events.sinks[].credentials.{username,password,file} str 2.1.3
extensions.events.sinks[].credentials.token str 2.1.5
extensions.events.sinks[].headers.* str 2.1.5
extensions.events.sinks[].tlsConfig.{caCertFile,certFile,keyFile} str 2.1.3
extensions.sync.{credentialsFile,downloadDir} str
extensions.sync.registries[].urls [str]
extensions.sync.registries[].{pollInterval,retryDelay} dur
extensions.sync.registries[].{tlsVerify,onDemand,onlySigned} bool
extensions.sync.registries[].certDir str
extensions.sync.registries[].maxRetries int
extensions.sync.registries[].credentialHelper str 2.1.3
extensions.sync.registries[].preserveDigest bool 2.1.3
extensions.sync.registries[].syncTimeout dur 2.1.11
extensions.sync.registries[].responseHeaderTimeout dur 2.1.12
extensions.sync.registries[].syncLegacyCosignTags bool 2.1.15
extensions.sync.registries[].maxRetryDelay dur 2.1.19
extensions.sync.registries[].oauth2CredentialHelper map 2.1.19
extensions.sync.registries[].manifestCheckInterval dur 2.1.21
extensions.sync.registries[].{reqConcurrent,maxIdleConnsPerHost} int 2.1.21
extensions.sync.registries[].reqPerSec float 2.1.21
extensions.sync.registries[].disableHTTP2 bool 2.1.21
extensions.sync.registries[].content[].{prefix,destination} str
extensions.sync.registries[].content[].stripPrefix bool
extensions.sync.registries[].content[].tags.regex str
extensions.sync.registries[].content[].tags.excludeRegex str 2.1.3
extensions.sync.registries[].content[].tags.semver bool
"""

# zot decodes each of these by itself, and looks over keys that it does not know there.
_LOOSE = frozenset({"extensions.events.sinks[]"})

Number = tuple[int, ...]
Path = tuple[t.Union[str, int], ...]

FIRST: Number = (2, 1, 0)


def text_of(release: Number) -> str:
    """A release as people write it."""
    return ".".join(str(part) for part in release)


class Node:
    """One place of the configuration: a struct (named children), a map (child C(*)), a list (child C([])) or a leaf (kind)."""

    def __init__(self, name: str, path: str, since: Number) -> None:
        self.name, self.path, self.since = name, path, since
        self.kind = ""
        self.children: dict[str, Node] = {}

    @property
    def loose(self) -> bool:
        return self.path in _LOOSE

    @property
    def item(self) -> Node | None:
        """What a list holds."""
        return self.children.get("[]")

    @property
    def value(self) -> Node | None:
        """What a map holds under each of its keys."""
        return self.children.get("*")

    def child(self, key: str) -> Node | None:
        """The place below, by a key in lower case or an index."""
        return self.item or self.value or self.children.get(key)

    def grow(self, name: str, since: Number) -> Node:
        path = f"{self.path}[]" if name == "[]" else f"{self.path}.{name}".lstrip(".")
        node = self.children.setdefault(name.lower(), Node(name, path, since))
        node.since = min(node.since, since)
        return node


@functools.cache
def tree() -> Node:
    """The whole configuration."""
    root = Node("", "", FIRST)
    for line in _KEYS.split("\n"):
        _plant(root, line)
    for prefix in ("storage.", "storage.subPaths.*."):
        for line in _STORAGE.split("\n"):
            _plant(root, line and prefix + line)
    return root


def find(path: str) -> Node:
    """The place with a documented path, such as C(http.auth.apikey); raises KeyError for none."""
    node = tree()
    for part in path.replace("[]", ".[]").split("."):
        node = node.children[part.lower()]
    return node


def spell(path: Path) -> str:
    """A path through a loaded document in the words of zot's documentation, such as C(storage.subPaths["/a"].gcDelay)."""
    node: Node | None = tree()
    text = ""
    for part in path:
        into_map = node is not None and node.value is not None
        node = node.child(str(part)) if node else None
        if isinstance(part, int):
            text += f"[{part}]"
        elif into_map:
            text += f'["{part}"]'
        else:
            text += ("." if text else "") + (node.name if node else part)
    return text


def _plant(root: Node, line: str) -> None:
    if not line:
        return
    path, kind, *since = line.split()
    number = tuple(int(part) for part in since[0].split(".")) if since else FIRST
    head, brace, rest = path.partition("{")
    names, _unused, tail = rest.partition("}")
    for name in names.split(",") if brace else [""]:
        node = root
        for part in (head + name + tail).replace("[]", ".[]").split("."):
            node = node.grow(part, number)
        if kind.startswith("["):
            node = node.grow("[]", number)
        node.kind = kind.strip("[]")
