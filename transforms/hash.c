/* hash: a digest in place of a value, as lower-case hexadecimal digits.
 *
 *     mail:  { hash: sha256, salt: "${MAIL_SALT}" }
 *     mail:  { hash: sha256, salt_env: MAIL_SALT }
 *     shard: { from: id, hash: xxh64 }
 *
 * Of the UTF-8 bytes of the salt, if there is one, followed by those of the value's text. NULL
 * stays NULL. The same value gives the same digest in every table and every run, so that joins
 * still work; without a salt, values that can be guessed can be found again.
 *
 * A salt of the environment is in no message and in no statement: the SQL that would hold it is
 * refused, since statements end up in server logs and plans. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/digest.h"
#include "transforms/text.h"

#include <stdlib.h>
#include <string.h>

struct hash_form {
    const char *name;
    enum digest_algorithm algorithm;
    bool one_to_one;     /* nobody has met two texts with the same digest by chance */
    const char *sql;     /* before the bytes; NULL: PostgreSQL does not have it */
    const char *sql_end; /* behind them */
};

/* md5(bytea) gives the digits itself. */
static const struct hash_form forms[] = {
    {"sha256", DIGEST_SHA256, true, "encode(sha256(", "), 'hex')"},
    {"md5", DIGEST_MD5, true, "md5(", ")"},
    {"xxh64", DIGEST_XXH64, false, NULL, NULL},
};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

struct hash {
    const struct hash_form *form;
    struct constant salt; /* VALUE_NULL: none */
};

/* --- loading --- */

static bool load_form(const struct yaml_node *node, struct arena *arena, struct hash *hash,
                      struct err *err)
{
    const char *names[FORM_COUNT + 1] = {0};
    const char *name;

    if (!yaml_text(node, &name, err))
        return false;
    for (size_t i = 0; i < FORM_COUNT; i++) {
        names[i] = forms[i].name;
        if (strcmp(forms[i].name, name) == 0)
            hash->form = &forms[i];
    }
    if (hash->form)
        return true;
    return yaml_error(node, err, "hash: found \"%s\", expected sha256, md5 or xxh64%s",
                      node->expanded ? "a text of the environment" : name,
                      text_did_you_mean(arena, name, names));
}

static bool load_salt_env(const struct yaml_node *node, struct arena *arena, struct hash *hash,
                          struct err *err)
{
    const char *name, *text;

    if (!yaml_text(node, &name, err))
        return false;
    text = getenv(name);
    if (!text)
        return yaml_error(node, err, "salt_env: environment variable %s is not set", name);
    hash->salt = (struct constant){.value = {.data = text_copy(arena, text),
                                             .size = (uint32_t)strlen(text),
                                             .kind = VALUE_TEXT},
                                   .where = text_position(arena, node),
                                   .hidden = true};
    return true;
}

static bool load_salt(const struct yaml_node *entry, struct arena *arena, struct hash *hash,
                      struct err *err)
{
    const struct yaml_node *salt = yaml_get(entry, "salt");
    const struct yaml_node *salt_env = yaml_get(entry, "salt_env");

    if (!salt && !salt_env)
        return true;
    if (salt && salt_env)
        return yaml_error(salt_env, err,
                          "hash: \"salt\" and \"salt_env\" are both given; keep "
                          "one");
    if (!(salt ? constant_load(salt, "salt", arena, &hash->salt, err)
               : load_salt_env(salt_env, arena, hash, err)))
        return false;
    if (hash->salt.value.size)
        return true;
    return yaml_error(salt ? salt : salt_env, err,
                      "hash: the salt is empty, which is none; leave it out or give one");
}

static bool hash_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    struct hash *hash = arena_alloc(arena, sizeof(*hash));

    *hash = (struct hash){.salt = {.value = {.kind = VALUE_NULL}, .where = ""}};
    *state = hash;
    return load_form(value, arena, hash, err) && load_salt(entry, arena, hash, err);
}

/* --- the faces --- */

static bool hash_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct hash *hash = arena_copy(arena, loaded, sizeof(*hash));

    hash->salt = constant_copy(arena, &hash->salt);
    rule->state = hash;
    return true;
}

static bool hash_evaluate(const struct rule *rule, const struct evaluation *in,
                          struct value *out, struct err *err)
{
    const struct hash *hash = rule->state;
    size_t size = digest_size(hash->form->algorithm);
    uint8_t bytes[DIGEST_MOST_BYTES];
    struct value value;
    char *text;

    if (!rule_text(rule->input, in, &value, err))
        return false;
    if (value.kind != VALUE_TEXT) {
        *out = value;
        return true;
    }
    if (!digest(hash->form->algorithm, hash->salt.value.data, hash->salt.value.size, value.data,
                value.size, bytes, err))
        return false;
    text = arena_alloc(in->arena, 2 * size);
    digest_hex(bytes, size, text);
    *out = (struct value){.data = text, .size = (uint32_t)(2 * size), .kind = VALUE_TEXT};
    return true;
}

static void hash_sql(const struct rule *rule, struct buf *sql)
{
    const struct hash *hash = rule->state;

    buf_append_text(sql, hash->form->sql);
    buf_append_text(sql, "convert_to(");
    if (hash->salt.value.kind == VALUE_TEXT) {
        constant_sql(&hash->salt.value, sql);
        buf_append_text(sql, " || ");
    }
    buf_append_text(sql, "(");
    rule_sql(rule->input, sql);
    buf_append_text(sql, "), 'UTF8')");
    buf_append_text(sql, hash->form->sql_end);
}

static const char *hash_no_sql(const struct rule *rule)
{
    const struct hash *hash = rule->state;

    if (!hash->form->sql)
        return "PostgreSQL has no xxh64";
    if (hash->salt.hidden)
        return "a statement would show the salt of the environment to the server's log";
    return NULL;
}

static void hash_inverse(const struct rule *rule, struct inverse *inverse)
{
    const struct hash *hash = rule->state;

    inverse_refuse(inverse, rule, hash->form->one_to_one, "a hash forgets the value");
}

const struct rule_kind rule_hash = {
    .key = "hash",
    .companions = {"salt", "salt_env"},
    .load = hash_load,
    .bind = hash_bind,
    .evaluate = hash_evaluate,
    .sql = hash_sql,
    .no_sql = hash_no_sql,
    .inverse = hash_inverse,
};
