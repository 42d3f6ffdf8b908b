/* Which rows of the source go to the target: `where` and `route`, and what they cost where the
 * source's identity does not tell whether an old row was among them. */
#include "transforms/bind.h"

#include "transforms/condition.h"
#include "transforms/key.h"
#include "transforms/route.h"

static const struct condition *bind_one(struct binder *binder, const struct condition *spec)
{
    if (!spec)
        return NULL;
    binder->current = &binder->conditions;
    return condition_bind(binder, spec);
}

static bool in_identity(const struct binder *binder, const struct source_column *column)
{
    const struct catalog_index *identity = catalog_identity_index(binder->source);

    return identity && key_index_has(binder->source, identity, column->column);
}

/* The source column that the old key does not hold; NULL when an old row can be judged. */
static const struct source_column *unknown_before(const struct binder *binder)
{
    if (binder->source->replica_identity == 'f')
        return NULL;
    for (uint16_t i = 0; i < binder->conditions.input_count; i++)
        if (!in_identity(binder, binder->conditions.inputs[i]))
            return binder->conditions.inputs[i];
    return NULL;
}

/* It is right all the same: rows are deleted and written by key whether they were there or
 * not. */
static void report_unknown(struct binder *binder)
{
    const struct source_column *column = unknown_before(binder);
    struct report report = {
        .id = "rule.where_not_in_identity",
        .severity = SEVERITY_NON_BREAKING,
        .where = binder->spec->source.where ? binder->spec->source.where : binder->source_text,
        .impact =
            "each update is a delete or an upsert by key, without a look at whether the "
            "row was there, and conflicts of such changes are not counted; an update that "
            "does not send a long value (TOAST) reads the row at the source again",
        .fix = "set REPLICA IDENTITY FULL to have old rows judged"};

    if (!column || binder->match == MATCH_NONE)
        return;
    key_propose_full_identity(binder, &report);
    binder_report(binder, &report,
                  "which rows of %s go to %s depends on \"%s\", which is not part of the "
                  "replica identity: an old row cannot be judged",
                  binder->source_text, binder->target_text, column->column->name);
}

void bind_conditions(struct binder *binder)
{
    const struct table_spec *spec = binder->spec;
    const struct route_spec *route = spec->route;

    binder->where = bind_one(binder, spec->where);
    if (route) {
        binder->route = bind_one(binder, route_condition(route, binder->destination,
                                                         binder->captures, binder->arena));
        binder->known = bind_one(binder, route_known(route, binder->arena));
    }
}

void bind_rows(struct binder *binder)
{
    report_unknown(binder);
}
