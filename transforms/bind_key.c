/* How the sink finds the row that an update or delete means.
 *
 *     source identity      old values in the stream      match
 *     d or i, an index     its columns                   MATCH_KEY
 *     f with primary key   all                           MATCH_KEY
 *     f without            all                           MATCH_ROW, or MATCH_KEY with `key:`
 *     none                 none                          MATCH_NONE: inserts and truncates only
 *
 * Whether a key is good is key_check.c's. */
#include "transforms/key.h"

/* --- which columns are the key --- */

static void add_key(struct key *key, struct plan_column *column)
{
    key->columns[key->count++] = column;
}

static bool given_key_column(struct binder *binder, const struct name_spec *name,
                             struct key *key)
{
    int index = catalog_column_index(binder->target, name->name);
    struct report report = {.id = "key.column",
                            .severity = SEVERITY_BREAKING,
                            .where = name->where,
                            .fix = "name columns of the target that rules fill"};

    if (index >= 0 && binder->columns[index].state == PLAN_BOUND) {
        add_key(key, &binder->columns[index]);
        return true;
    }
    if (index >= 0)
        binder_report(binder, &report, "key: no rule fills target column %s.%s",
                      binder->target_text, name->name);
    else
        binder_report(binder, &report, "key: target table %s has no column \"%s\"%s",
                      binder->target_text, name->name,
                      text_did_you_mean(binder->arena, name->name,
                                        bind_column_names(binder->arena, binder->target)));
    return false;
}

static bool given_key(struct binder *binder, struct key *key)
{
    bool known = true;

    for (size_t i = 0; i < binder->spec->key_count; i++)
        known &= given_key_column(binder, &binder->spec->keys[i], key);
    return known;
}

/* True if every input of the column is a column of the index. */
static bool made_of(const struct binder *binder, const struct plan_column *column,
                    const struct catalog_index *index)
{
    for (uint16_t i = 0; i < column->input_count; i++)
        if (!key_index_has(binder->source, index, column->inputs[i]->column))
            return false;
    return true;
}

/* The target's primary key, if the source's identity makes all of it and all of the identity
 * is in it. */
static bool primary_as_key(struct binder *binder, const struct catalog_index *identity,
                           struct key *key)
{
    const struct catalog_index *primary = key_primary_index(binder->target);

    key->count = 0;
    if (!primary || !primary->usable || !primary->immediate)
        return false;
    for (uint16_t i = 0; i < primary->column_count; i++) {
        struct plan_column *column = &binder->columns[primary->columns[i]];

        if (column->state != PLAN_BOUND || !made_of(binder, column, identity))
            return false;
        add_key(key, column);
    }
    return key_reads_all(binder, key, identity);
}

static struct plan_column *column_of(struct binder *binder, const struct catalog_column *source)
{
    for (uint16_t i = 0; i < binder->target->column_count; i++) {
        struct plan_column *column = &binder->columns[i];

        if (column->state == PLAN_BOUND && column->rule->plain &&
            column->rule->plain->column == source)
            return column;
    }
    return NULL;
}

static bool identity_as_key(struct binder *binder, const struct catalog_index *identity,
                            struct key *key)
{
    key->count = 0;
    for (uint16_t i = 0; i < identity->column_count; i++) {
        const struct catalog_column *source = &binder->source->columns[identity->columns[i]];
        struct plan_column *column = column_of(binder, source);
        struct report report = {.id = "key.identity_not_carried",
                                .severity = SEVERITY_BREAKING,
                                .where = binder->target_text,
                                .fix = "carry it, or say which target columns are the key: "
                                       "key: [...]"};

        if (!column) {
            binder_report(binder, &report,
                          "column \"%s\" of source table %s identifies its rows, and no column "
                          "of target table %s holds it",
                          source->name, binder->source_text, binder->target_text);
            return false;
        }
        add_key(key, column);
    }
    return true;
}

static bool choose_key(struct binder *binder, struct key *key)
{
    const struct catalog_index *identity = catalog_identity_index(binder->source);

    key->columns = arena_alloc(binder->arena,
                               (binder->target->column_count + binder->spec->key_count + 1u) *
                                   sizeof(struct plan_column *));
    if (binder->spec->key_count)
        return given_key(binder, key);
    return primary_as_key(binder, identity, key) || identity_as_key(binder, identity, key);
}

/* --- the three ways --- */

static bool refuse_key(struct binder *binder, const char *reason)
{
    struct report report = {.id = "key.no_source_key",
                            .severity = SEVERITY_BREAKING,
                            .where = key_place(binder),
                            .fix = "give the source table a primary key, or leave key out"};

    binder_report(binder, &report, "key: source table %s %s", binder->source_text, reason);
    return false;
}

static const char *why_no_identity(const struct binder *binder)
{
    const struct catalog_table *source = binder->source;

    if (source->replica_identity == 'n')
        return "has REPLICA IDENTITY NOTHING";
    if (source->replica_identity == 'i')
        return "has a replica identity index that is gone";
    return key_primary_index(source) ? "has only a deferrable primary key"
                                     : "has no primary key";
}

static void bind_insert_only(struct binder *binder)
{
    struct report report = {
        .id = "source.no_identity",
        .severity = SEVERITY_POTENTIALLY_BREAKING,
        .where = binder->source_text,
        .impact = "updates and deletes cannot be seen: the rows they mean stay as they were",
        .fix = "give the table a primary key, or ALTER TABLE ... REPLICA IDENTITY FULL"};

    binder->match = MATCH_NONE;
    binder->insert_only = true;
    key_propose_full_identity(binder, &report);
    if (binder->source->updates_deletes > 0)
        report.impact = text_format(
            binder->arena, "updates and deletes cannot be seen, and the table has had %lld",
            (long long)binder->source->updates_deletes);
    binder_report(binder, &report,
                  "source table %s %s: only its inserts and truncates are carried",
                  binder->source_text, why_no_identity(binder));
    if (binder->spec->key_count)
        refuse_key(binder, "sends no key of updated and deleted rows");
}

static void bind_match_key(struct binder *binder)
{
    struct key key = {0};

    binder->match = MATCH_KEY;
    if (!choose_key(binder, &key) || !key_check(binder, &key))
        return;
    for (uint16_t i = 0; i < key.count; i++)
        key.columns[i]->key = true;
}

void bind_key(struct binder *binder)
{
    bool full = binder->source->replica_identity == 'f';

    if (catalog_identity_index(binder->source) || (full && binder->spec->key_count))
        bind_match_key(binder);
    else if (full)
        binder->match = MATCH_ROW;
    else
        bind_insert_only(binder);
    key_check_identity_always(binder);
}
