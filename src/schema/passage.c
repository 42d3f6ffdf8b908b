/* Compares two types leaf by leaf and compiles what their values need (passage.h).
 *
 * The invariant: a passage is binary only if every leaf's binary form is known and every OID on
 * the way to it is either the same on both sides or replaced; and composites that do not agree
 * field by field never pass, in whatever form and however deep they lie. Types cannot contain
 * themselves (CheckAttributeType() in PostgreSQL), so the walk ends. */
#include "schema/passage.h"

#include "base/buf.h"
#include "schema/types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct comparing {
    struct arena *arena;
    const struct catalog_type *whole; /* the column's type at the source, beneath domains */
    const char *text;                 /* the first reason for text, NULL: none */
    const char *differ;               /* the first reason against passing at all, NULL: none */
    const char *oids;                 /* the first pair of OIDs that differs, NULL: none */
    const struct catalog_type *owner; /* the composite that is looked into, NULL: none, */
    const char *field;                /* and its field */
};

__attribute__((format(printf, 3, 4))) static void note(struct comparing *c, const char **reason,
                                                       const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (*reason)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    *reason = arena_copy(c->arena, line, strlen(line) + 1);
}

/* In a composite's text a value of another type is as wrong as a field in another place. */
static void note_other_type(struct comparing *c, const struct catalog_type *source,
                            const struct catalog_type *target)
{
    if (c->owner)
        note(c, &c->differ, "field \"%s\" of %s is %s at the source, %s at the target",
             c->field, c->owner->shown, source->shown, target->shown);
    else if (source == c->whole)
        note(c, &c->text, "the target's type is another");
    else
        note(c, &c->text, "%s is not %s", source->shown, target->shown);
}

static const struct recoder *compare(struct comparing *c, const struct catalog_type *source,
                                     const struct catalog_type *target);

/* ---- leaves ---- */

static bool built_in(const struct catalog_type *type, const char *name)
{
    return strncmp(type->name, "pg_catalog.", 11) == 0 && strcmp(type->name + 11, name) == 0;
}

/* Why a type that has a binary form is in no table of types.c. */
static const char *why_unknown(const struct catalog_type *type)
{
    if (strncmp(type->name, "pg_catalog.reg", 14) == 0)
        return "it holds OIDs of its cluster";
    if (built_in(type, "tsquery") || built_in(type, "int2vector") ||
        built_in(type, "oidvector"))
        return "no server reads an empty one in binary";
    return "its binary form is not known";
}

/* What is infinite at the source would be a number at an older target, without a word. */
static bool loses_infinities(const struct catalog_type *source,
                             const struct catalog_type *target)
{
    return source && target && source->infinite && !target->infinite;
}

static void compare_leaves(struct comparing *c, const struct catalog_type *source,
                           const struct catalog_type *target)
{
    const char *why = !source->sends || !target->receives ? "it has no binary form"
                      : !type_codec_of(source) || !type_codec_of(target) ? why_unknown(source)
                      : loses_infinities(source, target)
                          ? "the target's release knows no infinite ones"
                          : NULL;

    if (!catalog_same_type_name(source, target))
        note_other_type(c, source, target);
    else if (why && source == c->whole)
        note(c, &c->text, "%s", why);
    else if (why)
        note(c, &c->text, "%s in it: %s", source->shown, why);
}

/* ---- what is made of others ---- */

static struct recoder_part part_of(struct comparing *c, const struct catalog_type *source,
                                   const struct catalog_type *target)
{
    struct recoder_part part = {.source_oid = source ? source->oid : 0,
                                .target_oid = target ? target->oid : 0};

    if (source && target && source->oid != target->oid)
        note(c, &c->oids, "%s is OID %u at the source, %u at the target", source->shown,
             source->oid, target->oid);
    part.inner = compare(c, source, target);
    return part;
}

static bool changes(const struct recoder_part *part)
{
    return part->inner || part->source_oid != part->target_oid;
}

/* NULL when no part changes anything. */
static const struct recoder *make_recoder(struct comparing *c, enum recoder_kind kind,
                                          const struct recoder_part *parts, uint16_t count)
{
    struct recoder *recoder;
    bool any = false;

    for (uint16_t i = 0; i < count; i++)
        any |= changes(&parts[i]);
    if (!any)
        return NULL;
    recoder = arena_alloc(c->arena, sizeof(*recoder));
    *recoder = (struct recoder){
        .kind = kind,
        .part_count = count,
        .parts = arena_copy(c->arena, parts, count * sizeof(*parts)),
    };
    return recoder;
}

/* The bytes of ranges and multiranges name no type. */
static const struct recoder *compare_inner(struct comparing *c, enum recoder_kind kind,
                                           const struct catalog_type *source,
                                           const struct catalog_type *target)
{
    struct recoder_part part = {0};

    if (kind == RECODER_ARRAY)
        part = part_of(c, source->inner, target->inner);
    else
        part.inner = compare(c, source->inner, target->inner);
    return make_recoder(c, kind, &part, 1);
}

static bool same_fields(struct comparing *c, const struct catalog_type *source,
                        const struct catalog_type *target)
{
    if (source->field_count != target->field_count) {
        note(c, &c->differ, "%s has %u field(s) at the source, %s has %u at the target",
             source->shown, source->field_count, target->shown, target->field_count);
        return false;
    }
    for (uint16_t i = 0; i < source->field_count; i++) {
        if (strcmp(source->fields[i].name, target->fields[i].name) == 0)
            continue;
        note(c, &c->differ,
             "field %u is \"%s\" in %s of the source, \"%s\" in %s of the target", i + 1u,
             source->fields[i].name, source->shown, target->fields[i].name, target->shown);
        return false;
    }
    return true;
}

static const struct recoder *compare_fields(struct comparing *c,
                                            const struct catalog_type *source,
                                            const struct catalog_type *target)
{
    uint16_t count = source->field_count;
    const struct comparing outer = *c;
    struct recoder_part *parts;

    if (!same_fields(c, source, target))
        return NULL;
    parts = arena_alloc(c->arena, (count + 1u) * sizeof(*parts));
    c->owner = source;
    for (uint16_t i = 0; i < count; i++) {
        c->field = source->fields[i].name;
        parts[i] = part_of(c, source->fields[i].type, target->fields[i].type);
    }
    c->owner = outer.owner;
    c->field = outer.field;
    return make_recoder(c, RECODER_COMPOSITE, parts, count);
}

/* ---- the walk ---- */

static const struct recoder *compare(struct comparing *c, const struct catalog_type *source,
                                     const struct catalog_type *target)
{
    source = catalog_beneath_domains(source);
    target = catalog_beneath_domains(target);
    if (!source || !target) {
        note(c, &c->text, "what its type is made of is not known");
        return NULL;
    }
    if (source->kind != target->kind) {
        note_other_type(c, source, target);
        return NULL;
    }
    switch (source->kind) {
    case 'a':
        return compare_inner(c, RECODER_ARRAY, source, target);
    case 'r':
        return compare_inner(c, RECODER_RANGE, source, target);
    case 'm':
        return compare_inner(c, RECODER_MULTIRANGE, source, target);
    case 'c':
        return compare_fields(c, source, target);
    case 'e': /* the binary form is the label */
        return NULL;
    default:
        compare_leaves(c, source, target);
        return NULL;
    }
}

static struct passage choose(const struct comparing *c, const struct catalog_type *source,
                             const struct recoder *recoder)
{
    if (c->differ)
        return (struct passage){PASSAGE_NONE, c->differ, NULL};
    if (c->text)
        return (struct passage){source->sends ? PASSAGE_TEXT : PASSAGE_SENT_TEXT, c->text,
                                NULL};
    if (recoder)
        return (struct passage){PASSAGE_RECODED, c->oids, recoder};
    return (struct passage){PASSAGE_BINARY, "", NULL};
}

struct passage passage_between(const struct catalog_column *source,
                               const struct catalog_column *target, struct arena *arena)
{
    struct comparing c = {.arena = arena};
    const struct type_codec *codec = type_codec_for(source);
    const struct recoder *recoder;
    bool described = source->type && target->type;

    if (codec && codec == type_codec_for(target) &&
        !(described && loses_infinities(catalog_beneath_domains(source->type),
                                        catalog_beneath_domains(target->type))))
        return (struct passage){PASSAGE_BINARY, "", NULL};
    if (!described)
        return (struct passage){PASSAGE_TEXT, "its binary form is not known", NULL};
    c.whole = catalog_beneath_domains(source->type);
    recoder = compare(&c, source->type, target->type);
    return choose(&c, source->type, recoder);
}

const char *passage_name(enum passage_kind kind)
{
    static const char *const names[PASSAGE_KIND_COUNT] = {
        [PASSAGE_BINARY] = "binary", [PASSAGE_RECODED] = "binary, OIDs rewritten",
        [PASSAGE_TEXT] = "text",     [PASSAGE_SENT_TEXT] = "text",
        [PASSAGE_NONE] = "nothing",  [PASSAGE_MADE] = "made",
    };

    return names[kind];
}
