# Turns MySQL 8.4's server options into MariaDB's, one per line as in an option file. What only MySQL has is left out; an option
# that neither this table nor MariaDB knows stops the server, so that nothing is passed over in silence.
BEGIN {
    renamed["gtid_mode"] = "gtid_strict_mode"
    renamed["log_replica_updates"] = "log_slave_updates"
    renamed["replica_parallel_workers"] = "slave_parallel_threads"
    renamed["replica_net_timeout"] = "slave_net_timeout"
    renamed["replica_compressed_protocol"] = "slave_compressed_protocol"
    renamed["skip_replica_start"] = "skip_slave_start"
    renamed["innodb_redo_log_capacity"] = "innodb_log_file_size"
    renamed["rpl_semi_sync_source_enabled"] = "rpl_semi_sync_master_enabled"
    renamed["rpl_semi_sync_source_timeout"] = "rpl_semi_sync_master_timeout"
    renamed["rpl_semi_sync_source_wait_point"] = "rpl_semi_sync_master_wait_point"
    renamed["rpl_semi_sync_source_wait_no_replica"] = "rpl_semi_sync_master_wait_no_slave"
    renamed["super_read_only"] = "read_only"
    renamed["rpl_semi_sync_replica_enabled"] = "rpl_semi_sync_slave_enabled"
    split("enforce_gtid_consistency replica_preserve_commit_order replica_parallel_type mysqlx " \
        "rpl_semi_sync_source_wait_for_replica_count source_verify_checksum binlog_transaction_dependency_tracking " \
        "default_authentication_plugin authentication_policy caching_sha2_password_auto_generate_rsa_keys " \
        "auto_generate_certs admin_address admin_port log_error_verbosity mysql_native_password " \
        "caching_sha2_password_digest_rounds innodb_dedicated_server replica_load_tmpdir", names, " ")
    for (i in names) {
        dropped[names[i]] = 1
    }
}
/^[[:space:]]*([#;[!]|$)/ {
    print
    next
}
{
    has_value = match($0, /[[:space:]]*=[[:space:]]*/)
    name = has_value ? substr($0, 1, RSTART - 1) : $0
    value = has_value ? substr($0, RSTART + RLENGTH) : ""
    gsub(/[[:space:]]/, "", name)
    gsub(/-/, "_", name)
    sub(/^loose_/, "", name)
    if (name in dropped || value ~ /semisync_|component_/) {
        next
    }
    if (name in renamed) {
        name = renamed[name]
    }
    print has_value ? name "=" value : name
}
