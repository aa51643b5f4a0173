"""Many calls on one stream: what a unary call costs beside its work is paid once for all that travel together."""
