/* A world for tests of rule kinds: one source row in, one target column out.
 *
 *   kind_gives("{ from: x, mask: fixed }", ROW("a"), "***");
 *
 * Source t(id int8, x text, b bool, n int4, j json, jb jsonb), target t(id int8, y text). */
#ifndef UNIT_KINDS_WORLD_H
#define UNIT_KINDS_WORLD_H

#include "rules_world.h"
#include "transforms/rule.h"

struct kind_world {
    struct world world;
    const struct relation *relation;
    struct batch *in;
};

/* entry: what stands behind `y:`. The world must be closed in both cases. */
static inline bool kind_open_as(struct kind_world *kind, const char *type, int flags,
                                const char *entry)
{
    char text[2048];
    world_open(&kind->world);
    struct catalog_table *source = world_table(
        &kind->world.source, "public", "t",
        COLUMNS({"id", "int8", NOT_NULL}, {"x", "text", NULLABLE}, {"b", "bool", NULLABLE},
                {"n", "int4", NULLABLE}, {"j", "json", NULLABLE}, {"jb", "jsonb", NULLABLE}));
    world_index(source, "pk", PRIMARY, "id");
    world_index(world_table(&kind->world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"y", type, flags})),
                "pk", PRIMARY, "id");
    kind->in = batch_create();
    snprintf(text, sizeof(text),
             "tables:\n  - source: t\n    drop: [x, b, n, j, jb]\n    columns:\n      y: %s\n",
             entry);
    kind->relation = world_relation(&kind->world, source);
    return world_bind(&kind->world, text);
}

static inline bool kind_open(struct kind_world *kind, const char *entry)
{
    return kind_open_as(kind, "text", NULLABLE, entry);
}

static inline void kind_close(struct kind_world *kind)
{
    batch_destroy(kind->in);
    world_close(&kind->world);
}

/* x, b, n, j and jb are all `value`: rules read the one that they name. */
#define ROW(value) VALUES("7", value, value, value, value, value)

/* "NULL", "UNCHANGED", or the text that the row gives for y. */
static inline void kind_row_gives(struct kind_world *kind, const char *const *row,
                                  const char *result)
{
    struct row wanted = {.values = &(struct value){0}, .count = 1};
    ck_assert_msg(world_change(&kind->world, kind->in, kind->relation, CHANGE_UPDATE, OLD_NONE,
                               NULL, row) == TRANSFORM_WRITTEN,
                  "%s", kind->world.err.message);
    wanted.values[0] = world_written(&kind->world)->new.values[1];
    ck_assert_str_eq(world_show(&wanted), result);
}

static inline void kind_gives(const char *entry, const char *const *row, const char *result)
{
    struct kind_world kind;
    ck_assert_msg(kind_open(&kind, entry), "%s", kind.world.err.message);
    kind_row_gives(&kind, row, result);
    kind_close(&kind);
}

static inline void kind_fails(const char *entry, const char *const *row, const char *message)
{
    struct kind_world kind;
    ck_assert_msg(kind_open(&kind, entry), "%s", kind.world.err.message);
    ck_assert_int_eq(
        world_change(&kind.world, kind.in, kind.relation, CHANGE_INSERT, OLD_NONE, NULL, row),
        TRANSFORM_REFUSED);
    ck_assert_int_eq(kind.world.err.class, ERR_DATA);
    ck_assert_str_eq(kind.world.err.message, message);
    kind_close(&kind);
}

/* The entry is bound and refused with this finding at y (line 5). */
static inline void kind_refused(const char *entry, const char *id, const char *place,
                                const char *what)
{
    struct kind_world kind;
    ck_assert_msg(!kind_open(&kind, entry), "bound: %s", entry);
    world_expect(&kind.world, SEVERITY_BREAKING, id, place, what);
    kind_close(&kind);
}

/* The file itself is refused. */
static inline void kind_not_loaded(const char *entry, const char *message)
{
    struct world world;
    char text[2048];
    world_open(&world);
    snprintf(text, sizeof(text), "tables:\n  - source: t\n    columns:\n      y: %s\n", entry);
    ck_assert_msg(!world_load(&world, text), "accepted: %s", entry);
    ck_assert_str_eq(world.err.message, message);
    world_close(&world);
}

static inline const struct rule *kind_rule(const struct kind_world *kind)
{
    return kind->world.chain->tables[0].columns[1].rule;
}

static inline void kind_says(const char *entry, const char *sql)
{
    struct kind_world kind;
    struct buf said = {0};
    ck_assert_msg(kind_open(&kind, entry), "%s", kind.world.err.message);
    ck_assert_ptr_null(rule_no_sql(kind_rule(&kind)));
    rule_sql(kind_rule(&kind), &said);
    ck_assert_str_eq(buf_text(&said), sql);
    buf_free(&said);
    kind_close(&kind);
}

/* reason NULL: there is a way back, with these steps from the column. */
static inline void kind_turns_back(const char *entry, const char *reason, const char *column,
                                   const char *steps)
{
    struct kind_world kind;
    ck_assert_msg(kind_open(&kind, entry), "%s", kind.world.err.message);
    struct inverse inverse = rule_inverse(kind_rule(&kind));
    if (reason) {
        ck_assert_ptr_nonnull(inverse.reason);
        ck_assert_str_eq(inverse.reason, reason);
    } else {
        ck_assert_msg(!inverse.reason, "%s", inverse.reason);
        ck_assert_str_eq(inverse.source_column, column);
        ck_assert_str_eq(buf_text(&inverse.steps), steps);
    }
    buf_free(&inverse.steps);
    kind_close(&kind);
}

#endif
