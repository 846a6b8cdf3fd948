"""What requests are made of: values that fit a shape of the model, values that do not, and bytes that were damaged."""

from __future__ import annotations

import base64
import functools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from ecrsim.contract.models import Shape
from ecrsim.testing import BuiltImage, build_image
from tests.answers import ACCOUNT
from tests.pushing import DOCKER_LIST, DOCKER_MANIFEST, NOWHERE, OCI_INDEX, artifact_of, digest_of, index_of, numbered

OTHER_ACCOUNT = "111111111111"

TEXTS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "x",
    "x" * 300,
    "x" * 5000,
    "/" * 70,
    "a/" * 200,
    "..",
    "../../etc/passwd",
    "%2e%2e%2f",
    "%",
    "%zz",
    "\n\r\x1b[31m",
    "\u202egpj.exe",
    "🦭",
    "É" * 129,
    "{}",
    "{{0}}",
    "%s%n",
    "' OR 1=1 --",
    "9" * 400,
    "1" * 4301,
    "-1",
    "0x10",
    "1e999",
    "NaN",
    "١٢",
    "true",
    "null",
    "*" * 60,
    "a*" * 60 + "b",
    "${jndi:x}",
    "sha256:" + "G" * 64,
    "sha256:",
    "sha512:" + "0" * 128,
    "md5:d41d8cd98f00b204e9800998ecf8427e",
)
NUMBERS = (0, 1, -1, 2, 100, 1001, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**40, 10**400, 0.5, 1e308, -0.0)

IMAGES: tuple[BuiltImage, ...] = (
    numbered(1),
    numbered(2),
    numbered(3, media_type=DOCKER_MANIFEST),
    build_image(b"another", b"layers"),
    index_of(numbered(1)),
    index_of(numbered(1), numbered(2), media_type=DOCKER_LIST),
    artifact_of(numbered(1)),
    artifact_of(NOWHERE),
    index_of(numbered(99)),
)
LAYERS = (*{digest: data for image in IMAGES for digest, data in image.blobs.items()}.values(), b"", b"x" * 100_000)

_RULES = [
    {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    },
    {
        "rulePriority": 2,
        "description": "x",
        "selection": {
            "tagStatus": "tagged",
            "tagPatternList": ["v*"],
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": 14,
        },
        "action": {"type": "expire"},
    },
]
LIFECYCLE_POLICIES = [{"rules": _RULES[:1]}, {"rules": _RULES[1:]}, {"rules": []}]
#: None denies what the fuzzer itself asks in order to see whether everything is still there.
POLICIES = [
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "a",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
                "Action": ["ecr:BatchGetImage", "ecr:Get*"],
                "Condition": {
                    "StringLike": {"aws:PrincipalTag/x": ["a*", "b"]},
                    "Bool": {"aws:SecureTransport": "true"},
                },
            }
        ],
    },
    {
        "Version": "2008-10-17",
        "Statement": {"Effect": "Deny", "NotPrincipal": "*", "Action": "ecr:DeleteRepository"},
    },
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:ReplicateImage", "Resource": "*"}],
    },
]
MEDIA_TYPES = (*dict.fromkeys(image.media_type for image in IMAGES), OCI_INDEX, "application/json", "text/plain", "*/*")
ACCOUNT_SETTINGS = {
    "AccountSettingName": ["BLOB_MOUNTING", "REGISTRY_POLICY_SCOPE", "BASIC_SCAN_TYPE_VERSION"],
    "AccountSettingValue": ["ENABLED", "DISABLED", "V1", "V2", "AWS_NATIVE"],
}


class Known:
    """What the fuzzer has met: names that lead somewhere when they are used again."""

    def __init__(self) -> None:
        self.repositories = ["app", "other", "team/web"]
        self.tags = ["v1", "v2", "multi", "latest"]
        self.digests = [*(image.digest for image in IMAGES), *(digest_of(data) for data in LAYERS)]
        self.uploads = ["12345678-1234-1234-1234-123456789012"]
        self.next_tokens = [base64.b64encode(b"[1,[1]]").decode()]
        self.downloads = ["/_download/"]

    def add(self, names: list[str], name: str) -> None:
        """The newest forty are kept beside the four that were there first."""
        if name not in names:
            names.append(name)
            del names[4:-40]


class Values:
    """A source of values: the same for the same seed, as long as the same is known."""

    def __init__(self, chance: random.Random, known: Known) -> None:
        self.chance = chance
        self.known = known
        self._texts: dict[str, Callable[[], Any]] = {
            "RepositoryName": lambda: self.pick(["app", "app", *known.repositories], "none", "a/b", "ABC"),
            "RegistryId": lambda: self.pick([ACCOUNT] * 8, OTHER_ACCOUNT),
            "ImageTag": lambda: self.pick(known.tags, "none", ".", "a:b"),
            "ImageDigest": self.digest,
            "LayerDigest": self.digest,
            "BatchedOperationLayerDigest": self.digest,
            "ImageManifest": lambda: self.manifest()[0].decode(errors="replace"),
            "MediaType": lambda: self.pick(MEDIA_TYPES),
            "UploadId": lambda: self.pick(known.uploads),
            "NextToken": lambda: self.pick(known.next_tokens),
            "Arn": lambda: self.pick(self._arns()),
            "PrincipalArn": lambda: f"arn:aws:iam::{ACCOUNT}:role/{self.pick('xyz')}",
            "KmsKey": lambda: self.pick(["alias/x", "arn:aws:kms:us-east-1:1:key/x"], "12345678-1234-1234-1234-1234"),
            "LifecyclePolicyText": lambda: json.dumps(self.document(LIFECYCLE_POLICIES)),
            "RepositoryPolicyText": lambda: json.dumps(self.document(POLICIES)),
            "RegistryPolicyText": lambda: json.dumps(self.document(POLICIES)),
            "ImageTagMutabilityExclusionFilterValue": lambda: self.pick(["*", "v*", "a*b*c*"]),
            "LayerPartBlob": lambda: base64.b64encode(self.pick(LAYERS)).decode(),
            "PartSize": lambda: self.pick([0, 0, 0, 1, 6, 7, 99_999]),
            "TagKey": lambda: self.pick(["team", "a:b", "aws:x", "é"]),
            "TagValue": lambda: self.pick(["", "red", "x" * 256]),
            **{name: functools.partial(self.pick, values) for name, values in ACCOUNT_SETTINGS.items()},
        }

    def happens(self, percent: int) -> bool:
        return self.chance.random() * 100 < percent

    def pick(self, usual: Sequence[Any], *rare: Any) -> Any:
        """One of the usual; a rare one once in eight times."""
        return self.chance.choice(rare) if rare and self.happens(12) else self.chance.choice(usual)

    def text(self) -> str:
        if self.happens(70):
            return str(self.chance.choice(TEXTS))
        return "".join(
            chr(self.chance.choice((self.chance.randrange(32, 127), self.chance.randrange(0xD7FF))))
            for _ in range(self.chance.randrange(12))
        )

    def garbage(self) -> Any:
        """A JSON value of any type."""
        return self.chance.choice((None, True, False, [], {}, [[]], {"": {}}, self.text, self.text, self._number))

    def _number(self) -> Any:
        return self.chance.choice(NUMBERS)

    def any_json(self) -> Any:
        value = self.garbage()
        return value() if callable(value) else value

    def digest(self) -> str:
        return str(self.pick(self.known.digests, NOWHERE, "sha256:ab", "sha256:", "v1", "sha512:" + "0" * 128))

    def _arns(self) -> list[str]:
        return [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/{name}" for name in self.known.repositories] + [
            f"arn:aws:ecr:eu-west-1:{OTHER_ACCOUNT}:repository/app",
            f"arn:aws:iam::{ACCOUNT}:role/x",
        ]

    # By the model

    def fitting(self, shape: Shape, spoil: int = 4) -> Any:
        """A value of the shape; `spoil` times of a hundred, each part of it is of no shape at all."""
        if self.happens(spoil):
            return self.any_json()
        if shape.type == "structure":
            return {
                name: self.fitting(member, spoil)
                for name, member in shape.members.items()
                if self.happens(98 if name in shape.required else 35)
            }
        if shape.type == "list" and shape.member is not None:
            count = self.pick((1, 1, 2, 3), 0, 101)
            return [self.fitting(shape.member, spoil) for _ in range(count)]
        if shape.type == "map" and shape.key is not None and shape.value is not None:
            return {str(self.fitting(shape.key, 0)): self.fitting(shape.value, spoil) for _ in range(2)}
        if shape.enum:
            return self.pick(shape.enum)
        if shape.name in self._texts:
            return self._texts[shape.name]()
        return self._scalar(shape)

    def _scalar(self, shape: Shape) -> Any:
        if shape.type == "boolean":
            return self.happens(50)
        if shape.type in ("integer", "long", "double", "float", "timestamp"):
            return self.pick((1, 2, 5, 100), *NUMBERS)
        if shape.type == "blob":
            return base64.b64encode(self.chance.randbytes(8)).decode()
        return self.text()

    # Documents and bytes

    def document(self, samples: Sequence[Any]) -> Any:
        """One of the samples; twice of five times with one part replaced, gone or doubled."""
        found = json.loads(json.dumps(self.chance.choice(samples)))
        return self.changed(found) if self.happens(40) else found

    def changed(self, document: Any) -> Any:
        """The document, with one place in it that is something else."""
        places = list(_places(document))
        if not places:
            return self.any_json()
        holder, key = self.chance.choice(places)
        way = self.chance.randrange(5)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder.extend([holder[key]] * self.chance.choice((1, 100)))
        elif way == 2:
            for _ in range(self.chance.choice((1, 30))):
                holder[key] = [holder[key]] if self.happens(50) else {"x": holder[key]}
        else:
            holder[key] = self.any_json()
        return document

    def manifest(self) -> tuple[bytes, str]:
        """(bytes, media type) of a manifest that is known, or of one that is damaged."""
        image = self.chance.choice(IMAGES)
        if self.happens(60):
            return image.manifest, image.media_type
        if self.happens(80):
            return json.dumps(self.changed(json.loads(image.manifest))).encode(), image.media_type
        return self.spoiled(image.manifest), image.media_type

    def spoiled(self, data: bytes) -> bytes:
        """The bytes with one damage: cut, flipped, doubled, nested deeply, or something else in their middle."""
        if not data:
            return self.chance.randbytes(3)
        at = self.chance.randrange(len(data))
        return self.chance.choice(
            (
                lambda: data[:at],
                lambda: data[:at] + bytes((data[at] ^ (1 << self.chance.randrange(8)),)) + data[at + 1 :],
                lambda: data + data,
                lambda: data[:at] + self.chance.randbytes(4) + data[at:],
                lambda: data[:at] + b"\xff\xfe\x00" + data[at:],
                lambda: b"\xef\xbb\xbf" + data,
                lambda: b"[" * 5_000 + data,
                lambda: b'{"a":' * 2_000 + data,
                lambda: data.replace(b":", b":-1e9999999", 1),
                lambda: data.replace(b'"', b'"\\u0000', 2),
                lambda: b"",
            )
        )()


def _places(document: Any) -> Any:
    """(holder, key) of every value inside."""
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(inside):
        yield document, key
        yield from _places(value)
