#!/bin/bash
# Makes the database at the first start, as the official image does it: accounts and database from the environment or from files,
# then every script of /docker-entrypoint-initdb.d; at every start the server as the user mysql.
set -euo pipefail
data=/var/lib/mysql

fill_from_file() {
    local name=$1 file="$1_FILE"
    if [ -n "${!file:-}" ]; then
        [ -z "${!name:-}" ] || fail "$name and $file are both set"
        export "$name=$(<"${!file}")"
    fi
}

fail() {
    printf '[stand-in] %s\n' "$1" >&2
    exit 1
}

# quote TEXT: the text as a literal of SQL.
quote() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\\\'}"
}

# MySQL makes these keys by itself.
make_certificates() {
    (
        umask 077
        cd "$1"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=stand-in-ca -keyout ca-key.pem -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=stand-in-server -keyout server-key.pem -out server.csr
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 -out server-cert.pem
        rm -f server.csr ca.srl
    ) 2>/dev/null
}

make_accounts() {
    local root_host=${MYSQL_ROOT_HOST:-%} root
    root=$(quote "$MYSQL_ROOT_PASSWORD")
    printf 'SET sql_log_bin = 0;\n'
    printf 'ALTER USER root@localhost IDENTIFIED BY %s;\n' "$root"
    if [ "$root_host" != localhost ]; then
        printf 'CREATE USER root@%s IDENTIFIED BY %s;\n' "$(quote "$root_host")" "$root"
        printf 'GRANT ALL ON *.* TO root@%s WITH GRANT OPTION;\n' "$(quote "$root_host")"
    fi
    if [ -n "${MYSQL_DATABASE:-}" ]; then
        printf 'SET sql_log_bin = 1;\nCREATE DATABASE IF NOT EXISTS `%s`;\n' "$MYSQL_DATABASE"
    fi
    if [ -n "${MYSQL_USER:-}" ]; then
        printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" "$(quote "$MYSQL_USER")" "$(quote "$MYSQL_PASSWORD")"
        [ -z "${MYSQL_DATABASE:-}" ] ||
            printf "GRANT ALL ON \`%s\`.* TO %s@'%%';\n" "${MYSQL_DATABASE//_/\\_}" "$(quote "$MYSQL_USER")"
    fi
}

run_script() {
    printf '[stand-in] %s\n' "$1" >&2
    case "$1" in
        *.sh) if [ -x "$1" ]; then "$1"; else . "$1"; fi ;;
        *.sql) mysql --user=root --database="${MYSQL_DATABASE:-}" <"$1" ;;
    esac
}

make_database() {
    local server script
    [ -n "${MYSQL_ROOT_PASSWORD:-}" ] || fail "MYSQL_ROOT_PASSWORD or MYSQL_ROOT_PASSWORD_FILE is needed"
    mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >/dev/null
    make_certificates "$data"
    "$@" --skip-networking &
    server=$!
    until mariadb-admin --user=root ping --silent 2>/dev/null; do
        kill -0 "$server" || fail "the server ended while the database was made"
        sleep 0.2
    done
    make_accounts | mariadb --user=root
    export MYSQL_PWD=$MYSQL_ROOT_PASSWORD
    for script in /docker-entrypoint-initdb.d/*; do
        [ ! -e "$script" ] || run_script "$script"
    done
    unset MYSQL_PWD
    kill "$server"
    wait "$server"
}

[ "${1:0:1}" != - ] || set -- mysqld "$@"
if [ "$1" = mysqld ]; then
    if [ "$(id -u)" = 0 ]; then
        find "$data" /var/run/mysqld ! -user mysql -exec chown mysql:mysql {} +
        exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
    fi
    for name in MYSQL_ROOT_PASSWORD MYSQL_ROOT_HOST MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD; do
        fill_from_file "$name"
    done
    [ -d "$data/mysql" ] || make_database "$@"
fi
exec "$@"
