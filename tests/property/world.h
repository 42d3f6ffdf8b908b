/* What the property tests share: a drawn table at a real server, rules bound to it, its rows as
 * the rules read them, and the walk over many of them.
 *
 * A case is one row. A world is one drawn table with its rows; world number W of seed S is drawn
 * from S + W, so that a failure is replayed by the seed it prints and --cases 1. */
#ifndef PROPERTY_WORLD_H
#define PROPERTY_WORLD_H

#include "draw.h"

#include "postgres/session.h"
#include "transforms/rule.h"
#include "transforms/rules.h"

#define MOST_COLUMNS 8

struct property {
    struct session session;
    struct stop stop;
    uint64_t passed, failed, refused_worlds, worlds;
};

struct world {
    struct property *property;
    uint64_t seed;
    struct draw draw;
    uint32_t column_count;
    struct draw_column columns[MOST_COLUMNS]; /* of public.s, behind its key `id` */
    struct buf yaml;
    struct catalog *catalog; /* of the one server, which is source and target */
    struct chain *chain;
    struct arena arena;
    PGresult *source; /* what the rules read, a row for each row */
    PGresult *sql;    /* what PostgreSQL makes of it */
    int format;       /* of `source`: 0 text, 1 binary */
};

/* One property: draws a world, holds it, counts what passed and takes that from *cases. False:
 * it does not hold, and that was told. */
typedef bool (*world_check)(struct world *world, uint64_t *cases);
/* After a walk over that many cases without a failure: prints what was held, and fails the whole
 * if something was not met that should have been. */
typedef bool (*world_summary)(uint64_t cases);

/* main(): reads --dsn, --cases and --seed, walks, and prints "N passed, N failed, 0 skipped".
 * Exit status 1 on a failure, 2 when it cannot run. */
int world_main(int argc, char **argv, const char *name, world_check check,
               world_summary summary);

/* A result of the server, or NULL when it refuses, which is told. */
PGresult *world_ask(struct world *world, const char *sql, int format);
bool world_tell(struct world *world, const char *sql);

/* ", c0 text, c1 int4" of the first columns. */
void world_declare(const struct world *world, uint32_t count, struct buf *sql);
void world_draw_columns(struct world *world);
/* Makes public.s of the columns, and the targets by these statements (schema app is empty);
 * draws the rows of public.s and reads the catalog. */
bool world_make(struct world *world, const char *targets);
/* Binds a file; NULL when the rules are refused. */
struct chain *world_bind(struct world *world, const char *text, struct err *err);
/* bind of world->yaml; a refusal is counted, and shown with PROPERTY_VERBOSE. */
bool world_bind_drawn(struct world *world);

/* Reads what the first bound table reads of each row, in its order: mostly in binary where that
 * may be, else as text. */
bool world_read(struct world *world, bool binary);
struct value *world_row(struct world *world, int row);
/* A value of a result. */
struct value world_value(const PGresult *result, int row, int column, enum value_kind kind);
/* For messages; two may be shown at once. */
const char *world_show(const struct value *value);

#endif
