/* Do the three faces of the rules agree?
 *
 *     rules_property --dsn DSN [--cases N] [--seed S]
 *
 * Draws tables, rules and rows, lets PostgreSQL evaluate bound_table_select() over the rows and
 * the rules evaluate the same rows here, and holds for every row and target column:
 *
 *  1. both give the same bytes, or NULL there and an error here (unless a step behind the one
 *     that fails fills NULL);
 *  2. with some values unchanged or absent the result is unchanged, absent, an error, or the
 *     same as with all of them known: never something else;
 *  3. where the rule claims a way back, the rule of the way back, loaded from its YAML and
 *     bound, gives the source column's text again.
 *
 * A case is one row. A world is one drawn table with its rows; world number W of seed S is
 * drawn from S + W, so that a failure is replayed by the seed it prints and --cases 1. The last
 * line is "N passed, N failed, 0 skipped". Exit status 1 on a failure, 2 when it cannot run. */
#include "draw.h"

#include "base/mem.h"
#include "base/yaml.h"
#include "postgres/introspect.h"
#include "postgres/session.h"
#include "schema/ident.h"
#include "transforms/rule.h"
#include "transforms/rules.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 25
#define MOST_COLUMNS 8
#define RULES 8
#define NULL_PERCENT 12

struct property {
    struct session session;
    struct stop stop;
    uint64_t passed, failed, refused_worlds, worlds, without_sql, turned_back;
};

struct world {
    struct property *property;
    uint64_t seed;
    struct draw draw;
    uint32_t column_count;
    struct draw_column columns[MOST_COLUMNS];
    struct buf yaml;
    struct catalog *catalog;
    struct chain *chain;
    struct arena arena;
    PGresult *source; /* what the rules read, a row for each row */
    PGresult *sql;    /* what PostgreSQL makes of it */
    int format;       /* of `source`: 0 text, 1 binary */
};

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err ? err->message : "");
    exit(2);
}

static PGresult *ask(struct world *world, const char *sql, int format)
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

static bool tell(struct world *world, const char *sql)
{
    PGresult *result = ask(world, sql, 0);

    PQclear(result);
    return result != NULL;
}

/* --- the drawn table --- */

/* How many columns of the source go over unchanged: the first ones. */
static uint32_t carried_count(const struct world *world)
{
    return world->column_count / 3;
}

static void draw_tables(struct world *world, struct buf *sql)
{
    buf_append_text(sql, "DROP TABLE IF EXISTS public.s, app.t;"
                         "CREATE TABLE public.s (id int8 PRIMARY KEY");
    for (uint32_t i = 0; i < world->column_count; i++)
        buf_append_format(sql, ", %s %s", world->columns[i].name, world->columns[i].type->name);
    buf_append_text(sql, "); CREATE TABLE app.t (id int8 PRIMARY KEY");
    for (uint32_t i = 0; i < carried_count(world); i++)
        buf_append_format(sql, ", %s %s", world->columns[i].name, world->columns[i].type->name);
    for (uint32_t i = 0; i < RULES; i++)
        buf_append_format(sql, ", r%u text", i);
    buf_append_text(sql, ");");
}

static void draw_rules(struct world *world)
{
    struct buf *yaml = &world->yaml;

    buf_append_text(yaml, "tables:\n  - source: public.s\n    target: app.t\n    columns:\n");
    for (uint32_t i = 0; i < RULES; i++) {
        buf_append_format(yaml, "      r%u: ", i);
        draw_entry(&world->draw, world->columns, world->column_count, yaml);
        buf_append_char(yaml, '\n');
    }
    buf_append_text(yaml, "    drop: [");
    for (uint32_t i = carried_count(world); i < world->column_count; i++)
        buf_append_format(yaml, "%s%s", i == carried_count(world) ? "" : ", ",
                          world->columns[i].name);
    buf_append_text(yaml, "]\n");
}

static void draw_row(struct world *world, uint32_t row, struct buf *sql)
{
    struct buf value = {0};

    buf_append_format(sql, "%s(%u", row ? ", " : "", row);
    for (uint32_t i = 0; i < world->column_count; i++) {
        buf_append_text(sql, ", ");
        buf_clear(&value);
        world->columns[i].type->value(&world->draw, &value);
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
    filled = tell(world, buf_text(&sql));
    buf_free(&sql);
    return filled;
}

static bool make_tables(struct world *world)
{
    struct buf sql = {0};
    struct err err = {0};
    bool made;

    world->column_count = 3 + draw_below(&world->draw, MOST_COLUMNS - 2);
    for (uint32_t i = 0; i < world->column_count; i++) {
        snprintf(world->columns[i].name, sizeof(world->columns[i].name), "c%u", i);
        world->columns[i].type = draw_type(&world->draw);
    }
    draw_tables(world, &sql);
    made = session_run(&world->property->session, buf_text(&sql), &err);
    if (!made)
        die("tables", &err);
    buf_free(&sql);
    draw_rules(world);
    return fill(world) && introspect(&world->property->session, &world->catalog, &err);
}

/* --- binding --- */

static struct chain *bind_rules(struct world *world, const char *text, struct err *err)
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

/* --- reading both sides --- */

/* Binary where everything that is read can be turned to text here. */
static int draw_format(struct world *world)
{
    const struct bound_table *table = &world->chain->tables[0];

    for (uint16_t i = 0; i < table->source_relation->column_count; i++) {
        int index =
            catalog_column_index(table->source, table->source_relation->columns[i].name);

        if (!type_has_text(type_codec_for(&table->source->columns[index])))
            return 0;
    }
    return draw_chance(&world->draw, 70);
}

static bool read_source(struct world *world)
{
    const struct relation *relation = world->chain->tables[0].source_relation;
    struct buf sql = {0};

    world->format = draw_format(world);
    buf_append_text(&sql, "SELECT ");
    for (uint16_t i = 0; i < relation->column_count; i++) {
        buf_append_text(&sql, i ? ", " : "");
        ident_append(&sql, relation->columns[i].name);
    }
    buf_append_text(&sql, " FROM public.s ORDER BY s.id");
    world->source = ask(world, buf_text(&sql), world->format);
    buf_free(&sql);
    return world->source != NULL;
}

static bool read_sql(struct world *world)
{
    struct buf sql = {0};

    bound_table_select(&world->chain->tables[0], &sql);
    buf_append_text(&sql, " ORDER BY s.id");
    world->sql = ask(world, buf_text(&sql), 0);
    buf_free(&sql);
    return world->sql != NULL;
}

static struct value value_of(const PGresult *result, int row, int column, enum value_kind kind)
{
    if (PQgetisnull(result, row, column))
        return (struct value){.kind = VALUE_NULL};
    return (struct value){.data = PQgetvalue(result, row, column),
                          .size = (uint32_t)PQgetlength(result, row, column),
                          .kind = kind};
}

static struct value *source_row(struct world *world, int row)
{
    int count = PQnfields(world->source);
    struct value *values = arena_alloc(&world->arena, (size_t)(count + 1) * sizeof(*values));

    for (int i = 0; i < count; i++)
        values[i] = value_of(world->source, row, i, world->format ? VALUE_BINARY : VALUE_TEXT);
    return values;
}

/* --- what is held --- */

static const char *show(const struct value *value)
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

static bool complain(struct world *world, int row, const struct bound_column *column,
                     const char *what, const struct value *wanted, const struct value *got)
{
    struct buf sql = {0};

    fprintf(stderr, "FAILED row %d, column %s: %s\n  wanted %s\n  got    %s\n", row,
            column->target->name, what, show(wanted), show(got));
    if (!column->no_sql)
        rule_sql(column->rule, &sql);
    fprintf(stderr, "  sql %s\n%s  replay: --seed %llu --cases 1\n", buf_text(&sql),
            buf_text(&world->yaml), (unsigned long long)world->seed);
    buf_free(&sql);
    return false;
}

/* PostgreSQL prints char(n) with its blanks, rules work without. */
static void trim(const struct bound_column *column, struct value *value)
{
    const struct source_column *plain = column->rule->plain;

    while (plain && plain->blank_padded && value->kind == VALUE_TEXT && value->size &&
           value->data[value->size - 1] == ' ')
        value->size--;
}

/* A failure is NULL in SQL, unless a step behind it makes something of NULL. */
static bool keeps_null(const struct rule *rule)
{
    for (; rule; rule = rule->input)
        if (rule->kind == &rule_default || rule->kind == &rule_map)
            return false;
    return true;
}

static bool same_as_sql(struct world *world, int row, int index, const struct value *got,
                        bool good, const struct err *err)
{
    const struct bound_column *column = &world->chain->tables[0].columns[index];
    struct value wanted = value_of(world->sql, row, index, VALUE_TEXT);

    if (column->no_sql) {
        world->property->without_sql++;
        return true;
    }
    trim(column, &wanted);
    if (good ? value_equal(&wanted, got)
             : wanted.kind == VALUE_NULL || !keeps_null(column->rule))
        return true;
    return complain(world, row, column, good ? "other in SQL" : err->message, &wanted, got);
}

/* Some values are not known: unchanged in an update, absent in an old key. */
static bool holds_when_less_is_known(struct world *world, int row, int index,
                                     const struct value *values, const struct value *whole,
                                     bool good)
{
    const struct bound_column *column = &world->chain->tables[0].columns[index];
    int count = PQnfields(world->source);
    struct value *less = arena_copy(&world->arena, values, (size_t)count * sizeof(*less));
    bool *fixed = arena_alloc(&world->arena, (size_t)count);
    enum value_kind gap = draw_chance(&world->draw, 50) ? VALUE_UNCHANGED : VALUE_ABSENT;
    struct evaluation in = {.values = less, .arena = &world->arena};
    struct value got;
    struct err err = {0};

    for (int i = 0; i < count; i++) {
        fixed[i] = strcmp(PQfname(world->source, i), "id") == 0;
        if (!fixed[i] && draw_chance(&world->draw, 50))
            less[i] = (struct value){.kind = gap};
    }
    in.fixed = gap == VALUE_UNCHANGED ? fixed : NULL;
    if (!rule_text(column->rule, &in, &got, &err))
        return true;
    if (got.kind == gap || (good && value_equal(&got, whole)))
        return true;
    return complain(world, row, column, "other when some values are not known", whole, &got);
}

static bool check_row(struct world *world, int row, struct value *made)
{
    const struct bound_table *table = &world->chain->tables[0];
    const struct value *values = source_row(world, row);
    struct evaluation in = {.values = values, .arena = &world->arena};
    bool holds = true;

    for (int i = 0; i < table->column_count && holds; i++) {
        struct err err = {0};
        bool good;

        made[i] = (struct value){.kind = VALUE_ABSENT};
        good = rule_text(table->columns[i].rule, &in, &made[i], &err);
        holds = same_as_sql(world, row, i, &made[i], good, &err) &&
                holds_when_less_is_known(world, row, i, values, &made[i], good);
    }
    return holds;
}

/* --- the way back --- */

struct way_back {
    struct chain *chain;
    const char *source[RULES + MOST_COLUMNS + 1]; /* by target column; NULL: none */
};

static bool is_taken(const struct way_back *back, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (back->source[i] && strcmp(back->source[i], name) == 0)
            return true;
    return false;
}

/* The rules that the inverses say, one for each source column. */
static bool bind_back(struct world *world, struct way_back *back)
{
    const struct bound_table *table = &world->chain->tables[0];
    struct buf yaml = {0}, drop = {0};
    struct err err = {0};

    buf_append_text(&yaml, "tables:\n  - source: app.t\n    target: public.s\n    columns:\n");
    for (int i = 0; i < table->column_count; i++) {
        const char *name = table->columns[i].target->name;
        struct inverse inverse = rule_inverse(table->columns[i].rule);

        buf_append_format(&drop, "%s%s", i ? ", " : "", name);
        if (!inverse.reason && inverse.source_column &&
            !is_taken(back, i, inverse.source_column)) {
            back->source[i] = inverse.source_column;
            buf_append_format(&yaml, "      %s: { from: %s%s }\n", inverse.source_column, name,
                              buf_text(&inverse.steps));
        }
        buf_free(&inverse.steps);
    }
    buf_append_format(&yaml, "    drop: [%s]\n", buf_text(&drop));
    back->chain = bind_rules(world, buf_text(&yaml), &err);
    if (!back->chain)
        fprintf(stderr,
                "FAILED: the way back does not bind: %s\n%s%s  replay: --seed %llu "
                "--cases 1\n",
                err.message, buf_text(&yaml), buf_text(&world->yaml),
                (unsigned long long)world->seed);
    buf_free(&yaml);
    buf_free(&drop);
    return back->chain != NULL;
}

static const struct bound_column *column_named(const struct bound_table *table,
                                               const char *name)
{
    for (int i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].target->name, name) == 0)
            return &table->columns[i];
    return NULL;
}

/* What the rules made, in the order in which the way back reads it. */
static struct value *line_up(struct world *world, const struct bound_table *back,
                             const struct value *made)
{
    const struct bound_table *table = &world->chain->tables[0];
    const struct relation *relation = back->source_relation;
    struct value *values =
        arena_alloc(&world->arena, (relation->column_count + 1u) * sizeof(*values));

    for (uint16_t i = 0; i < relation->column_count; i++)
        values[i] = made[column_named(table, relation->columns[i].name) - table->columns];
    return values;
}

static bool source_column_text(struct world *world, int row, const char *name,
                               struct value *value)
{
    const struct relation *relation = world->chain->tables[0].source_relation;
    int index = relation_column(relation, name);
    const struct catalog_table *table = world->chain->tables[0].source;
    const struct catalog_column *meta = &table->columns[catalog_column_index(table, name)];
    struct source_column column = {.column = meta,
                                   .codec = type_codec_for(meta),
                                   .blank_padded =
                                       strcmp(meta->base_type, "pg_catalog.bpchar") == 0,
                                   .index = (uint16_t)index};
    struct evaluation in = {.values = source_row(world, row), .arena = &world->arena};
    struct err err = {0};

    return source_text(&column, &in, value, &err);
}

static bool comes_back(struct world *world, const struct way_back *back, int row,
                       const struct value *made)
{
    const struct bound_table *table = &back->chain->tables[0];
    struct evaluation in = {.values = line_up(world, table, made), .arena = &world->arena};

    for (int i = 0; i < world->chain->tables[0].column_count; i++) {
        const char *name = back->source[i];
        struct value wanted, got = {.kind = VALUE_ABSENT};
        struct err err = {0};

        if (!name || made[i].kind == VALUE_ABSENT ||
            !source_column_text(world, row, name, &wanted))
            continue;
        world->property->turned_back++;
        if (!rule_text(column_named(table, name)->rule, &in, &got, &err) ||
            !value_equal(&wanted, &got))
            return complain(world, row, &world->chain->tables[0].columns[i],
                            "its inverse does not give the source's value", &wanted, &got);
    }
    return true;
}

/* --- worlds --- */

static bool check_rows(struct world *world, uint64_t *cases)
{
    struct way_back back = {0};
    struct value made[RULES + MOST_COLUMNS + 1];
    bool holds = bind_back(world, &back);

    for (int row = 0; row < PQntuples(world->source) && holds; row++) {
        holds = check_row(world, row, made) && comes_back(world, &back, row, made);
        world->property->passed += holds;
        *cases -= *cases > 0;
    }
    chain_free(back.chain);
    return holds;
}

/* Rules that do not bind (a map over a constant that has no entry for it) are drawn again with
 * the next world. */
static bool check_world(struct world *world, uint64_t *cases)
{
    struct err err = {0};

    if (!make_tables(world))
        return false;
    world->chain = bind_rules(world, buf_text(&world->yaml), &err);
    if (!world->chain) {
        world->property->refused_worlds++;
        if (getenv("PROPERTY_VERBOSE"))
            fprintf(stderr, "refused: %s\n%s", err.message, buf_text(&world->yaml));
        return true;
    }
    return read_source(world) && read_sql(world) && check_rows(world, cases);
}

static void run_world(struct property *property, uint64_t seed, uint64_t *cases)
{
    struct world world = {.property = property, .seed = seed, .draw = draw_seeded(seed)};

    arena_init(&world.arena, 1 << 20);
    if (!check_world(&world, cases))
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
                     "CREATE SCHEMA IF NOT EXISTS app; DROP TYPE IF EXISTS public.mood CASCADE;"
                     "CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'very happy', 'it''s');"
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

int main(int argc, char **argv)
{
    struct arguments arguments = {.cases = 3000, .seed = 1};
    struct property property = {0};
    uint64_t cases;

    if (!read_arguments(argc, argv, &arguments)) {
        fprintf(stderr, "usage: rules_property --dsn DSN [--cases N] [--seed S]\n");
        return 2;
    }
    cases = arguments.cases;
    set_up(&property, arguments.dsn);
    printf("rules_property --seed %llu --cases %llu\n", (unsigned long long)arguments.seed,
           (unsigned long long)arguments.cases);
    for (uint64_t world = 0; cases && property.failed < 5; world++)
        run_world(&property, arguments.seed + world, &cases);
    printf("%llu tables, %llu of them refused by bind; %llu values without SQL, %llu back by "
           "an inverse\n",
           (unsigned long long)property.worlds, (unsigned long long)property.refused_worlds,
           (unsigned long long)property.without_sql, (unsigned long long)property.turned_back);
    if (property.refused_worlds * 2 > property.worlds)
        property.failed++;
    session_close(&property.session);
    stop_free(&property.stop);
    printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)property.passed,
           (unsigned long long)property.failed);
    return property.failed ? 1 : 0;
}
