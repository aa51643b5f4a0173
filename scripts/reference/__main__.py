"""`scripts/documents`: write the made parts of every document, or check them."""

import argparse
import sys

from scripts.reference.documents import find_stale, list_documents, write_parts
from scripts.stack.site import REPOSITORY


def main() -> int:
    """Write the parts, or with --check say whether they are up to date."""
    parser = argparse.ArgumentParser(
        prog="scripts/documents", description="Writes the parts of documents made from the code."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    check_only: bool = parser.parse_args().check
    stale = [
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in list_documents()
        for name in find_stale(path)
    ]
    if check_only:
        print(f"stale: {', '.join(stale)}; run scripts/documents" if stale else "up to date")
        return 1 if stale else 0
    for path in list_documents():
        write_parts(path)
    print("\n".join(f"wrote {part}" for part in stale) or "up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
