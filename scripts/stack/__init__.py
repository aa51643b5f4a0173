"""The local stack: private copies of every server and every process of the product.

`Stack` is the whole of it for Python callers (tests bring private stacks up with it); the
scripts `up`, `down`, `status`, `logs`, `seed` and `migrate` are thin entries to `cli`.
"""

from scripts.stack.ports import Ports, find_free_port_base
from scripts.stack.report import StackError
from scripts.stack.stack import ProcessStatus, Stack

__all__ = ["Ports", "ProcessStatus", "Stack", "StackError", "find_free_port_base"]
