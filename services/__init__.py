"""The six gRPC services; each is run with `python -m services.<name>`."""

import os

# Read when gRPC is imported, so it stands before everything else. Our processes start ffmpeg and never fork themselves; with
# fork support gRPC writes a line to the log for each start.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
