#!/bin/sh
# Starts the broker as the user rabbitmq, as the official image does.
set -eu
if [ "$(id -u)" = 0 ]; then
    case "$1" in
        rabbitmq*)
            [ "$1" != rabbitmq-server ] || chown -R rabbitmq:rabbitmq /var/lib/rabbitmq
            exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
            ;;
    esac
fi
if [ "$(hostname)" != "$(hostname -s)" ]; then
    export RABBITMQ_USE_LONGNAME="${RABBITMQ_USE_LONGNAME:-true}"
fi
if [ -n "${RABBITMQ_ERLANG_COOKIE:-}" ] && [ ! -e "$HOME/.erlang.cookie" ]; then
    (umask 077 && printf '%s' "$RABBITMQ_ERLANG_COOKIE" >"$HOME/.erlang.cookie")
fi
exec "$@"
