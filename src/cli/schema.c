/* slackwater schema: the target's DDL, derived from the source through the rules; printed as a
 * script, or run at the target. */
#include "base/plain.h"
#include "cli/command.h"
#include "postgres/ddl_apply.h"
#include "postgres/ddl_source.h"
#include "postgres/formula.h"
#include "postgres/introspect.h"
#include "schema/ddl.h"
#include "transforms/outline.h"
#include "transforms/outline_merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct schema {
    const struct invocation *invocation;
    struct session source;
    struct catalog *catalog;
    struct definitions *definitions;
    struct rules *rules;
    struct outline *outline;
    struct ddl *ddl;
};

static bool has_phase(const struct invocation *invocation, enum ddl_phase phase)
{
    const char *wanted = invocation->options->phase;

    return !wanted || strcmp(wanted, phase == DDL_BEFORE ? "before" : "after") == 0;
}

/* Asked for by itself, what comes after the data meets tables in use. */
static bool is_live(const struct invocation *invocation)
{
    return !has_phase(invocation, DDL_BEFORE);
}

/* ---- types of expressions ---- */

/* The source is asked, for the target may be empty yet. */
static bool ask_type(struct schema *schema, const struct outline_table *table,
                     struct outline_column *column, struct err *err)
{
    const struct catalog_table *source = table->source;
    struct formula_input *inputs =
        arena_alloc(&schema->outline->arena, (source->column_count + 1u) * sizeof *inputs);
    char *type;

    for (uint16_t i = 0; i < source->column_count; i++)
        inputs[i] = (struct formula_input){.name = source->columns[i].name,
                                           .type = source->columns[i].type_name};
    type =
        pg_formula_type(&schema->source, column->expression, inputs, source->column_count, err);
    if (type)
        column->type = arena_copy(&schema->outline->arena, type, strlen(type) + 1);
    free(type);
    if (column->type)
        return true;
    err_wrap(err, "the type that sql gives to column \"%s\" of %s.%s", column->name,
             table->schema, table->name);
    if (err->class != ERR_RETRY && err->class != ERR_STOPPED)
        err_remedy(err, "say it beside the expression: %s: { sql: ..., type: ... }",
                   column->name);
    return false;
}

static bool ask_types(struct schema *schema, struct err *err)
{
    for (size_t i = 0; i < schema->outline->table_count; i++) {
        struct outline_table *table = &schema->outline->tables[i];

        for (size_t j = 0; j < table->column_count; j++)
            if (table->columns[j].expression && !table->columns[j].type &&
                !ask_type(schema, table, &table->columns[j], err))
                return false;
    }
    return true;
}

static bool plan(struct schema *schema, struct err *err)
{
    const struct invocation *invocation = schema->invocation;
    const struct config *config = invocation->config;

    if (!config_need_source(config, err) || !rules_load(config->tables, &schema->rules, err) ||
        !session_open(&schema->source, "source", config->source_dsn, SESSION_SQL,
                      invocation->stop, err) ||
        !introspect(&schema->source, &schema->catalog, err) ||
        !ddl_source_read(&schema->source, schema->catalog, &schema->definitions, err) ||
        !rules_outline(schema->rules, schema->catalog, &schema->outline, err) ||
        !ask_types(schema, err) || !outline_merge(schema->outline, err))
        return false;
    schema->ddl =
        ddl_plan(schema->outline, schema->catalog, schema->definitions, is_live(invocation));
    return true;
}

static void print_script(const struct schema *schema)
{
    static const char *const titles[DDL_PHASE_COUNT] = {"before the data", "after the data"};
    struct buf script = {0};

    buf_append_format(&script, "-- Migration \"%s\": the target's DDL, by slackwater %s\n",
                      schema->invocation->config->migration, SLACKWATER_VERSION);
    buf_append_text(&script, "SET search_path = '';\n");
    for (int phase = 0; phase < DDL_PHASE_COUNT; phase++) {
        if (!has_phase(schema->invocation, (enum ddl_phase)phase))
            continue;
        buf_append_format(&script, "\n-- %s\n", titles[phase]);
        ddl_print(schema->ddl, (enum ddl_phase)phase, &script);
    }
    fputs(buf_text(&script), stdout);
    buf_free(&script);
}

static void print_done(const char *line, void *context)
{
    (void)context;
    plain_print(stdout, line);
    putchar('\n');
    fflush(stdout);
}

static bool apply_phases(struct schema *schema, struct ddl_target *target, struct err *err)
{
    for (int phase = 0; phase < DDL_PHASE_COUNT; phase++)
        if (has_phase(schema->invocation, (enum ddl_phase)phase) &&
            !ddl_apply(target, schema->ddl, (enum ddl_phase)phase, print_done, NULL, err))
            return false;
    return true;
}

static bool apply(struct schema *schema, struct err *err)
{
    const struct invocation *invocation = schema->invocation;
    const char *dsn = invocation->config->target_dsn;
    struct session session = {0};
    struct ddl_target target = {.session = &session};
    bool ok = config_need_target(invocation->config, err) &&
              session_open(&session, "target", dsn, SESSION_SQL, invocation->stop, err) &&
              introspect(&session, &target.catalog, err) &&
              ddl_source_read(&session, target.catalog, &target.definitions, err) &&
              apply_phases(schema, &target, err);

    definitions_free(target.definitions);
    catalog_free(target.catalog);
    session_close(&session);
    return ok;
}

static void close_all(struct schema *schema)
{
    ddl_free(schema->ddl);
    outline_free(schema->outline);
    rules_free(schema->rules);
    definitions_free(schema->definitions);
    catalog_free(schema->catalog);
    session_close(&schema->source);
}

int command_schema(const struct invocation *invocation)
{
    struct schema schema = {.invocation = invocation};
    struct err err = {0};
    bool ok = plan(&schema, &err);

    if (ok && invocation->options->apply)
        ok = apply(&schema, &err);
    else if (ok)
        print_script(&schema);
    if (!ok)
        command_complain(&err);
    close_all(&schema);
    return ok ? 0 : 2;
}
