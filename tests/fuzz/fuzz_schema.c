/* Texts about a schema: schema files, type names, and expressions, index definitions and
 * patterns of names. The first byte chooses. */
#include "fuzz.h"
#include "schema/expression.h"
#include "schema/index_text.h"
#include "schema/schema_file.h"
#include "schema/type_name.h"
#include "transforms/pattern.h"

static void read_file(const uint8_t *data, size_t size)
{
    struct catalog *catalog;
    struct findings notes = {0};
    struct err err = {0};
    if (schema_file_load(fuzz_file(data, size), &catalog, &notes, &err))
        catalog_free(catalog);
    else
        fuzz_must(err.class == ERR_CONFIG && err.message[0], "a refusal says what is wrong");
    findings_free(&notes);
}

static void read_type_name(const uint8_t *data, size_t size)
{
    struct type_text text = {.length = TYPE_NUMBER_NONE, .precision = fuzz_byte(&data, &size)};
    struct catalog_column column = {0};
    bool serial;
    char *name = fuzz_text(data, size);
    text.name = name;
    text.scale = text.precision & 1 ? TYPE_NUMBER_NONE : text.precision;
    type_name_parse(&text, &column, &serial);
    free(column.type_name);
    free(column.base_type);
    free(name);
}

static void rename_expression(const uint8_t *data, size_t size)
{
    static const struct renaming RENAMINGS[] = {
        {"id", "a long \"name\""}, {"gone", NULL}, {"name", "x"}, {"Mixed Case", "lower"}};
    struct buf out = {0};
    const char *missing = NULL;
    char *text = fuzz_text(data, size);
    if (!expression_rename(text, RENAMINGS, 4, &out, &missing))
        fuzz_must(missing != NULL, "a column that is gone is named");
    buf_free(&out);
    free(text);
}

static void take_index_apart(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct index_text index;
    char *text = fuzz_text(data, size);
    arena_init(&arena, 0);
    if (index_text_parse(text, &arena, &index))
        for (size_t i = 0; i < index.count; i++)
            fuzz_must(strlen(index.expressions[i]) <= strlen(text), "an element is a part");
    arena_free(&arena);
    free(text);
}

/* pattern \n name \n replacement */
static void match_pattern(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct captures captures = {0};
    char *pattern = fuzz_field(&data, &size, '\n'), *name = fuzz_field(&data, &size, '\n');
    char *replacement = fuzz_text(data, size);
    arena_init(&arena, 0);
    if (!pattern_fault(pattern) && pattern_match(pattern, name, &arena, &captures) &&
        pattern_highest_reference(replacement) <= captures.count)
        pattern_fill(replacement, &captures, &arena);
    arena_free(&arena);
    free(pattern);
    free(name);
    free(replacement);
}

static void (*const READERS[])(const uint8_t *data, size_t size) = {
    read_file, read_type_name, rename_expression, take_index_apart, match_pattern,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t choice = fuzz_byte(&data, &size);
    READERS[choice % (sizeof READERS / sizeof *READERS)](data, size);
    return 0;
}
