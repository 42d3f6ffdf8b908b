/* Values and rows in their text and binary forms, both ways. The first byte chooses the form;
 * what was read and written again must read the same. */
#include "backfill/chunk_key.h"
#include "backfill/snapshot.h"
#include "backfill/unseen.h"
#include "base/units.h"
#include "fuzz.h"
#include "model/lsn.h"
#include "postgres/copy_format.h"
#include "postgres/text_array.h"
#include "schema/recoder.h"
#include "schema/types.h"
#include "transforms/decimal.h"
#include "transforms/json_path.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MOST_COLUMNS 16

static struct value as_value(const char *data, size_t size, enum value_kind kind)
{
    return (struct value){.data = data, .size = (uint32_t)size, .kind = kind};
}

static bool rows_equal(const struct row *a, const struct row *b)
{
    for (uint16_t i = 0; i < a->count; i++)
        if (!value_equal(&a->values[i], &b->values[i]))
            return false;
    return true;
}

/* ---- COPY ---- */

static void copy_binary(const uint8_t *data, size_t size)
{
    struct value values[MOST_COLUMNS] = {0}, again[MOST_COLUMNS] = {0};
    bool first = fuzz_byte(&data, &size) & 1;
    struct row row = {.values = values, .count = fuzz_byte(&data, &size) % MOST_COLUMNS};
    struct row reread = {.values = again, .count = row.count};
    struct buf out = {0};
    struct err err = {0};
    if (copy_read_binary((const char *)data, size, first, &row, &err) != COPY_ROW)
        return;
    fuzz_must(copy_write_binary(&row, &out, &err), "a row that was read can be written");
    fuzz_must(copy_read_binary(out.data, out.size, false, &reread, &err) == COPY_ROW &&
                  rows_equal(&row, &reread),
              "it reads the same again");
    buf_free(&out);
}

static void copy_text(const uint8_t *data, size_t size)
{
    struct value values[MOST_COLUMNS] = {0}, again[MOST_COLUMNS] = {0};
    struct row row = {.values = values, .count = fuzz_byte(&data, &size) % MOST_COLUMNS};
    struct row reread = {.values = again, .count = row.count};
    struct buf out = {0};
    struct err err = {0};
    char *line = mem_alloc(size ? size : 1);
    memcpy(line, data, size);
    if (copy_read_text(line, size, &row, &err) == COPY_ROW) {
        fuzz_must(copy_write_text(&row, &out, &err), "a row that was read can be written");
        fuzz_must(copy_read_text(out.data, out.size, &reread, &err) == COPY_ROW &&
                      rows_equal(&row, &reread),
                  "it reads the same again");
    }
    buf_free(&out);
    free(line);
}

/* ---- types ---- */

static void array_of_texts(const uint8_t *data, size_t size)
{
    char **items, **again, *text = fuzz_text(data, size);
    size_t count, more;
    struct buf out = {0};
    struct err err = {0};
    if (text_array_parse(text, &items, &count, &err)) {
        text_array_append(&out, (const char *const *)items, count);
        fuzz_must(text_array_parse(buf_text(&out), &again, &more, &err) && more == count,
                  "an array reads the same again");
        for (size_t i = 0; i < count; i++)
            fuzz_must(strcmp(items[i], again[i]) == 0, "an item reads the same again");
        text_array_free(again, more);
        text_array_free(items, count);
    }
    buf_free(&out);
    free(text);
}

/* No server sends a text with a NUL, or a longer name: such pass, and are refused on the way back. */
static bool can_be_sent(const struct value *text)
{
    return text->size < 64 && !(text->size && memchr(text->data, 0, text->size));
}

/* The text of a binary value, as binary and as text again. */
static void type_there_and_back(const struct type_codec *codec, const struct value *in,
                                struct arena *arena)
{
    struct value text, binary, again;
    if (!type_has_text(codec) || !type_to_text(codec, in, arena, &text) ||
        !type_has_binary(codec) || !can_be_sent(&text))
        return;
    fuzz_must(type_to_binary(codec, &text, arena, &binary), "the type's text is read");
    fuzz_must(type_to_text(codec, &binary, arena, &again) && value_equal(&text, &again),
              "the text is the same again");
}

static void type(const uint8_t *data, size_t size)
{
    static const char *const NAMES[] = {
        "bool", "int2", "int4", "int8", "oid",   "text", "varchar",   "bpchar",  "name",
        "char", "uuid", "json", "date", "jsonb", "xml",  "refcursor", "numeric", "timestamptz",
    };
    uint8_t choice = fuzz_byte(&data, &size);
    char *name = mem_format("pg_catalog.%s", NAMES[choice % COUNT(NAMES)]);
    struct catalog_column column = {.base_type = name, .type_kind = choice & 0x80 ? 'e' : 'b'};
    const struct type_codec *codec = type_codec_for(&column);
    struct value binary = as_value((const char *)data, size, VALUE_BINARY), out;
    struct value text = as_value((const char *)data, size, VALUE_TEXT);
    struct arena arena;
    arena_init(&arena, 0);
    type_there_and_back(codec, &binary, &arena);
    if (type_has_binary(codec) && type_to_binary(codec, &text, &arena, &out))
        type_there_and_back(codec, &out, &arena);
    arena_free(&arena);
    free(name);
}

/* An array of composites of a number, a range and a multirange of it. */
static void recode(const uint8_t *data, size_t size)
{
    static const struct recoder_part NUMBER = {.source_oid = 3, .target_oid = 4};
    static const struct recoder_part BOUND = {.inner = NULL};
    static const struct recoder RANGE = {RECODER_RANGE, 1, &BOUND};
    static const struct recoder_part ONE_RANGE = {.inner = &RANGE};
    static const struct recoder MULTIRANGE = {RECODER_MULTIRANGE, 1, &ONE_RANGE};
    static const struct recoder INNER = {RECODER_ARRAY, 1, &NUMBER};
    static const struct recoder_part FIELDS[] = {
        {.source_oid = 1, .target_oid = 9},
        {.source_oid = 5, .target_oid = 6, .inner = &RANGE},
        {.source_oid = 7, .target_oid = 8, .inner = &MULTIRANGE},
        {.source_oid = 2, .target_oid = 1, .inner = &INNER},
    };
    static const struct recoder COMPOSITE = {RECODER_COMPOSITE, COUNT(FIELDS), FIELDS};
    static const struct recoder_part ELEMENT = {
        .source_oid = 2, .target_oid = 3, .inner = &COMPOSITE};
    static const struct recoder ARRAY = {RECODER_ARRAY, 1, &ELEMENT};
    static const struct recoder *const ALL[] = {&ARRAY, &COMPOSITE, &MULTIRANGE, &RANGE,
                                                &INNER};
    const struct recoder *recoder = ALL[fuzz_byte(&data, &size) % COUNT(ALL)];
    char *bytes = mem_alloc(size ? size : 1);
    memcpy(bytes, data, size);
    recoder_apply(recoder, bytes, size);
    free(bytes);
}

/* ---- numbers ---- */

static int sign(int number)
{
    return (number > 0) - (number < 0);
}

/* Two numbers, one a line. */
static void decimals(const uint8_t *data, size_t size)
{
    struct decimal_type type = {.precision = fuzz_byte(&data, &size) % 40};
    struct arena arena;
    struct value rounded;
    type.scale = type.precision ? fuzz_byte(&data, &size) % (type.precision + 1) : 0;
    char *a = fuzz_field(&data, &size, '\n'), *b = fuzz_text(data, size);
    size_t a_size = strlen(a), b_size = strlen(b);
    struct value in = as_value(a, a_size, VALUE_TEXT);
    arena_init(&arena, 0);
    if (decimal_is_valid(a, a_size) && decimal_is_valid(b, b_size))
        fuzz_must(sign(decimal_compare(a, a_size, b, b_size)) ==
                      -sign(decimal_compare(b, b_size, a, a_size)),
                  "an order is the same from both sides");
    if (decimal_cast(&type, &in, &arena, &rounded))
        fuzz_must(decimal_is_valid(rounded.data, rounded.size), "a number is made of it");
    arena_free(&arena);
    free(a);
    free(b);
}

static void units(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), near[64], shown[LSN_TEXT_SIZE];
    usec_t duration;
    uint64_t bytes;
    lsn_t lsn, again;
    if (!units_parse_duration(text, &duration))
        units_nearest_duration(text, near, sizeof near);
    else
        fuzz_must(duration >= 0, "no duration is below 0");
    if (!units_parse_size(text, &bytes))
        units_nearest_size(text, near, sizeof near);
    if (lsn_parse(text, &lsn))
        fuzz_must(lsn_parse(lsn_format(lsn, shown), &again) && again == lsn,
                  "a position reads the same again");
    free(text);
}

/* ---- what the copy keeps ---- */

static void chunk_keys(const uint8_t *data, size_t size)
{
    static const enum key_order ORDERS[] = {KEY_SIGNED, KEY_UNSIGNED, KEY_BOOL, KEY_UUID,
                                            KEY_BYTES};
    static const char *const TYPES[] = {"pg_catalog.int8", "pg_catalog.oid", "pg_catalog.bool",
                                        "pg_catalog.uuid", "pg_catalog.text"};
    uint8_t choice = fuzz_byte(&data, &size);
    size_t kind = choice % COUNT(ORDERS);
    struct copy_key_column column = {.name = "k", .type = TYPES[kind], .order = ORDERS[kind]};
    struct value value =
        as_value((const char *)data, size, choice & 0x80 ? VALUE_BINARY : VALUE_TEXT);
    struct buf key = {0}, again = {0};
    if (chunk_key_append(&column, &value, &key)) {
        char *text = chunk_key_text(&column, &value);
        fuzz_must(text && chunk_key_append_text(&column, text, &again) &&
                      chunk_key_compare(&key, &again) == 0,
                  "the key's text is the same key");
        free(text);
    }
    buf_free(&key);
    buf_free(&again);
}

/* A snapshot and a set of transactions, one a line. */
static void transactions(const uint8_t *data, size_t size)
{
    struct snapshot snapshot = {0};
    struct unseen unseen = {0}, again = {0};
    struct buf text = {0};
    struct err err = {0};
    char *first = fuzz_field(&data, &size, '\n'), *second = fuzz_text(data, size);
    bool seen = snapshot_parse(first, &snapshot, &err);
    if (unseen_parse(second, &unseen, &err)) {
        unseen_append_text(&unseen, &text);
        fuzz_must(unseen_parse(buf_text(&text), &again, &err) && again.count == unseen.count,
                  "a set reads the same again");
        if (seen)
            unseen_prune(&unseen, &snapshot);
        fuzz_must(!seen || unseen.count == 0 || !unseen_is_covered(&unseen, &snapshot),
                  "what is left is not seen");
        for (size_t i = 0; seen && i < unseen.count; i++)
            fuzz_must(!snapshot_sees_xid(&snapshot, unseen.ranges[i].first) &&
                          !snapshot_sees_xid(&snapshot, unseen.ranges[i].last),
                      "nor is either end of it by itself");
    }
    if (seen)
        fuzz_must(snapshot_covers(&snapshot, &snapshot), "a snapshot covers itself");
    snapshot_free(&snapshot);
    unseen_free(&unseen);
    unseen_free(&again);
    buf_free(&text);
    free(first);
    free(second);
}

/* Steps apart by dots, and the document in the next line. */
static void json_paths(const uint8_t *data, size_t size)
{
    struct json_step steps[8];
    struct json_path path = {.steps = steps};
    struct arena arena;
    struct value out;
    char *names = fuzz_field(&data, &size, '\n'), *rest = names, *name;
    while (path.count < COUNT(steps) && (name = strsep(&rest, ".")))
        steps[path.count++] = json_step(name, strlen(name));
    struct value document = as_value((const char *)data, size, VALUE_TEXT);
    arena_init(&arena, 0);
    json_pick_text(&path, &document, &arena, &out);
    json_is_number((const char *)data, size);
    arena_free(&arena);
    free(names);
}

static void (*const FORMS[])(const uint8_t *data, size_t size) = {
    copy_binary, copy_text, array_of_texts, type,         recode,
    decimals,    units,     chunk_keys,     transactions, json_paths,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FORMS[fuzz_byte(&data, &size) % COUNT(FORMS)](data, size);
    return 0;
}
