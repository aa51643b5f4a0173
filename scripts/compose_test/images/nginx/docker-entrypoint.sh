#!/bin/sh
# Fills the templates and runs the start scripts, as the official image does: only the variables of the environment are filled.
set -eu
if [ "$1" = nginx ]; then
    suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
    output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
    names=$(awk -v wanted="${NGINX_ENVSUBST_FILTER:-}" \
        'BEGIN { for (name in ENVIRON) if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/ && name ~ wanted) printf "${%s} ", name }')
    for template in /etc/nginx/templates/*"$suffix"; do
        [ -e "$template" ] || continue
        envsubst "$names" <"$template" >"$output/$(basename "$template" "$suffix")"
    done
    for script in /docker-entrypoint.d/*.sh; do
        [ ! -x "$script" ] || "$script"
    done
fi
exec "$@"
