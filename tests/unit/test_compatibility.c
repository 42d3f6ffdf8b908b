/* Which types fit which. */
#include "rules_world.h"
#include "schema/compatibility.h"

struct pair {
    const char *source;
    const char *target;
    enum fit fit;
    const char *why;
};

static const struct pair pairs[] = {
    {"int8", "int8", FIT_SAME, ""},
    {"varchar(5)", "varchar(10)", FIT_SAME, ""},
    {"varchar(10)", "varchar(5)", FIT_PERHAPS, "longer text is refused"},
    {"varchar", "varchar(5)", FIT_PERHAPS, "longer text is refused"},
    {"varchar(5)", "varchar", FIT_SAME, ""},
    {"numeric(12,2)", "numeric", FIT_SAME, ""},
    {"numeric(12,4)", "numeric(12,2)", FIT_PERHAPS, "values are rounded to fewer digits"},
    {"numeric(12,2)", "numeric(12,4)", FIT_PERHAPS, "values may be out of range"},
    {"numeric", "numeric(12,2)", FIT_PERHAPS, "values may be out of range"},
    {"timestamptz", "timestamptz(3)", FIT_PERHAPS, "fractions of a second are rounded"},
    {"timestamptz(3)", "timestamptz", FIT_SAME, ""},
    {"numeric(12,4)", "public.cents", FIT_PERHAPS, "values are rounded to fewer digits"},
    {"public.cents", "numeric(12,2)", FIT_SAME, ""},
    {"numeric(12,4)[]", "numeric(12,2)[]", FIT_PERHAPS, "values are rounded to fewer digits"},
    {"numeric(12,2)[]", "numeric(12,2)[]", FIT_SAME, ""},
    {"varchar(10)[]", "varchar(5)[]", FIT_PERHAPS, "longer text is refused"},
    {"varchar(5)[]", "varchar(10)[]", FIT_SAME, ""},
    {"interval", "interval(0)", FIT_PERHAPS,
     "smaller parts of intervals are cut off or rounded"},
    {"interval", "interval day", FIT_PERHAPS,
     "smaller parts of intervals are cut off or rounded"},
    {"interval(0)", "interval day", FIT_PERHAPS,
     "smaller parts of intervals are cut off or rounded"},
    {"interval day", "interval", FIT_SAME, ""},
    {"interval(0)", "interval(0)", FIT_SAME, ""},
    {"time", "interval(0)", FIT_PERHAPS, "smaller parts of intervals are cut off or rounded"},
    {"public.mood", "public.mood", FIT_SAME, ""},
    {"public.email", "text", FIT_SAME, ""}, /* a domain is its base type */

    {"int2", "int4", FIT_ALWAYS, ""},
    {"int4", "int8", FIT_ALWAYS, ""},
    {"int8", "numeric", FIT_ALWAYS, ""},
    {"int8", "numeric(20,0)", FIT_ALWAYS, ""},
    {"int8", "numeric(12,2)", FIT_PERHAPS, "values may be out of range"},
    {"int2", "numeric(12,2)", FIT_ALWAYS, ""},
    {"int4", "float8", FIT_ALWAYS, ""},
    {"float4", "float8", FIT_ALWAYS, ""},
    {"varchar(5)", "text", FIT_ALWAYS, ""},
    {"character(3)", "text", FIT_ALWAYS, ""},
    {"public.citext", "text", FIT_ALWAYS, ""},
    {"text", "public.citext", FIT_ALWAYS, ""},
    {"public.mood", "text", FIT_ALWAYS, ""},
    {"public.hstore", "text", FIT_ALWAYS, ""},
    {"int4[]", "text", FIT_ALWAYS, ""},
    {"public.pair", "text", FIT_ALWAYS, ""},
    {"jsonb", "text", FIT_ALWAYS, ""},
    {"uuid", "text", FIT_ALWAYS, ""},
    {"jsonb", "json", FIT_ALWAYS, ""},
    {"date", "timestamp", FIT_ALWAYS, ""},
    {"time", "interval", FIT_ALWAYS, ""},
    {"cidr", "inet", FIT_ALWAYS, ""},

    {"int8", "int4", FIT_PERHAPS, "values may be out of range"},
    {"int8", "float8", FIT_PERHAPS, "large numbers lose digits"},
    {"numeric", "int4", FIT_PERHAPS, "fractions are refused, values may be out of range"},
    {"numeric", "float8", FIT_PERHAPS, "digits may be lost"},
    {"float8", "float4", FIT_PERHAPS, "digits may be lost"},
    {"uuid", "varchar(10)", FIT_PERHAPS, "longer text is refused"},
    {"int2", "varchar(10)", FIT_ALWAYS, ""},
    {"text", "int4", FIT_PERHAPS, "text that is no value of the target's type is refused"},
    {"text", "public.mood", FIT_PERHAPS,
     "text that is no value of the target's type is refused"},
    {"text", "int4[]", FIT_PERHAPS, "text that is no value of the target's type is refused"},
    {"bytea", "text", FIT_PERHAPS, "the bytes become hexadecimal text"},
    {"json", "jsonb", FIT_PERHAPS, "repeated keys and the order of keys are lost"},
    {"timestamp", "timestamptz", FIT_PERHAPS, "times are taken in the session's time zone"},
    {"timestamptz", "timestamp", FIT_PERHAPS, "the time zone is lost"},
    {"timestamp", "date", FIT_PERHAPS, "the time of day is lost"},
    {"inet", "cidr", FIT_PERHAPS, "addresses with host bits are refused"},
    {"public.mood", "public.other_mood", FIT_PERHAPS,
     "labels that the target's enum lacks are refused"},
    {"int4[]", "text[]", FIT_PERHAPS, "elements must be values of the target's type"},
    {"public.hstore", "jsonb", FIT_PERHAPS, "the text form of one must be input of the other"},
    {"int4", "bool", FIT_PERHAPS, "only 0 and 1 are accepted"},
    {"int4", "oid", FIT_PERHAPS, "values may be out of range"},

    {"bool", "timestamptz", FIT_NEVER, ""},
    {"int4", "uuid", FIT_NEVER, ""},
    {"jsonb", "int4", FIT_NEVER, ""},
    {"bytea", "int4", FIT_NEVER, ""},
    {"bool", "int4", FIT_NEVER, ""},
    {"int4", "date", FIT_NEVER, ""},
    {"uuid", "int8", FIT_NEVER, ""},
    {"int4[]", "int4", FIT_NEVER, ""},
    {"int4", "int4[]", FIT_NEVER, ""},
    {"public.mood", "int4", FIT_NEVER, ""},
    {"public.pair", "int4", FIT_NEVER, ""},
    {"int4range", "int4", FIT_NEVER, ""},
    {"tsvector", "jsonb", FIT_NEVER, ""},
};

START_TEST(every_pair_is_what_its_line_says)
{
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        const struct column_line source = {"a", pairs[i].source, NULLABLE};
        const struct column_line target = {"b", pairs[i].target, NULLABLE};
        struct catalog_column columns[] = {world_column(&source, 1), world_column(&target, 1)};
        const char *why;
        enum fit fit = type_fit(&columns[0], &columns[1], &why);
        ck_assert_msg(fit == pairs[i].fit, "%s to %s: %d", pairs[i].source, pairs[i].target,
                      (int)fit);
        ck_assert_str_eq(why, pairs[i].why);
        for (size_t j = 0; j < 2; j++) {
            free(columns[j].name);
            free(columns[j].type_name);
            free(columns[j].base_type);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *tests[] = {every_pair_is_what_its_line_says};
    return unit_run("compatibility", tests, UNIT_COUNT(tests));
}
