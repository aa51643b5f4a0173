"""JWTs signed with EdDSA (Ed25519): the user service alone signs, everyone verifies.

A token names its key in `kid`. Every public key in the configured folder is accepted, so that a new key can be handed
out before it signs, and an old one kept until its last token has expired. A key that is put in while the process runs is
found when the first token names it; one that is taken out is forgotten at the next start.
"""

import time
from functools import lru_cache
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from loguru import logger

from pkg.errors import Unauthenticated
from pkg.ids import MAX_ID
from pkg.settings import Count, Section, SettingsError

ALGORITHM = "EdDSA"
MAX_TOKEN_CHARS = 1024
CACHED_TOKENS = 20_000


class TokenSettings(Section):
    """The section `token`: who issues tokens, how long they live, and the folder of keys."""

    issuer: str
    """The claim `iss` of every token; another one is refused."""
    lifetime_s: Count
    """How long a token is accepted; 604800 is 7 days."""
    public_keys_dir: Path
    """A folder with one `<kid>.pem` for every key that is accepted."""
    key_id: str
    """Which of them signs."""
    private_key_file: Path | None = None
    """The key that signs; the user service alone has it."""


class TokenIssuer:
    """Signs tokens with the private key; only the user service can make one."""

    def __init__(self, settings: TokenSettings) -> None:
        if settings.private_key_file is None:
            raise SettingsError("token.private_key_file: is needed to sign tokens")
        self._settings = settings
        self._key = _load_private_key(settings.private_key_file)

    def issue(self, user_id: int) -> str:
        """Return a token for `user_id` that lives `lifetime_s` from now."""
        now = int(time.time())
        claims = {
            "sub": str(user_id),
            "iss": self._settings.issuer,
            "iat": now,
            "exp": now + self._settings.lifetime_s,
        }
        return jwt.encode(
            claims, self._key, algorithm=ALGORITHM, headers={"kid": self._settings.key_id}
        )


class TokenVerifier:
    """Says whom a token names. Signatures are checked once per token and remembered."""

    def __init__(self, settings: TokenSettings) -> None:
        self._issuer = settings.issuer
        self._directory = settings.public_keys_dir
        self._keys = _load_public_keys(self._directory)
        self._decode_cached = lru_cache(maxsize=CACHED_TOKENS)(self._decode)

    def verify(self, token: str) -> int:
        """Return the id of the user whom `token` names.

        Raises:
            Unauthenticated: it is missing, malformed, forged or expired.
        """
        try:
            user_id, expires_at = self._decode_cached(token)
        except (jwt.PyJWTError, ValueError) as exc:
            raise Unauthenticated(detail=type(exc).__name__) from exc
        if expires_at <= time.time():
            raise Unauthenticated(detail="expired")
        return user_id

    def _decode(self, token: str) -> tuple[int, int]:
        if not token or len(token) > MAX_TOKEN_CHARS:
            raise jwt.InvalidTokenError("missing or too long")
        key = self._find_key(str(jwt.get_unverified_header(token).get("kid")))
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=self._issuer,
            # When it was issued proves nothing, and the issuer's clock may be ahead of ours, or ours may have gone back.
            options={"require": ["sub", "exp", "iss"], "verify_iat": False},
        )
        user_id = int(claims["sub"])
        if not 0 < user_id <= MAX_ID:
            raise jwt.InvalidTokenError("bad subject")
        return user_id, int(claims["exp"])

    def _find_key(self, kid: str) -> Ed25519PublicKey:
        if kid not in self._keys and kid in _list_names(self._directory):
            try:
                self._keys |= _load_public_keys(self._directory)
            except SettingsError as exc:
                logger.bind(error=str(exc)).error("new token key cannot be read")
        if kid not in self._keys:
            raise jwt.InvalidKeyError("unknown kid")
        return self._keys[kid]


def _list_names(directory: Path) -> list[str]:
    try:
        return [path.stem for path in directory.glob("*.pem")]
    except OSError:  # The keys that are known still serve.
        return []


def _load_private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"token.private_key_file: cannot read {path}: {exc}") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"token.private_key_file: {path} is not an Ed25519 key")
    return key


def _load_public_keys(directory: Path) -> dict[str, Ed25519PublicKey]:
    keys: dict[str, Ed25519PublicKey] = {}
    for path in sorted(directory.glob("*.pem")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError) as exc:
            raise SettingsError(f"token.public_keys_dir: cannot read {path}: {exc}") from exc
        if not isinstance(key, Ed25519PublicKey):
            raise SettingsError(f"token.public_keys_dir: {path} is not an Ed25519 public key")
        keys[path.stem] = key
    if not keys:
        raise SettingsError(f"token.public_keys_dir: no public key in {directory}")
    return keys
