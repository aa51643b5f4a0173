"""Encryption of chat messages: AES-256-GCM under data keys, which RSA key pairs wrap.

A data key lies in the database, wrapped (RSA-OAEP, SHA-256) under one of the pairs `<private_keys_dir>/<key_id>.pem`. Every
message gets a random 96-bit nonce; who wrote it to whom, and when, is authenticated with it, so that no row can take another's
place. Messages of the original are RSA PKCS#1 v1.5 under one of the pairs, in base64.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pkg.settings import Section, SettingsError

DATA_KEY_BITS = 256
NONCE_BYTES = 12
MIN_RSA_BITS = 2048
MIN_ORIGINAL_BITS = 1024
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class CryptSettings(Section):
    """The section `crypt`: the RSA key pairs that wrap the data keys of chat messages."""

    key_id: str
    """Which RSA key pair wraps new data keys."""
    private_keys_dir: Path
    """A folder with one `<key_id>.pem` for every pair whose messages must stay readable."""
    original_key_id: str | None = None
    """The pair of the original's messages; null: every pair is tried."""


class UnreadableMessage(Exception):
    """A stored text was not encrypted with this key for this place; the error says nothing of its content."""


@dataclass(frozen=True, slots=True)
class MessageIdentity:
    """What a message's ciphertext is bound to."""

    from_user_id: int
    to_user_id: int
    created_at_ms: int

    def to_bytes(self) -> bytes:
        """Return it in the form that is authenticated."""
        return f"{self.from_user_id}:{self.to_user_id}:{self.created_at_ms}".encode()


class DataKey:
    """An unwrapped key for messages; `id` is its row in the database."""

    def __init__(self, key_id: int, secret: bytes) -> None:
        self.id = key_id
        self._cipher = AESGCM(secret)

    def encrypt(self, text: str, identity: MessageIdentity) -> str:
        """Return the text as it is stored: base64 of nonce, ciphertext and tag."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), identity.to_bytes())
        return base64.b64encode(nonce + sealed).decode()

    def decrypt(self, stored: str, identity: MessageIdentity) -> str:
        """Return the text that was stored for this identity.

        Raises:
            UnreadableMessage: another key, another identity, or changed.
        """
        try:
            sealed = base64.b64decode(stored, validate=True)
            nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, ciphertext, identity.to_bytes()).decode()
        except (InvalidTag, ValueError) as exc:
            raise UnreadableMessage from exc


class OriginalKey:
    """The pair of a Go original, which may be weaker than ours have to be; it only reads."""

    def __init__(self, path: Path) -> None:
        self._pair = _load_pair(path, min_bits=MIN_ORIGINAL_BITS)

    def is_ciphertext(self, stored: str) -> bool:
        """Tell whether a stored text has the form of a message of this pair."""
        try:
            return len(base64.b64decode(stored, validate=True)) == self._pair.key_size // 8
        except ValueError:
            return False

    def decrypt(self, stored: str) -> str:
        """Return the text of a message; takes about a millisecond of computing and lets other threads run.

        Raises:
            UnreadableMessage: another pair's, or changed.
        """
        try:
            return _decrypt_original(self._pair, base64.b64decode(stored, validate=True))
        except ValueError as exc:
            raise UnreadableMessage from exc


class WrappingKeys:
    """The RSA key pairs that wrap data keys; each is read from its file when it is needed first.

    So a pair that was added while the process runs is found, and a rotation needs no restart.
    """

    def __init__(self, settings: CryptSettings) -> None:
        self._settings = settings
        self._pairs: dict[str, RSAPrivateKey] = {}
        self._original_pair: RSAPrivateKey | None = None
        self._get_pair(settings.key_id)

    @property
    def current_id(self) -> str:
        """Which pair wraps new data keys."""
        return self._settings.key_id

    def make_wrapped(self) -> str:
        """Return a new data key, wrapped under the current pair."""
        return self._wrap(AESGCM.generate_key(DATA_KEY_BITS))

    def rewrap(self, wrapped: str, *, pair_id: str) -> str:
        """Return a data key that the pair `pair_id` wrapped, wrapped under the current pair."""
        return self._wrap(self._unwrap(wrapped, pair_id))

    def unwrap(self, key_id: int, wrapped: str, *, pair_id: str) -> DataKey:
        """Return a data key that the pair `pair_id` wrapped.

        Raises:
            SettingsError: the pair is missing, or is not the one that wrapped the key.
        """
        return DataKey(key_id, self._unwrap(wrapped, pair_id))

    def decrypt_original(self, stored: str) -> str:
        """Return the text of a message of the original; takes about a millisecond of computing.

        Raises:
            UnreadableMessage: none of the pairs can read it.
        """
        try:
            ciphertext = base64.b64decode(stored, validate=True)
        except ValueError as exc:
            raise UnreadableMessage from exc
        if self._original_pair is None:
            self._original_pair = self._find_original_pair(ciphertext)
        return _decrypt_original(self._original_pair, ciphertext)

    def _find_original_pair(self, ciphertext: bytes) -> RSAPrivateKey:
        """Return the pair of the original, which had one: the one that is named, or the one that sealed this message."""
        if self._settings.original_key_id is not None:
            return self._get_pair(self._settings.original_key_id)
        for path in sorted(self._settings.private_keys_dir.glob("*.pem")):
            pair = self._get_pair(path.stem)
            if _did_seal(pair, ciphertext):
                return pair
        raise UnreadableMessage

    def _wrap(self, secret: bytes) -> str:
        public_key = self._get_pair(self.current_id).public_key()
        return base64.b64encode(public_key.encrypt(secret, OAEP)).decode()

    def _unwrap(self, wrapped: str, pair_id: str) -> bytes:
        try:
            return self._get_pair(pair_id).decrypt(base64.b64decode(wrapped), OAEP)
        except ValueError as exc:
            raise SettingsError(f"crypt: {pair_id} did not wrap this data key") from exc

    def _get_pair(self, pair_id: str) -> RSAPrivateKey:
        if pair_id not in self._pairs:
            try:
                path = self._settings.private_keys_dir / f"{pair_id}.pem"
                self._pairs[pair_id] = _load_pair(path)
            except SettingsError as exc:
                raise SettingsError(f"crypt.private_keys_dir: {exc}") from exc
        return self._pairs[pair_id]


def _did_seal(pair: RSAPrivateKey, ciphertext: bytes) -> bool:
    """Return whether a message was encrypted for this pair; takes some milliseconds.

    Decryption does not tell: so that nobody learns of the padding, a wrong pair gives random bytes instead of an error, and one in a
    hundred times they are text. Here the padding is looked at: 0, 2 (RFC 8017, 7.2.1).
    """
    size = pair.key_size // 8
    if len(ciphertext) != size:
        return False
    numbers = pair.private_numbers()
    padded = pow(int.from_bytes(ciphertext), numbers.d, numbers.public_numbers.n).to_bytes(size)
    return padded.startswith(b"\x00\x02")


def _decrypt_original(pair: RSAPrivateKey, ciphertext: bytes) -> str:
    if pair.key_size // 8 != len(ciphertext):
        raise UnreadableMessage
    try:
        text = pair.decrypt(ciphertext, padding.PKCS1v15()).decode()
    except ValueError as exc:
        raise UnreadableMessage from exc
    if not text:
        raise UnreadableMessage
    return text


def _load_pair(path: Path, *, min_bits: int = MIN_RSA_BITS) -> RSAPrivateKey:
    try:
        pair = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"cannot read the RSA key {path}: {exc}") from exc
    if not isinstance(pair, RSAPrivateKey) or pair.key_size < min_bits:
        raise SettingsError(f"{path} is not an RSA key of {min_bits} bits")
    return pair
