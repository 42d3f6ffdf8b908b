/* One table of a schema file: its columns, constraints and indexes as a catalog has them.
 *
 * A unique constraint and a unique index say the same of the data, so both become an index; the
 * same one said twice (by a column's member and among the constraints) is one. */
#include "schema/schema_file_parts.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "schema/ident.h"
#include "schema/type_name.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COLUMNS 1600 /* of a PostgreSQL table */

/* The table being loaded, and where it stands. */
struct table_file {
    struct schema_file *file;
    const char *path;
    struct catalog_table *table;
};

static bool refuse(struct table_file *t, const char *member, const char *expected,
                   const json_t *found)
{
    char *path = mem_format("%s.%s", t->path, member);
    schema_file_refuse(t->file, path, expected, found);
    free(path);
    return false;
}

/* ---- columns ---- */

static bool read_flag(struct table_file *t, const char *path, json_t *object,
                      const char *member, bool *flag)
{
    json_t *value = json_object_get(object, member);
    char *full;
    if (!value || json_is_null(value))
        return true;
    if (json_is_boolean(value)) {
        *flag = json_is_true(value);
        return true;
    }
    full = mem_format("%s.%s", path, member);
    refuse(t, full, "true or false", value);
    free(full);
    return false;
}

static bool read_number(struct table_file *t, const char *path, json_t *object,
                        const char *member, long *number)
{
    json_t *value = json_object_get(object, member);
    char *full;
    if (!value || json_is_null(value))
        return true;
    if (json_is_integer(value)) {
        *number = (long)json_integer_value(value);
        return true;
    }
    full = mem_format("%s.%s", path, member);
    refuse(t, full, "a number", value);
    free(full);
    return false;
}

/* True for what SQL would take as an expression: "now()", "'x'::text", "0", "CURRENT_DATE". */
static bool is_expression(const char *text)
{
    static const char *const words[] = {
        "true",         "false",        "null",           "current_timestamp", "current_date",
        "current_time", "current_user", "localtimestamp", "session_user"};
    char *end;
    strtod(text, &end);
    if (*text == '\'' || strpbrk(text, "(") || strstr(text, "::") ||
        (end != text && *end == '\0'))
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(words[i], text) == 0)
            return true;
    return false;
}

/* A default as SQL would have it. A bare word ("active") is a value. */
static char *default_text(const json_t *value)
{
    const char *text = json_string_value(value);
    struct buf sql = {0};
    if (!value || json_is_null(value))
        return NULL;
    if (!text)
        return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (is_expression(text))
        return mem_string(text);
    literal_append(&sql, text, strlen(text));
    return buf_steal(&sql);
}

static bool read_type(struct table_file *t, const char *path, json_t *object,
                      struct catalog_column *column)
{
    json_t *type = json_object_get(object, "type");
    struct type_text text = {.name = json_string_value(type),
                             .length = TYPE_NUMBER_NONE,
                             .precision = TYPE_NUMBER_NONE,
                             .scale = TYPE_NUMBER_NONE};
    bool serial = false;
    char *full = mem_format("%s.type", path);
    bool ok = json_is_string(type) || refuse(t, full, "a type's name", type);
    ok = ok && read_number(t, path, object, "length", &text.length) &&
         read_number(t, path, object, "precision", &text.precision) &&
         read_number(t, path, object, "scale", &text.scale);
    if (ok && !type_name_parse(&text, column, &serial))
        ok = err_set(t->file->err, ERR_CONFIG, "%s: %s.%s: \"%s\" is no type", t->file->name,
                     t->path, full, text.name);
    free(full);
    column->identity = serial ? 'd' : 0;
    column->not_null = serial;
    return ok;
}

static bool read_column(struct table_file *t, const char *path, json_t *object,
                        struct catalog_column *column, bool *key, bool *unique)
{
    static const char *const known[] = {"type",    "nullable",       "primary_key", "length",
                                        "scale",   "precision",      "unique",      "default",
                                        "comment", "auto_increment", NULL};
    const char *comment = json_string_value(json_object_get(object, "comment"));
    bool nullable = true, counts = false;
    char *full = mem_format("%s.%s", t->path, path);
    if (json_is_object(object))
        schema_file_note_unknown(t->file, full, object, known);
    free(full);
    if (!json_is_object(object))
        return refuse(t, path, "an object", object);
    if (!read_type(t, path, object, column) ||
        !read_flag(t, path, object, "nullable", &nullable) ||
        !read_flag(t, path, object, "primary_key", key) ||
        !read_flag(t, path, object, "unique", unique) ||
        !read_flag(t, path, object, "auto_increment", &counts))
        return false;
    column->expression = default_text(json_object_get(object, "default"));
    column->comment = comment ? mem_string(comment) : NULL;
    column->identity = counts ? 'd' : column->identity;
    column->has_default = column->expression || column->identity;
    column->not_null = column->not_null || !nullable || *key;
    return true;
}

/* ---- indexes ---- */

static bool same_columns(const struct catalog_index *index, const uint16_t *columns,
                         uint16_t count)
{
    return index->column_count == count &&
           memcmp(index->columns, columns, count * sizeof *columns) == 0;
}

static struct catalog_index *add_index(struct catalog_table *table)
{
    table->indexes = mem_grow(table->indexes, table->index_count + 1u, sizeof *table->indexes);
    struct catalog_index *index = &table->indexes[table->index_count++];
    *index = (struct catalog_index){.immediate = true, .usable = true};
    return index;
}

/* users_email_key, as PostgreSQL would call it. */
static char *index_name(const struct catalog_table *table, const uint16_t *columns,
                        uint16_t count, const char *suffix)
{
    struct buf name = {0};
    buf_append_text(&name, table->name);
    for (uint16_t i = 0; i < count; i++)
        buf_append_format(&name, "_%s", table->columns[columns[i]].name);
    buf_append_text(&name, suffix);
    return buf_steal(&name);
}

/* Takes the columns. */
static void add_unique(struct catalog_table *table, uint16_t *columns, uint16_t count)
{
    for (uint16_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].unique && same_columns(&table->indexes[i], columns, count)) {
            free(columns);
            return;
        }
    struct catalog_index *index = add_index(table);
    index->unique = index->constraint = true;
    index->name = index_name(table, columns, count, "_key");
    index->columns = columns;
    index->column_count = count;
}

/* Takes the columns. */
static void add_primary_key(struct catalog_table *table, uint16_t *columns, uint16_t count)
{
    struct catalog_index *index = add_index(table);
    *index = (struct catalog_index){.name = mem_format("%s_pkey", table->name),
                                    .primary = true,
                                    .unique = true,
                                    .immediate = true,
                                    .usable = true,
                                    .constraint = true,
                                    .column_count = count,
                                    .columns = columns};
    for (uint16_t i = 0; i < count; i++)
        table->columns[columns[i]].not_null = true;
}

/* ---- lists of column names ---- */

static bool find_column(struct table_file *t, const char *member, const char *name,
                        uint16_t *column)
{
    const char *names[MOST_COLUMNS + 1] = {NULL};
    int index = catalog_column_index(t->table, name);
    if (index >= 0) {
        *column = (uint16_t)index;
        return true;
    }
    for (uint16_t i = 0; i < t->table->column_count; i++)
        names[i] = t->table->columns[i].name;
    const char *near = yaml_nearest(name, names);
    return err_set(t->file->err, ERR_CONFIG, "%s: %s.%s: the table has no column \"%s\"%s%s%s",
                   t->file->name, t->path, member, name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

/* "a" or ["a", "b"]; the caller frees *columns. */
static bool read_columns(struct table_file *t, const char *member, json_t *value,
                         uint16_t **columns, uint16_t *count)
{
    size_t size = json_is_array(value) ? json_array_size(value) : 1;
    if (!json_is_string(value) && (!json_is_array(value) || size == 0))
        return refuse(t, member, "column names", value);
    if (size > MOST_COLUMNS)
        return refuse(t, member, "at most 1600 columns", value);
    *columns = mem_zero(size + 1, sizeof **columns);
    *count = 0;
    for (size_t i = 0; i < size; i++) {
        json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        bool ok = json_is_string(item) || refuse(t, member, "a column's name", item);
        if (!ok || !find_column(t, member, json_string_value(item), &(*columns)[i])) {
            free(*columns);
            return false;
        }
        (*count)++;
    }
    return true;
}

/* A member that may be one thing or an array of things: calls `take` for each. */
static bool each(struct table_file *t, const char *member, json_t *value,
                 bool (*take)(struct table_file *t, const char *member, json_t *item))
{
    if (!value || json_is_null(value))
        return true;
    if (!json_is_array(value))
        return take(t, member, value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        char *path = mem_format("%s[%zu]", member, i);
        bool ok = take(t, path, json_array_get(value, i));
        free(path);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- constraints ---- */

static bool take_unique(struct table_file *t, const char *member, json_t *item)
{
    uint16_t *columns, count;
    if (!read_columns(t, member, item, &columns, &count))
        return false;
    add_unique(t->table, columns, count);
    return true;
}

/* The file does not name its checks: a name made of what they say stays with them. */
static char *check_name(const struct catalog_table *table, const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = text; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    return mem_format("%s_%08x_check", table->name, hash);
}

static bool take_check(struct table_file *t, const char *member, json_t *item)
{
    struct catalog_table *table = t->table;
    const char *text = json_string_value(item);
    if (!text)
        return refuse(t, member, "a condition as text", item);
    table->constraints =
        mem_grow(table->constraints, table->constraint_count + 1u, sizeof *table->constraints);
    table->constraints[table->constraint_count] =
        (struct catalog_constraint){.name = check_name(table, text),
                                    .kind = 'c',
                                    .validated = true,
                                    .definition = mem_format("CHECK (%s)", text),
                                    .expression = mem_string(text)};
    table->constraint_count++;
    return true;
}

static bool read_action(struct table_file *t, const char *member, json_t *item, const char *key,
                        char *action)
{
    static const struct {
        const char *words;
        char action;
    } actions[] = {{"NO ACTION", 'a'},
                   {"RESTRICT", 'r'},
                   {"CASCADE", 'c'},
                   {"SET NULL", 'n'},
                   {"SET DEFAULT", 'd'}};
    json_t *value = json_object_get(item, key);
    const char *text = json_string_value(value);
    *action = 'a';
    if (!value || json_is_null(value))
        return true;
    for (size_t i = 0; text && i < sizeof actions / sizeof actions[0]; i++)
        if (strcasecmp(actions[i].words, text) == 0) {
            *action = actions[i].action;
            return true;
        }
    return refuse(t, member, "NO ACTION, RESTRICT, CASCADE, SET NULL or SET DEFAULT", value);
}

static char *trimmed(const char *text, size_t size)
{
    while (size && isspace((unsigned char)*text)) {
        text++;
        size--;
    }
    while (size && isspace((unsigned char)text[size - 1]))
        size--;
    return mem_string_sized(text, size);
}

/* "app.users(id, tenant)": as many columns as the child has. */
static bool read_reference(const char *text, struct catalog_foreign_key *key)
{
    const char *open = strchr(text, '('), *close = open ? strchr(open, ')') : NULL;
    const char *dot = memchr(text, '.', open ? (size_t)(open - text) : 0);
    const char *at = open ? open + 1 : text;
    uint16_t count = 0;
    if (!close || open == text)
        return false;
    key->parent_schema = dot ? trimmed(text, (size_t)(dot - text)) : mem_string("");
    dot = dot ? dot + 1 : text;
    key->parent_name = trimmed(dot, (size_t)(open - dot));
    key->parent_columns = mem_zero(key->column_count + 1u, sizeof *key->parent_columns);
    for (; at <= close && count < key->column_count; count++) {
        size_t size = strcspn(at, ",)");
        key->parent_columns[count] = trimmed(at, size);
        at += size + 1;
    }
    return count == key->column_count && at > close;
}

static bool take_foreign_key(struct table_file *t, const char *member, json_t *item)
{
    static const char *const known[] = {"name",      "columns",   "references",
                                        "on_delete", "on_update", NULL};
    struct catalog_table *table = t->table;
    const char *references = json_string_value(json_object_get(item, "references"));
    const char *name = json_string_value(json_object_get(item, "name"));
    if (!json_is_object(item))
        return refuse(t, member, "an object", item);
    char *path = mem_format("%s.%s", t->path, member);
    schema_file_note_unknown(t->file, path, item, known);
    free(path);
    table->foreign_keys = mem_grow(table->foreign_keys, table->foreign_key_count + 1u,
                                   sizeof *table->foreign_keys);
    struct catalog_foreign_key *key = &table->foreign_keys[table->foreign_key_count++];
    *key = (struct catalog_foreign_key){.validated = true};
    if (!read_columns(t, member, json_object_get(item, "columns"), &key->columns,
                      &key->column_count)) {
        key->columns = NULL;
        key->column_count = 0;
        return false;
    }
    key->name =
        name ? mem_string(name) : index_name(table, key->columns, key->column_count, "_fkey");
    return read_action(t, member, item, "on_delete", &key->on_delete) &&
           read_action(t, member, item, "on_update", &key->on_update) &&
           ((references && read_reference(references, key)) ||
            refuse(t, member,
                   "references: \"table(column, ...)\", a column for each of columns",
                   json_object_get(item, "references")));
}

static bool take_index(struct table_file *t, const char *member, json_t *item)
{
    static const char *const known[] = {"name", "columns", "unique", NULL};
    const char *name = json_string_value(json_object_get(item, "name"));
    uint16_t *columns, count;
    bool unique = false;
    if (!json_is_object(item))
        return refuse(t, member, "an object", item);
    char *path = mem_format("%s.%s", t->path, member);
    schema_file_note_unknown(t->file, path, item, known);
    free(path);
    if (!read_flag(t, member, item, "unique", &unique) ||
        !read_columns(t, member, json_object_get(item, "columns"), &columns, &count))
        return false;
    for (uint16_t i = 0; unique && i < t->table->index_count; i++)
        if (t->table->indexes[i].unique &&
            same_columns(&t->table->indexes[i], columns, count)) {
            free(columns);
            return true;
        }
    struct catalog_index *index = add_index(t->table);
    index->unique = unique;
    index->columns = columns;
    index->column_count = count;
    index->name = name ? mem_string(name) : index_name(t->table, columns, count, "_idx");
    return true;
}

/* ---- the table ---- */

static bool load_columns(struct table_file *t, json_t *columns, bool *keys, bool *uniques)
{
    const char *name;
    json_t *value;
    size_t size = json_object_size(columns);
    if (!json_is_object(columns) || size > MOST_COLUMNS)
        return refuse(t, "columns", "an object of at most 1600 columns", columns);
    t->table->columns = mem_zero(size + 1, sizeof *t->table->columns);
    json_object_foreach(columns, name, value)
    {
        uint16_t i = t->table->column_count++;
        t->table->columns[i].name = mem_string(name);
        t->table->columns[i].number = (int16_t)(i + 1);
        char *path = mem_format("columns.%s", name);
        bool ok = read_column(t, path, value, &t->table->columns[i], &keys[i], &uniques[i]);
        free(path);
        if (!ok)
            return false;
    }
    return true;
}

/* The key as the columns have it: those that say "primary_key": true. */
static void key_from_columns(struct catalog_table *table, const bool *keys)
{
    uint16_t *columns = mem_zero(table->column_count + 1u, sizeof *columns), count = 0;
    for (uint16_t i = 0; i < table->column_count; i++)
        if (keys[i])
            columns[count++] = i;
    if (count > 0)
        add_primary_key(table, columns, count);
    else
        free(columns);
}

static bool load_key(struct table_file *t, json_t *list, const bool *keys)
{
    uint16_t *columns, count;
    if (!list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == 0)) {
        key_from_columns(t->table, keys);
        return true;
    }
    if (!read_columns(t, "constraints.primary_key", list, &columns, &count))
        return false;
    add_primary_key(t->table, columns, count);
    return true;
}

static bool load_constraints(struct table_file *t, json_t *constraints, const bool *keys,
                             const bool *uniques)
{
    static const char *const known[] = {"primary_key", "unique", "foreign_key", "check", NULL};
    if (constraints && !json_is_object(constraints))
        return refuse(t, "constraints", "an object", constraints);
    char *path = mem_format("%s.constraints", t->path);
    schema_file_note_unknown(t->file, path, constraints, known);
    free(path);
    if (!load_key(t, json_object_get(constraints, "primary_key"), keys))
        return false;
    for (uint16_t i = 0; i < t->table->column_count; i++) {
        uint16_t *column = uniques[i] ? mem_alloc(sizeof *column) : NULL;
        if (column) {
            *column = i;
            add_unique(t->table, column, 1);
        }
    }
    return each(t, "constraints.unique", json_object_get(constraints, "unique"), take_unique) &&
           each(t, "constraints.check", json_object_get(constraints, "check"), take_check) &&
           each(t, "constraints.foreign_key", json_object_get(constraints, "foreign_key"),
                take_foreign_key);
}

bool schema_file_load_table(struct schema_file *file, const char *path, json_t *value,
                            struct catalog_table *table)
{
    static const char *const known[] = {"columns", "constraints", "indexes", NULL};
    bool keys[MOST_COLUMNS] = {false}, uniques[MOST_COLUMNS] = {false};
    struct table_file t = {.file = file, .path = path, .table = table};
    if (!json_is_object(value))
        return schema_file_refuse(file, path, "an object", value);
    schema_file_note_unknown(file, path, value, known);
    return load_columns(&t, json_object_get(value, "columns"), keys, uniques) &&
           load_constraints(&t, json_object_get(value, "constraints"), keys, uniques) &&
           each(&t, "indexes", json_object_get(value, "indexes"), take_index);
}
