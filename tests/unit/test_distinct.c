/* Which types keep different values different. */
#include "rules_world.h"
#include "schema/distinct.h"

static const struct {
    const char *source, *target;
    bool kept;
} pairs[] = {
    {"int8", "int8", true},
    {"int8", "int4", true}, /* what does not fit is refused */
    {"int2", "numeric(12,2)", true},
    {"int8", "oid", false}, /* -1 is 4294967295 */
    {"int4", "oid", true},
    {"int4", "float4", false},
    {"int4", "float8", true},
    {"int8", "float8", false},
    {"float8", "float4", false},
    {"float8", "numeric", true},
    {"float8", "numeric(12,2)", false},
    {"numeric", "numeric(12,2)", false},
    {"numeric(12,4)", "numeric(12,2)", false},
    {"numeric(12,2)", "numeric(12,4)", true},
    {"numeric", "int4", true},
    {"text", "int4", false},
    {"text", "uuid", false},
    {"text", "bool", false},
    {"text", "varchar", true},
    {"text", "varchar(5)", false}, /* blanks too many are cut */
    {"varchar(10)", "varchar(5)", false},
    {"varchar(5)", "varchar(10)", true},
    {"text", "character(3)", false},
    {"character(3)", "text", true},
    {"int8", "varchar(5)", true},
    {"uuid", "character(3)", true},
    {"text", "public.citext", false},
    {"public.citext", "public.citext", true},
    {"public.citext", "text", true},
    {"public.mood", "text", true},
    {"public.mood", "public.other_mood", true},
    {"public.hstore", "jsonb", false},
    {"date", "timestamptz", true},
    {"timestamp", "date", false},
    {"timestamptz", "date", false},
    {"timestamptz", "timestamp", true},
    {"timestamptz", "timestamptz(3)", false},
    {"timestamptz(3)", "timestamp", true},
    {"inet", "cidr", true},
    {"public.email", "text", true},
};

static void clear(struct catalog_column *column)
{
    free(column->name);
    free(column->type_name);
    free(column->base_type);
}

static struct catalog_column make(const char *type)
{
    const struct column_line line = {"a", type, NULLABLE};
    return world_column(&line, 1);
}

START_TEST(every_pair_is_what_its_line_says)
{
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        struct catalog_column source = make(pairs[i].source), target = make(pairs[i].target);
        ck_assert_msg(distinct_kept(&source, &target) == pairs[i].kept, "%s to %s",
                      pairs[i].source, pairs[i].target);
        clear(&source);
        clear(&target);
    }
}
END_TEST

START_TEST(a_loose_collation_keeps_nothing_apart_but_its_own_texts)
{
    struct catalog_column source = make("text"), target = make("text");
    target.loose = true;
    ck_assert(!distinct_kept(&source, &target));
    ck_assert(!distinct_texts_kept(&target, true));
    ck_assert(!distinct_can_group(&source, &target));
    source.loose = true;
    source.collation = target.collation = (char *)"public.ci";
    ck_assert(distinct_kept(&source, &target));
    source.collation = (char *)"public.other";
    ck_assert(!distinct_kept(&source, &target));
    clear(&source);
    clear(&target);
}
END_TEST

START_TEST(made_texts_are_apart_where_the_type_keeps_every_byte)
{
    static const struct {
        const char *target;
        bool solid, kept;
    } lines[] = {
        {"text", false, true},          {"varchar(5)", false, false},
        {"varchar(5)", true, true},     {"character(3)", false, false},
        {"character(3)", true, true},   {"public.mood", false, true},
        {"public.citext", true, false}, {"int8", true, false},
        {"uuid", true, false},
    };
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        struct catalog_column target = make(lines[i].target);
        ck_assert_msg(distinct_texts_kept(&target, lines[i].solid) == lines[i].kept, "%s",
                      lines[i].target);
        clear(&target);
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_pair_is_what_its_line_says,
                            a_loose_collation_keeps_nothing_apart_but_its_own_texts,
                            made_texts_are_apart_where_the_type_keeps_every_byte};
    return unit_run("distinct", tests, UNIT_COUNT(tests));
}
