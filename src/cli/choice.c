/* The tables that the command line names (choice.h). */
#include "cli/choice.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdlib.h>
#include <string.h>

static bool is_called(const struct catalog_table *table, const char *name)
{
    char *display = ident_display(table->schema, table->name);
    bool same = strcmp(display, name) == 0 || strcmp(table->name, name) == 0;
    free(display);
    return same;
}

bool choice_names(const struct migration *m, const struct option_tables *tables, size_t source)
{
    for (size_t i = 0; i < tables->count; i++)
        for (size_t j = 0; j < m->table_count; j++)
            if (m->targets[j].source == source &&
                (is_called(m->chain->sources[source].table, tables->names[i]) ||
                 is_called(m->targets[j].table, tables->names[i])))
                return true;
    return false;
}

static bool refuse_name(const struct migration *m, const char *option, const char *name,
                        struct err *err)
{
    const char **names = mem_zero(m->source_count + 1, sizeof *names);
    char **displays = mem_zero(m->source_count + 1, sizeof *displays);
    for (size_t i = 0; i < m->source_count; i++)
        names[i] = displays[i] =
            ident_display(m->slot_tables[i].schema, m->slot_tables[i].name);
    const char *near = yaml_nearest(name, names);
    err_set(err, ERR_CONFIG, "%s %s: no rule reads or writes a table of this name%s%s%s",
            option, name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    for (size_t i = 0; i < m->source_count; i++)
        free(displays[i]);
    free(displays);
    free(names);
    return err_remedy(err, "name it as schema.table, as in the file");
}

static bool mark(const struct migration *m, const char *option, const char *name, bool *marked,
                 struct err *err)
{
    int64_t found = -1;
    for (size_t i = 0; i < m->table_count; i++) {
        uint32_t source = m->targets[i].source;
        if (!is_called(m->chain->sources[source].table, name) &&
            !is_called(m->targets[i].table, name))
            continue;
        if (found >= 0 && found != source) {
            err_set(err, ERR_CONFIG, "%s %s: this is the name of more than one table", option,
                    name);
            return err_remedy(err, "name the source table, as schema.table");
        }
        marked[source] = true;
        found = source;
    }
    return found >= 0 || refuse_name(m, option, name, err);
}

bool choice_mark(const struct migration *m, const char *option,
                 const struct option_tables *tables, bool *marked, struct err *err)
{
    for (size_t i = 0; i < tables->count; i++)
        if (!mark(m, option, tables->names[i], marked, err))
            return false;
    return true;
}

/* ---- what a copy beside what the stream has applied asks for ---- */

static bool refuse_shared(const struct pg_target_table *target, struct err *err)
{
    err_set(err, ERR_CONFIG,
            "--redo: which rows of target table %s.%s are this table's cannot be told, other "
            "source tables write there too",
            target->table->schema, target->table->name);
    return err_remedy(err, "give each of them a column with another constant in the key, then "
                           "begin the migration anew");
}

/* True if all that goes to the target table is copied late. *ours: something does. */
static bool is_late(const struct migration *m, const bool *redo,
                    const struct catalog_table *table, bool *ours)
{
    bool late = true;
    *ours = false;
    for (size_t i = 0; i < m->table_count; i++) {
        if (m->targets[i].table != table)
            continue;
        *ours = true;
        late = late && (redo[m->targets[i].source] || m->joining[m->targets[i].source]);
    }
    return *ours && late;
}

static bool refuse_enforced(const struct pg_target_table *parent,
                            const struct catalog_table *child, bool redo, struct err *err)
{
    err_set(
        err, ERR_CONFIG,
        "target table %s.%s refers to %s.%s, and foreign keys are enforced for what slackwater "
        "writes: the one cannot be copied while the other has rows",
        child->schema, child->name, parent->table->schema, parent->table->name);
    return err_remedy(err,
                      "%sGRANT SET ON PARAMETER session_replication_role to the target's "
                      "role, or use a superuser",
                      redo ? "name both with --redo, or " : "");
}

/* Rows of a table that others refer to cannot be taken away, nor come after those. */
static bool check_children(const struct migration *m, const bool *redo,
                           const struct pg_target_table *parent, struct err *err)
{
    bool emptied = redo[parent->source];
    for (size_t i = 0; i < m->target_catalog->table_count; i++) {
        const struct catalog_table *child = &m->target_catalog->tables[i];
        bool ours;
        for (uint16_t k = 0; k < child->foreign_key_count; k++)
            if (child->foreign_keys[k].parent_oid == parent->table->oid &&
                child != parent->table && !is_late(m, redo, child, &ours) && (ours || emptied))
                return refuse_enforced(parent, child, emptied, err);
    }
    return true;
}

static bool check_late_copies(const struct migration *m, const bool *redo, struct err *err)
{
    bool enforced = !m->target_catalog->can_set_replica_role;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct pg_target_table *target = &m->targets[i];
        if (!redo[target->source] && !m->joining[target->source])
            continue;
        if (redo[target->source] && target->shared)
            return refuse_shared(target, err);
        if (enforced && !check_children(m, redo, target, err))
            return false;
    }
    return true;
}

/* All but those that were named, to be copied or to be copied anew. */
static bool leave_out(const struct migration *m, const struct options *options,
                      struct choice *choice, struct err *err)
{
    if (options->backfill_only.count == 0)
        return true;
    if (!choice_mark(m, "--backfill-only", &options->backfill_only, choice->left_out, err))
        return false;
    for (size_t i = 0; i < m->source_count; i++)
        choice->left_out[i] = !choice->left_out[i] && !choice->redo[i];
    return true;
}

bool choice_make(const struct migration *migration, const struct options *options,
                 struct choice *choice, struct err *err)
{
    *choice = (struct choice){.redo = mem_zero(migration->source_count + 1, sizeof(bool)),
                              .left_out = mem_zero(migration->source_count + 1, sizeof(bool))};
    if (choice_mark(migration, "--redo", &options->redo, choice->redo, err) &&
        check_late_copies(migration, choice->redo, err) &&
        leave_out(migration, options, choice, err))
        return true;
    choice_free(choice);
    return false;
}

void choice_free(struct choice *choice)
{
    free(choice->redo);
    free(choice->left_out);
    *choice = (struct choice){0};
}
