"""Everything that hashes or encrypts: passwords and chat messages."""

from pkg.crypt.passwords import Passwords

__all__ = ["Passwords"]
