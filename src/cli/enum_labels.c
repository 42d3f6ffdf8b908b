/* See enum_labels.h. */
#include "cli/enum_labels.h"

#include "base/buf.h"
#include "postgres/introspect.h"
#include "schema/ident.h"

#include <string.h>

#define INVALID_TEXT "22P02"
#define INVALID_BINARY "22P03"

static bool has_label(const struct catalog_enum *type, const char *label)
{
    for (size_t i = 0; i < type->label_count; i++)
        if (strcmp(type->labels[i], label) == 0)
            return true;
    return false;
}

/* "public.mood", of a column whose type is the enum. */
static const struct catalog_enum *enum_of(const struct catalog *catalog,
                                          const struct catalog_column *column)
{
    for (size_t i = 0; i < catalog->enum_count; i++) {
        const struct catalog_enum *type = &catalog->enums[i];
        size_t schema = strlen(type->schema);
        if (strncmp(column->base_type, type->schema, schema) == 0 &&
            column->base_type[schema] == '.' &&
            strcmp(column->base_type + schema + 1, type->name) == 0)
            return type;
    }
    return NULL;
}

static void advise(const struct catalog_enum *from, size_t missing,
                   const struct catalog_enum *to, struct err *err)
{
    struct buf sql = {0};
    buf_append_text(&sql, "ALTER TYPE ");
    ident_append_qualified(&sql, to->schema, to->name);
    buf_append_text(&sql, " ADD VALUE ");
    literal_append(&sql, from->labels[missing], strlen(from->labels[missing]));
    for (size_t i = missing + 1; i < from->label_count; i++) {
        if (!has_label(to, from->labels[i]))
            continue;
        buf_append_text(&sql, " BEFORE ");
        literal_append(&sql, from->labels[i], strlen(from->labels[i]));
        break;
    }
    err_remedy(
        err,
        "the target's enum lacks a label that the source's has; add it, then run again, or "
        "retry what is parked: %s",
        buf_text(&sql));
    buf_free(&sql);
}

static bool compare(const struct catalog_enum *from, const struct catalog_enum *to,
                    struct err *err)
{
    for (size_t i = 0; from != NULL && to != NULL && i < from->label_count; i++) {
        if (has_label(to, from->labels[i]))
            continue;
        advise(from, i, to, err);
        return true;
    }
    return false;
}

static void compare_all(const struct chain *chain, const struct catalog *source,
                        const struct catalog *target, struct err *err)
{
    for (size_t i = 0; i < chain->table_count; i++)
        for (uint16_t j = 0; j < chain->tables[i].column_count; j++) {
            const struct bound_column *column = &chain->tables[i].columns[j];
            const struct catalog_column *from = bound_column_source(column);
            if (from != NULL &&
                compare(enum_of(source, from), enum_of(target, column->target), err))
                return;
        }
}

static bool read_side(const struct migration *migration, const char *side, const char *dsn,
                      struct catalog **catalog)
{
    struct session session = {0};
    struct err ignored = {0};
    bool ok = session_open(&session, side, dsn, SESSION_SQL, migration->stop, &ignored) &&
              introspect(&session, catalog, &ignored);
    session_close(&session);
    return ok;
}

/* What the source refuses is one of our questions: where a key lies whose label is no more. */
bool enum_labels_may_lack(const struct err *err)
{
    return err->class == ERR_DATA && strstr(err->message, "enum") != NULL &&
           strstr(err->message, "source: ") == NULL &&
           (strcmp(err->sqlstate, INVALID_TEXT) == 0 ||
            strcmp(err->sqlstate, INVALID_BINARY) == 0);
}

void enum_labels_advise(const struct migration *migration, struct err *err)
{
    struct catalog *source = NULL;
    struct catalog *target = NULL;
    if (!enum_labels_may_lack(err))
        return;
    if (read_side(migration, "source", migration->config->source_dsn, &source) &&
        read_side(migration, "target", migration->config->target_dsn, &target))
        compare_all(migration->chain, source, target, err);
    catalog_free(source);
    catalog_free(target);
}
