/* Index and exclusion constraint texts of the server, taken apart. */
#include "unit.h"

#include "base/buf.h"
#include "schema/index_text.h"

#include <string.h>

static const struct {
    const char *definition;
    const char *parts; /* "expression operator; ... | predicate"; NULL: not taken apart */
} texts[] = {
    {"CREATE UNIQUE INDEX u ON public.t USING btree (a)", "a"},
    {"CREATE UNIQUE INDEX \"USING (x)\" ON public.\"t (b)\" USING btree (\"a, b\", c DESC NULLS LAST)",
     "\"a, b\"; c"},
    {"CREATE UNIQUE INDEX u ON t USING btree (lower(email) text_pattern_ops, ((data ->> 'a, b'::text)) "
     "COLLATE \"C\") INCLUDE (x, y) NULLS NOT DISTINCT WITH (fillfactor='70') WHERE (NOT gone)",
     "lower(email); ((data ->> 'a, b'::text)) | (NOT gone)"},
    {"CREATE UNIQUE INDEX u ON t USING btree (public.f(a, 'it''s ('::text), b) WHERE active",
     "public.f(a, 'it''s ('::text); b | active"},
    {"EXCLUDE USING gist (room WITH =, during WITH &&) WHERE ((room > 0)) DEFERRABLE",
     "room =; during && | ((room > 0))"},
    {"EXCLUDE USING gist (\"R\" COLLATE \"C\" gist_text_ops WITH OPERATOR(public.=), "
     "tsrange(a, b, '[)'::text) WITH &&)",
     "\"R\" OPERATOR(public.=); tsrange(a, b, '[)'::text) &&"},
    {"CHECK ((a > 0))", NULL},
    {"", NULL},
};

static char *show(const struct index_text *index)
{
    struct buf text = {0};
    for (size_t i = 0; i < index->count; i++)
        buf_append_format(&text, "%s%s%s%s", i ? "; " : "", index->expressions[i],
                          index->operators[i] ? " " : "",
                          index->operators[i] ? index->operators[i] : "");
    if (index->predicate)
        buf_append_format(&text, " | %s", index->predicate);
    return buf_steal(&text);
}

START_TEST(an_index_is_its_expressions_operators_and_predicate)
{
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        struct arena arena;
        struct index_text index;
        arena_init(&arena, 0);
        bool parsed = index_text_parse(texts[i].definition, &arena, &index);
        ck_assert_msg(parsed == (texts[i].parts != NULL), "%s", texts[i].definition);
        char *parts = parsed ? show(&index) : NULL;
        if (parsed)
            ck_assert_str_eq(parts, texts[i].parts);
        free(parts);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(a_text_that_ends_early_is_no_harm)
{
    static const char whole[] =
        "EXCLUDE USING gist (\"R\" WITH =, f('x') WITH &&) WHERE ((a > 0))";
    for (size_t size = 0; size < sizeof(whole); size++) {
        struct arena arena;
        struct index_text index;
        char *text = strndup(whole, size);
        arena_init(&arena, 0);
        index_text_parse(text, &arena, &index);
        arena_free(&arena);
        free(text);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {an_index_is_its_expressions_operators_and_predicate,
                            a_text_that_ends_early_is_no_harm};
    return unit_run("index_text", tests, UNIT_COUNT(tests));
}
