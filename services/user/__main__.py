"""Runs UserService."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial

from dal.redis.client import CACHE, open_redis, ping
from dal.redis.login_attempts import LoginAttempts, LoginLimits
from pkg.crypt import Passwords
from pkg.rpc.server import Composition, ServiceDefinition, run_service
from pkg.startup import wait_until_available
from pkg.storage import Storage
from pkg.token import TokenIssuer
from protos import user_pb2, user_pb2_grpc
from services.buckets import BUCKETS
from services.foundation import keep_asking, open_foundation
from services.user.accounts import Accounts
from services.user.default_images import ensure_default_images
from services.user.handler import UserHandler
from services.user.settings import UserProcessSettings


async def prepare_storage(storage: Storage) -> None:
    """Make the buckets, and the pictures of users who have none of their own."""
    await storage.ensure_buckets(BUCKETS)
    await ensure_default_images(storage)


@asynccontextmanager
async def compose(settings: UserProcessSettings) -> AsyncIterator[Composition[UserHandler]]:
    """Open what the service needs and put its handler together."""
    issuer = TokenIssuer(settings.token)
    async with AsyncExitStack() as stack:
        passwords = stack.enter_context(closing(Passwords(settings.user.hashing)))
        base = await stack.enter_async_context(open_foundation(settings))
        cache = await stack.enter_async_context(open_redis(settings.redis_cache, dependency=CACHE))
        storage = await stack.enter_async_context(Storage(settings.storage))
        await wait_until_available("storage", partial(prepare_storage, storage))
        limits = LoginLimits(
            per_name=settings.user.max_failures_per_name,
            per_address=settings.user.max_failures_per_address,
            window_s=settings.user.login_window_s,
        )
        handler = UserHandler(
            accounts=Accounts(
                base.database, passwords, LoginAttempts(cache, limits), changes=base.changes
            ),
            presenter=base.make_presenter(),
            issuer=issuer,
            viewers=base.viewers,
        )
        asking = keep_asking(partial(ping, cache), name="redis cache is asked")
        yield Composition(handler, background=[*base.background, asking])


if __name__ == "__main__":
    run_service(
        ServiceDefinition(
            file=user_pb2.DESCRIPTOR,
            add_to_server=user_pb2_grpc.add_UserServiceServicer_to_server,
            settings_class=UserProcessSettings,
            compose=compose,
        )
    )
