/* Words and statements of a comparison (comparison.h). */
#include "schema/comparison.h"

#include "base/mem.h"
#include "schema/expression.h"
#include "schema/ident.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *compare_keep(struct comparison *c, char *text)
{
    const char *kept = arena_copy(&c->arena, text, strlen(text) + 1);
    free(text);
    return kept;
}

const char *compare_take(struct comparison *c, struct buf *text)
{
    return compare_keep(c, buf_steal(text));
}

const char *compare_say(struct comparison *c, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return length < 0 ? format : compare_keep(c, text);
}

const char *compare_table_text(struct comparison *c, const struct catalog_table *table)
{
    return compare_keep(c, ident_display(table->schema, table->name));
}

const char *compare_column_text(struct comparison *c, const struct catalog_table *table,
                                const struct catalog_column *column)
{
    return compare_say(c, "%s.%s", compare_table_text(c, table), column->name);
}

const char *compare_table_sql(struct comparison *c, const struct catalog_table *table)
{
    return compare_keep(c, ident_qualified(table->schema, table->name));
}

const char *compare_ident(struct comparison *c, const char *name)
{
    struct buf text = {0};
    ident_append(&text, name);
    return compare_take(c, &text);
}

const char *compare_columns_text(struct comparison *c, const struct catalog_table *table,
                                 const uint16_t *columns, uint16_t count)
{
    struct buf text = {0};
    for (uint16_t i = 0; i < count; i++)
        buf_append_format(&text, "%s%s", i ? ", " : "", table->columns[columns[i]].name);
    return compare_take(c, &text);
}

const char *compare_columns_sql(struct comparison *c, const struct catalog_table *table,
                                const uint16_t *columns, uint16_t count)
{
    struct buf text = {0};
    for (uint16_t i = 0; i < count; i++) {
        buf_append_text(&text, i ? ", " : "");
        ident_append(&text, table->columns[columns[i]].name);
    }
    return compare_take(c, &text);
}

const char *compare_column_definition(struct comparison *c, const struct catalog_column *column)
{
    struct buf text = {0};
    ident_append(&text, column->name);
    buf_append_format(&text, " %s", column->type_name);
    if (column->generated && column->expression)
        buf_append_format(&text, " GENERATED ALWAYS AS (%s) STORED", column->expression);
    else if (column->identity)
        buf_append_format(&text, " GENERATED %s AS IDENTITY",
                          column->identity == 'a' ? "ALWAYS" : "BY DEFAULT");
    else if (column->expression)
        buf_append_format(&text, " DEFAULT %s", column->expression);
    buf_append_text(&text, column->not_null ? " NOT NULL" : "");
    return compare_take(c, &text);
}

int compare_image(const struct table_pair *pair, int before_column)
{
    for (uint16_t i = 0; i < pair->after->column_count; i++)
        if (pair->origins[i] == before_column)
            return i;
    return -1;
}

const struct table_pair *compare_pair_of(const struct comparison *c, const char *schema,
                                         const char *name)
{
    for (size_t i = 0; i < c->pair_count; i++)
        if (strcmp(c->pairs[i].after->name, name) == 0 &&
            strcmp(c->pairs[i].after->schema, schema) == 0)
            return &c->pairs[i];
    return NULL;
}

bool compare_is_said(const struct table_pair *pair, uint16_t column)
{
    return pair->origins[column] != ORIGIN_NONE && pair->origins[column] != ORIGIN_UNSAID;
}

static bool makes_all(const struct table_pair *pair, const uint16_t *columns, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        if (!compare_is_said(pair, columns[i]))
            return false;
    return pair->rows != NULL;
}

const char *compare_rows_of(struct comparison *c, const struct catalog_table *table,
                            const uint16_t *columns, uint16_t count)
{
    const char *list = compare_columns_sql(c, table, columns, count), *only = NULL;
    struct buf rows = {0};
    size_t pairs = 0;
    for (size_t i = 0; i < c->pair_count; i++) {
        const struct table_pair *pair = &c->pairs[i];
        if (pair->after != table)
            continue;
        if (!makes_all(pair, columns, count)) {
            buf_free(&rows);
            return NULL;
        }
        only = pair->rows;
        buf_append_format(&rows, "%sSELECT %s FROM %s AS \"s\"", pairs++ ? " UNION ALL " : "(",
                          list, pair->rows);
    }
    buf_append_char(&rows, ')');
    const char *all = compare_take(c, &rows);
    return pairs > 1 ? all : only;
}

bool compare_is_merged(const struct comparison *c, const struct catalog_table *table)
{
    size_t pairs = 0;
    for (size_t i = 0; i < c->pair_count; i++)
        pairs += c->pairs[i].after == table;
    return pairs > 1;
}

bool compare_reads(const struct catalog_table *table, uint16_t column, const char *expression)
{
    const struct renaming gone = {.from = table->columns[column].name};
    const char *missing;
    struct buf rest = {0};
    bool reads = !expression_rename(expression, &gone, 1, &rest, &missing);
    buf_free(&rest);
    return reads;
}

static bool text_reads(const struct catalog_table *table, uint16_t column,
                       const struct index_text *index)
{
    bool reads = index->predicate && compare_reads(table, column, index->predicate);
    for (size_t i = 0; i < index->count && !reads; i++)
        reads = compare_reads(table, column, index->expressions[i]);
    return reads;
}

const char *compare_rows_of_text(struct comparison *c, const struct catalog_table *table,
                                 const struct index_text *index)
{
    uint16_t *columns = arena_alloc(&c->arena, (table->column_count + 1u) * sizeof *columns);
    uint16_t count = 0;
    for (uint16_t i = 0; i < table->column_count; i++)
        if (text_reads(table, i, index))
            columns[count++] = i;
    return count ? compare_rows_of(c, table, columns, count) : NULL;
}

/* ---- expressions ---- */

/* True if the parenthesis that opens the text closes at its end. */
static bool wrapped(const char *text, size_t size)
{
    int depth = 0;
    char quote = 0;
    if (size < 2 || text[0] != '(' || text[size - 1] != ')')
        return false;
    for (size_t i = 0; i < size; i++) {
        if (quote)
            quote = text[i] == quote ? 0 : quote;
        else if (text[i] == '\'' || text[i] == '"')
            quote = text[i];
        else
            depth += (text[i] == '(') - (text[i] == ')');
        if (depth == 0 && i + 1 < size)
            return false;
    }
    return true;
}

static bool is_word(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '$' || (byte & 0x80);
}

/* The name that a word of before's expression has in after; itself when it is no column. */
static const char *image_name(const struct table_pair *pair, const char *word)
{
    int column = pair ? catalog_column_index(pair->before, word) : -1;
    int image = column < 0 ? -1 : compare_image(pair, column);
    return image < 0 ? word : pair->after->columns[image].name;
}

static size_t quoted_size(const char *text, size_t size)
{
    size_t end = 1;
    while (end < size && text[end] != text[0])
        end++;
    return end < size ? end + 1 : size;
}

static size_t word_size(const char *text, size_t size)
{
    size_t end = 0;
    while (end < size && is_word(text[end]))
        end++;
    return end;
}

static void append_word(struct buf *out, const struct table_pair *pair, const char *text,
                        size_t size)
{
    bool quoted = text[0] == '"' && size >= 2;
    char *word = mem_string_sized(text + quoted, size - (quoted ? 2 : 0));
    for (char *at = word; !quoted && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    buf_append_text(out, image_name(pair, word));
    free(word);
}

/* Words in lower case, no blanks but between words, no outer parentheses. */
static char *normal_form(const struct table_pair *pair, const char *text)
{
    struct buf out = {0};
    size_t size = strlen(text);
    bool after_word = false;
    for (; wrapped(text, size); size -= 2)
        text++;
    while (size > 0) {
        size_t step = 1;
        bool word = is_word(*text) || *text == '"';
        if (word) {
            step = *text == '"' ? quoted_size(text, size) : word_size(text, size);
            buf_append_text(&out, after_word ? " " : "");
            append_word(&out, pair, text, step);
        } else if (*text == '\'') {
            step = quoted_size(text, size);
            buf_append(&out, text, step);
        } else if (!isspace((unsigned char)*text)) {
            buf_append_char(&out, *text);
        }
        after_word = word || (after_word && isspace((unsigned char)*text));
        text += step;
        size -= step;
    }
    return buf_steal(&out);
}

bool compare_same_expression(const struct table_pair *pair, const char *before,
                             const char *after)
{
    char *first = normal_form(pair, before), *second = normal_form(NULL, after);
    bool same = strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}
