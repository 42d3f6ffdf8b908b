/* hash and uuid5. */
#include "kinds_world.h"

START_TEST(a_hash_is_that_of_the_salt_and_the_text)
{
    kind_gives("{ from: x, hash: md5 }", ROW("abc"), "900150983cd24fb0d6963f7d28e17f72");
    kind_gives("{ from: x, hash: md5, salt: a }", ROW("bc"),
               "900150983cd24fb0d6963f7d28e17f72");
    kind_gives("{ from: x, hash: sha256 }", ROW("abc"),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    kind_gives("{ from: x, hash: xxh64 }", ROW("abc"), "44bc2cf5ad770999");
    kind_gives("{ from: x, hash: xxh64 }", ROW(""), "ef46db3751d8e999");
    kind_gives("{ from: x, hash: md5 }", ROW(""), "d41d8cd98f00b204e9800998ecf8427e");
    kind_gives("{ from: x, hash: sha256, salt: s }", ROW("NULL"), "NULL");
    kind_gives("{ from: x, hash: sha256, salt: s }", ROW("UNCHANGED"), "UNCHANGED");
}
END_TEST

START_TEST(a_salt_comes_from_the_environment_and_is_never_shown)
{
    struct kind_world kind;
    setenv("SLACKWATER_TEST_SALT", "a", 1);
    kind_gives("{ from: x, hash: md5, salt_env: SLACKWATER_TEST_SALT }", ROW("bc"),
               "900150983cd24fb0d6963f7d28e17f72");
    ck_assert(kind_open(&kind, "{ from: x, hash: md5, salt: '${SLACKWATER_TEST_SALT}' }"));
    ck_assert_str_eq(kind.world.chain->tables[0].columns[1].no_sql,
                     "a statement would show the salt of the environment to the server's log");
    kind_close(&kind);
}
END_TEST

START_TEST(faults_of_a_hash_are_told_with_their_place)
{
    unsetenv("SLACKWATER_TEST_NONE");
    kind_not_loaded("{ hash: sha265 }", "rules.yaml:4:18: hash: found \"sha265\", expected "
                                        "sha256, md5 or xxh64; did you mean \"sha256\"?");
    kind_not_loaded(
        "{ hash: md5, salt: a, salt_env: B }",
        "rules.yaml:4:42: hash: \"salt\" and \"salt_env\" are both given; keep one");
    kind_not_loaded("{ hash: md5, salt: '' }",
                    "rules.yaml:4:29: hash: the salt is empty, which "
                    "is none; leave it out or give one");
    kind_not_loaded("{ hash: md5, salt_env: SLACKWATER_TEST_NONE }",
                    "rules.yaml:4:33: salt_env: environment variable SLACKWATER_TEST_NONE is "
                    "not set");
    kind_not_loaded(
        "{ from: x, salt: a }",
        "rules.yaml:4:27: columns: \"salt\" is read by \"hash\", which is not here");
}
END_TEST

START_TEST(a_hash_in_sql_has_the_digits_of_the_evaluation_or_a_reason)
{
    struct kind_world kind;
    struct buf sql = {0};
    kind_says("{ from: x, hash: sha256 }",
              "encode(sha256(convert_to((\"x\"::text), 'UTF8')), 'hex')");
    kind_says("{ from: x, hash: md5, salt: s }",
              "md5(convert_to('s'::text || (\"x\"::text), 'UTF8'))");
    ck_assert(kind_open(&kind, "{ from: x, hash: xxh64, default: none }"));
    ck_assert_str_eq(kind.world.chain->tables[0].columns[1].no_sql, "PostgreSQL has no xxh64");
    bound_table_select(&kind.world.chain->tables[0], &sql);
    ck_assert_ptr_nonnull(strstr(buf_text(&sql), "CAST(NULL::text AS text) AS \"y\""));
    buf_free(&sql);
    kind_close(&kind);
}
END_TEST

START_TEST(a_template_of_a_value_without_sql_has_none_either)
{
    struct world world;
    world_open(&world);
    world_index(world_table(&world.source, "public", "t", COLUMNS({"id", "int8", NOT_NULL})),
                "pk", PRIMARY, "id");
    world_index(world_table(&world.target, "public", "t",
                            COLUMNS({"id", "int8", NOT_NULL}, {"h", "text", NULLABLE},
                                    {"t", "text", NULLABLE})),
                "pk", PRIMARY, "id");
    ck_assert(world_bind(&world, "tables:\n  - source: t\n    columns:\n"
                                 "      h: { from: id, hash: xxh64 }\n"
                                 "      t: { template: 'h{h}' }\n"));
    ck_assert_ptr_null(world.chain->tables[0].columns[0].no_sql);
    ck_assert_str_eq(world.chain->tables[0].columns[2].no_sql, "PostgreSQL has no xxh64");
    world_close(&world);
}
END_TEST

START_TEST(a_hash_has_no_way_back)
{
    kind_turns_back("{ from: x, hash: sha256 }", "a hash forgets the value", NULL, NULL);
}
END_TEST

/* From uuid_generate_v5() of uuid-ossp, and Python's uuid.uuid5(). */
START_TEST(a_uuid5_is_that_of_the_namespace_and_the_name)
{
    kind_gives("{ from: x, uuid5: { namespace: dns } }", ROW("www.example.com"),
               "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    kind_gives("{ uuid5: { namespace: 6ba7b810-9dad-11d1-80b4-00c04fd430c8, name: "
               "'www.{x}' } }",
               ROW("example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    kind_gives("{ value: www.example.com, uuid5: { namespace: DNS } }", ROW("a"),
               "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    kind_gives("{ from: x, uuid5: { namespace: url } }", ROW("NULL"), "NULL");
    kind_gives("{ uuid5: { namespace: url, name: 'a{x}' } }", ROW("NULL"), "NULL");
}
END_TEST

START_TEST(a_uuid5_has_no_sql_and_faults_have_their_place)
{
    struct kind_world kind;
    ck_assert(kind_open(&kind, "{ from: x, uuid5: { namespace: oid } }"));
    ck_assert_str_eq(kind.world.chain->tables[0].columns[1].no_sql,
                     "PostgreSQL has no SHA-1 without an extension");
    kind_close(&kind);
    kind_not_loaded("{ uuid5: { name: x } }",
                    "rules.yaml:4:19: uuid5: \"namespace\" is missing; expected a UUID, dns, "
                    "url, oid or x500");
    kind_not_loaded(
        "{ uuid5: { namespace: dnss } }",
        "rules.yaml:4:32: namespace: found \"dnss\", expected a UUID, dns, url, oid "
        "or x500; did you mean \"dns\"?");
    kind_not_loaded("{ from: x, uuid5: { namespace: dns, name: x } }",
                    "rules.yaml:4:28: columns: \"from\" and \"uuid5\" both say where the value "
                    "comes from; keep one");
    kind_refused("{ uuid5: { namespace: dns, name: '{z}' } }", "rule.name", "rules.yaml:5:43",
                 "\"z\" is neither a column of source table public.t nor a column made by a "
                 "rule of this table");
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_hash_is_that_of_the_salt_and_the_text,
        a_salt_comes_from_the_environment_and_is_never_shown,
        faults_of_a_hash_are_told_with_their_place,
        a_hash_in_sql_has_the_digits_of_the_evaluation_or_a_reason,
        a_template_of_a_value_without_sql_has_none_either,
        a_hash_has_no_way_back,
        a_uuid5_is_that_of_the_namespace_and_the_name,
        a_uuid5_has_no_sql_and_faults_have_their_place,
    };
    return unit_run("kinds_hash", tests, UNIT_COUNT(tests));
}
