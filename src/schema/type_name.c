/* Types by the names that people give them (type_name.h). Sources: the manual's table of data
 * types; names of MySQL and the SQL standard that migrations meet are taken as what they become
 * in PostgreSQL. */
#include "schema/type_name.h"

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum modifier { MODIFIER_NONE, MODIFIER_LENGTH, MODIFIER_NUMERIC, MODIFIER_TIME, MODIFIER_BIT };

struct alias {
    const char *name;
    const char *base;    /* in pg_catalog */
    const char *display; /* as format_type() has it */
    enum modifier modifier;
    bool serial;
};

static const struct alias aliases[] = {
    {"bigint", "int8", "bigint", MODIFIER_NONE, false},
    {"int8", "int8", "bigint", MODIFIER_NONE, false},
    {"bigserial", "int8", "bigint", MODIFIER_NONE, true},
    {"serial8", "int8", "bigint", MODIFIER_NONE, true},
    {"integer", "int4", "integer", MODIFIER_NONE, false},
    {"int", "int4", "integer", MODIFIER_NONE, false},
    {"int4", "int4", "integer", MODIFIER_NONE, false},
    {"mediumint", "int4", "integer", MODIFIER_NONE, false},
    {"serial", "int4", "integer", MODIFIER_NONE, true},
    {"serial4", "int4", "integer", MODIFIER_NONE, true},
    {"smallint", "int2", "smallint", MODIFIER_NONE, false},
    {"int2", "int2", "smallint", MODIFIER_NONE, false},
    {"tinyint", "int2", "smallint", MODIFIER_NONE, false},
    {"smallserial", "int2", "smallint", MODIFIER_NONE, true},
    {"serial2", "int2", "smallint", MODIFIER_NONE, true},
    {"numeric", "numeric", "numeric", MODIFIER_NUMERIC, false},
    {"decimal", "numeric", "numeric", MODIFIER_NUMERIC, false},
    {"dec", "numeric", "numeric", MODIFIER_NUMERIC, false},
    {"real", "float4", "real", MODIFIER_NONE, false},
    {"float4", "float4", "real", MODIFIER_NONE, false},
    {"double precision", "float8", "double precision", MODIFIER_NONE, false},
    {"double", "float8", "double precision", MODIFIER_NONE, false},
    {"float", "float8", "double precision", MODIFIER_NONE, false},
    {"float8", "float8", "double precision", MODIFIER_NONE, false},
    {"money", "money", "money", MODIFIER_NONE, false},
    {"boolean", "bool", "boolean", MODIFIER_NONE, false},
    {"bool", "bool", "boolean", MODIFIER_NONE, false},
    {"text", "text", "text", MODIFIER_NONE, false},
    {"tinytext", "text", "text", MODIFIER_NONE, false},
    {"mediumtext", "text", "text", MODIFIER_NONE, false},
    {"longtext", "text", "text", MODIFIER_NONE, false},
    {"character varying", "varchar", "character varying", MODIFIER_LENGTH, false},
    {"varchar", "varchar", "character varying", MODIFIER_LENGTH, false},
    {"nvarchar", "varchar", "character varying", MODIFIER_LENGTH, false},
    {"string", "varchar", "character varying", MODIFIER_LENGTH, false},
    {"character", "bpchar", "character", MODIFIER_LENGTH, false},
    {"char", "bpchar", "character", MODIFIER_LENGTH, false},
    {"nchar", "bpchar", "character", MODIFIER_LENGTH, false},
    {"bpchar", "bpchar", "character", MODIFIER_LENGTH, false},
    {"name", "name", "name", MODIFIER_NONE, false},
    {"bytea", "bytea", "bytea", MODIFIER_NONE, false},
    {"blob", "bytea", "bytea", MODIFIER_NONE, false},
    {"binary", "bytea", "bytea", MODIFIER_NONE, false},
    {"varbinary", "bytea", "bytea", MODIFIER_NONE, false},
    {"date", "date", "date", MODIFIER_NONE, false},
    {"timestamp", "timestamp", "timestamp without time zone", MODIFIER_TIME, false},
    {"timestamp without time zone", "timestamp", "timestamp without time zone", MODIFIER_TIME,
     false},
    {"datetime", "timestamp", "timestamp without time zone", MODIFIER_TIME, false},
    {"timestamptz", "timestamptz", "timestamp with time zone", MODIFIER_TIME, false},
    {"timestamp with time zone", "timestamptz", "timestamp with time zone", MODIFIER_TIME,
     false},
    {"time", "time", "time without time zone", MODIFIER_TIME, false},
    {"time without time zone", "time", "time without time zone", MODIFIER_TIME, false},
    {"timetz", "timetz", "time with time zone", MODIFIER_TIME, false},
    {"time with time zone", "timetz", "time with time zone", MODIFIER_TIME, false},
    {"interval", "interval", "interval", MODIFIER_NONE, false},
    {"uuid", "uuid", "uuid", MODIFIER_NONE, false},
    {"json", "json", "json", MODIFIER_NONE, false},
    {"jsonb", "jsonb", "jsonb", MODIFIER_NONE, false},
    {"xml", "xml", "xml", MODIFIER_NONE, false},
    {"inet", "inet", "inet", MODIFIER_NONE, false},
    {"cidr", "cidr", "cidr", MODIFIER_NONE, false},
    {"macaddr", "macaddr", "macaddr", MODIFIER_NONE, false},
    {"macaddr8", "macaddr8", "macaddr8", MODIFIER_NONE, false},
    {"bit", "bit", "bit", MODIFIER_BIT, false},
    {"bit varying", "varbit", "bit varying", MODIFIER_BIT, false},
    {"varbit", "varbit", "bit varying", MODIFIER_BIT, false},
    {"oid", "oid", "oid", MODIFIER_NONE, false},
    {"point", "point", "point", MODIFIER_NONE, false},
    {"tsvector", "tsvector", "tsvector", MODIFIER_NONE, false},
    {"tsquery", "tsquery", "tsquery", MODIFIER_NONE, false},
    {"int4range", "int4range", "int4range", MODIFIER_NONE, false},
    {"int8range", "int8range", "int8range", MODIFIER_NONE, false},
    {"numrange", "numrange", "numrange", MODIFIER_NONE, false},
    {"tsrange", "tsrange", "tsrange", MODIFIER_NONE, false},
    {"tstzrange", "tstzrange", "tstzrange", MODIFIER_NONE, false},
    {"daterange", "daterange", "daterange", MODIFIER_NONE, false},
};

/* "Timestamp(3)  WITH time zone [ ]" taken apart. */
struct parts {
    struct buf name;    /* "timestamp with time zone" */
    struct buf numbers; /* "3" */
    bool array;
};

/* Lower case, single blanks; what stands in parentheses and brackets goes elsewhere. */
static bool split_name(const char *text, struct parts *parts)
{
    char open = 0;
    for (const char *at = text; *at; at++) {
        if (open == 0 && (*at == '(' || *at == '[')) {
            open = *at;
            parts->array |= *at == '[';
        } else if ((open == '(' && *at == ')') || (open == '[' && *at == ']')) {
            open = 0;
        } else if (open == '(') {
            buf_append_char(&parts->numbers, *at);
        } else if (open == 0 && isspace((unsigned char)*at)) {
            if (parts->name.size && parts->name.data[parts->name.size - 1] != ' ')
                buf_append_char(&parts->name, ' ');
        } else if (open == 0) {
            buf_append_char(&parts->name, (char)tolower((unsigned char)*at));
        }
    }
    while (parts->name.size && parts->name.data[parts->name.size - 1] == ' ')
        parts->name.data[--parts->name.size] = '\0';
    return open == 0 && parts->name.size > 0;
}

/* "12,2": at most two numbers, *count of them. */
static bool read_numbers(const char *text, long numbers[2], int *count)
{
    *count = 0;
    while (*text) {
        char *end;
        if (*count == 2)
            return false;
        numbers[*count] = strtol(text, &end, 10);
        if (end == text || numbers[*count] < -1000 || numbers[*count] > 100000000)
            return false;
        (*count)++;
        while (isspace((unsigned char)*end))
            end++;
        if (*end != ',' && *end != '\0')
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

static const struct alias *find_alias(const char *name)
{
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        if (strcmp(aliases[i].name, name) == 0)
            return &aliases[i];
    return NULL;
}

/* The members of the file speak where the name does not. */
static void add_members(const struct type_text *text, const struct alias *alias,
                        long numbers[2], int *count)
{
    long first = alias->modifier == MODIFIER_NUMERIC || alias->modifier == MODIFIER_TIME
                     ? text->precision
                     : text->length;
    if (*count == 0 && first != TYPE_NUMBER_NONE)
        numbers[(*count)++] = first;
    if (*count == 1 && alias->modifier == MODIFIER_NUMERIC && text->scale != TYPE_NUMBER_NONE)
        numbers[(*count)++] = text->scale;
}

/* The type modifier, as the types' typmodin functions make it; -1 for none. */
static bool make_modifier(const struct alias *alias, const long numbers[2], int count,
                          int32_t *modifier)
{
    long scale = count > 1 ? numbers[1] : 0;
    *modifier = -1;
    if (count == 0 && strcmp(alias->base, "bpchar") != 0)
        return true;
    switch (alias->modifier) {
    case MODIFIER_NONE:
        return true; /* int(11) and the like: a width for display */
    case MODIFIER_LENGTH:
        *modifier = (int32_t)(count ? numbers[0] : 1) + 4;
        return count < 2 && (count == 0 || (numbers[0] > 0 && numbers[0] <= 10485760));
    case MODIFIER_NUMERIC:
        if (numbers[0] <= 0 || numbers[0] > 1000)
            return false;
        *modifier = (int32_t)((numbers[0] << 16) | (scale & 0x7ff)) + 4;
        return true;
    case MODIFIER_TIME:
        *modifier = (int32_t)numbers[0];
        return count == 1 && numbers[0] >= 0 && numbers[0] <= 6;
    case MODIFIER_BIT:
        *modifier = (int32_t)numbers[0];
        return count == 1 && numbers[0] > 0;
    }
    return false;
}

/* "timestamp(3) with time zone": numbers follow the first word of the time types. */
static char *display_name(const struct alias *alias, const long numbers[2], int count,
                          int32_t modifier, bool array)
{
    struct buf text = {0};
    size_t head = alias->modifier == MODIFIER_TIME ? strcspn(alias->display, " ")
                                                   : strlen(alias->display);
    buf_append(&text, alias->display, head);
    if (modifier >= 0 && alias->modifier == MODIFIER_NUMERIC)
        buf_append_format(&text, "(%ld,%ld)", numbers[0], count > 1 ? numbers[1] : 0);
    else if (modifier >= 0)
        buf_append_format(&text, "(%ld)", count ? numbers[0] : 1);
    buf_append_text(&text, alias->display + head);
    buf_append_text(&text, array ? "[]" : "");
    return buf_steal(&text);
}

static bool take_known(const struct type_text *text, const struct alias *alias,
                       const struct parts *parts, struct catalog_column *column)
{
    long numbers[2] = {0, 0};
    int count;
    int32_t modifier;
    if (!read_numbers(buf_text(&parts->numbers), numbers, &count))
        return false;
    add_members(text, alias, numbers, &count);
    if (!make_modifier(alias, numbers, count, &modifier))
        return false;
    column->type_name = display_name(alias, numbers, count, modifier, parts->array);
    column->base_type = mem_format("pg_catalog.%s%s", parts->array ? "_" : "", alias->base);
    column->type_kind = 'b';
    column->array = parts->array;
    column->type_modifier = modifier;
    return true;
}

/* A type of an extension or somebody's own: its text is all there is to compare. */
static void take_unknown(const struct type_text *text, const struct parts *parts,
                         struct catalog_column *column)
{
    const char *name = buf_text(&parts->name);
    column->type_name = mem_string(text->name);
    column->base_type =
        mem_format("%s%s%s", strchr(name, '.') ? "" : "public.", parts->array ? "_" : "", name);
    column->type_kind = 'b';
    column->array = parts->array;
    column->type_modifier = -1;
}

bool type_name_parse(const struct type_text *text, struct catalog_column *column, bool *serial)
{
    struct parts parts = {0};
    bool ok = split_name(text->name, &parts);
    const struct alias *alias = ok ? find_alias(buf_text(&parts.name)) : NULL;
    *serial = alias && alias->serial;
    if (ok && alias)
        ok = take_known(text, alias, &parts, column);
    else if (ok)
        take_unknown(text, &parts, column);
    buf_free(&parts.name);
    buf_free(&parts.numbers);
    return ok;
}
