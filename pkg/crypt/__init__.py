"""Everything that hashes or encrypts: passwords and chat messages."""

from pkg.crypt.passwords import HashingSettings, Passwords

__all__ = ["HashingSettings", "Passwords"]
