"""From a request to the arguments of its endpoint, by a plan that is made once.

FastAPI reads an endpoint's signature when it starts, and then interprets what it read at every request: through two exit stacks, a list
of routes, and for each parameter of each dependency the question which of eight kinds it is of. Here all parameters stand in the query,
all dependencies are coroutines, and every path is a fixed one: a signature becomes a short list of steps, and a path is looked up. The
signatures stay FastAPI's, and so does the documentation that it makes of them; what is none of these is left to FastAPI.
"""

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi.params import Depends
from fastapi.params import Query as QueryParameter
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from gateway.errors import improper_parameter, missing_parameter

T = TypeVar("T")
Query = dict[str, str]


class NoPlan(Exception):
    """A signature asks for something that only FastAPI knows."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A parameter in the query; texts that may be anything need no validation."""

    name: str
    validate: Callable[[str], Any] | None
    default: Any

    def read(self, query: Query) -> Any:
        """Return its value.

        Raises:
            InvalidParameter: it is missing, or not what its type says.
        """
        text = query.get(self.name)
        if text is None:
            if self.default is inspect.Parameter.empty:
                raise missing_parameter(self.name)
            return self.default
        if self.validate is None:
            return text
        try:
            return self.validate(text)
        except ValidationError as exc:
            raise improper_parameter(self.name) from exc


class _Plan:
    """How a function is called: first its dependencies, in their order, then its parameters."""

    def __init__(self, function: Callable[..., Awaitable[Any]], unnamed: Iterable[Depends]) -> None:
        if not inspect.iscoroutinefunction(function):
            raise NoPlan(f"{function.__name__} is no coroutine function")
        self._function = function
        self._unnamed = [_Plan(_function_of(depends), ()) for depends in unnamed]
        self._connections: list[str] = []
        self._dependencies: list[tuple[str, _Plan]] = []
        self._parameters: list[_Parameter] = []
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            self._add(name, hints[name], parameter.default)

    async def call(self, request: Request, query: Query) -> Any:
        """Call the function.

        Raises:
            InvalidParameter: a parameter is missing, or not what its type says.
        """
        for plan in self._unnamed:
            await plan.call(request, query)
        arguments: dict[str, Any] = dict.fromkeys(self._connections, request)
        for name, plan in self._dependencies:
            arguments[name] = await plan.call(request, query)
        for parameter in self._parameters:
            arguments[parameter.name] = parameter.read(query)
        return await self._function(**arguments)

    def _add(self, name: str, hint: Any, default: Any) -> None:
        if hint in {Request, HTTPConnection}:
            self._connections.append(name)
        elif (depends := _find_in(hint, Depends)) is not None:
            self._dependencies.append((name, _Plan(_function_of(depends), ())))
        elif _find_in(hint, QueryParameter) is not None:
            validate = None if _is_any_text(hint) else TypeAdapter(hint).validate_python
            self._parameters.append(_Parameter(name, validate, default))
        else:
            raise NoPlan(f"{self._function.__name__}: {name} is no parameter of the query")


class Endpoint:
    """An endpoint as ASGI application."""

    def __init__(self, route: APIRoute) -> None:
        self._route = route
        self._plan = _Plan(route.endpoint, route.dependencies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self._route
        response: Response = await self._plan.call(
            Request(scope, receive, send), read_query(scope["query_string"])
        )
        await response(scope, receive, send)


def plan_endpoints(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Endpoint]:
    """Return the endpoints that can be planned, by method and path."""
    endpoints: dict[tuple[str, str], Endpoint] = {}
    for route in routes:
        if isinstance(route, APIRoute) and not route.param_convertors:
            with contextlib.suppress(NoPlan):
                endpoint = Endpoint(route)
                endpoints |= {(method, route.path): endpoint for method in route.methods or ()}
    return endpoints


def read_query(raw: bytes) -> Query:
    """Return the parameters of a query; of a name that is there twice the last, as starlette does."""
    text = raw.decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    # Nothing is quoted: most queries hold a token and numbers.
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {name: value for name, _, value in pairs}


def _find_in(hint: Any, kind: type[T]) -> T | None:
    """Return what of this kind an annotation holds."""
    parts = get_args(hint) if get_origin(hint) is Annotated else ()
    return next((part for part in parts if isinstance(part, kind)), None)


def _function_of(depends: Depends) -> Callable[..., Any]:
    if depends.dependency is None:
        raise NoPlan("a dependency without a function")
    return depends.dependency


def _is_any_text(hint: Any) -> bool:
    """Return whether every text is proper, so that validating could only return it."""
    schema = TypeAdapter(hint).core_schema
    return schema["type"] == "str" and schema.keys() <= {"type", "metadata"}
