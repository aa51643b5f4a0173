# Runs once in a new server of docker-compose.yml, before it listens; the image's entry point reads it, so it is not executable.
# MYSQL_ROLE is `source` or `replica`. Users and database are made on the source and reach the replicas by replication.

as_root() {
    MYSQL_PWD=$MYSQL_ROOT_PASSWORD mysql --user=root --protocol=socket "$@"
}

make_source() {
    as_root <<SQL
CREATE DATABASE \`$MYSQL_DATABASE_NAME\` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE USER '$MYSQL_SERVICE_USER'@'%' IDENTIFIED BY '$MYSQL_SERVICE_PASSWORD';
GRANT ALL ON \`${MYSQL_DATABASE_NAME//_/\\_}\`.* TO '$MYSQL_SERVICE_USER'@'%';
GRANT REPLICATION CLIENT ON *.* TO '$MYSQL_SERVICE_USER'@'%';
CREATE USER '$MYSQL_REPLICA_USER'@'%' IDENTIFIED BY '$MYSQL_REPLICA_PASSWORD';
GRANT REPLICATION SLAVE ON *.* TO '$MYSQL_REPLICA_USER'@'%';
CREATE USER '$MYSQL_ADMIN_USER'@'%' IDENTIFIED BY '$MYSQL_ADMIN_PASSWORD';
GRANT ALL ON *.* TO '$MYSQL_ADMIN_USER'@'%';
SET PERSIST_ONLY rpl_semi_sync_source_enabled = ON;
SQL
}

# It begins with nothing of its own, so that it takes everything from the source.
make_replica() {
    as_root <<SQL
RESET BINARY LOGS AND GTIDS;
CHANGE REPLICATION SOURCE TO SOURCE_HOST='$MYSQL_SOURCE_HOST', SOURCE_PORT=3306, SOURCE_USER='$MYSQL_REPLICA_USER', SOURCE_PASSWORD='$MYSQL_REPLICA_PASSWORD', SOURCE_AUTO_POSITION=1, SOURCE_SSL=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=0;
SET PERSIST_ONLY read_only = ON;
SQL
}

case $MYSQL_ROLE in
    source) make_source ;;
    replica) make_replica ;;
    *) echo "MYSQL_ROLE is '$MYSQL_ROLE', neither source nor replica" >&2 && exit 1 ;;
esac
