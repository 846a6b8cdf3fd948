"""ID tokens of OpenID Connect: who is believed to be whom, and what STS says to the rest.

The sentences and the rules were recorded from STS; what is ours says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.iam.webidentity import (
    NO_KEY,
    NO_TOKEN,
    NOT_VALIDATED,
    IdentityTokenFault,
    IdentityTokenRefusal,
    issuer_of,
    read_keys,
    verify,
)

URL = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:octo/app:ref:refs/heads/main"
NOW = 1_789_123_637
CLAIMS = {"iss": URL, "aud": "sts.amazonaws.com", "sub": SUBJECT, "iat": NOW - 10, "exp": NOW + 300}

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
CURVES = {
    "ES256": ("P-256", 32, ec.generate_private_key(ec.SECP256R1())),
    "ES384": ("P-384", 48, ec.generate_private_key(ec.SECP384R1())),
    "ES512": ("P-521", 66, ec.generate_private_key(ec.SECP521R1())),
}
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def encoded(content: bytes | str) -> str:
    return base64.urlsafe_b64encode(content.encode() if isinstance(content, str) else content).decode().rstrip("=")


def number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key: rsa.RSAPrivateKey, kid: str | None = "rsa", **members: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "kid": kid, "n": number(numbers.n), "e": number(numbers.e), **members}
    return {name: value for name, value in jwk.items() if value is not None}


def ec_jwk(algorithm: str, **members: Any) -> dict[str, Any]:
    curve, size, key = CURVES[algorithm]
    numbers = key.public_key().public_numbers()
    x, y = number(numbers.x, size), number(numbers.y, size)
    return {"kty": "EC", "kid": algorithm, "crv": curve, "x": x, "y": y, **members}


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signature(algorithm: str, signed: bytes, key: rsa.RSAPrivateKey) -> bytes:
    hashing = HASHES[algorithm[2:]]
    if algorithm.startswith("RS"):
        return key.sign(signed, padding.PKCS1v15(), hashing)
    _, size, private = CURVES[algorithm]
    r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(hashing)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def token(
    claims: Any = CLAIMS,
    algorithm: str = "RS256",
    kid: str | None = "rsa",
    key: rsa.RSAPrivateKey = RSA,
    **header: Any,
) -> str:
    head = {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid is not None else {}), **header}
    signed = f"{encoded(json.dumps(head))}.{encoded(claims if isinstance(claims, bytes) else json.dumps(claims))}"
    return f"{signed}.{encoded(signature(algorithm, signed.encode(), key))}"


def key_set(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys) or [rsa_jwk(RSA), *map(ec_jwk, CURVES)]}


KEYS = key_set()
AUDIENCES = ("sts.amazonaws.com", "client-b")


def checked(text: str, keys: Any = KEYS, *, now: int = NOW) -> dict[str, Any] | IdentityTokenRefusal:
    return verify(text, keys, URL, AUDIENCES, now * 1000)


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in CLAIMS.items() if name != claim}


class TestAccepted:
    @pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", *CURVES])
    def test_what_an_issuer_signed(self, algorithm: str):
        kid = algorithm if algorithm in CURVES else "rsa"
        assert checked(token(algorithm=algorithm, kid=kid)) == {**CLAIMS, "oaud": CLAIMS["aud"]}

    @pytest.mark.parametrize(
        "subject",
        [
            pytest.param("", id="empty"),
            pytest.param("a" * 300, id="longer than the model says"),
            pytest.param(123, id="a number"),
        ],
    )
    def test_subjects(self, subject: Any):
        assert checked(token({**CLAIMS, "sub": subject}))["sub"] == str(subject)

    @pytest.mark.parametrize(
        ("claims", "audience"),
        [
            pytest.param({"aud": ["sts.amazonaws.com"]}, "sts.amazonaws.com", id="a list of one"),
            pytest.param({"aud": "client-b"}, "client-b", id="another that is registered"),
            pytest.param({"aud": "other", "azp": "client-b"}, "client-b", id="the authorized party counts"),
            pytest.param({"aud": ["other", "sts.amazonaws.com"], "azp": "client-b"}, "client-b", id="of several, too"),
        ],
    )
    def test_audiences(self, claims: dict[str, Any], audience: str):
        found = checked(token({**CLAIMS, **claims}))
        assert (found["aud"], found["oaud"]) == (audience, claims["aud"])

    @pytest.mark.parametrize(
        "claims",
        [
            pytest.param({"exp": NOW - 299}, id="expired within five minutes"),
            pytest.param({"iat": NOW + 300}, id="issued in five minutes"),
            pytest.param({"nbf": NOW + 300}, id="valid in five minutes"),
            pytest.param({"exp": str(NOW + 60), "iat": str(NOW), "nbf": str(NOW)}, id="numbers as texts"),
        ],
    )
    def test_dates(self, claims: dict[str, Any]):
        assert isinstance(checked(token({**CLAIMS, **claims})), dict)

    def test_of_two_members_with_a_name_the_last_counts(self):
        text = json.dumps(CLAIMS)[:-1] + ', "aud": "client-b"}'
        assert checked(token(text.encode()))["aud"] == "client-b"


class TestRefused:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("..", id="dots"),
            pytest.param("an-access-token", id="an access token"),
            pytest.param("gho_16C7e42F292c6912E7710c838347Ae178B4a", id="a token of another kind"),
            pytest.param(token().rpartition(".")[0], id="no signature"),
            pytest.param(token() + ".", id="a part too many"),
            pytest.param(token() + "=", id="padding"),
            pytest.param(token() + "\n", id="a line end"),
            pytest.param(token([CLAIMS]), id="claims that are a list"),
            pytest.param(token(b"claims"), id="claims that are no JSON"),
            pytest.param(token(b"\xff"), id="claims that are no text"),
            pytest.param(token(crit=["custom"], custom="yes"), id="a critical extension"),
            pytest.param(token().replace(".", "", 1), id="one dot"),
        ],
    )
    def test_what_is_no_token(self, text: str):
        assert checked(text) == NO_TOKEN
        assert NO_TOKEN.code == "InvalidIdentityToken"
        assert NO_TOKEN.message.startswith("The ID Token provided is not a valid JWT. (You may see this error")

    @pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "PS256", "EdDSA", "RS257", None, 5, ["RS256"]])
    def test_algorithms_that_are_none(self, algorithm: Any):
        """The sentence for them is inferred."""
        assert checked(token(alg=algorithm)) == NO_TOKEN

    @pytest.mark.parametrize("secret", [pem(RSA), pem(RSA).strip(), rsa_jwk(RSA)["n"]])
    @pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
    def test_the_public_key_is_no_secret(self, algorithm: str, secret: str):
        """What everybody knows signs nothing, whatever the header says."""
        signed = f"{encoded(json.dumps({'alg': algorithm, 'kid': 'rsa'}))}.{encoded(json.dumps(CLAIMS))}"
        seal = hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)
        assert isinstance(checked(f"{signed}.{encoded(seal)}"), IdentityTokenRefusal)

    @pytest.mark.parametrize(
        ("text", "refusal"),
        [
            pytest.param(token(key=OTHER_RSA), NOT_VALIDATED, id="somebody else's key"),
            pytest.param(token(kid="unknown"), NO_KEY, id="an unknown key id"),
            pytest.param(token(kid=None), NO_KEY, id="no key id where there are several keys"),
            pytest.param(token(kid=""), NO_KEY, id="an empty key id"),
            pytest.param(token(kid="ES256"), NOT_VALIDATED, id="a key of another type"),
            pytest.param(token(algorithm="ES256", kid="ES384"), NOT_VALIDATED, id="a key on another curve"),
            pytest.param(token({**CLAIMS, "iss": f"{URL}/"}), NOT_VALIDATED, id="an issuer with a slash more"),
            pytest.param(token({**CLAIMS, "iss": URL.upper()}), NOT_VALIDATED, id="an issuer in upper case"),
            pytest.param(token({**CLAIMS, "iss": None}), NOT_VALIDATED, id="an issuer that is null"),
            pytest.param(token({**CLAIMS, "aud": "other"}), NOT_VALIDATED, id="another audience"),
            pytest.param(token({**CLAIMS, "aud": ""}), NOT_VALIDATED, id="an empty audience"),
            pytest.param(token({**CLAIMS, "aud": [5]}), NOT_VALIDATED, id="an audience that is a number"),
            pytest.param(token({**CLAIMS, "azp": "other"}), NOT_VALIDATED, id="another authorized party"),
            pytest.param(token({**CLAIMS, "azp": ""}), NOT_VALIDATED, id="an empty authorized party"),
            pytest.param(token({**CLAIMS, "sub": None}), NOT_VALIDATED, id="a subject that is null (inferred)"),
            pytest.param(token({**CLAIMS, "sub": ["a"]}), NOT_VALIDATED, id="a subject that is a list (inferred)"),
        ],
    )
    def test_what_cannot_be_validated(self, text: str, refusal: IdentityTokenRefusal):
        assert checked(text) == refusal

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_a_letter_that_was_altered(self, algorithm: str, part: int):
        parts = token(algorithm=algorithm, kid="rsa" if algorithm == "RS256" else algorithm).split(".")
        middle = len(parts[part]) // 2
        parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
        assert isinstance(checked(".".join(parts)), IdentityTokenRefusal)

    def test_other_claims_under_the_same_signature(self):
        first, _, last = token().split(".")
        claims = encoded(json.dumps({**CLAIMS, "sub": "repo:octo/other:ref:refs/heads/main"}))
        assert checked(f"{first}.{claims}.{last}") == NOT_VALIDATED

    @pytest.mark.parametrize("length", [0, 63, 65, 70])
    def test_signatures_of_another_length(self, length: int):
        signed = token(algorithm="ES256", kid="ES256").rpartition(".")[0]
        assert checked(f"{signed}.{encoded(bytes(length))}") == NOT_VALIDATED

    def test_a_signature_with_a_zero_more(self):
        signed, _, last = token(algorithm="ES256", kid="ES256").rpartition(".")
        seal = base64.urlsafe_b64decode(f"{last}==")
        assert checked(f"{signed}.{encoded(seal[:32] + bytes(1) + seal[32:])}") == NOT_VALIDATED

    @pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "exp"])
    def test_claims_that_are_missing(self, claim: str):
        sentence = f"Missing a required claim: {claim}"
        assert checked(token(without(claim))) == IdentityTokenRefusal(IdentityTokenFault.INVALID, sentence)

    @pytest.mark.parametrize("claim", ["iat", "exp", "nbf"])
    @pytest.mark.parametrize("value", [None, "soon", NOW + 0.5, "1.5", True, "", [], {}, 10**30])
    def test_dates_that_are_none(self, claim: str, value: Any):
        sentence = "Invalid timestamp in token claims."
        assert checked(token({**CLAIMS, claim: value})) == IdentityTokenRefusal(IdentityTokenFault.INVALID, sentence)

    def test_an_expired_token(self):
        """The moment that is named is five minutes before the real one."""
        sentence = f"Token expired: current date/time {NOW - 300} must be before the expiration date/time {NOW - 300}"
        assert checked(token({**CLAIMS, "exp": NOW - 300})) == IdentityTokenRefusal(
            IdentityTokenFault.EXPIRED, sentence
        )

    def test_it_expires_with_the_clock(self):
        text = token()
        assert isinstance(checked(text, now=CLAIMS["exp"] + 299), dict)
        assert checked(text, now=CLAIMS["exp"] + 300).reason is IdentityTokenFault.EXPIRED

    def test_a_token_that_is_not_valid_yet(self):
        sentence = (
            f"Token not yet valid: current date/time {NOW + 300} must be after or equal to the not-before "
            f"date/time {NOW + 301}"
        )
        assert checked(token({**CLAIMS, "nbf": NOW + 301})) == IdentityTokenRefusal(
            IdentityTokenFault.INVALID, sentence
        )

    def test_a_token_from_the_future(self):
        sentence = f"Token issued in the future: {NOW + 301}"
        assert checked(token({**CLAIMS, "iat": NOW + 301})) == IdentityTokenRefusal(
            IdentityTokenFault.INVALID, sentence
        )

    def test_several_audiences_without_an_authorized_party(self):
        sentence = "Token audience contains more than one audience while authorized party is not present"
        claims = {**CLAIMS, "aud": ["sts.amazonaws.com", "other"]}
        assert checked(token(claims)) == IdentityTokenRefusal(IdentityTokenFault.INVALID, sentence)

    def test_no_audience(self):
        sentence = "Claim is not allowed to be empty: aud"
        assert checked(token({**CLAIMS, "aud": []})) == IdentityTokenRefusal(IdentityTokenFault.INVALID, sentence)

    def test_nothing_of_what_is_in_it_is_told_before_it_is_validated(self):
        expired = token({**CLAIMS, "exp": 0}, key=OTHER_RSA)
        assert checked(expired) == NOT_VALIDATED

    def test_the_sentences(self):
        """STS put two spaces into the first."""
        assert NO_KEY.message == (
            "Couldn't retrieve verification key from your identity provider,  please reference "
            "AssumeRoleWithWebIdentity documentation for requirements"
        )
        assert NOT_VALIDATED.message == (
            "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation "
            "for requirements."
        )


class TestIssuer:
    """Which issuer's keys to take, before anything is validated."""

    def test_it_is_the_one_that_is_named(self):
        assert issuer_of(token(key=OTHER_RSA)) == URL

    @pytest.mark.parametrize("text", ["", "a.b.c", token(without("iss")), token({**CLAIMS, "iss": 5}), token([])])
    def test_there_may_be_none(self, text: str):
        assert issuer_of(text) is None


class TestKeys:
    def test_a_token_need_not_name_the_only_key(self):
        assert isinstance(checked(token(kid=None), key_set(rsa_jwk(RSA))), dict)

    def test_the_algorithm_of_a_key_does_not_matter(self):
        assert isinstance(checked(token(), key_set(rsa_jwk(RSA, alg="RS512"))), dict)

    def test_of_two_keys_with_an_id_the_later_one_counts(self):
        right, wrong = rsa_jwk(RSA), rsa_jwk(OTHER_RSA)
        assert isinstance(checked(token(), key_set(wrong, right)), dict)
        assert checked(token(), key_set(right, wrong)) == NOT_VALIDATED

    @pytest.mark.parametrize(
        "useless",
        [
            pytest.param(rsa_jwk(RSA, use="enc"), id="for encryption"),
            pytest.param(rsa_jwk(RSA, kid=None), id="without an id"),
            pytest.param({"kty": "OKP", "crv": "Ed25519", "kid": "rsa", "x": "AAAA"}, id="of another type"),
            pytest.param({"kty": "EC", "crv": "secp256k1", "kid": "rsa"}, id="on another curve"),
        ],
    )
    def test_keys_that_are_passed_over(self, useless: dict[str, Any]):
        assert checked(token(), key_set(useless, ec_jwk("ES256"))) == NO_KEY
        with pytest.raises(ValueError, match="no RSA or EC key with an id"):
            read_keys({"keys": [useless]})

    @pytest.mark.parametrize("text", [pem(RSA), pem(OTHER_RSA) + pem(RSA), f"# the key of the runner\n{pem(RSA)}"])
    @pytest.mark.parametrize("kid", ["rsa", "anything", None])
    def test_a_pem_key_serves_for_every_id(self, text: str, kid: str | None):
        """Ours: STS fetches key sets only."""
        assert isinstance(checked(token(kid=kid), text), dict)

    @pytest.mark.parametrize("algorithm", CURVES)
    def test_a_pem_key_on_a_curve(self, algorithm: str):
        assert isinstance(checked(token(algorithm=algorithm), pem(CURVES[algorithm][2])), dict)

    def test_a_key_set_may_be_a_text(self):
        assert read_keys(json.dumps({"keys": [rsa_jwk(RSA)]})) == read_keys({"keys": [rsa_jwk(RSA)]})

    @pytest.mark.parametrize(
        ("material", "complaint"),
        [
            ("", "neither a JSON Web Key Set nor PEM"),
            ("[]", "neither a JSON Web Key Set nor PEM"),
            ({}, "neither a JSON Web Key Set nor PEM"),
            ({"keys": None}, "neither a JSON Web Key Set nor PEM"),
            ({"keys": ["key"]}, "neither a JSON Web Key Set nor PEM"),
            ({"keys": [{"kid": "a"}]}, "neither a JSON Web Key Set nor PEM"),
            ({"keys": []}, "no RSA or EC key"),
            ({"keys": [{"kty": "RSA", "kid": "a"}]}, "the key a is broken"),
            ({"keys": [{"kty": "RSA", "kid": "a", "n": "?", "e": "AQAB"}]}, "the key a is broken"),
            ({"keys": [{"kty": "RSA", "kid": "a", "n": 5, "e": "AQAB"}]}, "the key a is broken"),
            ({"keys": [ec_jwk("ES256", y="AAAA")]}, "the key ES256 is broken"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "a PEM key is broken"),
            (pem(ed25519.Ed25519PrivateKey.generate()), "neither RSA nor on one of the curves"),
            (pem(ec.generate_private_key(ec.SECP256K1())), "neither RSA nor on one of the curves"),
        ],
    )
    def test_keys_that_cannot_be_used(self, material: Any, complaint: str):
        with pytest.raises(ValueError, match=complaint):
            read_keys(material)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)
claims = st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "azp"]), anything | st.sampled_from([URL, NOW]))


@settings(deadline=None)  # it signs
@given(claims, st.dictionaries(st.sampled_from(["alg", "kid", "crit"]), anything | st.just("RS256")))
def test_nothing_that_is_sent_raises(claims: dict[str, Any], header: dict[str, Any]):
    assert isinstance(checked(token({**CLAIMS, **claims}, **header)), dict | IdentityTokenRefusal)


@given(st.text(max_size=60))
def test_no_text_raises(text: str):
    assert checked(text) == NO_TOKEN
    assert issuer_of(text) is None
