#!/bin/sh
# Starts SeaweedFS as the user seaweed, with its data in /data, as the published image does.
set -eu
if [ "$(id -u)" = 0 ]; then
    chown -R seaweed:seaweed /data
    exec setpriv --reuid=seaweed --regid=seaweed --init-groups "$0" "$@"
fi
case "${1:-}" in
    server)
        shift
        set -- server -dir=/data -volume.max=0 -master.volumeSizeLimitMB=1024 "$@"
        ;;
    master)
        shift
        set -- master -mdir=/data -volumeSizeLimitMB=1024 "$@"
        ;;
    volume)
        shift
        set -- volume -dir=/data -max=0 "$@"
        ;;
esac
exec /usr/bin/weed "$@"
