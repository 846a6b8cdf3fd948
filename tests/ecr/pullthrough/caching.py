"""A cache in front of an upstream, and how it is pulled from on both planes."""

import json
from functools import cached_property
from typing import Any

from ecrsim import Ecrsim
from ecrsim.ecr.pullthrough.fetches import fetches_of
from ecrsim.testing import Response, call_application
from tests.core.upstream.servers import Site


class Cache:
    """`name`: the upstream's, as rules name it."""

    def __init__(self, sim: Ecrsim, upstream: Site, name: str) -> None:
        self.sim, self.upstream, self.name = sim, upstream, name

    @cached_property
    def ecr(self) -> Any:
        return self.sim.client("ecr")

    def rule(self, prefix: str = "cache", **members: Any) -> Any:
        return self.ecr.create_pull_through_cache_rule(
            ecrRepositoryPrefix=prefix, upstreamRegistryUrl=self.name, **members
        )

    @cached_property
    def token(self) -> str:
        return self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]

    def ask(self, method: str, path: str, token: str | None = None, body: bytes = b"") -> Response:
        headers = {"Authorization": f"Basic {token or self.token}"}
        return call_application(self.sim.app, method, f"{self.sim.endpoint_url}{path}", headers, body)

    def pull(self, reference: str, repository: str = "cache/library/app", method: str = "GET") -> Response:
        """The manifest, once all that came with it is there."""
        answer = self.ask(method, f"/v2/{repository}/manifests/{reference}")
        self.settle()
        return answer

    def settle(self) -> None:
        """Wait until nothing is on its way: layers outlive the import that failed for one of them."""
        fetches = fetches_of(self.sim.runtime)
        for under_way in (*fetches.imports.all(), *fetches.layers.all()):
            under_way.whole.wait()

    def whole(self, reference: str, repository: str = "cache/library/app") -> dict[str, bytes]:
        """All blobs of an image, as docker pulls it."""
        answer = self.pull(reference, repository)
        assert answer.status == 200, answer
        document = answer.json()
        digests = [entry["digest"] for entry in (document["config"], *document["layers"])]
        found = {digest: self.ask("GET", f"/v2/{repository}/blobs/{digest}") for digest in digests}
        assert {each.status for each in found.values()} == {200}
        return {digest: each.body for digest, each in found.items()}

    def names(self) -> list[str]:
        return [found["repositoryName"] for found in self.ecr.describe_repositories()["repositories"]]

    def get(self, repository: str = "cache/library/app", **image_id: str) -> Any:
        return self.ecr.batch_get_image(repositoryName=repository, imageIds=[image_id])

    def asked(self) -> list[str]:
        """What the upstream was asked since the last time."""
        found = [f"{each.method} {each.path.removeprefix('/v2/library/app/')}" for each in self.upstream.asked]
        self.upstream.asked.clear()
        return found

    def synced(self) -> list[dict[str, Any]]:
        return [event["detail"] for event in self.sim.events(type="ECR Pull Through Cache Action")]


def error_of(answer: Response) -> tuple[int, str, str]:
    (error,) = json.loads(answer.body)["errors"]
    return answer.status, error["code"], error["message"]
