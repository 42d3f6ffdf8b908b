/* See spell.h. */
#include "transforms/spell.h"

#include "schema/distinct.h"

#include <string.h>

static bool is_domain(const struct catalog_column *column)
{
    return column->type_oid != column->base_type_oid;
}

/* --- enums --- */

static const struct catalog_enum *find_enum(struct binder *binder, bool target,
                                            const struct catalog_column *column)
{
    const struct catalog *catalog = binder_catalog(binder, target);
    const char *dot = strchr(column->base_type, '.');

    if (column->type_kind != 'e' || !dot)
        return NULL;
    return catalog_find_enum(
        catalog,
        text_copy_sized(binder->arena, column->base_type, (size_t)(dot - column->base_type)),
        dot + 1);
}

static bool is_label(const struct catalog_enum *type, const char *text)
{
    for (size_t i = 0; i < type->label_count; i++)
        if (strcmp(text, type->labels[i]) == 0)
            return true;
    return false;
}

static const char *nearest_label(struct arena *arena, const struct catalog_enum *type,
                                 const char *text)
{
    const char **names = arena_alloc(arena, (type->label_count + 1) * sizeof(*names));

    for (size_t i = 0; i < type->label_count; i++)
        names[i] = type->labels[i];
    names[type->label_count] = NULL;
    return text_did_you_mean(arena, text, names);
}

/* --- the server --- */

/* Only modifiers of built-in types round or cut. */
static const char *base_text(struct arena *arena, const struct catalog_column *column)
{
    if (column->type_modifier < 0 || strncmp(column->base_type, "pg_catalog.", 11) != 0)
        return NULL;
    return text_format(arena, "pg_catalog.\"%s\"", column->base_type + 11);
}

static bool ask(struct binder *binder, bool target, const struct catalog_column *column,
                const char *text, struct value *value, const char **why)
{
    const struct type_text type = {
        .target = target, .exact = column->type_name, .base = base_text(binder->arena, column)};
    const char *spelled;
    struct err err = {0};

    switch (binder->types->spell(binder->types->context, &type, text, binder->arena, &spelled,
                                 &err)) {
    case READING_VALUE:
        value->data = spelled;
        value->size = (uint32_t)strlen(spelled);
        return true;
    case READING_NONE:
        return false;
    case READING_FAILED:
        break;
    }
    *why = text_format(binder->arena, ", as far as can be told: %s", err.message);
    if (err.class != ERR_CONFIG) { /* the connection is lost, or a stop was asked for */
        binder->failed = true;
        *binder->lost = err;
    }
    return false;
}

/* --- all of them --- */

static bool read_here(struct binder *binder, const struct type_codec *codec,
                      struct value *value)
{
    struct value binary, text;

    if (!type_to_binary(codec, value, binder->arena, &binary) ||
        !type_to_text(codec, &binary, binder->arena, &text))
        return false;
    *value = text;
    return true;
}

bool spell_value(struct binder *binder, bool target, const struct catalog_column *column,
                 struct constant *constant, const char **why)
{
    struct value *value = &constant->value;
    const struct type_codec *codec = type_codec_for(column);
    const struct catalog_enum *labels = find_enum(binder, target, column);
    const char *text = text_copy_sized(binder->arena, value->data, value->size);
    bool here = codec && type_has_binary(codec) && type_has_text(codec);

    *why = "";
    if (labels && !is_label(labels, text)) {
        *why = constant->hidden ? "" : nearest_label(binder->arena, labels, text);
        return false;
    }
    if (here && !read_here(binder, codec, value))
        return false;
    return (here && !is_domain(column)) || !binder->types ||
           ask(binder, target, column, text, value, why);
}

bool spell_may_be_equal(struct arena *arena, const struct type_reader *types,
                        const struct catalog_column *target, const struct value *a,
                        const struct value *b)
{
    const struct type_text type = {.target = true, .exact = target->type_name};
    struct value left, right;
    struct err ignored = {0};
    bool equal;

    if (a->kind != VALUE_TEXT || b->kind != VALUE_TEXT || target->loose)
        return true;
    if (distinct_text(target, a, arena, &left) && distinct_text(target, b, arena, &right))
        return value_equal(&left, &right);
    return !types ||
           types->equal(types->context, &type, text_copy_sized(arena, a->data, a->size),
                        text_copy_sized(arena, b->data, b->size), &equal,
                        &ignored) != READING_VALUE ||
           equal;
}
