/* See world.h. */
#include "world.h"

#include "base/yaml.h"
#include "postgres/introspect.h"
#include "schema/ident.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 25
#define NULL_PERCENT 12

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->message : "");
    exit(2);
}

PGresult *world_ask(struct world *world, const char *sql, int format)
{
    PGconn *connection = world->property->session.conn;
    PGresult *result = PQexecParams(connection, sql, 0, NULL, NULL, NULL, NULL, format);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return result;
    fprintf(stderr, "seed %llu: PostgreSQL refuses: %s%s\n%s\n",
            (unsigned long long)world->seed, PQresultErrorMessage(result), sql,
            buf_text(&world->yaml));
    PQclear(result);
    return NULL;
}

bool world_tell(struct world *world, const char *sql)
{
    PGresult *result = world_ask(world, sql, 0);

    PQclear(result);
    return result != NULL;
}

static void draw_row(struct world *world, uint32_t row, struct buf *sql)
{
    struct buf value = {0};

    buf_append_format(sql, "%s(%u", row ? ", " : "", row);
    for (uint32_t i = 0; i < world->column_count; i++) {
        buf_append_text(sql, ", ");
        buf_clear(&value);
        draw_value(&world->draw, &world->columns[i], &value);
        if (draw_chance(&world->draw, NULL_PERCENT))
            buf_append_text(sql, "NULL");
        else
            literal_append(sql, buf_text(&value), value.size);
    }
    buf_append_text(sql, ")");
    buf_free(&value);
}

static bool fill(struct world *world)
{
    struct buf sql = {0};
    bool filled;

    buf_append_text(&sql, "INSERT INTO public.s VALUES ");
    for (uint32_t i = 0; i < ROWS; i++)
        draw_row(world, i, &sql);
    filled = world_tell(world, buf_text(&sql));
    buf_free(&sql);
    return filled;
}

void world_declare(const struct world *world, uint32_t count, struct buf *sql)
{
    for (uint32_t i = 0; i < count; i++)
        buf_append_format(sql, ", %s %s", world->columns[i].name, world->columns[i].type->name);
}

void world_draw_columns(struct world *world)
{
    world->column_count = 3 + draw_below(&world->draw, MOST_COLUMNS - 2);
    for (uint32_t i = 0; i < world->column_count; i++)
        draw_column(&world->draw, i, &world->columns[i]);
}

bool world_make(struct world *world, const char *targets)
{
    struct buf sql = {0};
    struct err err = {0};

    buf_append_text(&sql, "DROP TABLE IF EXISTS public.s; DROP SCHEMA IF EXISTS app CASCADE;"
                          "CREATE SCHEMA app; CREATE TABLE public.s (id int8 PRIMARY KEY");
    world_declare(world, world->column_count, &sql);
    buf_append_format(&sql, "); %s", targets);
    if (!session_run(&world->property->session, buf_text(&sql), &err))
        die("tables", &err);
    buf_free(&sql);
    return fill(world) && introspect(&world->property->session, &world->catalog, &err);
}

/* --- binding --- */

struct chain *world_bind(struct world *world, const char *text, struct err *err)
{
    struct yaml_node *root = NULL;
    struct rules *rules = NULL;
    struct chain *chain = NULL;
    struct findings findings = {0};

    if (!yaml_load("drawn.yaml", text, strlen(text), &root, err) ||
        !rules_load(yaml_get(root, "tables"), &rules, err) ||
        !rules_bind(rules, world->catalog, world->catalog, &findings, &chain, err))
        chain = NULL;
    rules_free(rules);
    yaml_free(root);
    findings_free(&findings);
    return chain;
}

bool world_bind_drawn(struct world *world)
{
    struct err err = {0};

    world->chain = world_bind(world, buf_text(&world->yaml), &err);
    if (world->chain)
        return true;
    world->property->refused_worlds++;
    if (getenv("PROPERTY_VERBOSE"))
        fprintf(stderr, "refused: %s\n%s", err.message, buf_text(&world->yaml));
    return false;
}

/* --- rows --- */

bool world_read(struct world *world, bool binary)
{
    const struct relation *relation = world->chain->tables[0].source_relation;
    struct buf sql = {0};

    world->format = binary && draw_chance(&world->draw, 70);
    buf_append_text(&sql, "SELECT ");
    for (uint16_t i = 0; i < relation->column_count; i++) {
        buf_append_text(&sql, i ? ", " : "");
        ident_append(&sql, relation->columns[i].name);
    }
    buf_append_text(&sql, " FROM public.s ORDER BY s.id");
    world->source = world_ask(world, buf_text(&sql), world->format);
    buf_free(&sql);
    return world->source != NULL;
}

struct value world_value(const PGresult *result, int row, int column, enum value_kind kind)
{
    if (PQgetisnull(result, row, column))
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.data = PQgetvalue(result, row, column),
                          .size = (uint32_t)PQgetlength(result, row, column),
                          .kind = kind};
}

struct value *world_row(struct world *world, int row)
{
    int count = PQnfields(world->source);
    struct value *values = arena_alloc(&world->arena, (size_t)(count + 1) * sizeof(*values));

    for (int i = 0; i < count; i++)
        values[i] =
            world_value(world->source, row, i, world->format ? VALUE_BINARY : VALUE_TEXT);
    return values;
}

const char *world_show(const struct value *value)
{
    static char text[2][600];
    static int turn;
    static const char *const words[] = {[VALUE_ABSENT] = "ABSENT",
                                        [VALUE_NULL] = "NULL",
                                        [VALUE_UNCHANGED] = "UNCHANGED",
                                        [VALUE_BINARY] = "(binary)"};

    turn = !turn;
    if (value->kind != VALUE_TEXT)
        return words[value->kind];
    snprintf(text[turn], sizeof(text[turn]), "\"%.*s\"", (int)value->size, value->data);
    return text[turn];
}

/* --- the walk --- */

static void run_world(struct property *property, world_check check, uint64_t seed,
                      uint64_t *cases)
{
    struct world world = {.property = property, .seed = seed, .draw = draw_seeded(seed)};

    arena_init(&world.arena, 1 << 20);
    if (!check(&world, cases))
        property->failed++;
    property->worlds++;
    PQclear(world.source);
    PQclear(world.sql);
    chain_free(world.chain);
    catalog_free(world.catalog);
    buf_free(&world.yaml);
    arena_free(&world.arena);
}

static void set_up(struct property *property, const char *dsn)
{
    struct err err = {0};

    stop_init(&property->stop);
    if (!session_open(&property->session, "source", dsn, SESSION_SQL, &property->stop, &err) ||
        !session_run(&property->session,
                     "DROP TYPE IF EXISTS public.mood, public.moment, public.amount CASCADE;"
                     "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'very happy', 'it''s');"
                     "CREATE DOMAIN public.moment AS timestamptz;"
                     "CREATE DOMAIN public.amount AS numeric;"
                     "SET client_min_messages = warning",
                     &err))
        die("set up", &err);
}

struct arguments {
    const char *dsn;
    uint64_t cases;
    uint64_t seed;
};

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"dsn", required_argument, NULL, 'd'},
                                            {"cases", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'd')
            arguments->dsn = optarg;
        else if (option == 'n')
            arguments->cases = strtoull(optarg, NULL, 10);
        else if (option == 's')
            arguments->seed = strtoull(optarg, NULL, 10);
        else
            return false;
    }
    return arguments->dsn && arguments->cases;
}

int world_main(int argc, char **argv, const char *name, world_check check,
               world_summary summary)
{
    struct arguments arguments = {.cases = 3000, .seed = 1};
    struct property property = {0};
    uint64_t cases;

    if (!read_arguments(argc, argv, &arguments)) {
        fprintf(stderr, "usage: %s --dsn DSN [--cases N] [--seed S]\n", name);
        return 2;
    }
    cases = arguments.cases;
    set_up(&property, arguments.dsn);
    printf("%s --seed %llu --cases %llu\n", name, (unsigned long long)arguments.seed,
           (unsigned long long)arguments.cases);
    for (uint64_t world = 0; cases && property.failed < 5; world++)
        run_world(&property, check, arguments.seed + world, &cases);
    printf("%llu tables, %llu of them refused by bind\n", (unsigned long long)property.worlds,
           (unsigned long long)property.refused_worlds);
    if (property.refused_worlds * 2 > property.worlds)
        property.failed++;
    if (!property.failed && !summary(arguments.cases))
        property.failed++;
    session_close(&property.session);
    stop_free(&property.stop);
    printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)property.passed,
           (unsigned long long)property.failed);
    return property.failed ? 1 : 0;
}
