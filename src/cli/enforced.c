/* Foreign keys that are enforced at the target (enforced.h).
 *
 * The target's own actions are right as long as they take what the source's took. So each key that
 * acts must be the source's, and a parent's row must not be deleted for another reason than that
 * the source deleted it: one that leaves a `where` or `route` is, and so is one whose key changes
 * and cannot be set. */
#include "cli/enforced.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/migration.h"
#include "schema/ident.h"
#include "transforms/rule.h"

#include <stdlib.h>
#include <string.h>

/* A foreign key of one bound table to another, or to itself. */
struct reference {
    const struct bound_table *child;
    const struct bound_table *parent;
    size_t parent_index; /* in the chain */
    const struct catalog_foreign_key *key;
};

static bool acts(const struct catalog_foreign_key *key)
{
    return key->on_delete == 'c' || key->on_delete == 'n' || key->on_delete == 'd';
}

/* ---- the columns that keys are of ---- */

static const struct rule *rule_of(const struct bound_table *table, const char *target_column)
{
    for (uint16_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].target->name, target_column) == 0)
            return table->columns[i].rule;
    return NULL;
}

/* The source column whose values the target column holds, or NULL. */
static const struct catalog_column *origin(const struct bound_table *table,
                                           const char *target_column)
{
    const struct rule *rule = rule_of(table, target_column);
    return rule == NULL || rule->plain == NULL ? NULL : rule->plain->column;
}

static const char *child_column(const struct reference *r, uint16_t i)
{
    return r->child->target->columns[r->key->columns[i]].name;
}

static bool is_constant(const struct reference *r, uint16_t i)
{
    const struct rule *child = rule_of(r->child, child_column(r, i));
    const struct rule *parent = rule_of(r->parent, r->key->parent_columns[i]);
    return child != NULL && child->constant != NULL && parent != NULL &&
           parent->constant != NULL;
}

/* The source's key has this pair of columns too. */
static bool has_pair(const struct reference *r, const struct catalog_foreign_key *source,
                     uint16_t i)
{
    const struct catalog_column *child = origin(r->child, child_column(r, i));
    const struct catalog_column *parent = origin(r->parent, r->key->parent_columns[i]);
    for (uint16_t k = 0; child != NULL && parent != NULL && k < source->column_count; k++)
        if (strcmp(r->child->source->columns[source->columns[k]].name, child->name) == 0 &&
            strcmp(source->parent_columns[k], parent->name) == 0)
            return true;
    return false;
}

static bool is_same_key(const struct reference *r, const struct catalog_foreign_key *source)
{
    uint16_t matched = 0;
    if (source->parent_oid != r->parent->source->oid)
        return false;
    for (uint16_t i = 0; i < r->key->column_count; i++) {
        bool pair = has_pair(r, source, i);
        if (!pair && !is_constant(r, i))
            return false;
        matched += pair;
    }
    return matched == source->column_count;
}

static bool acts_at_source(const struct reference *r)
{
    for (uint16_t i = 0; i < r->child->source->foreign_key_count; i++) {
        const struct catalog_foreign_key *key = &r->child->source->foreign_keys[i];
        if (key->on_delete == r->key->on_delete && is_same_key(r, key))
            return true;
    }
    return false;
}

/* ---- what acts beside the source ---- */

/* What the condition reads the children hold as well: a row that leaves has none any more. */
static bool is_referenced(const struct reference *r, const struct catalog_column *column)
{
    for (uint16_t i = 0; i < r->key->column_count; i++)
        if (origin(r->parent, r->key->parent_columns[i]) == column)
            return true;
    return false;
}

static bool may_leave(const struct migration *m, const struct reference *r)
{
    for (uint16_t i = 0; i < r->parent->source->column_count; i++) {
        const struct catalog_column *column = &r->parent->source->columns[i];
        if (chain_condition_reads(m->chain, r->parent_index, column) &&
            !is_referenced(r, column))
            return true;
    }
    return false;
}

static const char ACTS_FIX[] =
    "let the target's role set session_replication_role, or make the "
    "constraint ON DELETE NO ACTION until the cutover";

static void check_leaving(struct migration *m, const struct reference *r, const char *child)
{
    char *parent = ident_display(r->parent->target->schema, r->parent->target->name);
    if (may_leave(m, r))
        findings_addf(&m->findings, "target.reference_acts", SEVERITY_BREAKING, child, ACTS_FIX,
                      "foreign key %s is enforced for replicated rows: a row that leaves %s by "
                      "its where or route is deleted there, and would take rows along that the "
                      "source keeps",
                      r->key->name, parent);
    free(parent);
}

static void refuse_action(struct migration *m, const struct catalog_foreign_key *key,
                          const char *child)
{
    findings_addf(
        &m->findings, "target.reference_acts", SEVERITY_BREAKING, child, ACTS_FIX,
        "foreign key %s is enforced for replicated rows, and the source has none that "
        "does the same on delete: rows would be changed at the target alone",
        key->name);
}

/* ---- statements of the source that are several here ---- */

/* A delete that comes to a row by two ways sets one column after the other: the image between them
 * refers to what the target's cascade has taken already. */
static bool is_set_by_halves(const struct catalog_table *table)
{
    bool sets = false;
    for (uint16_t i = 0; i < table->foreign_key_count; i++)
        sets = sets || table->foreign_keys[i].on_delete == 'n' ||
               table->foreign_keys[i].on_delete == 'd';
    return sets && table->foreign_key_count > 1;
}

static const char *what_is_refused(const struct reference *r)
{
    if (r->child->target == r->parent->target)
        return "one statement that deletes a row and those that refer to it, or inserts them in "
               "the other order, would stop the run";
    if (is_set_by_halves(r->child->target))
        return "one delete that reaches a row by two of its foreign keys may stop the run";
    return "one statement that writes both tables (WITH) may stop the run";
}

static void check_immediate(struct migration *m, const struct reference *r, const char *child)
{
    bool likely = r->child->target == r->parent->target || is_set_by_halves(r->child->target);
    struct buf what = {0};
    struct buf sql = {0};
    struct buf undo = {0};
    if (r->key->deferrable)
        return;
    buf_append_format(
        &what,
        "foreign key %s is enforced for replicated rows and not deferrable: it is "
        "checked after each row of what was one statement at the source",
        r->key->name);
    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, r->child->target->schema, r->child->target->name);
    buf_append_text(&sql, " ALTER CONSTRAINT ");
    ident_append(&sql, r->key->name);
    buf_append_text(&undo, buf_text(&sql));
    buf_append_text(&sql, " DEFERRABLE");
    buf_append_text(&undo, " NOT DEFERRABLE");
    findings_add(&m->findings, "target.reference_immediate",
                 likely ? SEVERITY_POTENTIALLY_BREAKING : SEVERITY_NON_BREAKING, child,
                 buf_text(&what), what_is_refused(r), "make it deferrable until the cutover",
                 buf_text(&sql), buf_text(&undo));
    buf_free(&what);
    buf_free(&sql);
    buf_free(&undo);
}

/* ---- parents whose key cannot be set ---- */

static const struct catalog_column *unsettable(const struct bound_table *table)
{
    const struct relation *relation = table->target_relation;
    for (uint16_t i = 0; relation->match == MATCH_KEY && i < relation->column_count; i++)
        if (relation->columns[i].key && relation->columns[i].identity_always)
            return table->columns[i].target;
    return NULL;
}

static bool is_referred_to(const struct catalog *catalog, const struct catalog_table *table)
{
    for (size_t i = 0; i < catalog->table_count; i++)
        for (uint16_t k = 0; k < catalog->tables[i].foreign_key_count; k++)
            if (catalog->tables[i].foreign_keys[k].parent_oid == table->oid)
                return true;
    return false;
}

/* Where the source's column is GENERATED ALWAYS too, next to no UPDATE can set it there. */
static void check_identity(struct migration *m, const struct bound_table *table,
                           const char *name)
{
    const struct catalog_column *column = unsettable(table);
    const struct catalog_column *from;
    struct buf sql = {0};
    if (column == NULL || !is_referred_to(m->target_catalog, table->target))
        return;
    from = origin(table, column->name);
    buf_append_text(&sql, "ALTER TABLE ");
    ident_append_qualified(&sql, table->target->schema, table->target->name);
    buf_append_text(&sql, " ALTER ");
    ident_append(&sql, column->name);
    buf_append_text(&sql, " SET GENERATED ");
    size_t upto = sql.size;
    buf_append_text(&sql, "BY DEFAULT");
    char *set = mem_string(buf_text(&sql));
    sql.size = upto;
    buf_append_text(&sql, "ALWAYS");
    findings_add(&m->findings, "target.reference_identity",
                 from != NULL && from->identity == 'a' ? SEVERITY_POTENTIALLY_BREAKING
                                                       : SEVERITY_BREAKING,
                 name,
                 "foreign keys are enforced for replicated rows, rows of other tables refer to "
                 "this one, and a column of its key is GENERATED ALWAYS",
                 "no UPDATE can set it: a row whose key changes is deleted and written anew, "
                 "which takes along what refers to it, or is refused",
                 "let it be generated by default until the cutover", set, buf_text(&sql));
    free(set);
    buf_free(&sql);
}

/* ---- all of them ---- */

/* Of a table that several sources go to, the rows of each refer to those of its own. */
static bool leads_to(const struct bound_table *child, const struct catalog_foreign_key *key,
                     const struct bound_table *parent)
{
    return parent->target->oid == key->parent_oid &&
           (parent->target != child->target || parent == child);
}

/* Of the tables that go to the parent, the source's key leads to one. */
static void check_key(struct migration *m, const struct bound_table *child,
                      const struct catalog_foreign_key *key, bool first, const char *name)
{
    struct reference r = {.child = child, .key = key};
    bool ours = false;
    bool known = false;
    for (size_t i = 0; i < m->chain->table_count; i++) {
        r.parent = &m->chain->tables[i];
        r.parent_index = i;
        if (!leads_to(child, key, r.parent))
            continue;
        if (first && !ours)
            check_immediate(m, &r, name);
        ours = true;
        if (!acts(key) || !acts_at_source(&r))
            continue;
        known = true;
        check_leaving(m, &r, name);
    }
    if (ours && acts(key) && !known)
        refuse_action(m, key, name);
}

static bool is_first(const struct chain *chain, size_t table)
{
    for (size_t i = 0; i < table; i++)
        if (chain->tables[i].target == chain->tables[table].target)
            return false;
    return true;
}

void enforced_check(struct migration *m)
{
    for (size_t i = 0; !m->target_catalog->can_set_replica_role && i < m->chain->table_count;
         i++) {
        const struct bound_table *table = &m->chain->tables[i];
        char *name = ident_display(table->target->schema, table->target->name);
        for (uint16_t k = 0; k < table->target->foreign_key_count; k++)
            check_key(m, table, &table->target->foreign_keys[k], is_first(m->chain, i), name);
        check_identity(m, table, name);
        free(name);
    }
}
