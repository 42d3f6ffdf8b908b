/* See distinct.h. Sources: the input and output functions in src/backend/utils/adt; sessions are
 * in UTC, with ISO dates and exact floats. */
#include "schema/distinct.h"

#include "schema/compatibility.h"
#include "schema/types.h"

#include <string.h>

/* What the input of one type makes of another's output, one for one. Lengths and precisions are
 * looked at apart. int8 is not for oid, which reads -1 as 4294967295. */
static const struct {
    const char *sources;
    const char *targets;
} one_to_one[] = {
    {" int2 int4 int8 oid ", " int2 int4 int8 numeric "},
    {" int2 int4 ", " oid "},
    {" int2 ", " float4 "},
    {" int2 int4 ", " float8 "},
    {" numeric float4 float8 ", " int2 int4 int8 "},
    {" float4 ", " float8 "},
    {" float4 float8 ", " numeric "},
    {" date ", " timestamp timestamptz "},
    {" timestamp timestamptz ", " timestamp timestamptz "},
    {" time ", " timetz interval "},
    {" inet cidr ", " inet cidr "},
    {" macaddr ", " macaddr8 "},
    {" bit varbit ", " bit varbit "},
};

/* "int8" of pg_catalog.int8, else "". */
static const char *built_in(const struct catalog_column *column)
{
    return strncmp(column->base_type, "pg_catalog.", 11) == 0 ? column->base_type + 11 : "";
}

static bool is_type(const struct catalog_column *column, const char *names)
{
    const char *name = built_in(column), *at = *name ? strstr(names, name) : NULL;
    size_t size = strlen(name);

    for (; at; at = strstr(at + 1, name))
        if (at[-1] == ' ' && at[size] == ' ')
            return true;
    return false;
}

bool distinct_is_citext(const struct catalog_column *column)
{
    const char *dot = strrchr(column->base_type, '.');

    return !*built_in(column) && dot && strcmp(dot, ".citext") == 0;
}

bool distinct_is_solid(const struct catalog_column *column)
{
    return *built_in(column) && !is_type(column, " text varchar bpchar name char json xml ");
}

/* Texts are compared by their bytes, unless the collation says otherwise. */
static bool collation_merges(const struct catalog_column *source,
                             const struct catalog_column *target)
{
    if (!target->loose)
        return false;
    return !source || !source->loose || strcmp(source->base_type, target->base_type) != 0 ||
           strcmp(source->collation ? source->collation : "",
                  target->collation ? target->collation : "") != 0;
}

/* The same type with less room: what is too long or too large is refused, not changed. */
static bool refuses_the_rest(const struct catalog_column *source,
                             const struct catalog_column *target)
{
    return is_type(target, " bpchar bit varbit ") ||
           (is_type(target, " numeric ") && !type_rounds(source, target));
}

static bool pair_is_listed(const struct catalog_column *source,
                           const struct catalog_column *target)
{
    for (size_t i = 0; i < sizeof(one_to_one) / sizeof(one_to_one[0]); i++)
        if (is_type(source, one_to_one[i].sources) && is_type(target, one_to_one[i].targets))
            return !type_rounds(source, target);
    return source->type_kind == 'e' && target->type_kind == 'e';
}

/* The output of a type tells its values apart. varchar(n) cuts blanks that are too many without a
 * word, char(n) does not count them. */
static bool kept_as_text(const struct catalog_column *source,
                         const struct catalog_column *target)
{
    const char *why;

    if (is_type(target, " text varchar "))
        return distinct_is_solid(source) || type_fit(source, target, &why) == FIT_ALWAYS;
    return is_type(target, " bpchar ") && distinct_is_solid(source);
}

bool distinct_kept(const struct catalog_column *source, const struct catalog_column *target)
{
    const char *why;
    enum fit fit = type_fit(source, target, &why);

    if (collation_merges(source, target))
        return false;
    if (fit == FIT_SAME)
        return true;
    if (strcmp(source->base_type, target->base_type) == 0)
        return refuses_the_rest(source, target);
    return kept_as_text(source, target) || pair_is_listed(source, target);
}

bool distinct_texts_kept(const struct catalog_column *target, bool solid)
{
    int limit;

    if (collation_merges(NULL, target))
        return false;
    if (is_type(target, " text varchar "))
        return solid || !type_length_limit(target, &limit);
    return target->type_kind == 'e' || (solid && is_type(target, " bpchar "));
}

bool distinct_text(const struct catalog_column *column, const struct value *constant,
                   struct arena *arena, struct value *text)
{
    static const char known[] = " bool int2 int4 int8 oid uuid text varchar bpchar name ";
    const struct type_codec *codec = type_codec_for(column);
    struct value binary;

    if (!codec || column->loose || constant->kind != VALUE_TEXT ||
        !(is_type(column, known) || column->type_kind == 'e') ||
        !type_to_binary(codec, constant, arena, &binary) ||
        !type_to_text(codec, &binary, arena, text))
        return false;
    while (is_type(column, " bpchar ") && text->size && text->data[text->size - 1] == ' ')
        text->size--;
    return true;
}

bool distinct_can_group(const struct catalog_column *source,
                        const struct catalog_column *target)
{
    if (collation_merges(source, target))
        return false;
    return *built_in(target) || target->type_kind == 'e' || distinct_is_citext(target) ||
           (source && strcmp(source->base_type, target->base_type) == 0);
}
