/* The chain at work: rows and changes of the source become those of the target. */
#include "rules_world.h"

#define TENANT "00000000-0000-0000-0000-000000000001"

/* users(id, first, last, state, note) -> app.users(tenant_id, id, pk, full_name, status, note).
 */
struct users {
    struct world world;
    struct catalog_table *source;
    struct catalog_table *target;
    const struct relation *relation;
    struct batch *in;
};

#define RULES                                                                                  \
    "tables:\n"                                                                                \
    "  - source: users\n"                                                                      \
    "    target: app.users\n"                                                                  \
    "    columns:\n"                                                                           \
    "      tenant_id: { value: \"" TENANT "\" }\n"                                             \
    "      pk: { template: \"T#{tenant_id}#U#{id}\" }\n"                                       \
    "      full_name: { template: \"{first} {last}\" }\n"                                      \
    "      status: { from: state, map: { a: active, d: deleted, x: null }, default: unknown "  \
    "}\n"                                                                                      \
    "    drop: [first, last, state]\n"

static void open_users(struct users *users, char identity, const char *rules)
{
    world_open(&users->world);
    users->source =
        world_table(&users->world.source, "public", "users",
                    COLUMNS({"id", "int8", NOT_NULL}, {"first", "text", NULLABLE},
                            {"last", "text", NULLABLE}, {"state", "public.mood", NULLABLE},
                            {"note", "text", NULLABLE}));
    users->source->replica_identity = identity;
    world_index(users->source, "pk", PRIMARY, "id");
    users->target =
        world_table(&users->world.target, "app", "users",
                    COLUMNS({"tenant_id", "uuid", NOT_NULL}, {"id", "int8", NOT_NULL},
                            {"pk", "text", NULLABLE}, {"full_name", "text", NULLABLE},
                            {"status", "text", NULLABLE}, {"note", "text", NULLABLE}));
    world_index(users->target, "pk", PRIMARY, "tenant_id,id");
    ck_assert_msg(world_bind(&users->world, rules), "%s", users->world.err.message);
    users->relation = world_relation(&users->world, users->source);
    users->in = batch_create();
}

static void close_users(struct users *users)
{
    batch_destroy(users->in);
    world_close(&users->world);
}

static enum transform_result insert(struct users *users, const char *const *new)
{
    return world_change(&users->world, users->in, users->relation, CHANGE_INSERT, OLD_NONE,
                        NULL, new);
}

static enum transform_result update(struct users *users, enum old_image image,
                                    const char *const *old, const char *const *new)
{
    return world_change(&users->world, users->in, users->relation, CHANGE_UPDATE, image, old,
                        new);
}

static void expect_row(const struct row *row, const char *text)
{
    ck_assert_str_eq(world_show(row), text);
}

static void expect_insert(struct users *users, const char *const *new, const char *text)
{
    ck_assert_msg(insert(users, new) == TRANSFORM_WRITTEN, "%s", users->world.err.message);
    const struct change *change = world_written(&users->world);
    ck_assert_int_eq(change->kind, CHANGE_INSERT);
    ck_assert_int_eq(change->old_image, OLD_NONE);
    expect_row(&change->old, "none");
    expect_row(&change->new, text);
}

static void expect_update(struct users *users, enum old_image image, const char *const *old,
                          const char *const *new, enum old_image image_out, const char *old_out,
                          const char *new_out)
{
    ck_assert_msg(update(users, image, old, new) == TRANSFORM_WRITTEN, "%s",
                  users->world.err.message);
    const struct change *change = world_written(&users->world);
    ck_assert_int_eq(change->kind, CHANGE_UPDATE);
    ck_assert_int_eq(change->old_image, image_out);
    expect_row(&change->old, old_out);
    expect_row(&change->new, new_out);
}

static void expect_class(const struct users *users, enum transform_result result,
                         enum err_class class, const char *message)
{
    ck_assert(result == TRANSFORM_REFUSED || result == TRANSFORM_FAILED);
    ck_assert_int_eq(users->world.err.class, class);
    ck_assert_str_eq(users->world.err.message, message);
    ck_assert_str_ne(users->world.err.remedy, "");
}

static void expect_failure(const struct users *users, enum transform_result result,
                           const char *message)
{
    expect_class(users, result, ERR_DATA, message);
}

/* The rules are to be bound anew. */
static void expect_shape(const struct users *users, enum transform_result result,
                         const char *message)
{
    expect_class(users, result, ERR_SHAPE, message);
}

START_TEST(an_insert_goes_through_every_rule)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    expect_insert(&users, VALUES("8", "", "", "d", ""),
                  TENANT "|8|T#" TENANT "#U#8| |deleted|");
    expect_insert(&users, VALUES("9", "Ä", "ß😀", "q", "ü"),
                  TENANT "|9|T#" TENANT "#U#9|Ä ß😀|unknown|ü");
    expect_insert(&users, VALUES("9", "a", "b", "x", "n"),
                  TENANT "|9|T#" TENANT "#U#9|a b|NULL|n");
    close_users(&users);
}
END_TEST

START_TEST(null_makes_a_template_null_and_stays_null_in_a_map)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_insert(&users, VALUES("7", "Ann", "NULL", "NULL", "NULL"),
                  TENANT "|7|T#" TENANT "#U#7|NULL|NULL|NULL");
    close_users(&users);
}
END_TEST

START_TEST(a_map_may_name_null_and_its_default_may_be_null)
{
    struct users users;
    open_users(&users, 'd',
               "tables:\n  - source: users\n    target: app.users\n    columns:\n"
               "      tenant_id: { value: \"" TENANT "\" }\n"
               "      status: { from: state, map: { ~: none }, default: null }\n"
               "    drop: [first, last, state]\n");
    expect_insert(&users, VALUES("7", "a", "b", "NULL", "n"), TENANT "|7|none|n");
    expect_insert(&users, VALUES("7", "a", "b", "x", "n"), TENANT "|7|NULL|n");
    close_users(&users);
}
END_TEST

START_TEST(a_value_without_an_entry_and_without_default_fails_without_being_shown)
{
    struct users users;
    open_users(&users, 'd',
               "tables:\n  - source: users\n    target: app.users\n    columns:\n"
               "      tenant_id: { value: \"" TENANT "\" }\n"
               "      status: { from: state, map: { a: active } }\n"
               "    drop: [first, last, state]\n");
    expect_failure(&users, insert(&users, VALUES("7", "a", "b", "secret", "n")),
                   "target column app.users.status: the map has no entry for the value of this "
                   "row, and no default");
    ck_assert_str_eq(users.world.err.remedy,
                     "Add the value, or a default, to the map at rules.yaml:6:35; all values: "
                     "SELECT \"state\", count(*) FROM \"public\".\"users\" GROUP BY 1");
    ck_assert_uint_eq(users.world.out->change_count, 0);
    close_users(&users);
}
END_TEST

START_TEST(an_update_without_old_image_keeps_its_key)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_update(&users, OLD_NONE, NULL, VALUES("7", "Ann", "Lee", "a", "hi"), OLD_NONE,
                  "none", TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    close_users(&users);
}
END_TEST

START_TEST(a_key_change_carries_the_old_target_key)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_update(&users, OLD_KEY, VALUES("7", "ABSENT", "ABSENT", "ABSENT", "ABSENT"),
                  VALUES("8", "Ann", "Lee", "a", "hi"), OLD_KEY,
                  TENANT "|7|ABSENT|ABSENT|ABSENT|ABSENT",
                  TENANT "|8|T#" TENANT "#U#8|Ann Lee|active|hi");
    close_users(&users);
}
END_TEST

START_TEST(an_old_image_with_the_same_target_key_is_left_out)
{
    struct users users;
    open_users(&users, 'f', RULES);
    expect_update(&users, OLD_FULL, VALUES("7", "Ann", "Lee", "a", "old"),
                  VALUES("7", "Ann", "Poe", "a", "new"), OLD_NONE, "none",
                  TENANT "|7|T#" TENANT "#U#7|Ann Poe|active|new");
    close_users(&users);
}
END_TEST

START_TEST(a_delete_carries_the_target_key)
{
    struct users users;
    open_users(&users, 'd', RULES);
    ck_assert_int_eq(world_change(&users.world, users.in, users.relation, CHANGE_DELETE,
                                  OLD_KEY, VALUES("7", "ABSENT", "ABSENT", "ABSENT", "ABSENT"),
                                  NULL),
                     TRANSFORM_WRITTEN);
    const struct change *change = world_written(&users.world);
    ck_assert_int_eq(change->kind, CHANGE_DELETE);
    ck_assert_int_eq(change->old_image, OLD_KEY);
    expect_row(&change->old, TENANT "|7|ABSENT|ABSENT|ABSENT|ABSENT");
    expect_row(&change->new, "none");
    close_users(&users);
}
END_TEST

/* --- unchanged TOAST values --- */

START_TEST(an_unchanged_value_stays_unchanged)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_update(&users, OLD_NONE, NULL,
                  VALUES("7", "UNCHANGED", "UNCHANGED", "a", "UNCHANGED"), OLD_NONE, "none",
                  TENANT "|7|T#" TENANT "#U#7|UNCHANGED|active|UNCHANGED");
    close_users(&users);
}
END_TEST

START_TEST(identity_full_fills_unchanged_values_from_the_old_row)
{
    struct users users;
    open_users(&users, 'f', RULES);
    expect_update(&users, OLD_FULL, VALUES("7", "Ann", "Lee", "a", "long"),
                  VALUES("7", "UNCHANGED", "Poe", "a", "UNCHANGED"), OLD_NONE, "none",
                  TENANT "|7|T#" TENANT "#U#7|Ann Poe|active|long");
    close_users(&users);
}
END_TEST

START_TEST(a_template_of_unchanged_and_changed_values_is_refused)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_failure(&users,
                   update(&users, OLD_NONE, NULL, VALUES("7", "UNCHANGED", "Poe", "a", "n")),
                   "target column app.users.full_name: the template joins a value that was not "
                   "sent because it did not change (TOAST) with values that may have changed");
    ck_assert_ptr_nonnull(strstr(users.world.err.remedy, "REPLICA IDENTITY FULL"));
    close_users(&users);
}
END_TEST

START_TEST(a_null_decides_a_template_whatever_was_not_sent)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_update(&users, OLD_NONE, NULL, VALUES("7", "UNCHANGED", "NULL", "a", "n"), OLD_NONE,
                  "none", TENANT "|7|T#" TENANT "#U#7|NULL|active|n");
    close_users(&users);
}
END_TEST

START_TEST(the_key_cannot_have_changed_where_there_is_no_old_image)
{
    struct users users;
    open_users(&users, 'd',
               "tables:\n  - source: users\n    target: app.users\n    columns:\n"
               "      tenant_id: { value: \"" TENANT "\" }\n"
               "      full_name: { template: \"{id}:{note}\" }\n"
               "    drop: [first, last, state]\n");
    expect_update(&users, OLD_NONE, NULL, VALUES("7", "a", "b", "c", "UNCHANGED"), OLD_NONE,
                  "none", TENANT "|7|UNCHANGED|UNCHANGED");
    expect_failure(&users,
                   update(&users, OLD_KEY, VALUES("6", "ABSENT", "ABSENT", "ABSENT", "ABSENT"),
                          VALUES("7", "a", "b", "c", "UNCHANGED")),
                   "target column app.users.full_name: the template joins a value that was not "
                   "sent because it did not change (TOAST) with values that may have changed");
    close_users(&users);
}
END_TEST

START_TEST(a_key_that_is_null_is_refused)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_failure(&users, insert(&users, VALUES("NULL", "a", "b", "a", "n")),
                   "target column app.users.id: the key is NULL");
    expect_failure(&users,
                   update(&users, OLD_NONE, NULL, VALUES("UNCHANGED", "a", "b", "a", "n")),
                   "target column app.users.id: the key was not sent (unchanged TOAST value)");
    expect_failure(&users,
                   update(&users, OLD_KEY,
                          VALUES("ABSENT", "ABSENT", "ABSENT", "ABSENT", "ABSENT"),
                          VALUES("7", "a", "b", "a", "n")),
                   "old row: target column app.users.id: the key was not sent");
    close_users(&users);
}
END_TEST

/* --- other ways to match --- */

START_TEST(a_table_matched_by_row_needs_the_whole_old_row)
{
    struct users users;
    open_users(&users, 'f', RULES);
    users.source->indexes[0].immediate = false;
    ck_assert_msg(world_bind(&users.world, RULES), "%s", users.world.err.message);
    users.relation = world_relation(&users.world, users.source);
    expect_update(&users, OLD_FULL, VALUES("7", "Ann", "Lee", "a", "n"),
                  VALUES("7", "Ann", "Lee", "d", "UNCHANGED"), OLD_FULL,
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|n",
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|deleted|n");
    expect_shape(&users, update(&users, OLD_NONE, NULL, VALUES("7", "Ann", "Lee", "d", "n")),
                 "source table public.users: its rows are matched whole, and the old row was "
                 "not sent");
    close_users(&users);
}
END_TEST

START_TEST(an_insert_only_table_refuses_updates)
{
    struct users users;
    open_users(&users, 'n', RULES);
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    expect_shape(&users, update(&users, OLD_NONE, NULL, VALUES("7", "Ann", "Lee", "d", "n")),
                 "source table public.users: the table was bound without a replica identity, "
                 "and an update or delete came");
    close_users(&users);
}
END_TEST

START_TEST(an_identity_switched_away_from_the_key_is_seen)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct relation *relation = world_relation(&users.world, users.source);
    relation->replica_identity = 'i';
    relation->columns[0].key = false;
    relation->columns[1].key = true;
    users.relation = relation;
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    expect_shape(&users, update(&users, OLD_NONE, NULL, VALUES("7", "Ann", "Lee", "d", "n")),
                 "source table public.users: its replica identity no longer holds the columns "
                 "that the key is made of");
    close_users(&users);
}
END_TEST

/* --- versions of a relation --- */

static struct relation *make_relation(struct users *users, const char *const *names,
                                      const uint32_t *types)
{
    struct column columns[8] = {0};
    uint16_t count = 0;
    for (; names[count]; count++)
        columns[count] = (struct column){.name = (char *)names[count],
                                         .type_oid = types[count],
                                         .type_modifier = -1,
                                         .key = strcmp(names[count], "id") == 0};
    struct relation *relation = relation_create("public", "users", count, columns);
    relation->oid = users->source->oid;
    relation->replica_identity = 'd';
    users->world.relations[users->world.relation_count++] = relation;
    return relation;
}

START_TEST(columns_of_the_stream_are_found_by_name)
{
    struct users users;
    open_users(&users, 'd', RULES);
    users.relation = make_relation(&users, VALUES("note", "state", "last", "first", "id"),
                                   (const uint32_t[]){25, 16400, 25, 25, 20});
    expect_insert(&users, VALUES("hi", "a", "Lee", "Ann", "7"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    expect_update(&users, OLD_KEY, VALUES("ABSENT", "ABSENT", "ABSENT", "ABSENT", "6"),
                  VALUES("UNCHANGED", "a", "Lee", "Ann", "7"), OLD_KEY,
                  TENANT "|6|ABSENT|ABSENT|ABSENT|ABSENT",
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|UNCHANGED");
    close_users(&users);
}
END_TEST

START_TEST(a_carried_column_that_is_gone_is_left_out)
{
    struct users users;
    open_users(&users, 'd', RULES);
    users.relation = make_relation(&users, VALUES("id", "first", "last", "state"),
                                   (const uint32_t[]){20, 25, 25, 16400});
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|ABSENT");
    close_users(&users);
}
END_TEST

START_TEST(a_column_that_a_rule_reads_must_stay)
{
    struct users users;
    open_users(&users, 'd', RULES);
    users.relation = make_relation(&users, VALUES("id", "first", "last", "note"),
                                   (const uint32_t[]){20, 25, 25, 25});
    expect_shape(
        &users, insert(&users, VALUES("7", "Ann", "Lee", "n")),
        "source table public.users has changed: column \"state\" is not there, and a rule "
        "or the key reads it; bound: (id int8, first text, last text, -state "
        "public.mood, note text); in the stream: (id int8, first text, last text, "
        "note text)");
    close_users(&users);
}
END_TEST

START_TEST(a_new_column_and_a_new_type_stop_the_stream)
{
    struct users users;
    open_users(&users, 'd', RULES);
    users.relation =
        make_relation(&users, VALUES("id", "first", "last", "state", "note", "born"),
                      (const uint32_t[]){20, 25, 25, 16400, 25, 1082});
    expect_shape(&users, insert(&users, VALUES("7", "Ann", "Lee", "a", "n", "2000-01-01")),
                 "source table public.users has changed: column \"born\" is new; bound: (id "
                 "int8, first text, last text, state public.mood, note text); in the stream: "
                 "(id int8, first text, last text, state public.mood, note text, +born "
                 "date)");
    users.relation = make_relation(&users, VALUES("id", "first", "last", "state", "note"),
                                   (const uint32_t[]){1700, 25, 25, 16400, 25});
    expect_shape(&users, insert(&users, VALUES("7", "Ann", "Lee", "a", "n")),
                 "source table public.users has changed: column \"id\" is of another type; "
                 "bound: (~id int8, first text, last text, state public.mood, note text); in "
                 "the stream: (~id numeric, first text, last text, state public.mood, note "
                 "text)");
    close_users(&users);
}
END_TEST

START_TEST(a_renamed_or_recreated_table_is_not_mistaken)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct relation *relation = world_relation(&users.world, users.source);
    users.relation = relation;
    relation->oid++;
    expect_failure(
        &users, insert(&users, VALUES("7", "Ann", "Lee", "a", "n")),
        "source table public.users is not the one the rules were bound to: its OID is "
        "1001 in the stream and was 1000");
    relation->oid--;
    free(relation->name);
    relation->name = mem_string("members");
    expect_shape(&users, insert(&users, VALUES("7", "Ann", "Lee", "a", "n")),
                 "source table public.users is called public.members in the stream");
    relation->oid++;
    ck_assert_int_eq(insert(&users, VALUES("7", "Ann", "Lee", "a", "n")), TRANSFORM_FILTERED);
    close_users(&users);
}
END_TEST

static uint32_t source_of(struct users *users, const struct relation *relation)
{
    return users->world.transform->ops->source(users->world.transform, relation);
}

START_TEST(the_table_is_told_also_when_the_change_fails_or_is_no_part)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct change change = {.kind = CHANGE_INSERT,
                            .relation = users.relation,
                            .new = world_row(users.in, VALUES("NULL", "a", "b", "c", "d"))};
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_REFUSED);
    ck_assert_uint_eq(source_of(&users, users.relation), 0);
    struct relation *other = relation_create("public", "other", 0, NULL);
    other->oid = 5;
    users.world.relations[users.world.relation_count++] = other;
    change.relation = other;
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_FILTERED);
    ck_assert_uint_eq(source_of(&users, other), UINT32_MAX);
    close_users(&users);
}
END_TEST

START_TEST(a_row_of_the_wrong_width_is_a_bug)
{
    struct users users;
    open_users(&users, 'd', RULES);
    ck_assert_int_eq(insert(&users, VALUES("7")), TRANSFORM_FAILED);
    ck_assert_int_eq(users.world.err.class, ERR_BUG);
    close_users(&users);
}
END_TEST

/* --- truncate --- */

START_TEST(a_truncate_of_several_tables_is_one_of_those_carried)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct relation *other = relation_create("public", "other", 0, NULL);
    other->oid = 5;
    users.world.relations[users.world.relation_count++] = other;
    const struct relation *relations[] = {other, users.relation};
    struct change change = {.kind = CHANGE_TRUNCATE,
                            .relation = other,
                            .relations = relations,
                            .relation_count = 2,
                            .truncate_restart_identity = true};
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_WRITTEN);
    const struct change *out = world_written(&users.world);
    ck_assert_int_eq(out->kind, CHANGE_TRUNCATE);
    ck_assert_uint_eq(out->relation_count, 1);
    ck_assert_str_eq(out->relations[0]->schema, "app");
    ck_assert_ptr_eq(out->relation, out->relations[0]);
    ck_assert(out->truncate_restart_identity);
    change.relation_count = 1;
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_FILTERED);
    close_users(&users);
}
END_TEST

/* --- formats --- */

static struct value binary(const void *data, uint32_t size)
{
    return (struct value){.data = data, .size = size, .kind = VALUE_BINARY};
}

static void expect_copy(struct users *users, const struct relation *target,
                        const struct row *row, const char *text)
{
    struct row out = {0};
    struct transform *transform = users->world.transform;
    ck_assert_msg(transform->ops->row(transform, target, row, &users->in->arena, &out,
                                      &users->world.err) == TRANSFORM_WRITTEN,
                  "%s", users->world.err.message);
    expect_row(&out, text);
}

START_TEST(a_binary_copy_yields_binary_values_only)
{
    struct users users;
    open_users(&users, 'd', RULES);
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert(table->copy_binary);
    struct row row = batch_row(users.in, 5);
    row.values[0] = binary("\0\0\0\0\0\0\0\7", 8);
    row.values[1] = binary("A", 1);
    row.values[2] = binary("B", 1);
    row.values[3] = binary("a", 1);
    row.values[4] = (struct value){.kind = VALUE_NULL};
    expect_copy(&users, table->target_relation, &row,
                "x'00000000000000000000000000000001'|x'0000000000000007'|"
                "x'542330303030303030302d303030302d303030302d303030302d30303030303030303030"
                "303123552337'|x'412042'|x'616374697665'|NULL");
    close_users(&users);
}
END_TEST

START_TEST(a_binary_stream_passes_values_and_reads_texts)
{
    struct users users;
    open_users(&users, 'd', RULES);
    ck_assert(users.world.chain->stream_binary);
    struct change change = {
        .kind = CHANGE_INSERT, .relation = users.relation, .new = batch_row(users.in, 5)};
    change.new.values[0] = binary("\0\0\0\0\0\0\0\7", 8);
    change.new.values[1] = binary("Ann", 3);
    change.new.values[2] = world_value("Lee"); /* a type without send function comes as text */
    change.new.values[3] = binary("a", 1);
    change.new.values[4] = binary("hi", 2);
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_WRITTEN);
    expect_row(&world_written(&users.world)->new,
               TENANT "|x'0000000000000007'|T#" TENANT "#U#7|Ann Lee|active|x'6869'");
    change.new.values[0] = binary("\7", 1);
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_REFUSED);
    ck_assert_str_eq(users.world.err.message,
                     "target column app.users.pk: source column \"id\": 1 bytes are no binary "
                     "value of type int8");
    close_users(&users);
}
END_TEST

START_TEST(a_changed_type_goes_as_text_in_the_stream_and_is_converted_in_a_binary_copy)
{
    struct users users = {0};
    world_open(&users.world);
    users.in = batch_create();
    struct catalog_table *source =
        world_table(&users.world.source, "public", "users",
                    COLUMNS({"id", "int4", NOT_NULL}, {"code", "character(3)", NULLABLE}));
    world_index(source, "pk", PRIMARY, "id");
    struct catalog_table *target =
        world_table(&users.world.target, "public", "users",
                    COLUMNS({"id", "int8", NOT_NULL}, {"code", "text", NULLABLE}));
    world_index(target, "pk", PRIMARY, "id");
    ck_assert(world_bind(&users.world, NULL));
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert(users.world.chain->stream_binary && table->copy_binary);
    users.relation = world_relation(&users.world, source);
    struct row row = batch_row(users.in, 2);
    row.values[0] = binary("\0\0\0\7", 4);
    row.values[1] = binary("a  ", 3);
    expect_copy(&users, table->target_relation, &row, "x'0000000000000007'|x'61'");
    expect_insert(&users, VALUES("7", "a  "), "7|a");
    close_users(&users);
}
END_TEST

START_TEST(a_text_copy_yields_text_values_only)
{
    struct users users = {0};
    world_open(&users.world);
    users.in = batch_create();
    world_table(&users.world.source, "public", "users",
                COLUMNS({"id", "int8", NULLABLE}, {"x", "public.hstore", NULLABLE}));
    world_table(&users.world.target, "public", "users",
                COLUMNS({"id", "int8", NULLABLE}, {"x", "public.hstore", NULLABLE},
                        {"y", "int4", NULLABLE}));
    ck_assert(world_bind(&users.world,
                         "tables:\n  - source: users\n    columns: { y: { value: 5 } }\n"));
    const struct bound_table *table = &users.world.chain->tables[0];
    ck_assert(!table->copy_binary);
    struct row row = world_row(users.in, VALUES("7", "<a/>"));
    expect_copy(&users, table->target_relation, &row, "7|<a/>|5");
    close_users(&users);
}
END_TEST

START_TEST(a_clone_works_by_itself)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct transform *first = users.world.transform;
    users.world.transform = first->ops->clone(first);
    first->ops->destroy(first);
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                  TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    close_users(&users);
}
END_TEST

START_TEST(many_versions_of_a_relation_are_kept_apart)
{
    struct users users;
    open_users(&users, 'd', RULES);
    struct relation *versions[200];
    for (size_t i = 0; i < UNIT_COUNT(versions); i++) {
        versions[i] = relation_create("public", "users", users.relation->column_count,
                                      users.relation->columns);
        versions[i]->oid = users.relation->oid;
        versions[i]->replica_identity = 'd';
    }
    for (size_t i = 0; i < 2 * UNIT_COUNT(versions); i++) {
        users.relation = versions[i % UNIT_COUNT(versions)];
        expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                      TENANT "|7|T#" TENANT "#U#7|Ann Lee|active|hi");
    }
    for (size_t i = 0; i < UNIT_COUNT(versions); i++)
        relation_free(versions[i]);
    close_users(&users);
}
END_TEST

/* --- failures of the copy, of old rows, of truncates --- */

/* t(id int8, x text) -> t(id int8, x int4) */
static void open_narrow(struct users *users)
{
    *users = (struct users){0};
    world_open(&users->world);
    users->in = batch_create();
    users->source = world_table(&users->world.source, "public", "users",
                                COLUMNS({"id", "int8", NOT_NULL}, {"x", "text", NULLABLE}));
    world_index(users->source, "pk", PRIMARY, "id");
    users->target = world_table(&users->world.target, "public", "users",
                                COLUMNS({"id", "int8", NOT_NULL}, {"x", "int4", NULLABLE}));
    world_index(users->target, "pk", PRIMARY, "id");
    ck_assert_msg(world_bind(&users->world, NULL), "%s", users->world.err.message);
    users->relation = world_relation(&users->world, users->source);
}

static enum transform_result copy(struct users *users, const struct relation *target,
                                  const struct row *row)
{
    struct row out;
    return users->world.transform->ops->row(users->world.transform, target, row,
                                            &users->in->arena, &out, &users->world.err);
}

START_TEST(a_row_of_the_copy_that_does_not_fit_fails)
{
    struct users users;
    open_narrow(&users);
    const struct relation *target = users.world.chain->tables[0].target_relation;
    struct row row = batch_row(users.in, 2);
    row.values[0] = binary("\0\0\0\0\0\0\0\7", 8);
    row.values[1] = binary("12", 2);
    expect_copy(&users, target, &row, "x'0000000000000007'|x'0000000c'");
    row.values[1] = binary("twelve", 6);
    ck_assert_int_eq(copy(&users, target, &row), TRANSFORM_REFUSED);
    ck_assert_str_eq(users.world.err.message,
                     "target column public.users.x: the result is no value of type int4");
    row.values[0] = (struct value){.kind = VALUE_NULL};
    row.values[1] = (struct value){.kind = VALUE_NULL};
    ck_assert_int_eq(copy(&users, target, &row), TRANSFORM_REFUSED);
    ck_assert_str_eq(users.world.err.message, "target column public.users.id: the key is NULL");
    row.count = 1;
    ck_assert_int_eq(copy(&users, target, &row), TRANSFORM_FAILED);
    ck_assert_int_eq(users.world.err.class, ERR_BUG);
    close_users(&users);
}
END_TEST

START_TEST(a_delete_without_its_key_and_a_truncate_of_another_table_fail)
{
    struct users users;
    open_users(&users, 'd', RULES);
    expect_shape(&users,
                 world_change(&users.world, users.in, users.relation, CHANGE_DELETE, OLD_NONE,
                              NULL, NULL),
                 "source table public.users: a delete came without the old key");
    struct relation *made_anew = world_relation(&users.world, users.source);
    made_anew->oid++;
    struct change change = {.kind = CHANGE_TRUNCATE,
                            .relation = made_anew,
                            .relations = (const struct relation *[]){made_anew},
                            .relation_count = 1};
    ck_assert_int_eq(users.world.transform->ops->change(users.world.transform, &change, 5,
                                                        users.world.out, &users.world.err),
                     TRANSFORM_FAILED);
    ck_assert_uint_eq(source_of(&users, made_anew), 0);
    close_users(&users);
}
END_TEST

/* --- templates --- */

START_TEST(braces_quoted_names_and_other_columns_in_a_template)
{
    struct users users;
    open_users(&users, 'd',
               "tables:\n  - source: users\n    target: app.users\n    columns:\n"
               "      tenant_id: { value: \"" TENANT "\" }\n"
               "      pk: { template: '{{{\"id\"}}}:{status}:{full_name}' }\n"
               "      full_name: { template: '<{last}>' }\n"
               "      status: { from: state, map: { a: A } , default: '-' }\n"
               "      note: { template: 'constant' }\n"
               "    drop: [first, last, state]\n");
    expect_insert(&users, VALUES("7", "Ann", "Lee", "a", "hi"),
                  TENANT "|7|{7}:A:<Lee>|<Lee>|A|constant");
    expect_insert(&users, VALUES("7", "Ann", "NULL", "b", "hi"),
                  TENANT "|7|NULL|NULL|-|constant");
    close_users(&users);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        an_insert_goes_through_every_rule,
        null_makes_a_template_null_and_stays_null_in_a_map,
        a_map_may_name_null_and_its_default_may_be_null,
        a_value_without_an_entry_and_without_default_fails_without_being_shown,
        an_update_without_old_image_keeps_its_key,
        a_key_change_carries_the_old_target_key,
        an_old_image_with_the_same_target_key_is_left_out,
        a_delete_carries_the_target_key,
        an_unchanged_value_stays_unchanged,
        identity_full_fills_unchanged_values_from_the_old_row,
        a_template_of_unchanged_and_changed_values_is_refused,
        a_null_decides_a_template_whatever_was_not_sent,
        the_key_cannot_have_changed_where_there_is_no_old_image,
        a_key_that_is_null_is_refused,
        a_table_matched_by_row_needs_the_whole_old_row,
        an_insert_only_table_refuses_updates,
        an_identity_switched_away_from_the_key_is_seen,
        columns_of_the_stream_are_found_by_name,
        a_carried_column_that_is_gone_is_left_out,
        a_column_that_a_rule_reads_must_stay,
        a_new_column_and_a_new_type_stop_the_stream,
        a_renamed_or_recreated_table_is_not_mistaken,
        the_table_is_told_also_when_the_change_fails_or_is_no_part,
        a_row_of_the_wrong_width_is_a_bug,
        a_truncate_of_several_tables_is_one_of_those_carried,
        a_binary_copy_yields_binary_values_only,
        a_binary_stream_passes_values_and_reads_texts,
        a_changed_type_goes_as_text_in_the_stream_and_is_converted_in_a_binary_copy,
        a_text_copy_yields_text_values_only,
        a_row_of_the_copy_that_does_not_fit_fails,
        a_delete_without_its_key_and_a_truncate_of_another_table_fail,
        a_clone_works_by_itself,
        many_versions_of_a_relation_are_kept_apart,
        braces_quoted_names_and_other_columns_in_a_template,
    };
    return unit_run("chain", tests, UNIT_COUNT(tests));
}
