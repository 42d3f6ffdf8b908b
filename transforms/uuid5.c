/* uuid5: the name-based UUID of RFC 4122 (version 5), always the same for the same name.
 *
 *     id:  { from: legacy_code, uuid5: { namespace: dns } }
 *     id:  { uuid5: { namespace: "6f1e2c1e-8f7e-4f57-9b0e-3f3f2a0c1b11", name:
 * "{tenant}/{code}" } }
 *
 * Of the UTF-8 text of the value before, or of the template under name. NULL stays NULL.
 *
 * No SQL: it needs SHA-1, which PostgreSQL has only in extensions (pgcrypto, uuid-ossp) that
 * the source need not have and whose schema is anybody's choice. */
#include "transforms/rule.h"

#include "transforms/digest.h"
#include "transforms/text.h"

#include <string.h>
#include <strings.h>

#define UUID_BYTES 16

struct uuid5 {
    char space[UUID_BYTES];
    const void *name; /* the state of a template; NULL: the value before */
    const char *name_where;
};

/* RFC 4122, appendix C */
static const struct {
    const char *name;
    const char *uuid;
} spaces[] = {
    {"dns", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
    {"url", "6ba7b811-9dad-11d1-80b4-00c04fd430c8"},
    {"oid", "6ba7b812-9dad-11d1-80b4-00c04fd430c8"},
    {"x500", "6ba7b814-9dad-11d1-80b4-00c04fd430c8"},
};
static const char *const space_names[] = {"dns", "url", "oid", "x500", NULL};

static const struct type_codec *uuid_codec(void)
{
    char name[] = "pg_catalog.uuid";

    return type_codec_for(&(struct catalog_column){.base_type = name});
}

/* --- loading --- */

static bool load_space(const struct yaml_node *node, struct arena *arena, struct uuid5 *uuid5,
                       struct err *err)
{
    const char *text, *uuid;
    struct value binary;

    if (!yaml_text(node, &text, err))
        return false;
    uuid = text;
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        if (strcasecmp(spaces[i].name, text) == 0)
            uuid = spaces[i].uuid;
    if (!type_to_binary(
            uuid_codec(),
            &(struct value){.data = uuid, .size = (uint32_t)strlen(uuid), .kind = VALUE_TEXT},
            arena, &binary))
        return yaml_error(node, err,
                          "namespace: found \"%s\", expected a UUID, dns, url, oid or x500%s",
                          node->expanded ? "a text of the environment" : text,
                          text_did_you_mean(arena, text, space_names));
    memcpy(uuid5->space, binary.data, UUID_BYTES);
    return true;
}

static bool uuid5_load(const struct yaml_node *value, const struct yaml_node *entry,
                       struct arena *arena, const void **state, struct err *err)
{
    static const char *const keys[] = {"namespace", "name", NULL};
    const struct yaml_node *space = yaml_get(value, "namespace");
    const struct yaml_node *name = yaml_get(value, "name");
    struct uuid5 *uuid5 = arena_alloc(arena, sizeof(*uuid5));

    *uuid5 = (struct uuid5){0};
    *state = uuid5;
    if (!yaml_check_keys(value, "uuid5", keys, err))
        return false;
    if (!space)
        return yaml_error(value, err,
                          "uuid5: \"namespace\" is missing; expected a UUID, dns, "
                          "url, oid or x500");
    if (!load_space(space, arena, uuid5, err))
        return false;
    uuid5->name_where = name ? text_position(arena, name) : NULL;
    return !name || rule_template.load(name, entry, arena, &uuid5->name, err);
}

static bool uuid5_begins(const struct yaml_node *value)
{
    return yaml_get(value, "name") != NULL;
}

/* --- the faces --- */

static bool uuid5_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct uuid5 *uuid5 = arena_copy(binder_arena(binder), loaded, sizeof(*uuid5));

    rule->state = uuid5;
    if (uuid5->name)
        rule->input = binder_before(binder, &rule_template, uuid5->name, uuid5->name_where);
    return rule->input != NULL;
}

static bool uuid5_evaluate(const struct rule *rule, const struct evaluation *in,
                           struct value *out, struct err *err)
{
    const struct uuid5 *uuid5 = rule->state;
    uint8_t bytes[DIGEST_MOST_BYTES];
    struct value value, binary;

    if (!rule_text(rule->input, in, &value, err))
        return false;
    if (value.kind != VALUE_TEXT) {
        *out = value;
        return true;
    }
    if (!digest(DIGEST_SHA1, uuid5->space, UUID_BYTES, value.data, value.size, bytes, err))
        return false;
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x50); /* version 5 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
    binary =
        (struct value){.data = (const char *)bytes, .size = UUID_BYTES, .kind = VALUE_BINARY};
    return type_to_text(uuid_codec(), &binary, in->arena, out) ||
           err_set(err, ERR_BUG, "uuid5: no text for a UUID");
}

static const char *uuid5_no_sql(const struct rule *rule)
{
    (void)rule;
    return "PostgreSQL has no SHA-1 without an extension";
}

static void uuid5_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, true, "a uuid5 forgets the name");
}

const struct rule_kind rule_uuid5 = {
    .key = "uuid5",
    .begins = uuid5_begins,
    .load = uuid5_load,
    .bind = uuid5_bind,
    .evaluate = uuid5_evaluate,
    .no_sql = uuid5_no_sql,
    .inverse = uuid5_inverse,
};
