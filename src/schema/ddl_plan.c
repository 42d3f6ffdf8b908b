/* The order of the plan (ddl.h), and what its parts share. */
#include "schema/ddl_inside.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ddl_statement *planner_add(struct planner *planner, enum ddl_phase phase,
                                  enum ddl_kind kind, const char *schema, const char *name)
{
    struct ddl *ddl = planner->ddl;
    struct ddl_statement *statement;

    if (ddl->count == ddl->capacity) {
        ddl->capacity = ddl->capacity ? 2 * ddl->capacity : 64;
        ddl->statements = mem_grow(ddl->statements, ddl->capacity, sizeof(*ddl->statements));
    }
    statement = &ddl->statements[ddl->count++];
    *statement = (struct ddl_statement){
        .kind = kind, .phase = phase, .schema = schema, .name = name, .sql = ""};
    return statement;
}

const char *planner_take(struct planner *planner, struct buf *text)
{
    const char *copy = arena_copy(planner->arena, buf_text(text), text->size + 1);

    buf_free(text);
    return copy;
}

void planner_note(struct planner *planner, enum ddl_phase phase, const char *format, ...)
{
    struct buf text = {0};
    va_list arguments;
    char *line = NULL;

    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0)
        abort();
    va_end(arguments);
    buf_append_text(&text, line);
    free(line);
    planner_add(planner, phase, DDL_NOTE, NULL, NULL)->sql = planner_take(planner, &text);
}

void planner_comment(struct planner *planner, enum ddl_phase phase,
                     const struct ddl_table *table, const char *what, const char *comment)
{
    struct buf sql = {0};

    if (!comment)
        return;
    buf_append_format(&sql, "COMMENT ON %s IS ", what);
    literal_append(&sql, comment, strlen(comment));
    planner_add(planner, phase, DDL_SETTING, table->outline.schema, table->outline.name)->sql =
        planner_take(planner, &sql);
}

const char *planner_name(struct planner *planner, const struct ddl_table *table)
{
    struct buf name = {0};

    ident_append_qualified(&name, table->outline.schema, table->outline.name);
    return planner_take(planner, &name);
}

const char *planner_source(struct planner *planner, const struct ddl_table *table)
{
    struct buf name = {0};
    char *display = ident_display(table->outline.source->schema, table->outline.source->name);

    buf_append_text(&name, display);
    free(display);
    return planner_take(planner, &name);
}

const char *planner_ident(struct planner *planner, const char *name)
{
    struct buf quoted = {0};

    ident_append(&quoted, name);
    return planner_take(planner, &quoted);
}

const char *planner_expression(struct planner *planner, const struct ddl_table *table,
                               const char *expression, const char **missing)
{
    struct buf text = {0};

    if (expression_rename(expression, table->inside, table->name_count, &text, missing))
        return planner_take(planner, &text);
    buf_free(&text);
    return NULL;
}

static void plan_all(struct planner *planner)
{
    plan_collect(planner);
    plan_surroundings(planner);
    plan_sequences(planner);
    plan_tables(planner);
    for (size_t i = 0; i < planner->table_count; i++)
        plan_identity_index(planner, &planner->tables[i]);
    for (size_t i = 0; i < planner->table_count; i++) {
        plan_indexes(planner, &planner->tables[i]);
        plan_constraints(planner, &planner->tables[i]);
    }
    for (size_t i = 0; i < planner->table_count; i++)
        plan_references(planner, &planner->tables[i]);
}

static const char **room(struct planner *planner, size_t count)
{
    const char **names = arena_alloc(planner->arena, (count + 1) * sizeof(*names));

    for (size_t i = 0; i <= count; i++)
        names[i] = NULL;
    return names;
}

struct ddl *ddl_plan(const struct outline *outline, const struct catalog *source,
                     const struct definitions *definitions, bool live)
{
    struct ddl *ddl = mem_zero(1, sizeof(*ddl));
    struct planner planner = {.ddl = ddl,
                              .arena = &ddl->arena,
                              .outline = outline,
                              .source = source,
                              .definitions = definitions,
                              .live = live};

    arena_init(&ddl->arena, 0);
    planner.sequence_names = room(&planner, definitions->sequence_count);
    plan_all(&planner);
    return ddl;
}
