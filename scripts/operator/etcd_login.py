"""Lets nobody into etcd but root and the services' user, who has the registry alone: `python -m scripts.operator.etcd_login`.

The password of root is ETCD_ROOT_PASSWORD in the environment. Safe to run again; the services' password is set to that of the settings.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable

import aetcd
import grpc
from aetcd import rpc
from pydantic import SecretStr

from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.registry import EtcdSettings, open_etcd
from pkg.settings import ProcessSettings
from pkg.startup import RETRY_DELAY_S
from scripts.operator.console import run_to_status
from scripts.operator.settings import load_settings

ROOT = "root"
PASSWORD_VARIABLE = "ETCD_ROOT_PASSWORD"  # noqa: S105 - a name, not a secret
NOT_ENABLED = "authentication is not enabled"
PATIENCE_S = 60.0


class EtcdLoginSettings(ProcessSettings):
    etcd: EtcdSettings


async def require_login(settings: EtcdSettings, root_password: str) -> int:
    """Make the two users and let nobody else in; return 0.

    Raises:
        DependencyUnavailable: etcd is down, or DependencyRefused: its root has another password.
    """
    root = {"user": ROOT, "password": SecretStr(root_password)}
    nobody = {"user": None, "password": None}
    try:
        async with open_etcd(settings.model_copy(update=root)) as client:
            await _make_service_user(client, settings)
    except DependencyRefused as exc:
        if NOT_ENABLED not in (exc.detail or ""):
            raise
        async with open_etcd(settings.model_copy(update=nobody)) as client:
            await _make_user(client, ROOT, root_password)
            await _make_service_user(client, settings)
            await rpc.AuthStub(client.channel).AuthEnable(rpc.AuthEnableRequest())
    return 0


async def insist(settings: EtcdSettings, root_password: str, *, for_s: float) -> int:
    """Do it as soon as etcd answers: one that has just been started may be slow.

    Raises:
        DependencyUnavailable: it does not within this time, or DependencyRefused, at once: its root has another password.
    """
    gives_up_at = time.monotonic() + for_s
    while True:
        try:
            return await require_login(settings, root_password)
        except DependencyRefused:
            raise
        except DependencyUnavailable:
            if time.monotonic() > gives_up_at:
                raise
        await asyncio.sleep(RETRY_DELAY_S)


async def _make_service_user(client: aetcd.Client, settings: EtcdSettings) -> None:
    if settings.user is None or settings.password is None:
        raise DependencyRefused(detail="etcd.user and etcd.password are not set")
    await _make_user(client, settings.user, settings.password.get_secret_value())
    # The prefix, which is read to see whether etcd answers, and all below it: "0" follows "/".
    prefix = settings.prefix.encode()
    rights = rpc.Permission(permType=rpc.Permission.READWRITE, key=prefix, range_end=prefix + b"0")
    grant = rpc.AuthRoleGrantPermissionRequest(name=settings.user, perm=rights)
    await rpc.AuthStub(client.channel).RoleGrantPermission(grant, metadata=client.metadata)


async def _make_user(client: aetcd.Client, name: str, password: str) -> None:
    """Make a user with that password, and a role of the same name for it."""
    auth, metadata = rpc.AuthStub(client.channel), client.metadata
    user = rpc.AuthUserAddRequest(name=name, password=password)
    if not await _is_new(auth.UserAdd(user, metadata=metadata)):
        changed = rpc.AuthUserChangePasswordRequest(name=name, password=password)
        await auth.UserChangePassword(changed, metadata=metadata)
    await _is_new(auth.RoleAdd(rpc.AuthRoleAddRequest(name=name), metadata=metadata))
    await auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user=name, role=name), metadata=metadata)


async def _is_new(addition: Awaitable[object]) -> bool:
    """Add it; say whether it was not there yet."""
    try:
        await addition
    except grpc.aio.AioRpcError as exc:
        if "already exists" not in (exc.details() or ""):
            raise
        return False
    return True


def main() -> None:
    """Run it; exit status 2 where etcd is down."""
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        sys.exit(f"{PASSWORD_VARIABLE} is not set")
    etcd = load_settings(EtcdLoginSettings).etcd
    work = insist(etcd, password, for_s=PATIENCE_S)
    sys.exit(run_to_status(work, failing="etcd was not changed"))


if __name__ == "__main__":
    main()
