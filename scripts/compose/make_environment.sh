# What docker-compose.yml needs beside the checkout: .env with random secrets, and key files in .secrets/. Called by scripts/setup --compose.
# Adds what is missing and changes nothing that is there, so it is also run after an upgrade. Needs bash and openssl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
umask 077
environment=.env
keys=.secrets
# The user of the image; see CONTAINER_UID.
image_uid=10001
made=0

command -v openssl >/dev/null || { echo "openssl is missing; install it, then run this again" >&2; exit 1; }

# setting NAME VALUE COMMENT...: adds the variable, each comment on a line above it, unless it is there.
setting() {
    local name=$1 value=$2
    shift 2
    ! grep -qs "^$name=" "$environment" || return 0
    { printf '\n'; printf '# %s\n' "$@"; printf '%s=%s\n' "$name" "$value"; } >>"$environment"
    made=$((made + 1))
}

# secret NAME COMMENT: a random password.
secret() {
    setting "$1" "$(openssl rand -hex 24)" "$2"
}

# at_most NUMBER: the number of processors, or that one.
at_most() {
    local processors
    processors=$(getconf _NPROCESSORS_ONLN)
    echo $((processors < $1 ? processors : $1))
}

value_of() {
    sed -n "s/^$1=//p" "$environment" | tail -n 1
}

# key_file PATH COMMAND...: what the command prints, in one step, unless the file is there.
key_file() {
    local path=$1
    shift
    [ ! -e "$path" ] || return 0
    mkdir -p "$(dirname "$path")"
    "$@" >"$path.unfinished"
    mv "$path.unfinished" "$path"
    made=$((made + 1))
}

write_environment() {
    local uid=$image_uid gid=$image_uid
    if [ "$(id -u)" -ne 0 ]; then
        uid=$(id -u) gid=$(id -g)
    fi
    [ -e "$environment" ] || cat >"$environment" <<'END'
# What docker-compose.yml is filled with; made by scripts/setup --compose, which adds what is missing and changes nothing.
# `docker compose up -d` applies a change. Passwords of MySQL and RabbitMQ are set when their data is new: see dockerfiles/README.md.
# Any other setting of config/README.md that the compose file names may be set here too, by its environment variable.
END
    setting IMAGE_TAG 0.1.0 "The tag of the product's own images."
    setting PUBLISH_ADDRESS 0.0.0.0 "The address of this machine on which nginx is reached; 127.0.0.1 keeps others out."
    setting HTTP_PORT 8080 "Its ports."
    setting HTTPS_PORT 8443 "The certificate lies in .secrets/tls/: certificate.pem (with its chain) and key.pem. A self-signed pair is there for trying."
    setting PROMETHEUS_PORT 9090 "The port of Prometheus on 127.0.0.1, with --profile observe."
    setting ALERTMANAGER_PORT 9093 "The same of Alertmanager."
    setting GRAFANA_PORT 3000 "The same of Grafana, where admin logs in."
    secret GRAFANA_PASSWORD "With this password."
    setting JAEGER_PORT 16686 "The same of the trace store's page."
    setting LOG_PORT 24224 "The same of the collector, for the engine's log driver: see dockerfiles/compose.logs.yml."
    setting HSTS "" "The header Strict-Transport-Security of replies over HTTPS, such as max-age=31536000; empty: none."
    setting DOCS on "Whether /docs and /openapi.json are public: on or off."
    setting TRUSTED_PROXY unix: "A proxy in front of this nginx whose X-Forwarded-For and X-Forwarded-Proto are believed: an address or a network; unix: is nobody."
    setting SAMPLES yes "Whether sample users, whose passwords are known, and sample videos are put in: yes or no. No for anything but trying."
    setting CONTAINER_UID "$uid" \
        "Who the product's processes, nginx, etcd and the storage run as: the owner of the key files, which nobody else can read."
    setting CONTAINER_GID "$gid" "Their group."
    setting CPU_LIMIT "$(at_most 2)" "How many processors one container may use; the engine refuses more than the machine has."
    setting VIDEO_CPU_LIMIT "$(at_most 4)" "The same for the video service, which converts."
    write_server_settings
}

write_server_settings() {
    secret MYSQL_ROOT_PASSWORD "MySQL's administrator, who logs in inside its container alone."
    secret DOUSHENG_REPLICATION__ADMIN_PASSWORD "The administrator of scripts, for a fail-over."
    secret DOUSHENG_REPLICATION__PASSWORD "Replicas log in at the source with it."
    secret DOUSHENG_MYSQL__PASSWORD "The services log in with it."
    setting DOUSHENG_MYSQL__HOST mysql-1 "The servers; which of them is the source they say themselves."
    setting DOUSHENG_MYSQL__REPLICAS "'[\"mysql-2:3306\", \"mysql-3:3306\"]'" "The others."
    secret DOUSHENG_REDIS_ACTIONS__PASSWORD "The Redis for likes and follows on their way."
    secret DOUSHENG_REDIS_CACHE__PASSWORD "The Redis for counts of failed logins."
    secret DOUSHENG_RABBITMQ__PASSWORD "RabbitMQ."
    secret ETCD_ROOT_PASSWORD "etcd's administrator."
    secret DOUSHENG_ETCD__PASSWORD "The services and the gateway log in at etcd with it."
    setting DOUSHENG_STORAGE__HOST storage "The S3 storage: SeaweedFS, or MinIO or a cloud's by these settings alone; then DATA_NETWORK_INTERNAL=false."
    setting DOUSHENG_STORAGE__PORT 8333 "Its port."
    setting STORAGE_SCHEME http "http, or https: then DOUSHENG_STORAGE__TLS='{}' as well, which believes the authorities of the system."
    setting DOUSHENG_STORAGE__REGION us-east-1 "Its region."
    secret DOUSHENG_STORAGE__ACCESS_KEY "The S3 account."
    secret DOUSHENG_STORAGE__SECRET_KEY "Its secret."
    secret STORAGE_PARTS_KEY "What the parts of SeaweedFS sign their requests to each other with."
    setting DATA_NETWORK_INTERNAL true "false lets services and servers reach other machines, for a storage somewhere else."
    setting DOUSHENG_TOKEN__KEY_ID k1 "Which key of .secrets/token_private signs tokens; all of .secrets/token_public are accepted."
    setting DOUSHENG_CRYPT__KEY_ID m1 "Which key of .secrets/message_private wraps new keys of chat messages."
}

write_keys() {
    local token message
    token=$(value_of DOUSHENG_TOKEN__KEY_ID) message=$(value_of DOUSHENG_CRYPT__KEY_ID)
    key_file "$keys/token_private/$token.pem" openssl genpkey -quiet -algorithm ed25519
    key_file "$keys/token_public/$token.pem" openssl pkey -pubout -in "$keys/token_private/$token.pem"
    key_file "$keys/message_private/$message.pem" openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072
    if [ ! -e "$keys/tls/certificate.pem" ]; then
        key_file "$keys/tls/key.pem" openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256
        key_file "$keys/tls/certificate.pem" openssl req -x509 -new -key "$keys/tls/key.pem" -days 825 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost,IP:127.0.0.1
    fi
}

# Compose mounts a key file as it is: its owner must be who reads it. Only root can give files away, and then nobody else has to.
give_keys() {
    [ "$(id -u)" -ne 0 ] || chown -R "$(value_of CONTAINER_UID):$(value_of CONTAINER_GID)" "$keys"
    chmod -R u=rwX,go= "$keys"
}

# Servers read their configuration as users of their own, which a checkout with a strict umask would refuse.
open_configuration() {
    chmod a+rx config config/mysql config/nginx config/prometheus config/rabbitmq config/redis
    chmod a+r config/mysql/* config/nginx/* config/prometheus/* config/rabbitmq/* config/redis/*
}

write_environment
write_keys
give_keys
open_configuration
[ "$made" -eq 0 ] && echo ".env and .secrets/ are complete" || echo "made $made settings and keys in .env and .secrets/"
echo "next: docker compose up -d --build --wait"
