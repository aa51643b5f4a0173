"""Registration and login."""

from loguru import logger

from dal.db.engine import Database
from dal.db.users import Credentials, find_credentials, insert_user, replace_password_hash
from dal.redis.changes import ChangeLog, Subject
from dal.redis.login_attempts import LoginAttempts
from pkg.crypt import Passwords
from pkg.errors import LoginThrottled, WrongCredentials
from pkg.names import clean_user_name, make_name_keys
from pkg.networks import network_of
from pkg.text import check_length, clean_name

MAX_NAME_CHARS = 32
MAX_PASSWORD_CHARS = 32


class Accounts:
    """Creates accounts and checks passwords."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        attempts: LoginAttempts,
        *,
        changes: ChangeLog,
    ) -> None:
        self._database = database
        self._changes = changes
        self._passwords = passwords
        self._attempts = attempts

    async def register(self, username: str, password: str, *, address: str) -> int:
        """Create an account and return its id.

        Raises:
            InvalidParameter: the name or the password breaks a rule.
            UserNameTaken: somebody has the name, or one that a person takes for it.
            RateLimited: too many wait for their password to be hashed.
        """
        name = clean_user_name(username, label="用户名", max_chars=MAX_NAME_CHARS)
        check_length(password, label="密码", max_chars=MAX_PASSWORD_CHARS)
        password_hash = await self._passwords.hash(password, network=network_of(address))
        async with self._database.write() as connection:
            user_id = await insert_user(
                connection, name=name, password_hash=password_hash, keys=make_name_keys(name)
            )
        # Somebody may have asked for this id when it was nobody's.
        await self._changes.try_to_announce([(Subject.USER, user_id)])
        logger.bind(user_id=user_id).info("user registered")
        return user_id

    async def login(self, username: str, password: str, *, address: str) -> int:
        """Return the id of the user who has this name and password.

        Raises:
            InvalidParameter: the name or the password breaks a rule.
            WrongCredentials: nobody has both; takes as long for an unknown name as for a known one.
            LoginThrottled: too many failures of this name or from this network.
            RateLimited: too many wait for their password to be checked.
        """
        # Accounts that are older than the rules for names keep theirs.
        name = clean_name(username, label="用户名", max_chars=MAX_NAME_CHARS)
        check_length(password, label="密码", max_chars=MAX_PASSWORD_CHARS)
        network = network_of(address)
        _refuse_while_throttled(await self._attempts.find_wait_s(name, network))
        async with self._database.read_source() as connection:
            credentials = await find_credentials(connection, name)
        stored = credentials.password_hash if credentials else None
        matches = await self._passwords.verify(stored, password, network=network)
        if credentials is None or not matches:
            _refuse_while_throttled(await self._attempts.record_failure(name, network))
            raise WrongCredentials
        _refuse_while_throttled(await self._attempts.record_success(name, network))
        await self._strengthen_hash(credentials, password, network)
        return credentials.user_id

    async def _strengthen_hash(self, credentials: Credentials, password: str, network: str) -> None:
        if not self._passwords.needs_rehash(credentials.password_hash):
            return
        new_hash = await self._passwords.hash(password, network=network, urgent=True)
        async with self._database.write() as connection:
            await replace_password_hash(
                connection,
                user_id=credentials.user_id,
                old_hash=credentials.password_hash,
                new_hash=new_hash,
            )
        logger.bind(user_id=credentials.user_id).info("password hash replaced")


def _refuse_while_throttled(wait_s: int) -> None:
    if wait_s > 0:
        raise LoginThrottled(retry_after_s=wait_s)
