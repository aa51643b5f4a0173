"""Views of messages: the same bytes, read with each nested message left as it travels.

A reply's cards are most of its bytes, and most cards are in many replies. Whoever only wants to know which card it is need not take it
apart.
"""

from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "views"


@cache
def view_of(descriptor: Descriptor) -> type[Message]:
    """Return the class that reads this message with nested messages as `bytes`.

    An absent nested message is absent in the view too (`HasField`). A nested message must stand in one piece on the wire, as every
    protobuf library writes it.
    """
    message = DescriptorProto()
    descriptor.CopyToProto(message)
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_MESSAGE:
            _read_as_bytes(message, field)
    file = FileDescriptorProto(
        name=f"{descriptor.full_name}.view",
        package=PACKAGE,
        syntax="proto3",
        message_type=[message],
    )
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{descriptor.name}"))


def _read_as_bytes(message: DescriptorProto, field: FieldDescriptorProto) -> None:
    field.type = FieldDescriptorProto.TYPE_BYTES
    field.ClearField("type_name")
    if field.label != FieldDescriptorProto.LABEL_REPEATED:
        # Tells absent from empty, as a nested message does.
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")
