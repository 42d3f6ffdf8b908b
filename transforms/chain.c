/* The chain at work: rows of the source become rows of the target (pipeline/transform.h).
 *
 * Old row images. A table matched by key needs of the old row only the target key, and only
 * where it differs from the new one; a table matched by row needs all of it:
 *
 *     in                     match key                         match row
 *     UPDATE, no old         UPDATE, OLD_NONE                  refused
 *     UPDATE, old key        OLD_KEY if the target key differs refused
 *     UPDATE, old row        OLD_KEY if the target key differs OLD_FULL
 *     DELETE, old key or row DELETE, OLD_KEY                   OLD_FULL; refused with a key
 * only
 *
 * Unchanged values of an update are taken from the old image where it holds them. */
#include "transforms/shape.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct rules_transform {
    struct transform transform;
    const struct chain_plan *chain;
    struct shapes shapes;
    const struct lookup_maker *maker;
    struct lookup **lookups; /* by chain.lookups; NULL without a maker */
    /* Room for one row of any table each. */
    struct value *source_new;
    struct value *source_old;
    struct value *target_old;
};

static bool wrap(const struct table_plan *plan, const struct plan_column *column,
                 struct err *err)
{
    const struct relation *relation = plan->bound->target_relation;

    return err_wrap(err, "target column %s.%s.%s", relation->schema, relation->name,
                    column->target->name);
}

/* --- evaluation --- */

static inline bool evaluate_column(const struct table_plan *plan,
                                   const struct plan_column *column,
                                   const struct evaluation *in, struct value *out,
                                   struct err *err)
{
    if (column->passes) {
        *out = in->values[column->rule->plain->index];
        return true;
    }
    return rule_text(column->rule, in, out, err) || wrap(plan, column, err);
}

static bool evaluate_row(const struct table_plan *plan, const struct evaluation *in,
                         struct value *out, struct err *err)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++)
        if (!evaluate_column(plan, &plan->columns[i], in, &out[i], err))
            return false;
    return true;
}

/* Key columns only; the others are absent. */
static bool evaluate_key(const struct table_plan *plan, const struct evaluation *in,
                         struct value *out, struct err *err)
{
    for (uint16_t i = 0; i < plan->bound->column_count; i++)
        out[i] = (struct value){.kind = VALUE_ABSENT};
    for (uint16_t i = 0; i < plan->key_count; i++) {
        uint16_t key = plan->keys[i];

        if (!evaluate_column(plan, &plan->columns[key], in, &out[key], err))
            return false;
    }
    return true;
}

/* A row whose key is not known cannot be written so that writing it again changes nothing. */
static bool check_key(const struct table_plan *plan, const struct value *row, struct err *err)
{
    for (uint16_t i = 0; i < plan->key_count; i++) {
        const struct value *value = &row[plan->keys[i]];

        if (value->kind == VALUE_TEXT || value->kind == VALUE_BINARY)
            continue;
        err_set(err, ERR_DATA, "%s",
                value->kind == VALUE_NULL ? "the key is NULL"
                : value->kind == VALUE_UNCHANGED
                    ? "the key was not sent (unchanged TOAST value)"
                    : "the key was not sent");
        err_remedy(err, "Make the key of columns that are never NULL, or set REPLICA IDENTITY "
                        "FULL at the source so that it sends them.");
        return wrap(plan, &plan->columns[plan->keys[i]], err);
    }
    return true;
}

static bool keys_equal(const struct table_plan *plan, const struct value *a,
                       const struct value *b)
{
    for (uint16_t i = 0; i < plan->key_count; i++)
        if (!value_equal(&a[plan->keys[i]], &b[plan->keys[i]]))
            return false;
    return true;
}

/* --- the source's side --- */

static bool check_count(const struct shape *shape, const struct row *row, struct err *err)
{
    if (row->values && row->count == shape->from->column_count)
        return true;
    return err_set(err, ERR_BUG, "a row of %s.%s has %u values, its relation %u columns",
                   shape->from->schema, shape->from->name, row->values ? row->count : 0,
                   shape->from->column_count);
}

/* The row's values in the order of the bound columns. */
static const struct value *line_up(const struct shape *shape, const struct row *row,
                                   struct value *room)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    if (shape->direct)
        return row->values;
    for (uint16_t i = 0; i < count; i++)
        room[i] = shape->places[i] == SHAPE_MISSING ? (struct value){.kind = VALUE_ABSENT}
                                                    : row->values[shape->places[i]];
    return room;
}

/* Fills unchanged values from the old image. */
static const struct value *complete(const struct shape *shape, const struct value *values,
                                    const struct value *old, struct value *room)
{
    uint16_t count = shape->plan->bound->source_relation->column_count;

    for (uint16_t i = 0; i < count; i++) {
        if (values[i].kind != VALUE_UNCHANGED || !value_is_known(&old[i]))
            continue;
        if (values != room) {
            memcpy(room, values, count * sizeof(*room));
            values = room;
        }
        room[i] = old[i];
    }
    return values;
}

/* --- changes --- */

struct task {
    struct rules_transform *transform;
    const struct shape *shape;
    const struct change *in;
    struct batch *out;
};

static const struct relation *target_of(const struct task *task)
{
    return task->shape->plan->bound->target_relation;
}

static void emit(const struct task *task, enum old_image old_image, struct row old,
                 struct row new)
{
    struct change *change = batch_add_change(task->out);

    change->kind = task->in->kind;
    change->relation = target_of(task);
    change->old_image = old_image;
    change->old = old;
    change->new = new;
    change->lsn = task->in->lsn;
    change->transaction = task->in->transaction;
}

static bool change_insert(const struct task *task, struct err *err)
{
    const struct table_plan *plan = task->shape->plan;
    struct row new = batch_row(task->out, plan->bound->column_count);
    struct evaluation in = {.arena = &task->out->arena, .lookups = task->transform->lookups};

    if (!check_count(task->shape, &task->in->new, err))
        return false;
    in.values = line_up(task->shape, &task->in->new, task->transform->source_new);
    if (!evaluate_row(plan, &in, new.values, err) || !check_key(plan, new.values, err))
        return false;
    emit(task, OLD_NONE, (struct row){0}, new);
    return true;
}

/* The old image's key, if it is another one than the new row's. */
static bool old_key(const struct task *task, const struct value *old_values,
                    const struct row *new, struct row *old, struct err *err)
{
    const struct table_plan *plan = task->shape->plan;
    struct evaluation in = {
        .values = old_values, .arena = &task->out->arena, .lookups = task->transform->lookups};
    struct value *room = task->transform->target_old;

    if (!evaluate_key(plan, &in, room, err) || !check_key(plan, room, err))
        return err_wrap(err, "old row");
    if (new &&keys_equal(plan, room, new->values))
        return true;
    *old = (struct row){.count = plan->bound->column_count};
    old->values = arena_copy(&task->out->arena, room, old->count * sizeof(*room));
    return true;
}

static bool old_row(const struct task *task, const struct value *old_values, struct row *old,
                    struct err *err)
{
    const struct table_plan *plan = task->shape->plan;
    struct evaluation in = {
        .values = old_values, .arena = &task->out->arena, .lookups = task->transform->lookups};
    struct row row = batch_row(task->out, plan->bound->column_count);

    if (!evaluate_row(plan, &in, row.values, err))
        return err_wrap(err, "old row");
    *old = row;
    return true;
}

/* What the target wants of the old image; old->values stays NULL when it wants nothing. */
static bool change_old(const struct task *task, const struct value *old_values,
                       const struct row *new, struct row *old, struct err *err)
{
    if (!old_values)
        return true;
    return target_of(task)->match == MATCH_ROW ? old_row(task, old_values, old, err)
                                               : old_key(task, old_values, new, old, err);
}

static enum old_image image_of(const struct task *task, const struct row *old)
{
    if (!old->values)
        return OLD_NONE;
    return target_of(task)->match == MATCH_ROW ? OLD_FULL : OLD_KEY;
}

static bool change_update(const struct task *task, struct err *err)
{
    const struct table_plan *plan = task->shape->plan;
    const struct change *change = task->in;
    const struct value *old_values = NULL;
    struct evaluation in = {.arena = &task->out->arena, .lookups = task->transform->lookups};
    struct row old = {0}, new = batch_row(task->out, plan->bound->column_count);

    if (!check_count(task->shape, &change->new, err) ||
        (change->old_image != OLD_NONE && !check_count(task->shape, &change->old, err)))
        return false;
    in.values = line_up(task->shape, &change->new, task->transform->source_new);
    if (change->old_image == OLD_NONE) {
        in.fixed = task->shape->fixed;
    } else {
        old_values = line_up(task->shape, &change->old, task->transform->source_old);
        in.values = complete(task->shape, in.values, old_values, task->transform->source_new);
    }
    if (!evaluate_row(plan, &in, new.values, err) || !check_key(plan, new.values, err) ||
        !change_old(task, old_values, &new, &old, err))
        return false;
    emit(task, image_of(task, &old), old, new);
    return true;
}

static bool change_delete(const struct task *task, struct err *err)
{
    struct row old = {0};

    if (!check_count(task->shape, &task->in->old, err))
        return false;
    if (!change_old(task, line_up(task->shape, &task->in->old, task->transform->source_old),
                    NULL, &old, err))
        return false;
    emit(task, image_of(task, &old), old, (struct row){0});
    return true;
}

/* Whether the source's identity, as this relation version has it, still names the row. */
static bool check_identity(const struct task *task, struct err *err)
{
    const struct catalog_table *source = task->shape->plan->bound->source;
    const struct change *change = task->in;
    bool has_old = change->kind == CHANGE_DELETE || target_of(task)->match == MATCH_ROW;
    const char *problem = NULL;

    if (target_of(task)->match == MATCH_NONE)
        problem =
            "the table was bound without a replica identity, and an update or delete came";
    else if (target_of(task)->match == MATCH_ROW && change->old_image != OLD_FULL)
        problem = "its rows are matched whole, and the old row was not sent";
    else if (has_old && change->old_image == OLD_NONE)
        problem = "a delete came without the old key";
    else if (!task->shape->identifies)
        problem = "its replica identity no longer holds the columns that the key is made of";
    if (!problem)
        return true;
    err_set(err, ERR_DATA, "source table %s.%s: %s", source->schema, source->name, problem);
    return err_remedy(err,
                      "The replica identity was changed. Run again to bind the rules anew; "
                      "if that is refused, restore the identity.");
}

static bool change_row(const struct task *task, struct err *err)
{
    switch (task->in->kind) {
    case CHANGE_INSERT:
        return change_insert(task, err);
    case CHANGE_UPDATE:
        return check_identity(task, err) && change_update(task, err);
    case CHANGE_DELETE:
        return check_identity(task, err) && change_delete(task, err);
    case CHANGE_TRUNCATE:
        break;
    }
    return err_set(err, ERR_BUG, "a change of unknown kind %d", (int)task->in->kind);
}

static enum transform_result change_truncate(struct rules_transform *transform,
                                             const struct change *in, struct batch *out,
                                             uint32_t *table, struct err *err)
{
    const struct relation **relations =
        arena_alloc(&out->arena, (in->relation_count + 1u) * sizeof(struct relation *));
    struct change *change;
    uint16_t count = 0;

    *table = UINT32_MAX;
    for (uint16_t i = 0; i < in->relation_count; i++) {
        const struct table_plan *plan;
        bool known = shape_table(transform->chain, in->relations[i], &plan, err);

        if (plan && *table == UINT32_MAX)
            *table = plan->bound->target_relation->table;
        if (!known)
            return TRANSFORM_FAILED;
        if (plan)
            relations[count++] = plan->bound->target_relation;
    }
    if (count == 0)
        return TRANSFORM_FILTERED;
    change = batch_add_change(out);
    change->kind = CHANGE_TRUNCATE;
    change->relation = relations[0];
    change->relations = relations;
    change->relation_count = count;
    change->truncate_restart_identity = in->truncate_restart_identity;
    change->lsn = in->lsn;
    change->transaction = in->transaction;
    return TRANSFORM_WRITTEN;
}

static enum transform_result rules_change(struct transform *base, const struct change *in,
                                          struct batch *out, uint32_t *table, struct err *err)
{
    struct rules_transform *transform = (struct rules_transform *)base;
    struct task task = {.transform = transform, .in = in, .out = out};

    if (in->kind == CHANGE_TRUNCATE)
        return change_truncate(transform, in, out, table, err);
    if (!shapes_find(&transform->shapes, transform->chain, in->relation, &task.shape, table,
                     err))
        return TRANSFORM_FAILED;
    if (!task.shape->plan)
        return TRANSFORM_FILTERED;
    return change_row(&task, err) ? TRANSFORM_WRITTEN : TRANSFORM_FAILED;
}

/* --- rows of the backfill --- */

static bool refuse_format(const struct plan_column *column, struct err *err)
{
    return err_set(err, ERR_DATA, "the result is no value of type %s",
                   column->target->type_name);
}

/* The copy has one format for all values. */
static bool to_binary(const struct plan_column *column, struct arena *arena,
                      struct value *value, struct err *err)
{
    struct value text = *value;

    if (value->kind == VALUE_BINARY || value->kind == VALUE_NULL)
        return true;
    if (column->rule->constant && column->binary) {
        *value = *column->binary;
        return true;
    }
    return (value->kind == VALUE_TEXT && column->codec &&
            type_to_binary(column->codec, &text, arena, value)) ||
           refuse_format(column, err);
}

static bool to_text(const struct plan_column *column, struct arena *arena, struct value *value,
                    struct err *err)
{
    struct value binary = *value;

    if (value->kind == VALUE_TEXT || value->kind == VALUE_NULL)
        return true;
    return (value->kind == VALUE_BINARY && column->codec && type_has_text(column->codec) &&
            type_to_text(column->codec, &binary, arena, value)) ||
           refuse_format(column, err);
}

static bool copy_row(const struct table_plan *plan, const struct evaluation *in,
                     struct value *out, struct err *err)
{
    bool binary = plan->bound->copy_binary;

    for (uint16_t i = 0; i < plan->bound->column_count; i++) {
        const struct plan_column *column = &plan->columns[i];

        if (!evaluate_column(plan, column, in, &out[i], err))
            return false;
        if (!(binary ? to_binary : to_text)(column, in->arena, &out[i], err))
            return wrap(plan, column, err);
    }
    return check_key(plan, out, err);
}

static enum transform_result rules_row(struct transform *base, const struct relation *from,
                                       const struct row *in, struct arena *arena,
                                       const struct relation **target, struct row *out,
                                       struct err *err)
{
    struct rules_transform *transform = (struct rules_transform *)base;
    const struct shape *shape;
    struct evaluation evaluation = {.arena = arena, .lookups = transform->lookups};
    struct row row;
    uint32_t table;

    if (!shapes_find(&transform->shapes, transform->chain, from, &shape, &table, err))
        return TRANSFORM_FAILED;
    if (!shape->plan)
        return TRANSFORM_FILTERED;
    if (!check_count(shape, in, err))
        return TRANSFORM_FAILED;
    evaluation.values = line_up(shape, in, transform->source_new);
    row.count = shape->plan->bound->column_count;
    row.values = arena_alloc(arena, row.count * sizeof(*row.values));
    if (!copy_row(shape->plan, &evaluation, row.values, err))
        return TRANSFORM_FAILED;
    *target = shape->plan->bound->target_relation;
    *out = row;
    return TRANSFORM_WRITTEN;
}

/* --- life --- */

static void rules_destroy(struct transform *base)
{
    struct rules_transform *transform = (struct rules_transform *)base;

    for (size_t i = 0; transform->lookups && i < transform->chain->chain.lookup_count; i++)
        transform->lookups[i]->ops->destroy(transform->lookups[i]);
    free(transform->lookups);
    shapes_free(&transform->shapes);
    free(transform->source_new);
    free(transform->source_old);
    free(transform->target_old);
    free(transform);
}

static struct transform *rules_clone(const struct transform *base)
{
    const struct rules_transform *transform = (const struct rules_transform *)base;

    return chain_transform_asking(&transform->chain->chain, transform->maker);
}

static const struct transform_ops rules_ops = {
    .change = rules_change,
    .row = rules_row,
    .clone = rules_clone,
    .destroy = rules_destroy,
};

static size_t most_columns(const struct chain *chain)
{
    size_t most = 1;

    for (size_t i = 0; i < chain->table_count; i++) {
        if (chain->tables[i].column_count > most)
            most = chain->tables[i].column_count;
        if (chain->tables[i].source_relation->column_count > most)
            most = chain->tables[i].source_relation->column_count;
    }
    return most;
}

static void make_lookups(struct rules_transform *transform, const struct chain *chain)
{
    if (!transform->maker || chain->lookup_count == 0)
        return;
    transform->lookups = mem_zero(chain->lookup_count, sizeof(struct lookup *));
    for (size_t i = 0; i < chain->lookup_count; i++)
        transform->lookups[i] =
            transform->maker->make(transform->maker->context, &chain->lookups[i]);
}

struct transform *chain_transform(const struct chain *chain)
{
    return chain_transform_asking(chain, NULL);
}

struct transform *chain_transform_asking(const struct chain *chain,
                                         const struct lookup_maker *maker)
{
    struct rules_transform *transform = mem_zero(1, sizeof(*transform));
    size_t most = most_columns(chain);

    transform->transform.ops = &rules_ops;
    transform->chain = (const struct chain_plan *)chain;
    shapes_init(&transform->shapes);
    transform->source_new = mem_zero(most, sizeof(struct value));
    transform->source_old = mem_zero(most, sizeof(struct value));
    transform->target_old = mem_zero(most, sizeof(struct value));
    transform->maker = maker;
    make_lookups(transform, chain);
    return &transform->transform;
}
