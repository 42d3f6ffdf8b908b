/* cast: a text becomes a value of a type, written as PostgreSQL writes it, or what on_error
 * says.
 *
 *     age:   { cast: integer }
 *     age:   { from: age_text, cast: { to: integer, on_error: null } }
 *     price: { cast: { to: "numeric(10, 2)", on_error: default, default: 0 } }
 *
 * Only types of which it can be told here, as PostgreSQL tells it, which texts are their values
 * and how they are written; a date only as YYYY-MM-DD, since all else depends on settings.
 * Every other type needs no cast: the target column reads the text itself, and refuses what it
 * must.
 *
 * NULL stays NULL. There is a way back where the type writes what the source's type wrote. */
#include "transforms/rule.h"

#include "schema/ident.h"
#include "transforms/decimal.h"
#include "transforms/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS DECIMAL_BLANKS

enum on_error { ON_ERROR_FAIL, ON_ERROR_NULL, ON_ERROR_DEFAULT };
static const char *const on_error_names[] = {"fail", "null", "default", NULL};

struct cast;

struct cast_type {
    const char *names[4]; /* the first is shown */
    const char *codec;    /* of schema/types.h, that reads and writes it; NULL: apply does */
    bool (*apply)(const struct cast *cast, const struct value *in, struct arena *arena,
                  struct value *out);
    /* Over v: the value's text, NULL where v is no value. */
    void (*sql)(const struct cast *cast, struct buf *sql);
    const char *sql_bounds; /* of integers */
    const char *same[5];    /* source types whose every text this type gives back */
};

struct cast {
    const struct cast_type *type;
    const char *type_text; /* as written in the file, for messages */
    struct decimal_type decimal;
    const struct type_codec *codec;
    enum on_error on_error;
    struct constant fallback;
    const char *where;
};

/* --- evaluation, by type --- */

static bool apply_codec(const struct cast *cast, const struct value *in, struct arena *arena,
                        struct value *out)
{
    struct value binary;

    return type_to_binary(cast->codec, in, arena, &binary) &&
           type_to_text(cast->codec, &binary, arena, out);
}

static bool apply_decimal(const struct cast *cast, const struct value *in, struct arena *arena,
                          struct value *out)
{
    return decimal_cast(&cast->decimal, in, arena, out);
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

static bool apply_date(const struct cast *cast, const struct value *in, struct arena *arena,
                       struct value *out)
{
    int part[3] = {0}, index = 0;

    (void)cast;
    (void)arena;
    if (in->size != 10)
        return false;
    for (int i = 0; i < 10; i++) {
        bool dash = i == 4 || i == 7;

        if (dash ? in->data[i] != '-' : in->data[i] < '0' || in->data[i] > '9')
            return false;
        index += dash;
        part[index] = dash ? 0 : part[index] * 10 + (in->data[i] - '0');
    }
    *out = *in;
    return part[0] > 0 && part[1] >= 1 && part[1] <= 12 && part[2] >= 1 &&
           part[2] <= days_in(part[0], part[1]);
}

/* --- SQL, by type --- */

static void append_match(const char *pattern, struct buf *sql)
{
    buf_append_text(sql, "v ~ ");
    literal_append(sql, pattern, strlen(pattern));
}

/* Nothing is cast before it is known to be a number of at most 19 digits, which fits numeric.
 */
static void sql_integer(const struct cast *cast, struct buf *sql)
{
    buf_append_text(sql, "CASE WHEN ");
    append_match("^" BLANKS "[-+]?0*[0-9]{1,19}" BLANKS "$", sql);
    buf_append_format(sql,
                      " THEN CASE WHEN v::numeric BETWEEN %s THEN v::numeric::text END END",
                      cast->type->sql_bounds);
}

static void sql_boolean(const struct cast *cast, struct buf *sql)
{
    (void)cast;
    buf_append_text(sql,
                    "CASE WHEN lower(btrim(v, E' \\t\\n\\x0b\\f\\r')) IN "
                    "('t','tr','tru','true','y','ye','yes','on','1') THEN 't'"
                    " WHEN lower(btrim(v, E' \\t\\n\\x0b\\f\\r')) IN "
                    "('f','fa','fal','fals','false','n','no','of','off','0') THEN 'f' END");
}

static void sql_uuid(const struct cast *cast, struct buf *sql)
{
    (void)cast;
    buf_append_text(sql, "CASE WHEN ");
    append_match("^(([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}|"
                 "\\{([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\\})$",
                 sql);
    buf_append_text(sql, " THEN v::uuid::text END");
}

static void sql_decimal(const struct cast *cast, struct buf *sql)
{
    const struct decimal_type *decimal = &cast->decimal;

    buf_append_text(sql, "CASE WHEN ");
    append_match(DECIMAL_NAN_PATTERN, sql);
    buf_append_format(sql, " AND length(v) <= %d THEN 'NaN' WHEN length(v) <= %d AND ",
                      DECIMAL_MOST_BYTES, DECIMAL_MOST_BYTES);
    append_match(DECIMAL_PATTERN, sql);
    if (decimal->precision) {
        buf_append_format(sql,
                          " THEN CASE WHEN abs(round(v::numeric, %d)) < 1e%d"
                          " THEN round(v::numeric, %d)::text END END",
                          decimal->scale, decimal->precision - decimal->scale, decimal->scale);
        return;
    }
    buf_append_format(sql, " THEN v::numeric::text WHEN length(v) <= %d AND ",
                      DECIMAL_MOST_BYTES);
    append_match(DECIMAL_INFINITY_PATTERN, sql);
    buf_append_text(sql, " THEN CASE WHEN strpos(v, '-') = 0 THEN 'Infinity' ELSE '-Infinity' "
                         "END END");
}

static void sql_date(const struct cast *cast, struct buf *sql)
{
    (void)cast;
    buf_append_text(sql, "CASE WHEN ");
    append_match("^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$", sql);
    buf_append_text(sql, " THEN CASE WHEN ");
    append_match("^0000|-02-3|-(04|06|09|11)-31", sql);
    buf_append_text(sql,
                    " THEN NULL WHEN right(v, 5) <> '02-29' OR (left(v, 4)::int % 4 = 0 AND "
                    "(left(v, 4)::int % 100 <> 0 OR left(v, 4)::int % 400 = 0)) THEN v "
                    "END END");
}

#define INTEGERS "pg_catalog.int2", "pg_catalog.int4", "pg_catalog.int8"

static const struct cast_type types[] = {
    {{"smallint", "int2"},
     "pg_catalog.int2",
     apply_codec,
     sql_integer,
     "-32768 AND 32767",
     {INTEGERS}},
    {{"integer", "int", "int4"},
     "pg_catalog.int4",
     apply_codec,
     sql_integer,
     "-2147483648 AND 2147483647",
     {INTEGERS}},
    {{"bigint", "int8"},
     "pg_catalog.int8",
     apply_codec,
     sql_integer,
     "-9223372036854775808 AND 9223372036854775807",
     {INTEGERS}},
    {{"boolean", "bool"},
     "pg_catalog.bool",
     apply_codec,
     sql_boolean,
     NULL,
     {"pg_catalog.bool"}},
    {{"uuid"}, "pg_catalog.uuid", apply_codec, sql_uuid, NULL, {"pg_catalog.uuid"}},
    {{"numeric", "decimal"}, NULL, apply_decimal, sql_decimal, NULL, {INTEGERS}},
    {{"date"}, NULL, apply_date, sql_date, NULL, {"pg_catalog.date"}},
};
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/* --- loading --- */

static const struct cast_type *find_type(const char *name, size_t size)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        for (const char *const *known = types[i].names; *known; known++)
            if (strlen(*known) == size && strncasecmp(*known, name, size) == 0)
                return &types[i];
    return NULL;
}

/* "(10, 2)" or "(10)" behind numeric; the whole rest must be read. */
static bool read_precision(const char *at, struct decimal_type *decimal)
{
    char *end;
    long precision = strtol(at + 1, &end, 10), scale = 0;

    if (*end == ',')
        scale = strtol(end + 1, &end, 10);
    if (*end != ')' || end[1] || precision < 1 || precision > 1000 || scale < 0 ||
        scale > precision)
        return false;
    *decimal = (struct decimal_type){.precision = (int)precision, .scale = (int)scale};
    return true;
}

static bool refuse_type(const struct yaml_node *node, const char *text, struct arena *arena,
                        struct err *err)
{
    const char *names[TYPE_COUNT + 1] = {0};

    for (size_t i = 0; i < TYPE_COUNT; i++)
        names[i] = types[i].names[0];
    yaml_error(node, err,
               "cast: found \"%s\", expected smallint, integer, bigint, boolean, uuid, date, "
               "numeric or \"numeric(precision, scale)\"%s",
               node->expanded ? "a text of the environment" : text,
               text_did_you_mean(arena, text, names));
    return err_remedy(err, "A value of any other type needs no cast: the target column reads "
                           "the text itself.");
}

static bool load_type(const struct yaml_node *node, struct arena *arena, struct cast *cast,
                      struct err *err)
{
    const char *text, *open;
    size_t size;

    if (!yaml_text(node, &text, err))
        return false;
    open = strchr(text, '(');
    size = open ? (size_t)(open - text) : strlen(text);
    while (size && text[size - 1] == ' ')
        size--;
    cast->type = find_type(text, size);
    if (!cast->type || (open && cast->type->apply != apply_decimal) ||
        (open && !read_precision(open, &cast->decimal)))
        return refuse_type(node, text, arena, err);
    cast->type_text = text_copy(arena, text);
    return true;
}

static bool load_on_error(const struct yaml_node *node, struct arena *arena, struct cast *cast,
                          struct err *err)
{
    const char *word;

    if (yaml_is_null(node)) { /* on_error: null */
        cast->on_error = ON_ERROR_NULL;
        return true;
    }
    if (!yaml_text(node, &word, err))
        return false;
    for (int i = 0; on_error_names[i]; i++)
        if (strcmp(on_error_names[i], word) == 0) {
            cast->on_error = (enum on_error)i;
            return true;
        }
    return yaml_error(node, err, "on_error: found \"%s\", expected fail, null or default%s",
                      node->expanded ? "a text of the environment" : word,
                      text_did_you_mean(arena, word, on_error_names));
}

static bool load_fallback(const struct yaml_node *value, struct arena *arena, struct cast *cast,
                          struct err *err)
{
    const struct yaml_node *fallback = yaml_get(value, "default");
    bool wanted = cast->on_error == ON_ERROR_DEFAULT;

    if (!fallback && !wanted)
        return true;
    if (!wanted)
        return yaml_error(fallback, err,
                          "cast: \"default\" is used with on_error: default only");
    if (!fallback)
        return yaml_error(value, err,
                          "cast: on_error: default, but no default; expected cast: { to: "
                          "integer, on_error: default, default: 0 }");
    return constant_load(fallback, "default", arena, &cast->fallback, err);
}

static bool cast_load(const struct yaml_node *value, const struct yaml_node *entry,
                      struct arena *arena, const void **state, struct err *err)
{
    static const char *const keys[] = {"to", "on_error", "default", NULL};
    const struct yaml_node *to = value, *on_error = NULL;
    struct cast *cast = arena_alloc(arena, sizeof(*cast));

    (void)entry;
    *cast = (struct cast){.fallback = {.value = {.kind = VALUE_NULL}, .where = ""}};
    *state = cast;
    if (value->kind == YAML_MAPPING) {
        if (!yaml_check_keys(value, "cast", keys, err))
            return false;
        to = yaml_get(value, "to");
        on_error = yaml_get(value, "on_error");
    }
    if (!to)
        return yaml_error(value, err, "cast: \"to\" is missing; expected a type");
    return load_type(to, arena, cast, err) &&
           (!on_error || load_on_error(on_error, arena, cast, err)) &&
           (value->kind != YAML_MAPPING || load_fallback(value, arena, cast, err));
}

/* --- the faces --- */

static bool fallback_fits(struct binder *binder, struct cast *cast)
{
    struct arena *arena = binder_arena(binder);
    struct value *value = &cast->fallback.value;
    struct value written;

    if (cast->on_error == ON_ERROR_FAIL)
        return true;
    if (value->kind == VALUE_TEXT && !cast->type->apply(cast, value, arena, &written))
        return binder_refuse(binder, "rule.cast", cast->fallback.where,
                             "give a value of the type", "default: %s is no %s",
                             constant_show(arena, &cast->fallback), cast->type_text);
    if (value->kind == VALUE_TEXT)
        *value = written;
    return binder_fits(binder, cast->on_error == ON_ERROR_NULL ? "cast: on_error" : "default",
                       &cast->fallback);
}

static bool cast_bind(struct binder *binder, const void *loaded, struct rule *rule)
{
    struct arena *arena = binder_arena(binder);
    struct cast *cast = arena_copy(arena, loaded, sizeof(*cast));
    char name[32];

    cast->type_text = text_copy(arena, cast->type_text);
    cast->where = rule->where;
    cast->fallback = constant_copy(arena, &cast->fallback);
    if (!*cast->fallback.where)
        cast->fallback.where = rule->where;
    if (cast->type->codec) {
        snprintf(name, sizeof(name), "%s", cast->type->codec);
        cast->codec = type_codec_for(&(struct catalog_column){.base_type = name});
    }
    rule->state = cast;
    return fallback_fits(binder, cast);
}

static bool cast_evaluate(const struct rule *rule, const struct evaluation *in,
                          struct value *out, struct err *err)
{
    const struct cast *cast = rule->state;
    struct value value, result;

    if (!rule_text(rule->input, in, &value, err))
        return false;
    if (value.kind != VALUE_TEXT || cast->type->apply(cast, &value, in->arena, &result)) {
        *out = value.kind == VALUE_TEXT ? result : value;
        return true;
    }
    if (cast->on_error != ON_ERROR_FAIL) {
        *out = cast->fallback.value;
        return true;
    }
    err_set(err, ERR_DATA, "the value of this row is no %s", cast->type_text);
    return err_remedy(err,
                      "Mend the row at the source, or say on_error: null or default in the "
                      "cast at %s.",
                      cast->where);
}

static void cast_sql(const struct rule *rule, struct buf *sql)
{
    const struct cast *cast = rule->state;

    rule_sql_open(sql);
    buf_append_text(sql, "CASE WHEN v IS NOT NULL THEN COALESCE(");
    cast->type->sql(cast, sql);
    buf_append_text(sql, ", ");
    constant_sql(&cast->fallback.value, sql);
    buf_append_text(sql, ") END");
    rule_sql_close(rule->input, sql);
}

static bool keeps_text(const struct cast *cast, const struct source_column *plain)
{
    if (!plain || cast->on_error != ON_ERROR_FAIL || cast->decimal.precision)
        return false;
    for (const char *const *same = cast->type->same; *same; same++)
        if (strcmp(plain->column->base_type, *same) == 0)
            return true;
    return false;
}

static void cast_inverse(const struct rule *rule, struct inverse *inverse)
{
    const struct cast *cast = rule->state;

    if (keeps_text(cast, rule->input->plain))
        rule->input->kind->inverse(rule->input, inverse);
    else if (cast->on_error != ON_ERROR_FAIL)
        inverse_refuse(inverse, rule, false, "a cast with on_error forgets what it replaced");
    else
        inverse_refuse(inverse, rule, false, "several texts are the same value after a cast");
}

static enum nulls cast_nulls(const struct rule *rule)
{
    const struct cast *cast = rule->state;
    bool filled = cast->on_error == ON_ERROR_DEFAULT && cast->fallback.value.kind != VALUE_NULL;

    return filled ? NULLS_KEPT : NULLS_MADE;
}

const struct rule_kind rule_cast = {
    .key = "cast",
    .load = cast_load,
    .bind = cast_bind,
    .evaluate = cast_evaluate,
    .sql = cast_sql,
    .nulls = cast_nulls,
    .inverse = cast_inverse,
};
