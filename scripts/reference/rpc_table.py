"""The table of all RPCs, made from the descriptors of the compiled `.proto` files."""

import importlib
from collections.abc import Iterator

from google.protobuf.descriptor import MethodDescriptor

from scripts.reference.tables import render_table
from scripts.stack.site import REPOSITORY


def list_methods() -> Iterator[MethodDescriptor]:
    """Return every method of every service, in the order of the files."""
    for path in sorted((REPOSITORY / "protos").glob("*.proto")):
        file = importlib.import_module(f"protos.{path.stem}_pb2").DESCRIPTOR
        for service in file.services_by_name.values():
            yield from service.methods


def render_rpc_table() -> str:
    """Return all RPCs in Markdown: service, method, request, reply."""
    rows = [
        (
            f"`{method.containing_service.full_name}`",
            f"`{method.name}`",
            _render_type(method.input_type.name, streaming=method.client_streaming),
            _render_type(method.output_type.name, streaming=method.server_streaming),
        )
        for method in list_methods()
    ]
    return render_table(("Service", "Method", "Request", "Reply"), rows)


def _render_type(name: str, *, streaming: bool) -> str:
    return f"stream of `{name}`" if streaming else f"`{name}`"
