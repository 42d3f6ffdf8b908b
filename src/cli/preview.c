/* slackwater preview: real source rows before and after the rules, and the rule that made each
 * value. A dry run: rows are read in a read-only transaction, go through the very transform
 * that the stream uses, and are printed. Neither side is written. */
#include "base/mem.h"
#include "base/plain.h"
#include "cli/command.h"
#include "cli/migration.h"
#include "cli/preview_view.h"
#include "postgres/formula.h"
#include "postgres/table_reader.h"
#include "schema/ident.h"
#include "transforms/story.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CANNOT_TELL 2

struct preview {
    const struct invocation *invocation;
    struct migration migration;
    struct table_reader *reader;
    struct lookup_maker lookup_maker;
    struct transform *transform;
    struct preview_style style;
    struct batch *out; /* of the row at hand */
    const struct bound_table *table;
    const struct row *row;
    uint64_t failed;             /* rows that the rules refuse */
    json_t *tables;              /* with --json */
    json_t *rows;                /* of the table at hand */
    struct relation *relation;   /* the table's, whole */
    struct relation **relations; /* all of them: the transform remembers them */
    size_t relation_count;
};

/* --- values --- */

static const char *value_text(const struct value *value, struct arena *arena)
{
    char *text;

    if (value->kind == VALUE_NULL)
        return NULL;
    text = arena_alloc(arena, value->size + 1u);
    memcpy(text, value->data, value->size);
    text[value->size] = '\0';
    return text;
}

static struct preview_value before_value(const struct preview *preview, uint16_t column)
{
    return (struct preview_value){
        .column = preview->relation->columns[column].name,
        .text = value_text(&preview->row->values[column], &preview->out->arena)};
}

/* The chain's table that a change was made for: a route may send a row elsewhere. */
static size_t written_table(const struct preview *preview, const struct change *change)
{
    const struct chain *chain = preview->migration.chain;

    for (size_t i = 0; i < chain->table_count; i++)
        if (chain->tables[i].target_relation == change->relation)
            return i;
    return (size_t)(preview->table - chain->tables);
}

/* --- for people --- */

struct picture {
    struct preview_line *lines;
    size_t count;
    bool *used; /* source columns that stand beside some target column */
};

static void draw_column(const struct preview *preview, const struct change *change, uint16_t i,
                        const struct column_story *story, struct picture *picture)
{
    struct preview_line *line = &picture->lines[picture->count++];

    *line = (struct preview_line){
        .after = {.column = change->relation->columns[i].name,
                  .text = value_text(&change->new.values[i], &preview->out->arena)},
        .rule = story->rule};
    for (uint16_t j = 0; j < story->input_count; j++) {
        if (j > 0)
            picture->lines[picture->count++] = (struct preview_line){.rule = ""};
        picture->lines[picture->count - 1].before = before_value(preview, story->inputs[j]);
        picture->used[story->inputs[j]] = true;
    }
}

static void draw_unused(const struct preview *preview, const char *why, struct picture *picture)
{
    for (uint16_t i = 0; i < preview->row->count; i++)
        if (!picture->used[i])
            picture->lines[picture->count++] =
                (struct preview_line){.before = before_value(preview, i), .rule = why};
}

static struct picture new_picture(const struct preview *preview, size_t most)
{
    struct arena *arena = &preview->out->arena;
    struct picture picture = {
        .lines = arena_alloc(arena, (most + preview->row->count) * sizeof(struct preview_line)),
        .used = arena_alloc(arena, preview->row->count * sizeof(bool))};

    memset(picture.used, 0, preview->row->count * sizeof(bool));
    return picture;
}

static void print_picture(const struct preview *preview, const struct picture *picture)
{
    struct buf text = {0};

    preview_view(picture->lines, picture->count, preview->style, &text);
    puts(buf_text(&text));
    buf_free(&text);
}

static void print_change(const struct preview *preview, const struct change *change)
{
    size_t table = written_table(preview, change);
    const struct column_story *stories =
        table_story(preview->migration.chain, table, &preview->out->arena);
    size_t most = change->new.count;
    struct picture picture;

    for (uint16_t i = 0; i < change->new.count; i++)
        most += stories[i].input_count;
    picture = new_picture(preview, most);
    for (uint16_t i = 0; i < change->new.count; i++)
        draw_column(preview, change, i, &stories[i], &picture);
    draw_unused(preview, "not carried", &picture);
    print_picture(preview, &picture);
}

static void print_unwritten(const struct preview *preview, const char *why)
{
    struct picture picture = new_picture(preview, 0);

    draw_unused(preview, why, &picture);
    print_picture(preview, &picture);
}

static void print_heading(const struct preview *preview, int number,
                          const struct relation *target)
{
    const struct catalog_table *source = preview->table->source;
    char *from = ident_display(source->schema, source->name);
    char *to = ident_display(target->schema, target->name);

    plain_print(stdout, from);
    fputs(" -> ", stdout);
    plain_print(stdout, to);
    printf(", row %d\n", number);
    free(from);
    free(to);
}

static void print_row(const struct preview *preview, int number, enum transform_result result,
                      const struct err *err)
{
    if (result == TRANSFORM_WRITTEN) {
        for (uint32_t i = 0; i < preview->out->change_count; i++) {
            print_heading(preview, number, preview->out->changes[i].relation);
            print_change(preview, &preview->out->changes[i]);
        }
        return;
    }
    print_heading(preview, number, preview->table->target_relation);
    if (result == TRANSFORM_REFUSED) {
        fputs("  REFUSED: ", stdout);
        plain_print(stdout, err->message);
        putchar('\n');
    }
    print_unwritten(preview, result == TRANSFORM_REFUSED ? "refused" : "filtered");
}

/* --- for programs --- */

static json_t *text_json(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *column_json(const struct preview *preview, const struct change *change,
                           uint16_t i, const struct column_story *story)
{
    const char *text = value_text(&change->new.values[i], &preview->out->arena);
    json_t *inputs = json_array();

    for (uint16_t j = 0; j < story->input_count; j++)
        json_array_append_new(inputs,
                              json_string(before_value(preview, story->inputs[j]).column));
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "column", change->relation->columns[i].name,
                     "value", text_json(text), "rule", story->rule, "where",
                     text_json(story->where), "reads", inputs);
}

static json_t *change_json(const struct preview *preview, const struct change *change)
{
    size_t table = written_table(preview, change);
    const struct column_story *stories =
        table_story(preview->migration.chain, table, &preview->out->arena);
    json_t *columns = json_array();
    char *target = ident_display(change->relation->schema, change->relation->name);
    json_t *written;

    for (uint16_t i = 0; i < change->new.count; i++)
        json_array_append_new(columns, column_json(preview, change, i, &stories[i]));
    written = json_pack("{s:s, s:o}", "target", target, "columns", columns);
    free(target);
    return written;
}

static void collect_row(const struct preview *preview, enum transform_result result,
                        const struct err *err)
{
    static const char *const words[] = {[TRANSFORM_WRITTEN] = "written",
                                        [TRANSFORM_FILTERED] = "filtered",
                                        [TRANSFORM_REFUSED] = "refused"};
    json_t *before = json_object(), *after = json_array();
    bool written = result == TRANSFORM_WRITTEN;

    for (uint16_t i = 0; i < preview->row->count; i++) {
        struct preview_value value = before_value(preview, i);

        json_object_set_new(before, value.column, text_json(value.text));
    }
    for (uint32_t i = 0; written && i < preview->out->change_count; i++)
        json_array_append_new(after, change_json(preview, &preview->out->changes[i]));
    json_array_append_new(
        preview->rows, json_pack("{s:s, s:o, s:o, s:o}", "result", words[result], "error",
                                 text_json(result == TRANSFORM_REFUSED ? err->message : NULL),
                                 "before", before, "after", after));
}

/* --- what the target makes --- */

/* A modifier is left out: a cast cuts what an assignment refuses. */
static const char *shown_type(const struct catalog_column *column)
{
    return column->type_modifier == -1 ? column->type_name : NULL;
}

/* A value of a formula becomes what the target would make of it, asked in a read-only
 * transaction; what each write makes anew cannot be known before. */
static bool make_value(struct preview *preview, const struct change *change, uint16_t i,
                       struct err *err)
{
    static const char anew[] = "(made anew by each write)";
    const struct column *column = &change->relation->columns[i];
    const struct bound_table *table =
        &preview->migration.chain->tables[written_table(preview, change)];
    struct value *value = &change->new.values[i];

    if (!column->formula || value->kind != VALUE_TEXT)
        return true;
    if (column->formula_varies) {
        *value = (struct value){.data = anew, .size = sizeof anew - 1, .kind = VALUE_TEXT};
        return true;
    }
    return pg_formula_evaluate(&preview->migration.target, column->formula,
                               shown_type(table->columns[i].target), value,
                               &preview->out->arena, value, err) ||
           err_wrap(err, "target column %s.%s.%s", change->relation->schema,
                    change->relation->name, column->name);
}

static bool make_values(struct preview *preview, struct err *err)
{
    for (uint32_t i = 0; i < preview->out->change_count; i++)
        for (uint16_t j = 0; j < preview->out->changes[i].new.count; j++)
            if (!make_value(preview, &preview->out->changes[i], j, err))
                return false;
    return true;
}

/* --- rows --- */

/* As the stream would bring it: a new row, in text. */
static void show_row(struct preview *preview, int number)
{
    struct change change = {
        .kind = CHANGE_INSERT, .relation = preview->relation, .new = *preview->row};
    struct err err = {0};
    enum transform_result result;

    batch_reset(preview->out);
    result =
        preview->transform->ops->change(preview->transform, &change, 0, preview->out, &err);
    if (result == TRANSFORM_FAILED ||
        (result == TRANSFORM_WRITTEN && !make_values(preview, &err)))
        result = TRANSFORM_REFUSED;
    preview->failed += result == TRANSFORM_REFUSED;
    if (preview->rows)
        collect_row(preview, result, &err);
    else
        print_row(preview, number, result, &err);
}

static bool read_rows(struct preview *preview, int *count, struct err *err)
{
    static const struct copy_key NO_KEY;
    static const struct copy_range ALL;
    struct table_reader *reader = preview->reader;
    const char *snapshot;
    struct row row;
    size_t bytes;
    lsn_t lsn;

    if (!reader->ops->begin(reader, preview->relation, &snapshot, &lsn, err) ||
        !reader->ops->read(reader, preview->relation, false, &NO_KEY, &ALL, err))
        return false;
    for (*count = 0; *count < preview->invocation->options->rows; (*count)++) {
        enum table_read read = reader->ops->next(reader, &row, &bytes, err);

        if (read == TABLE_FAILED)
            return false;
        if (read == TABLE_END)
            return true;
        preview->row = &row;
        show_row(preview, *count + 1);
    }
    return true;
}

/* Every column that a rule could read: several rules of one source read different ones. */
static struct relation *whole_relation(const struct catalog_table *table)
{
    struct column *columns = mem_zero(table->column_count + 1U, sizeof *columns);
    uint16_t count = 0;

    for (uint16_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];

        if (!column->generated)
            columns[count++] = (struct column){.name = column->name,
                                               .type_oid = column->type_oid,
                                               .type_modifier = catalog_shown_modifier(column)};
    }
    struct relation *relation = relation_create(table->schema, table->name, count, columns);
    relation->oid = table->oid;
    free(columns);
    return relation;
}

static bool show_table(struct preview *preview, struct err *err)
{
    const struct catalog_table *source = preview->table->source;
    char *name = ident_display(source->schema, source->name);
    int count = 0;
    bool ok;

    if (preview->tables)
        preview->rows = json_array();
    preview->relation = whole_relation(source);
    preview->relations =
        mem_grow(preview->relations, preview->relation_count + 1, sizeof(struct relation *));
    preview->relations[preview->relation_count++] = preview->relation;
    ok = read_rows(preview, &count, err);
    preview->reader->ops->end(preview->reader);
    if (preview->tables)
        json_array_append_new(preview->tables,
                              json_pack("{s:s, s:o}", "source", name, "rows", preview->rows));
    else if (ok && count == 0) {
        plain_print(stdout, name);
        puts(": no rows\n");
    }
    preview->rows = NULL;
    free(name);
    return ok;
}

/* --- tables --- */

static bool is_called(const struct catalog_table *table, const char *name)
{
    char *display = ident_display(table->schema, table->name);
    bool same = strcmp(display, name) == 0 || strcmp(table->name, name) == 0;

    free(display);
    return same;
}

/* A source that several rules read is read once: its change goes to all of them. */
static bool is_wanted(const struct preview *preview, size_t table)
{
    const struct bound_table *tables = preview->migration.chain->tables;
    const char *name = preview->invocation->options->table;

    for (size_t i = 0; i < table; i++)
        if (tables[i].source == tables[table].source)
            return false;
    return !name || is_called(tables[table].source, name) ||
           is_called(tables[table].target, name);
}

static bool show_tables(struct preview *preview, struct err *err)
{
    const struct chain *chain = preview->migration.chain;
    size_t shown = 0;

    for (size_t i = 0; i < chain->table_count; i++) {
        if (!is_wanted(preview, i))
            continue;
        shown++;
        preview->table = &chain->tables[i];
        if (!show_table(preview, err))
            return false;
    }
    if (shown > 0)
        return true;
    err_set(err, ERR_CONFIG, "--table %s: no rule reads or writes a table of this name",
            preview->invocation->options->table);
    return err_remedy(err, "name it as schema.table, as in the file");
}

/* Also of a preview that failed: its rows so far, and the error. */
static void print_json(const struct preview *preview, const char *error)
{
    json_t *document =
        json_pack("{s:s, s:o, s:O}", "migration", preview->invocation->config->migration,
                  "error", text_json(error), "tables", preview->tables);

    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
}

/* --- life --- */

static struct preview_style style_of_terminal(void)
{
    struct winsize size = {0};
    bool terminal = isatty(STDOUT_FILENO);
    const char *columns = getenv("COLUMNS");
    const char *locale = getenv("LC_ALL") ? getenv("LC_ALL") : getenv("LANG");
    struct preview_style style = {.width = columns ? (int)strtol(columns, NULL, 10) : 0,
                                  .color = terminal && getenv("NO_COLOR") == NULL};

    if (style.width <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
        style.width = size.ws_col;
    if (style.width <= 0)
        style.width = 80;
    style.unicode = locale && (strstr(locale, "UTF-8") || strstr(locale, "utf8"));
    return style;
}

static bool bind(struct migration *migration, struct err *err)
{
    return rules_load(migration->config->tables, &migration->rules, err) &&
           migration_bind_rules(migration, err);
}

static bool show(struct preview *preview, struct err *err)
{
    struct migration *migration = &preview->migration;
    bool ok;

    if (!bind(migration, err))
        return false;
    preview->reader = pg_table_reader_create(migration->config->source_dsn,
                                             migration->source_catalog, migration->stop);
    preview->lookup_maker = migration_lookups(migration);
    preview->transform = chain_transform_asking(migration->chain, &preview->lookup_maker);
    preview->out = batch_create();
    ok = preview->reader->ops->open(preview->reader, err) && show_tables(preview, err);
    preview->reader->ops->close(preview->reader);
    preview->reader->ops->destroy(preview->reader);
    preview->transform->ops->destroy(preview->transform);
    for (size_t i = 0; i < preview->relation_count; i++)
        relation_free(preview->relations[i]);
    free(preview->relations);
    batch_destroy(preview->out);
    return ok;
}

int command_preview(const struct invocation *invocation)
{
    struct preview preview = {.invocation = invocation, .style = style_of_terminal()};
    struct err err = {0};
    bool ok;

    if (!migration_open(&preview.migration, invocation->config, invocation->stop, &err)) {
        command_complain(&err);
        return CANNOT_TELL;
    }
    if (invocation->options->json)
        preview.tables = json_array();
    ok = show(&preview, &err);
    if (!ok)
        command_complain(&err);
    if (preview.tables)
        print_json(&preview, ok ? NULL : err.message);
    json_decref(preview.tables);
    migration_close(&preview.migration);
    return !ok ? CANNOT_TELL : preview.failed > 0;
}
