# SPDX-License-Identifier: GPL-3.0-or-later
"""A Dagger module that builds a Dockerfile and pushes the image, once."""

from __future__ import annotations

import dagger
from dagger import dag, function, object_type


@object_type
class Push:
    """dagger call publish --source=. --image=registry.example.org/blumeops/hello:1 --key=env:ZOT_CI_API_KEY"""

    @function
    async def publish(self, source: dagger.Directory, image: str, key: dagger.Secret, username: str = "zot-ci") -> str:
        """Build and push; the reference with its digest. An image that is there already is left, and nothing is built.

        :param key: the API key. It stays a secret of the engine: in no argument, no log and no cache.
        :raises ValueError: the key is empty, as an unset secret of Actions is.
        :raises dagger.QueryError: the build failed, or the registry refused the key or the push.
        """
        if not await key.plaintext():
            raise ValueError(f"there is no key for {image}: the secret was not published to this repository, or a fork asks")
        registry = image.partition("/")[0]
        try:
            return await dag.container().with_registry_auth(registry, username, key).from_(image).image_ref()
        except dagger.QueryError:
            # It is not there, or cannot be read; of the second the push tells.
            return await source.docker_build().with_registry_auth(registry, username, key).publish(image)
