/* The table of finding kinds (finding_kind.h). */
#include "schema/finding_kind.h"

#include <stddef.h>
#include <string.h>

#define READ "SELECT"
#define INSERTS "INSERT"
#define WRITES "INSERT, UPDATE"
#define CHANGES "UPDATE, DELETE"
#define ALL_WRITES "INSERT, UPDATE, DELETE"
#define ANY "SELECT, INSERT, UPDATE, DELETE"

static const struct finding_kind kinds[] = {
    /* servers and rights */
    {"server.version", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"source.wal_level", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.max_replication_slots", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.max_wal_senders", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.max_slot_wal_keep_size", SCRIPT_SOURCE, PHASE_SETTINGS, ""},
    {"source.standby", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.replication_right", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.create_right", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.slot_exists", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.select_right", SCRIPT_SOURCE, PHASE_SETTINGS, READ},
    {"source.owner", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.row_security", SCRIPT_SOURCE, PHASE_SETTINGS, READ},
    {"source.large_objects", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"target.standby", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.claimed", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.create_right", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.replica_role", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.origin", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.table_right", SCRIPT_TARGET, PHASE_SETTINGS, ANY},
    {"target.temporary_right", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"target.truncate_right", SCRIPT_TARGET, PHASE_SETTINGS, "TRUNCATE"},
    {"target.triggers", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.rules", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.foreign_keys", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"target.reference_acts", SCRIPT_TARGET, PHASE_SETTINGS, CHANGES},
    {"target.reference_circle", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"target.reference_identity", SCRIPT_TARGET, PHASE_RELAX, "UPDATE"},
    {"target.reference_immediate", SCRIPT_TARGET, PHASE_RELAX, ALL_WRITES},
    {"target.row_security", SCRIPT_TARGET, PHASE_SETTINGS, ANY},
    {"target.not_empty", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"target.not_empty_without_key", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"source.pressure_hidden", SCRIPT_SOURCE, PHASE_SETTINGS, ""},
    {"source.join_version", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.join_without_copy", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"target.defer_indexes", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"config.no_effect", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"config.no_spool", SCRIPT_SOURCE, PHASE_SETTINGS, ""},

    /* rules and what they bind to */
    {"source.no_tables", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"source.table_missing", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"source.partition", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"source.pattern_empty", SCRIPT_SOURCE, PHASE_SETTINGS, ANY},
    {"source.unlogged", SCRIPT_SOURCE, PHASE_SETTINGS, ALL_WRITES},
    {"source.no_identity", SCRIPT_SOURCE, PHASE_SETTINGS, CHANGES},
    {"source.column_generated", SCRIPT_SOURCE, PHASE_SETTINGS, WRITES},
    {"target.table_missing", SCRIPT_TARGET, PHASE_CREATE_TABLES, ANY},
    {"target.column_missing", SCRIPT_TARGET, PHASE_ADD_COLUMNS, WRITES},
    {"target.column_generated", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, WRITES},
    {"target.column_unfilled", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
    {"target.identity_always", SCRIPT_TARGET, PHASE_RELAX, "UPDATE"},
    {"target.key_index", SCRIPT_TARGET, PHASE_KEYS, ALL_WRITES},
    {"target.lookup_index", SCRIPT_TARGET, PHASE_INDEXES, CHANGES},
    {"target.reference_index", SCRIPT_TARGET, PHASE_INDEXES, CHANGES},
    {"target.unique_not_deferrable", SCRIPT_TARGET, PHASE_SETTINGS, "UPDATE"},
    {"rule.cast", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.circle", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.condition_type", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.condition_value", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.drop", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"rule.json", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.map_key", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.lookup", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.name", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.name_means_source", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.null", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.null_if", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.partly_unchanged", SCRIPT_SOURCE, PHASE_SETTINGS, "UPDATE"},
    {"rule.where_not_in_identity", SCRIPT_SOURCE, PHASE_SETTINGS, CHANGES},
    {"rule.sql", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.sql_collation", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.sql_type", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.sql_varies", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.source_column", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.source_generated", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.source_twice", SCRIPT_TARGET, PHASE_SETTINGS, ANY},
    {"rule.pattern_twice", SCRIPT_TARGET, PHASE_SETTINGS, ANY},
    {"rule.source_unread", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"rule.target_twice", SCRIPT_TARGET, PHASE_SETTINGS, ANY},
    {"rule.value", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"key.column", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"key.identity_not_carried", SCRIPT_TARGET, PHASE_SETTINGS, CHANGES},
    {"key.may_collide", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"key.no_source_key", SCRIPT_SOURCE, PHASE_SETTINGS, CHANGES},
    {"key.not_in_identity", SCRIPT_SOURCE, PHASE_SETTINGS, CHANGES},
    {"key.not_unique", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"key.null", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"key.sql", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},

    /* the comparison of two schemas */
    {"file.unknown_member", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"table.added", SCRIPT_TARGET, PHASE_CREATE_TABLES, ""},
    {"table.not_inherited", SCRIPT_TARGET, PHASE_CREATE_TABLES, READ},
    {"table.removed", SCRIPT_TARGET, PHASE_DROP_TABLES, ANY},
    {"table.renamed", SCRIPT_TARGET, PHASE_RELAX, ANY},
    {"column.added", SCRIPT_TARGET, PHASE_ADD_COLUMNS, ""},
    {"column.added_required", SCRIPT_TARGET, PHASE_ADD_COLUMNS, INSERTS},
    {"column.removed", SCRIPT_TARGET, PHASE_DROP_COLUMNS, ANY},
    {"column.renamed", SCRIPT_TARGET, PHASE_RELAX, ANY},
    {"column.type_widened", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, ""},
    {"column.type_narrowed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, WRITES},
    {"column.precision_lost", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, WRITES},
    {"column.timezone_lost", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, "SELECT, INSERT, UPDATE"},
    {"column.type_converted", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, "SELECT, INSERT, UPDATE"},
    {"column.type_cannot_cast", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, ANY},
    {"column.fields_differ", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, WRITES},
    {"column.enum_labels", SCRIPT_TARGET, PHASE_RELAX, WRITES},
    {"column.domain", SCRIPT_TARGET, PHASE_TIGHTEN, WRITES},
    {"column.null", SCRIPT_TARGET, PHASE_TIGHTEN, WRITES},
    {"column.made_required", SCRIPT_TARGET, PHASE_TIGHTEN, WRITES},
    {"column.made_nullable", SCRIPT_TARGET, PHASE_RELAX, READ},
    {"column.default_added", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
    {"column.default_changed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
    {"column.default_removed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
    {"column.generated_changed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, WRITES},
    {"column.identity_changed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
    {"column.collation_changed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, READ},
    {"column.comment_changed", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, ""},
    {"primary_key.added", SCRIPT_TARGET, PHASE_KEYS, WRITES},
    {"primary_key.changed", SCRIPT_TARGET, PHASE_KEYS, ALL_WRITES},
    {"primary_key.removed", SCRIPT_TARGET, PHASE_RELAX, ALL_WRITES},
    {"unique.added", SCRIPT_TARGET, PHASE_KEYS, WRITES},
    {"unique.merged", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"unique.removed", SCRIPT_TARGET, PHASE_RELAX, ""},
    {"foreign_key.added", SCRIPT_TARGET, PHASE_CONSTRAINTS, ALL_WRITES},
    {"foreign_key.filtered", SCRIPT_TARGET, PHASE_SETTINGS, ALL_WRITES},
    {"foreign_key.of_new_table", SCRIPT_TARGET, PHASE_CONSTRAINTS, ""},
    {"foreign_key.changed", SCRIPT_TARGET, PHASE_CONSTRAINTS, "DELETE"},
    {"foreign_key.removed", SCRIPT_TARGET, PHASE_UNCHAIN, ""},
    {"check.added", SCRIPT_TARGET, PHASE_CONSTRAINTS, WRITES},
    {"check.changed", SCRIPT_TARGET, PHASE_CONSTRAINTS, WRITES},
    {"check.removed", SCRIPT_TARGET, PHASE_RELAX, ""},
    {"exclusion.added", SCRIPT_TARGET, PHASE_CONSTRAINTS, WRITES},
    {"exclusion.removed", SCRIPT_TARGET, PHASE_RELAX, ""},
    {"index.added", SCRIPT_TARGET, PHASE_INDEXES, ""},
    {"index.removed", SCRIPT_TARGET, PHASE_RELAX, READ},
    {"object.added", SCRIPT_TARGET, PHASE_CREATE_TABLES, ""},
    {"object.changed", SCRIPT_TARGET, PHASE_CREATE_TABLES, READ},
    {"object.removed", SCRIPT_TARGET, PHASE_UNCHAIN, READ},

    /* the databases around the tables */
    {"database.encoding", SCRIPT_TARGET, PHASE_SETTINGS, WRITES},
    {"database.collation", SCRIPT_TARGET, PHASE_SETTINGS, READ},
    {"extension.missing", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"extension.version", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"sequence.not_carried", SCRIPT_TARGET, PHASE_SETTINGS, ""},
    {"sequence.missing", SCRIPT_TARGET, PHASE_SETTINGS, INSERTS},
    {"sequence.differs", SCRIPT_TARGET, PHASE_CHANGE_COLUMNS, INSERTS},
};

const struct finding_kind *finding_kind(const char *id)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].id, id) == 0)
            return &kinds[i];
    return NULL;
}

static const char *const phase_names[PHASE_COUNT] = {
    [PHASE_SETTINGS] = "settings and rights",
    [PHASE_UNCHAIN] = "drop what leans on keys",
    [PHASE_RELAX] = "drop what stands in the way",
    [PHASE_CREATE_TABLES] = "create tables",
    [PHASE_ADD_COLUMNS] = "add columns",
    [PHASE_CHANGE_COLUMNS] = "change columns",
    [PHASE_INDEXES] = "indexes",
    [PHASE_KEYS] = "keys",
    [PHASE_CONSTRAINTS] = "constraints",
    [PHASE_TIGHTEN] = "make columns required",
    [PHASE_DROP_COLUMNS] = "drop columns",
    [PHASE_DROP_TABLES] = "drop tables",
};

const char *script_phase_name(enum script_phase phase)
{
    return phase_names[phase];
}
