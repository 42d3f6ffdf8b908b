/* mask: hides a value and keeps its look.
 *
 *     mail: { mask: email }               jo@example.org -> j***@example.org
 *     iban: { mask: { keep_last: 4 } }    CH9300762011 -> ********2011
 *     name: { mask: fixed }               anything -> ***
 *     name: { mask: { fixed: hidden } }   anything -> hidden
 *
 * Characters are Unicode code points, as PostgreSQL counts them. Nothing is shown by accident:
 * an e-mail address without @ is masked whole, and so is a value that is no longer than what
 * keep_last would leave of it. NULL stays NULL. There is no way back. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/text.h"

#include <string.h>

#define STARS "***"
#define MOST_KEPT 1000000

struct mask;

struct mask_form {
    const char *name;
    void (*apply)(const struct mask *mask, const struct value *in, struct arena *arena,
                  struct value *out);
    void (*sql)(const struct mask *mask, struct buf *sql); /* over v */
};

struct mask {
    const struct mask_form *form;
    struct constant fixed; /* of `fixed` */
    long kept;             /* of `keep_last` */
};

/* --- code points --- */

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

static size_t count_points(const char *data, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += !is_continuation(data[i]);
    return count;
}

/* The bytes of the first code point; 0 of an empty text. */
static size_t first_point(const char *data, size_t size)
{
    size_t bytes = size > 0;

    while (bytes < size && is_continuation(data[bytes]))
        bytes++;
    return bytes;
}

/* --- the forms --- */

static void apply_email(const struct mask *mask, const struct value *in, struct arena *arena,
                        struct value *out)
{
    const char *at = in->size ? memrchr(in->data, '@', in->size) : NULL;
    size_t local = at ? (size_t)(at - in->data) : 0;
    size_t first = at ? first_point(in->data, local) : 0;
    size_t stars = strlen(STARS), domain = at ? in->size - local : 0;
    char *data = arena_alloc(arena, first + stars + domain);

    (void)mask;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): its size goes with it */
    memcpy(data + first, STARS, stars);
    if (at) {
        memcpy(data, in->data, first);
        memcpy(data + first + stars, at, domain);
    }
    *out = (struct value){
        .data = data, .size = (uint32_t)(first + stars + domain), .kind = VALUE_TEXT};
}

static void apply_keep_last(const struct mask *mask, const struct value *in,
                            struct arena *arena, struct value *out)
{
    size_t count = count_points(in->data, in->size);
    size_t hidden = count > (size_t)mask->kept ? count - (size_t)mask->kept : count;
    size_t from = 0;
    char *data;

    for (size_t i = 0; i < hidden; i++)
        from += first_point(in->data + from, in->size - from);
    data = arena_alloc(arena, hidden + in->size - from);
    memset(data, '*', hidden);
    if (from < in->size)
        memcpy(data + hidden, in->data + from, in->size - from);
    *out = (struct value){
        .data = data, .size = (uint32_t)(hidden + in->size - from), .kind = VALUE_TEXT};
}

static void apply_fixed(const struct mask *mask, const struct value *in, struct arena *arena,
                        struct value *out)
{
    (void)in;
    (void)arena;
    *out = mask->fixed.value;
}

/* The last @, and so the domain, is found from the end. */
static void sql_email(const struct mask *mask, struct buf *sql)
{
    (void)mask;
    buf_append_text(sql, "CASE WHEN strpos(v, '@') = 0 THEN '" STARS "'"
                         " ELSE left(v, least(1, length(v) - strpos(reverse(v), '@')))"
                         " || '" STARS "' || right(v, strpos(reverse(v), '@')) END");
}

static void sql_keep_last(const struct mask *mask, struct buf *sql)
{
    buf_append_format(sql,
                      "CASE WHEN length(v) > %ld THEN repeat('*', length(v) - %ld)"
                      " || right(v, %ld) ELSE repeat('*', length(v)) END",
                      mask->kept, mask->kept, mask->kept);
}

static void sql_fixed(const struct mask *mask, struct buf *sql)
{
    buf_append_text(sql, "CASE WHEN v IS NOT NULL THEN ");
    constant_sql(&mask->fixed.value, sql);
    buf_append_text(sql, " END");
}

static const struct mask_form form_email = {"email", apply_email, sql_email};
static const struct mask_form form_keep_last = {"keep_last", apply_keep_last, sql_keep_last};
static const struct mask_form form_fixed = {"fixed", apply_fixed, sql_fixed};

/* --- loading --- */

static const char *const form_names[] = {"email", "fixed", "keep_last", NULL};

static bool load_name(const struct yaml_node *value, struct arena *arena, struct mask *mask,
                      struct err *err)
{
    const char *name;

    if (!yaml_text(value, &name, err))
        return false;
    if (strcmp(name, form_email.name) == 0)
        mask->form = &form_email;
    if (strcmp(name, form_fixed.name) == 0)
        mask->form = &form_fixed;
    if (mask->form)
        return true;
    return yaml_error(value, err,
                      "mask: found \"%s\", expected email, fixed, { keep_last: 4 } or "
                      "{ fixed: \"***\" }%s",
                      value->expanded ? "a text of the environment" : name,
                      text_did_you_mean(arena, name, form_names));
}

static bool load_mapping(const struct yaml_node *value, struct arena *arena, struct mask *mask,
                         struct err *err)
{
    static const char *const keys[] = {"fixed", "keep_last", NULL};
    const struct yaml_node *kept = yaml_get(value, "keep_last");
    const struct yaml_node *fixed = yaml_get(value, "fixed");

    if (!yaml_check_keys(value, "mask", keys, err))
        return false;
    if (value->count != 1)
        return yaml_error(value, err, "mask: expected one of fixed and keep_last");
    mask->form = kept ? &form_keep_last : &form_fixed;
    return kept ? yaml_int(kept, 0, MOST_KEPT, &mask->kept, err)
                : constant_load(fixed, "fixed", arena, &mask->fixed, err);
}

static bool mask_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    struct mask *mask = arena_alloc(arena, sizeof(*mask));

    (void)entry;
    *mask = (struct mask){
        .fixed = {.value = {.data = STARS, .size = (uint32_t)strlen(STARS), .kind = VALUE_TEXT},
                  .where = text_position(arena, value)}};
    *state = mask;
    return value->kind == YAML_MAPPING ? load_mapping(value, arena, mask, err)
                                       : load_name(value, arena, mask, err);
}

/* --- the faces --- */

static bool mask_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct mask *mask = arena_copy(arena, loaded, sizeof(*mask));

    mask->fixed = constant_copy(arena, &mask->fixed);
    rule->state = mask;
    return mask->form != &form_fixed || binder_fits(binder, "mask", &mask->fixed);
}

static bool mask_evaluate(const struct rule *rule, const struct evaluation *in,
                          struct value *out, struct err *err)
{
    const struct mask *mask = rule->state;
    struct value value;

    if (!rule_text(rule->input, in, &value, err))
        return false;
    *out = value;
    if (value.kind == VALUE_TEXT)
        mask->form->apply(mask, &value, in->arena, out);
    return true;
}

static void mask_sql(const struct rule *rule, struct buf *sql)
{
    const struct mask *mask = rule->state;

    rule_sql_open(sql);
    mask->form->sql(mask, sql);
    rule_sql_close(rule->input, sql);
}

static void mask_inverse(const struct rule *rule, struct inverse *inverse)
{
    inverse_refuse(inverse, rule, false, "a mask forgets the value");
}

const struct rule_kind rule_mask = {
    .key = "mask",
    .load = mask_load,
    .bind = mask_bind,
    .evaluate = mask_evaluate,
    .sql = mask_sql,
    .inverse = mask_inverse,
};
