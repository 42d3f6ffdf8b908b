/* Sessions without a server: what errors mean, and what DSNs never show. */
#include "postgres/session.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "hunter2"

START_TEST(sqlstates_have_their_class)
{
    static const struct {
        const char *sqlstate;
        enum err_class class;
    } rows[] = {
        {"08006", ERR_RETRY},  /* connection failure */
        {"08P01", ERR_RETRY},  /* protocol violation: a proxy, a half-sent message */
        {"25006", ERR_RETRY},  /* read-only transaction */
        {"25P02", ERR_DATA},   /* in a failed transaction */
        {"28000", ERR_CONFIG}, /* invalid authorization */
        {"28P01", ERR_CONFIG}, /* invalid password */
        {"3D000", ERR_CONFIG}, /* no such database */
        {"3F000", ERR_DATA},   /* no such schema */
        {"40001", ERR_RETRY},  /* serialization failure */
        {"40P01", ERR_RETRY},  /* deadlock */
        {"42501", ERR_CONFIG}, /* insufficient privilege */
        {"42P01", ERR_DATA},   /* undefined table */
        {"42703", ERR_DATA},   /* undefined column */
        {"53100", ERR_RETRY},  /* disk full */
        {"53300", ERR_RETRY},  /* too many connections */
        {"55000", ERR_DATA},   /* not in prerequisite state */
        {"55006", ERR_RETRY},  /* object in use */
        {"55P03", ERR_RETRY},  /* lock not available */
        {"57014", ERR_RETRY},  /* query cancelled */
        {"57P01", ERR_RETRY},  /* admin shutdown */
        {"57P02", ERR_RETRY},  /* crash shutdown */
        {"57P03", ERR_RETRY},  /* cannot connect now */
        {"58030", ERR_RETRY},  /* I/O error */
        {"22001", ERR_DATA},   /* value too long */
        {"23502", ERR_DATA},   /* not null */
        {"23503", ERR_DATA},   /* foreign key */
        {"23505", ERR_DATA},   /* unique */
        {"XX000", ERR_DATA},   /* internal error */
        {"", ERR_RETRY},       /* no answer at all */
        {NULL, ERR_RETRY},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        ck_assert_msg(session_class(rows[i].sqlstate) == rows[i].class, "%s: %s",
                      rows[i].sqlstate, err_class_name(session_class(rows[i].sqlstate)));
}
END_TEST

static void expect_description(const char *dsn, const char *expected)
{
    char *description = session_describe(dsn);
    ck_assert_ptr_null(strstr(description, SECRET));
    ck_assert_str_eq(description, expected);
    free(description);
}

START_TEST(a_description_names_the_place_and_the_role)
{
    expect_description("host=db port=5433 dbname=shop user=mover",
                       "user=mover dbname=shop host=db port=5433");
    expect_description("postgresql://mover@db:5433/shop",
                       "user=mover dbname=shop host=db port=5433");
    expect_description("host=a,b port=1,2 hostaddr=10.0.0.1,10.0.0.2 dbname=shop",
                       "dbname=shop host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2");
    expect_description("", "");
}
END_TEST

START_TEST(a_description_never_shows_a_password)
{
    expect_description("host=db user=mover password=" SECRET, "user=mover host=db");
    expect_description("host=db user=mover password='" SECRET " with blank'",
                       "user=mover host=db");
    expect_description("postgresql://mover:" SECRET "@db/shop",
                       "user=mover dbname=shop host=db");
    expect_description("postgres://mover@db/shop?password=" SECRET,
                       "user=mover dbname=shop host=db");
    expect_description("postgresql://mover:" SECRET "%40%2F@db", "user=mover host=db");
    expect_description("postgresql://mover:" SECRET "?@db", "user=mover host=db");
    expect_description("postgresql:///shop?host=@abstract&password=" SECRET,
                       "dbname=shop host=@abstract");
    expect_description("host=db sslpassword=" SECRET " sslkey=/" SECRET " passfile=/" SECRET
                       " options=-c" SECRET,
                       "host=db");
}
END_TEST

START_TEST(what_cannot_be_parsed_is_not_described)
{
    expect_description("host=db password=" SECRET " nonsense", "");
    expect_description("host=db pasword=" SECRET, "");
    expect_description("postgresql://mover:" SECRET "%zz@db", "");
    expect_description(SECRET, "");
}
END_TEST

/* A password with a character that has a meaning in a URI takes part of itself for the host,
 * the port or the database. */
START_TEST(a_password_that_is_not_percent_encoded_is_not_taken_for_the_host)
{
    expect_description("postgresql://mover:p@" SECRET "@db/shop", "");
    expect_description("postgresql://mover:p/" SECRET "@db/shop", "");
    expect_description("postgresql://mover:1/" SECRET "@db/shop", "");
    expect_description("postgres://mover:p?@" SECRET "@db/shop", "");
    expect_description("postgres://mover:p/a?b=" SECRET "@db/shop", "");
    expect_description("dbname=postgresql://mover:" SECRET "@db/shop", "");
}
END_TEST

/* Opens a session that cannot be; the error. */
static struct err open_error(const char *dsn)
{
    struct session session = {0};
    struct stop stop;
    struct err err = {0};
    stop_init(&stop);
    ck_assert(!session_open(&session, "source", dsn, SESSION_SQL, &stop, &err));
    ck_assert(!session_is_open(&session));
    session_close(&session);
    stop_free(&stop);
    ck_assert_msg(strstr(err.message, SECRET) == NULL, "%s", err.message);
    ck_assert_msg(strstr(err.remedy, SECRET) == NULL, "%s", err.remedy);
    return err;
}

START_TEST(a_bad_dsn_is_the_operators_and_is_not_repeated)
{
    static const char *const DSNS[] = {
        "host=db password=" SECRET " nonsense",
        "postgresql://mover:" SECRET "%zz@db",
        SECRET,
        "postgresql://mover:p@" SECRET "@db/shop",
        "postgresql://mover:p/" SECRET "@db/shop",
        "postgresql://mover:1/" SECRET "@db/shop",
        "postgresql://mover:p?@" SECRET "@db/shop",
        "dbname=postgresql://mover:" SECRET "@db/shop host=/nowhere",
    };
    for (size_t i = 0; i < UNIT_COUNT(DSNS); i++) {
        struct err err = open_error(DSNS[i]);
        ck_assert_msg(err.class == ERR_CONFIG, "%s: %s", DSNS[i], err.message);
        ck_assert_ptr_nonnull(strstr(err.message, "source DSN"));
        ck_assert(err.remedy[0] != '\0');
    }
}
END_TEST

START_TEST(a_server_that_is_not_there_is_tried_again)
{
    struct err err = open_error("host=/nowhere user=mover dbname=shop password=" SECRET);
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot connect to the source"));
    ck_assert_ptr_nonnull(strstr(err.message, "user=mover dbname=shop host=/nowhere"));
}
END_TEST

/* Opens a session by a DSN in a file; the error. */
static struct err open_by_file(const char *content)
{
    char path[] = "/tmp/slackwater-dsn-XXXXXX", dsn[64];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    snprintf(dsn, sizeof(dsn), "file:%s", path);
    struct err err = open_error(dsn);
    unlink(path);
    return err;
}

START_TEST(a_dsn_is_read_from_a_file_when_it_connects)
{
    static const char *const CONTENTS[] = {
        "host=/nowhere user=mover dbname=shop password=" SECRET "\n",
        "host=/nowhere user=mover dbname=shop password=" SECRET "\r\n",
        "password=" SECRET " host=/nowhere user=mover dbname=shop",
    };
    for (size_t i = 0; i < UNIT_COUNT(CONTENTS); i++) {
        struct err err = open_by_file(CONTENTS[i]);
        ck_assert_int_eq(err.class, ERR_RETRY);
        ck_assert_ptr_nonnull(strstr(err.message, "user=mover dbname=shop host=/nowhere"));
    }
}
END_TEST

START_TEST(a_file_without_a_usable_dsn_is_the_operators)
{
    static const char *const CONTENTS[] = {"", "password=" SECRET " nonsense\n", SECRET "\n",
                                           "postgresql://mover:p@" SECRET "@db/shop\n"};
    for (size_t i = 0; i < UNIT_COUNT(CONTENTS); i++) {
        struct err err = open_by_file(CONTENTS[i]);
        ck_assert_msg(err.class == ERR_CONFIG, "%s: %s", CONTENTS[i], err.message);
    }
    struct err err = open_error("file:/nowhere/dsn");
    ck_assert_int_eq(err.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/dsn"));
}
END_TEST

START_TEST(a_lost_connection_passes)
{
    struct session session = {.side = "target"};
    struct err err = {0};
    ck_assert(!session_connection_error(&session, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
    ck_assert_str_eq(err.message, "target: connection lost: closed by the server");
    ck_assert(!session_result_error(&session, NULL, &err));
    ck_assert_int_eq(err.class, ERR_RETRY);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        sqlstates_have_their_class,
        a_description_names_the_place_and_the_role,
        a_description_never_shows_a_password,
        what_cannot_be_parsed_is_not_described,
        a_password_that_is_not_percent_encoded_is_not_taken_for_the_host,
        a_bad_dsn_is_the_operators_and_is_not_repeated,
        a_server_that_is_not_there_is_tried_again,
        a_dsn_is_read_from_a_file_when_it_connects,
        a_file_without_a_usable_dsn_is_the_operators,
        a_lost_connection_passes,
    };
    return unit_run("session", tests, UNIT_COUNT(tests));
}
