/* Rows of one source table that may get the same key: the finding, with the query that counts
 * them at the source. What the copy or the stream writes over such a row cannot be told from a row
 * that is written again, so it must be known before. */
#include "transforms/key.h"

#include "schema/distinct.h"
#include "schema/validation.h"

#include <stdlib.h>

/* "tenant_id, id" */
static const char *key_columns_text(struct binder *binder, const struct table_plan *plan)
{
    struct buf list = {0};

    for (uint16_t i = 0; i < plan->key_count; i++)
        buf_append_format(&list, "%s%s", i ? ", " : "",
                          plan->columns[plan->keys[i]].target->name);
    return text_take(binder->arena, &list);
}

const char *bind_uncounted(struct arena *arena, const struct bound_column *column)
{
    const struct source_column *plain = column->rule->plain;

    if (column->no_sql || distinct_can_group(plain ? plain->column : NULL, column->target))
        return column->no_sql;
    return text_format(arena,
                       "only the target knows which values of column \"%s\" (%s) are equal",
                       column->target->name, column->target->type_name);
}

/* Why no query at the source tells: a clause; NULL: one does. */
static const char *why_not_counted(struct binder *binder, const struct table_plan *plan)
{
    const char *reason = NULL;

    for (uint16_t i = 0; i < plan->key_count && !reason; i++)
        reason = bind_uncounted(binder->arena, &plan->bound->columns[plan->keys[i]]);
    return reason;
}

static const char *count_collisions(struct binder *binder, const struct table_plan *plan)
{
    uint16_t *columns = arena_alloc(binder->arena, (plan->key_count + 1u) * sizeof(*columns));
    struct buf rows = {0};
    const char *text;
    char *query;

    for (uint16_t i = 0; i < plan->key_count; i++)
        columns[i] = (uint16_t)(plan->columns[plan->keys[i]].target - binder->target->columns);
    buf_append_text(&rows, "(");
    bound_table_select(plan->bound, &rows);
    buf_append_text(&rows, ")");
    query =
        validation_duplicates(buf_text(&rows), binder->target, columns, plan->key_count, false);
    text = text_copy(binder->arena, query);
    free(query);
    buf_free(&rows);
    return text;
}

void bind_collision(struct binder *binder, const struct table_plan *plan)
{
    const char *not_counted = binder->collision ? why_not_counted(binder, plan) : NULL;
    struct report report = {.id = "key.may_collide",
                            .severity = SEVERITY_POTENTIALLY_BREAKING,
                            .where = key_place(binder),
                            .impact = "one of two such rows would overwrite the other",
                            .fix =
                                "give the key's column a type that tells the values apart; "
                                "separate them by a text that none of them holds; or add the "
                                "source's key columns to the key"};

    if (!binder->collision)
        return;
    if (!not_counted)
        report.validation_query = count_collisions(binder, plan);
    binder_report(binder, &report, "key (%s): %s%s%s", key_columns_text(binder, plan),
                  binder->collision,
                  not_counted ? "; how many do cannot be counted at the source: " : "",
                  not_counted ? not_counted : "");
}
