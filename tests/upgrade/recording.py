"""Fills the data directory of a release with something of everything, and writes down what its server answers then.

Run by `scripts/record_release`. The archive has `data/`, the directory as it lies when the server was stopped, and
`answers.json`: requests with their answers, which a later release has to give as well.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.client import Answer, Client, manifest_of
from tests.pushing import digest_of

#: The clock stands still, so that no lifecycle policy runs and no token expires before the test has read everything.
CLOCK = "frozen@2026-01-02T03:04:05Z"
ACCOUNT, OTHER = "000000000000", "111111111111"
CONFIG, LAYER, OTHER_LAYER = b'{"os":"linux"}', b"a layer of the last release", b"x" * 70_000
#: What an upload that was begun has, and what it lacks.
BEGUN, REST = b"begun before ", b"and finished after the upgrade"
INDEX = "application/vnd.oci.image.index.v1+json"
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 9,
            },
            "action": {"type": "expire"},
        }
    ]
}


class Asked(NamedTuple):
    """An operation of the API by `members`, or a path of the registry where there is no operation."""

    account: str
    operation: str
    members: dict[str, Any]
    path: str = ""


def policy_for(action: str, **more: Any) -> str:
    grant = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [grant]})


class Filling:
    """Works on a server until it has something of everything. `asked`: what then is to be read."""

    def __init__(self, url: str) -> None:
        self._clients = {account: Client(url, account) for account in (ACCOUNT, OTHER)}
        self.asked: list[Asked] = []
        self.upload = ""

    def api(self, operation: str, account: str = ACCOUNT, **members: Any) -> Any:
        answer = self._clients[account].api(operation, **members)
        assert answer.status == 200, (operation, answer)
        return answer.json()

    def registry(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self._clients[ACCOUNT].registry(method, path, body, given)
        assert answer.status < 300, (method, path, answer)
        return answer

    def fill(self) -> None:
        self._repositories()
        self._images()
        self._settings()
        self.upload = self.registry("POST", "app/blobs/uploads/").headers["Location"]
        self.registry("PATCH", self.upload, BEGUN)
        self._ask()

    def _repositories(self) -> None:
        self.api("CreateRepository", repositoryName="app", tags=[{"Key": "team", "Value": "red"}])
        self.api(
            "CreateRepository",
            repositoryName="team/locked",
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev*"}],
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/aws/ecr"},
        )
        self.api("CreateRepository", repositoryName="archive")
        self.api("CreateRepository", OTHER, repositoryName="app")

    def _images(self) -> None:
        image, other = manifest_of(CONFIG, LAYER), manifest_of(CONFIG, LAYER, OTHER_LAYER)
        entries = [
            {"mediaType": json.loads(each)["mediaType"], "digest": digest_of(each), "size": len(each)}
            for each in (image, other)
        ]
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        about = manifest_of(b"{}", b"{}", subject=entries[0], artifactType="application/vnd.example.sbom")
        for repository in ("app", "team/locked", "archive"):
            for data in (CONFIG, LAYER, OTHER_LAYER, b"{}"):
                self.registry("POST", f"{repository}/blobs/uploads/?digest={digest_of(data)}", data)
            for tag, manifest in (("v1", image), ("latest", image), ("v2", other)):
                kind = json.loads(manifest)["mediaType"]
                self.registry("PUT", f"{repository}/manifests/{tag}", manifest, Content_Type=kind)
        self.registry("PUT", "app/manifests/multi", index, Content_Type=INDEX)
        self.registry("PUT", f"app/manifests/{digest_of(about)}", about, Content_Type=json.loads(about)["mediaType"])
        self.api("PutImage", repositoryName="app", imageManifest=manifest_of(CONFIG, OTHER_LAYER).decode())
        self.registry("GET", "app/manifests/v1")
        self.api(
            "UpdateImageStorageClass",
            repositoryName="archive",
            imageId={"imageDigest": digest_of(other)},
            targetStorageClass="ARCHIVE",
        )
        self.api("BatchDeleteImage", repositoryName="archive", imageIds=[{"imageTag": "latest"}])

    def _settings(self) -> None:
        self.api("PutLifecyclePolicy", repositoryName="app", lifecyclePolicyText=json.dumps(POLICY))
        self.api("StartLifecyclePolicyPreview", repositoryName="app")
        self.api("SetRepositoryPolicy", repositoryName="app", policyText=policy_for("ecr:BatchGetImage"))
        self.api("PutRegistryPolicy", policyText=policy_for("ecr:ReplicateImage", Resource="*"))
        self.api("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED")
        self.api("RegisterPullTimeUpdateExclusion", principalArn=f"arn:aws:iam::{ACCOUNT}:role/scanner")

    def _ask(self) -> None:
        place = {"repositoryName": "app"}
        layers = [digest_of(data) for data in (CONFIG, LAYER, OTHER_LAYER)]
        self._read("DescribeRepositories")
        self._read("DescribeRepositories", account=OTHER)
        for repository in ("app", "team/locked", "archive"):
            self._read("ListImages", repositoryName=repository)
            found = self._read("DescribeImages", repositoryName=repository)["imageDetails"]
            readable = [each for each in found if each.get("imageStatus", "ACTIVE") == "ACTIVE"]
            ids = [{"imageDigest": each["imageDigest"]} for each in readable]
            self._read("BatchGetImage", repositoryName=repository, imageIds=ids)
            self._read("BatchCheckLayerAvailability", repositoryName=repository, layerDigests=layers)
        self._read("ListTagsForResource", resourceArn=f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app")
        while self.api("GetLifecyclePolicyPreview", **place)["status"] == "IN_PROGRESS":
            pass  # a job of the server is at it
        for operation in ("GetLifecyclePolicy", "GetLifecyclePolicyPreview", "GetRepositoryPolicy"):
            self._read(operation, **place)
        self._read("GetRegistryPolicy")
        self._read("GetAccountSetting", name="BLOB_MOUNTING")
        self._read("ListPullTimeUpdateExclusions")
        subject = {"imageDigest": digest_of(manifest_of(CONFIG, LAYER))}
        self._read("ListImageReferrers", **place, subjectId={"imageDigest": subject["imageDigest"]})
        for path in (
            "app/manifests/v1",
            "app/manifests/multi",
            "app/tags/list",
            *(f"app/blobs/{each}" for each in layers),
        ):
            self.asked.append(Asked(ACCOUNT, "", {}, path))

    def _read(self, operation: str, account: str = ACCOUNT, **members: Any) -> Any:
        self.asked.append(Asked(account, operation, members))
        return self.api(operation, account, **members)

    def answers(self) -> list[Any]:
        """Each request with its answer; of the registry the status and the bytes, in base64."""
        found = []
        for each in self.asked:
            if each.operation:
                found.append([*each, self.api(each.operation, each.account, **each.members)])
            else:
                answer = self.registry("GET", each.path)
                found.append([*each, base64.b64encode(answer.body).decode()])
        return found


def record(source: Path, archive: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        command = [sys.executable, "-m", "ecrsim", "serve", "--port", "0", "--data-dir", str(data), "--clock", CLOCK]
        environ = {**os.environ, "PYTHONPATH": str(source)}
        with subprocess.Popen(command, cwd=source, stdout=subprocess.PIPE, text=True, env=environ) as server:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            filling = Filling(url)
            filling.fill()
            answers = {"upload": filling.upload, "answers": filling.answers()}
            server.terminate()
        (Path(name) / "answers.json").write_text(json.dumps(answers, indent=1), "utf-8")
        _pack(Path(name), archive)


def _pack(folder: Path, archive: Path) -> None:
    """The same bytes for the same files: no times, no owners."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime, member.uid, member.gid, member.uname, member.gname = 0, 0, 0, "", ""
        return member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            tar.add(path, str(path.relative_to(folder)), recursive=False, filter=plain)
    archive.write_bytes(gzip.compress(packed.getvalue(), 9, mtime=0))


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
