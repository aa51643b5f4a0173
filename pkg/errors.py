"""The one tree of errors, from `raise` to the JSON reply.

DomainError
├── InvalidParameter          bad input, or an action that the rules forbid
│   ├── UnsupportedVideo
│   └── FollowSelf
├── Unauthenticated
├── PermissionDenied
│   └── NotFriends
├── NotFound
│   ├── UserNotFound, VideoNotFound, CommentNotFound
├── UserNameTaken
├── WrongCredentials
├── RouteNotFound, MethodNotAllowed, PayloadTooLarge, UriTooLong, RangeNotSatisfiable      (HTTP alone)
├── RateLimited
│   └── LoginThrottled
├── DependencyUnavailable     a server that we need is unavailable; worth trying again
│   └── Unimplemented
├── DeadlineExceeded
└── InternalError             a bug

Every class carries what each protocol needs: `status_code` of the JSON envelope, the HTTP status, the gRPC code and the
message for the person who holds the phone. Drivers' errors become one of these in the module that owns the driver;
`pkg.rpc` carries them between processes by `status_code`, and the gateway alone turns them into replies.
"""

from typing import ClassVar

import grpc

# Says RateLimited where it is not the caller alone who is too many.
BUSY = "现在使用的人太多,请稍后再试"


class DomainError(Exception):
    """An error with a meaning in every protocol.

    Args:
        message: replaces the class's Chinese message for the client.
        retry_after_s: when it is worth trying again, in seconds.
        detail: for the log alone; never reaches a client.
    """

    status_code: ClassVar[int] = 10011
    http_status: ClassVar[int] = 200
    grpc_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN
    default_message: ClassVar[str] = "操作没有成功,请稍后再试"
    default_retry_after_s: ClassVar[int | None] = None

    def __init__(
        self, message: str | None = None, *, retry_after_s: int | None = None, detail: str = ""
    ) -> None:
        self.message = message or self.default_message
        self.retry_after_s = (
            self.default_retry_after_s if retry_after_s is None else max(1, retry_after_s)
        )
        self.detail = detail
        super().__init__(f"{self.message} ({detail})" if detail else self.message)


class InvalidParameter(DomainError):
    status_code = 10001
    grpc_code = grpc.StatusCode.INVALID_ARGUMENT
    default_message = "请求参数不正确,请检查后重试"


class Unauthenticated(DomainError):
    status_code = 10002
    http_status = 401
    grpc_code = grpc.StatusCode.UNAUTHENTICATED
    default_message = "请先登录"


class PermissionDenied(DomainError):
    status_code = 10003
    grpc_code = grpc.StatusCode.PERMISSION_DENIED
    default_message = "没有权限进行此操作"


class RouteNotFound(DomainError):
    status_code = 10004
    http_status = 404
    grpc_code = grpc.StatusCode.UNIMPLEMENTED
    default_message = "请求的地址不存在"


class MethodNotAllowed(DomainError):
    status_code = 10005
    http_status = 405
    grpc_code = grpc.StatusCode.UNIMPLEMENTED
    default_message = "请求方法不正确"


class PayloadTooLarge(DomainError):
    status_code = 10006
    http_status = 413
    grpc_code = grpc.StatusCode.OUT_OF_RANGE
    default_message = "文件太大,请选择较小的文件"


class UriTooLong(DomainError):
    status_code = 10007
    http_status = 414
    grpc_code = grpc.StatusCode.OUT_OF_RANGE
    default_message = "请求地址过长"


class RateLimited(DomainError):
    status_code = 10008
    http_status = 429
    grpc_code = grpc.StatusCode.RESOURCE_EXHAUSTED
    default_message = "操作太频繁,请稍后再试"
    default_retry_after_s = 1


class DependencyUnavailable(DomainError):
    """A server that this call needs is unavailable; of a write, the outcome may be unknown."""

    status_code = 10009
    http_status = 503
    grpc_code = grpc.StatusCode.UNAVAILABLE
    default_message = "服务暂时不可用,请稍后再试"
    default_retry_after_s = 1


class DeadlineExceeded(DomainError):
    """The answer did not come in time; of a write, the outcome is unknown."""

    status_code = 10010
    http_status = 503
    grpc_code = grpc.StatusCode.DEADLINE_EXCEEDED
    default_message = "服务响应超时,请稍后再试"
    default_retry_after_s = 1


class InternalError(DomainError):
    status_code = 10011
    http_status = 500
    grpc_code = grpc.StatusCode.INTERNAL
    default_message = "服务器开小差了,请稍后再试"


class Unimplemented(DependencyUnavailable):
    """The service runs, but does not offer this call."""

    status_code = 10012
    grpc_code = grpc.StatusCode.UNIMPLEMENTED
    default_message = "该功能暂未开放"
    default_retry_after_s = 60


class NotFound(DomainError):
    status_code = 10013
    grpc_code = grpc.StatusCode.NOT_FOUND
    default_message = "内容不存在"


class RangeNotSatisfiable(DomainError):
    """Of media: bytes were asked for that the object does not have; nginx alone says it."""

    status_code = 10014
    http_status = 416
    grpc_code = grpc.StatusCode.OUT_OF_RANGE
    default_message = "请求的内容超出了文件范围"


class UserNotFound(NotFound):
    status_code = 20001
    default_message = "用户不存在"


class UserNameTaken(DomainError):
    status_code = 20002
    grpc_code = grpc.StatusCode.ALREADY_EXISTS
    default_message = "用户名已被使用,请换一个"


class WrongCredentials(DomainError):
    # PERMISSION_DENIED and not UNAUTHENTICATED: the caller holds no token that could be renewed.
    status_code = 20003
    grpc_code = grpc.StatusCode.PERMISSION_DENIED
    default_message = "用户名或密码错误"


class LoginThrottled(RateLimited):
    status_code = 20004
    default_message = "登录失败次数过多,请稍后再试"


class VideoNotFound(NotFound):
    status_code = 30001
    default_message = "视频不存在"


class UnsupportedVideo(InvalidParameter):
    status_code = 30002
    default_message = "这不是视频文件,请重新选择"


class CommentNotFound(NotFound):
    status_code = 40001
    default_message = "评论不存在或已被删除"


class FollowSelf(InvalidParameter):
    status_code = 50001
    default_message = "不能关注自己"


class NotFriends(PermissionDenied):
    status_code = 60001
    default_message = "互相关注后才能发消息"


def list_error_classes() -> list[type[DomainError]]:
    """Return every concrete error class, by ascending `status_code`."""
    found: list[type[DomainError]] = []
    queue: list[type[DomainError]] = [DomainError]
    while queue:
        subclasses = queue.pop().__subclasses__()
        found += subclasses
        queue += subclasses
    return sorted(found, key=lambda cls: cls.status_code)


def find_error_class(status_code: int) -> type[DomainError] | None:
    """Return the class that carries this `status_code`, or None for one that nobody raises here."""
    return next((cls for cls in list_error_classes() if cls.status_code == status_code), None)
