/* A connection to a PostgreSQL server that can be stopped (session.h). */
#include "postgres/session.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text forms that mean the same on every server. lc_monetary decides how money prints;
 * row_security off makes a filtered read an error instead of a silent gap. */
static const char SETTINGS[] =
    "SET datestyle = 'ISO, YMD';"
    "SET intervalstyle = 'postgres';"
    "SET extra_float_digits = 3;"
    "SET bytea_output = 'hex';"
    "SET timezone = 'UTC';"
    "SET lc_monetary = 'C';"
    "SET xmloption = 'content';"
    "SET search_path = '';"
    "SET row_security = off;"
    "SET client_min_messages = warning;"
    /* Compiling a question to the catalog takes longer than answering
                                * it, and a statement of a batch is compiled for each batch. */
    "SELECT set_config(name, CASE name WHEN 'jit' THEN 'off'"
    "                        ELSE '0' END, false)"
    " FROM unnest('{jit, statement_timeout, transaction_timeout,"
    "   idle_in_transaction_session_timeout, idle_session_timeout}'"
    "   ::text[]) AS name"
    " WHERE current_setting(name, true) IS NOT NULL";

/* SQLSTATEs by prefix, the longer first. What is not listed is about the data. */
static const struct {
    const char *prefix;
    enum err_class class;
} CLASSES[] = {
    {"08", ERR_RETRY},     /* connection exception */
    {"25006", ERR_RETRY},  /* read-only: a standby, or a failover under way */
    {"28", ERR_CONFIG},    /* authentication, role */
    {"3D000", ERR_CONFIG}, /* no such database */
    {"40", ERR_RETRY},     /* serialization, deadlock */
    {"42501", ERR_CONFIG}, /* rights */
    {"53", ERR_RETRY},     /* out of connections, memory, disk: for now */
    {"55006", ERR_RETRY},  /* object in use: the slot's or origin's last holder is going */
    {"55P03", ERR_RETRY},  /* lock not available */
    {"57014", ERR_RETRY},  /* cancelled */
    {"57P", ERR_RETRY},    /* shutdown, crash, cannot connect now */
    {"58", ERR_RETRY},     /* the server's I/O */
};

enum err_class session_class(const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0')
        return ERR_RETRY;
    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++)
        if (strncmp(sqlstate, CLASSES[i].prefix, strlen(CLASSES[i].prefix)) == 0)
            return CLASSES[i].class;
    return ERR_DATA;
}

/* In a URI libpq ends the password at an unencoded @ or /, and takes its rest for the host, the
 * port or the database, which messages show. A right one has at most one @, and none in its
 * path. (libpq: conninfo_uri_parse_options) */
static bool uri_cuts_password(const char *dsn)
{
    static const char *const SCHEMES[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0]; i++) {
        size_t scheme = strlen(SCHEMES[i]);
        if (strncmp(dsn, SCHEMES[i], scheme) != 0)
            continue;
        const char *rest = dsn + scheme + strcspn(dsn + scheme, "@/");
        rest += *rest == '@';
        return memchr(rest, '@', strcspn(rest, "?")) != NULL;
    }
    return false;
}

/* The same in the other form: a URI for a database's name. */
static bool database_is_uri(const PQconninfoOption *options)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, "dbname") == 0)
            return options->val && strstr(options->val, "://") != NULL;
    return false;
}

/* NULL when the DSN cannot be parsed, or only so that a secret stands in the wrong place. */
static PQconninfoOption *parse_dsn(const char *dsn)
{
    /* libpq quotes the DSN in its complaint: it may hold the password, so it is not taken. */
    PQconninfoOption *options = uri_cuts_password(dsn) ? NULL : PQconninfoParse(dsn, NULL);
    if (options == NULL || !database_is_uri(options))
        return options;
    PQconninfoFree(options);
    return NULL;
}

char *session_describe(const char *dsn)
{
    static const char *const SHOWN[] = {"host", "hostaddr", "port", "dbname", "user"};
    PQconninfoOption *options = parse_dsn(dsn);
    struct buf text = {0};
    for (PQconninfoOption *option = options; option && option->keyword; option++) {
        for (size_t i = 0; i < sizeof SHOWN / sizeof SHOWN[0]; i++)
            if (option->val && option->val[0] && strcmp(option->keyword, SHOWN[i]) == 0)
                buf_append_format(&text, "%s%s=%s", text.size ? " " : "", option->keyword,
                                  option->val);
    }
    PQconninfoFree(options);
    return buf_steal(&text);
}

/* libpq's messages end with a newline and may have several lines. */
static void one_line(const char *text, char *line, size_t size)
{
    size_t used = 0;
    for (; *text && used + 1 < size; text++)
        line[used++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    while (used > 0 && line[used - 1] == ' ')
        used--;
    line[used] = '\0';
}

bool session_connection_error(const struct session *session, struct err *err)
{
    char line[700];
    one_line(session->conn ? PQerrorMessage(session->conn) : "", line, sizeof line);
    return err_set(err, ERR_RETRY, "%s: connection lost: %s", session->side,
                   line[0] ? line : "closed by the server");
}

bool session_result_error(const struct session *session, const PGresult *result,
                          struct err *err)
{
    if (result == NULL)
        return session_connection_error(session, err);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
    char line[700];
    one_line(primary ? primary : PQresultErrorMessage(result), line, sizeof line);
    err_set(err, session_class(sqlstate), "%s: %s%s%s%s%s%s", session->side, line,
            sqlstate ? " (SQLSTATE " : "", sqlstate ? sqlstate : "", sqlstate ? ")" : "",
            constraint ? ", constraint "
            : column   ? ", column "
                       : "",
            constraint ? constraint
            : column   ? column
                       : "");
    if (sqlstate)
        memcpy(err->sqlstate, sqlstate, sizeof err->sqlstate);
    if (hint)
        err_remedy(err, "%s", hint);
    if (column)
        err_column(err, column);
    return false;
}

bool session_is_open(const struct session *session)
{
    return session->conn != NULL;
}

void session_close(struct session *session)
{
    PQfinish(session->conn);
    session->conn = NULL;
}

/* ---- waiting ---- */

/* True while the stop was not requested, or not for longer than the grace. */
static bool within_grace(struct session *session)
{
    if (!stop_requested(session->stop))
        return true;
    if (session->stop_seen == 0)
        session->stop_seen = clock_monotonic();
    return clock_monotonic() - session->stop_seen < session->grace;
}

static int poll_timeout(const struct session *session, usec_t until)
{
    usec_t now = clock_monotonic();
    if (session->stop_seen != 0) {
        usec_t grace_ends = session->stop_seen + session->grace;
        until = until == 0 || grace_ends < until ? grace_ends : until;
    }
    if (until == 0)
        return -1;
    return until <= now ? 0 : (int)((until - now + USEC_PER_MS - 1) / USEC_PER_MS);
}

bool session_wait(struct session *session, bool for_write, int extra_fd, usec_t until,
                  struct err *err)
{
    if (!within_grace(session))
        return err_set(err, ERR_STOPPED, "%s: stopped while waiting for the server",
                       session->side);
    struct pollfd fds[3] = {
        {.fd = PQsocket(session->conn), .events = POLLIN},
        {.fd = extra_fd, .events = POLLIN},
        /* Once the stop is seen, only its grace counts: the fd would stay readable. */
        {.fd = session->stop_seen == 0 ? stop_fd(session->stop) : -1, .events = POLLIN},
    };
    if (for_write)
        fds[0].events = (short)(fds[0].events | POLLOUT);
    if (poll(fds, 3, poll_timeout(session, until)) < 0 && errno != EINTR)
        return err_set(err, ERR_RETRY, "%s: poll: %s", session->side, strerror(errno));
    return true;
}

bool session_flush(struct session *session, struct err *err)
{
    for (;;) {
        int pending = PQflush(session->conn);
        if (pending == 0)
            return true;
        if (pending < 0 || !PQconsumeInput(session->conn))
            return session_connection_error(session, err);
        if (!session_wait(session, true, -1, 0, err))
            return false;
    }
}

/* ---- statements ---- */

static PGresult *next_result(struct session *session, struct err *err)
{
    usec_t until = session->patience == 0 ? 0 : clock_monotonic() + session->patience;
    if (!session_flush(session, err))
        return NULL;
    while (PQisBusy(session->conn)) {
        if (until != 0 && clock_monotonic() >= until) {
            err_set(err, ERR_RETRY, "%s: no answer in %d s", session->side,
                    (int)(session->patience / USEC_PER_SEC));
            return NULL;
        }
        if (!session_wait(session, false, -1, until, err))
            return NULL;
        if (!PQconsumeInput(session->conn)) {
            session_connection_error(session, err);
            return NULL;
        }
    }
    return PQgetResult(session->conn);
}

static bool is_failure(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE ||
           status == PGRES_NONFATAL_ERROR;
}

static bool begins_copy(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* The last result of what was sent; a failure among them wins. */
static PGresult *collect(struct session *session, struct err *err)
{
    PGresult *last = NULL;
    bool failed = false;
    err_clear(err);
    for (;;) {
        PGresult *result = next_result(session, err);
        if (result == NULL)
            break;
        if (is_failure(result) && !failed) {
            const char *at = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
            failed = true;
            session->error_at = at ? (int)strtol(at, NULL, 10) : 0;
            session_result_error(session, result, err);
        }
        PQclear(last);
        last = result;
        if (begins_copy(result))
            break;
    }
    if (err->class == ERR_NONE && last == NULL)
        session_connection_error(session, err);
    if (err->class == ERR_NONE)
        return last;
    PQclear(last);
    return NULL;
}

PGresult *session_exec(struct session *session, const char *sql, struct err *err)
{
    if (!PQsendQuery(session->conn, sql)) {
        session_connection_error(session, err);
        return NULL;
    }
    return collect(session, err);
}

bool session_run(struct session *session, const char *sql, struct err *err)
{
    PGresult *result = session_exec(session, sql, err);
    PQclear(result);
    return result != NULL;
}

PGresult *session_query_formatted(struct session *session, const char *sql, int count,
                                  const Oid *types, const char *const *values,
                                  const int *lengths, const int *formats, bool binary,
                                  struct err *err)
{
    if (!PQsendQueryParams(session->conn, sql, count, types, values, lengths, formats,
                           binary)) {
        session_connection_error(session, err);
        return NULL;
    }
    return collect(session, err);
}

PGresult *session_query_typed(struct session *session, const char *sql, int count,
                              const Oid *types, const char *const *values, const int *lengths,
                              const int *formats, struct err *err)
{
    return session_query_formatted(session, sql, count, types, values, lengths, formats, false,
                                   err);
}

PGresult *session_query(struct session *session, const char *sql, int count,
                        const char *const *values, struct err *err)
{
    return session_query_typed(session, sql, count, NULL, values, NULL, NULL, err);
}

bool session_prepare(struct session *session, const char *name, const char *sql,
                     struct err *err)
{
    PGresult *result;
    if (!PQsendPrepare(session->conn, name, sql, 0, NULL))
        return session_connection_error(session, err);
    result = collect(session, err);
    PQclear(result);
    return result != NULL;
}

bool session_parameter_type(struct session *session, const char *name, Oid *type,
                            struct err *err)
{
    PGresult *result;
    if (!PQsendDescribePrepared(session->conn, name))
        return session_connection_error(session, err);
    result = collect(session, err);
    if (result == NULL)
        return false;
    *type = PQparamtype(result, 0);
    PQclear(result);
    return true;
}

PGresult *session_query_prepared(struct session *session, const char *name, int count,
                                 const char *const *values, const int *lengths,
                                 const int *formats, struct err *err)
{
    if (!PQsendQueryPrepared(session->conn, name, count, values, lengths, formats, 0)) {
        session_connection_error(session, err);
        return NULL;
    }
    return collect(session, err);
}

/* Schemas that hold no "=" stay out of the path. */
bool session_see_operators(struct session *session, struct err *err)
{
    return session_run(session,
                       "SELECT set_config('search_path', coalesce(string_agg("
                       "         quote_ident(nspname), ', ' ORDER BY nspname), ''), false)"
                       " FROM pg_namespace n WHERE nspname <> 'pg_catalog' AND EXISTS"
                       " (SELECT FROM pg_operator o WHERE o.oprnamespace = n.oid"
                       "    AND o.oprname = '=')",
                       err);
}

/* ---- connecting ---- */

/* Our defaults stand before the DSN, which may overrule them; what follows it is ours. A dead
 * peer is noticed within 30 seconds. */
static PGconn *start_connect(const char *dsn, enum session_kind kind)
{
    const char *keywords[] = {"keepalives_idle",
                              "keepalives_interval",
                              "keepalives_count",
                              "tcp_user_timeout",
                              "fallback_application_name",
                              "dbname",
                              "client_encoding",
                              kind == SESSION_REPLICATION ? "replication" : NULL,
                              NULL};
    const char *values[] = {"10", "5",    "3",        "25000", "slackwater",
                            dsn,  "UTF8", "database", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

/* What the server said decides: a connection that was never made is retried, a refusal by
 * name or password is the operator's. libpq gives no SQLSTATE here, only text. */
static bool connect_error(struct session *session, const char *dsn, struct err *err)
{
    static const char *const REFUSALS[] = {
        "password authentication failed",
        "no password supplied",
        "does not exist",
        "no pg_hba.conf entry",
        "authentication failed",
        "permission denied",
        "must be superuser or replication role",
        "is not permitted to log in",
        "invalid connection option",
        "certificate verify failed",
        "server does not support SSL",
        "invalid port number",
    };
    char line[600];
    char *where = session_describe(dsn);
    one_line(PQerrorMessage(session->conn), line, sizeof line);
    enum err_class class = ERR_RETRY;
    for (size_t i = 0; i < sizeof REFUSALS / sizeof REFUSALS[0]; i++)
        if (strstr(line, REFUSALS[i]))
            class = ERR_CONFIG;
    err_set(err, class, "cannot connect to the %s (%s): %s", session->side, where, line);
    err_remedy(err, "check the %s DSN, and that the server runs and admits this role",
               session->side);
    free(where);
    session_close(session);
    return false;
}

static bool finish_connect(struct session *session, const char *dsn, struct err *err)
{
    usec_t until = clock_monotonic() + SESSION_CONNECT_TIMEOUT;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED || PQstatus(session->conn) == CONNECTION_BAD)
            return connect_error(session, dsn, err);
        if (stop_requested(session->stop)) {
            session_close(session);
            return err_set(err, ERR_STOPPED, "stopped while connecting to the %s",
                           session->side);
        }
        if (clock_monotonic() > until) {
            char *where = session_describe(dsn);
            err_set(err, ERR_RETRY, "cannot connect to the %s (%s): no answer in %d s",
                    session->side, where, (int)(SESSION_CONNECT_TIMEOUT / USEC_PER_SEC));
            free(where);
            session_close(session);
            return false;
        }
        struct pollfd fds[2] = {
            {.fd = PQsocket(session->conn),
             .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT},
            {.fd = stop_fd(session->stop), .events = POLLIN},
        };
        (void)poll(fds, 2, poll_timeout(session, until));
        status = PQconnectPoll(session->conn);
    }
    return true;
}

/* A URI with an unescaped / or @ in its password parses, with parts of the password as port or
 * database: these must not be shown, nor sent anywhere. */
static bool is_misread(const PQconninfoOption *options)
{
    bool misread = false;
    for (; options->keyword; options++) {
        const char *value = options->val ? options->val : "";
        if (strcmp(options->keyword, "port") == 0)
            misread = misread || value[strspn(value, "0123456789,")] != '\0';
        if (strcmp(options->keyword, "dbname") == 0)
            misread = misread || strchr(value, '@') != NULL;
    }
    return misread;
}

/* Notices would go to standard error, between the log's lines. What matters is an error. */
static void drop_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static bool open_dsn(struct session *session, const char *side, const char *dsn,
                     enum session_kind kind, const struct stop *stop, struct err *err)
{
    PQconninfoOption *options = parse_dsn(dsn);
    *session = (struct session){.side = side, .stop = stop, .grace = SESSION_GRACE};
    if (options == NULL) {
        err_set(err, ERR_CONFIG, "the %s DSN cannot be parsed", side);
        return err_remedy(err, "write it as postgresql://user@host:port/database, with the "
                               "password's @ : / ? %% percent-encoded, or as "
                               "\"host=... dbname=... user=...\"");
    }
    bool misread = is_misread(options);
    PQconninfoFree(options);
    if (misread) {
        err_set(err, ERR_CONFIG, "the %s DSN is not read as it was meant", side);
        return err_remedy(err,
                          "a password in a URI needs its / @ : and ? written as %%2F %%40 %%3A "
                          "%%3F");
    }
    session->conn = start_connect(dsn, kind);
    if (session->conn == NULL)
        return err_set(err, ERR_RETRY, "%s: out of memory while connecting", side);
    if (!finish_connect(session, dsn, err))
        return false;
    PQsetnonblocking(session->conn, 1);
    PQsetNoticeProcessor(session->conn, drop_notice, NULL);
    if (session_run(session, SETTINGS, err))
        return true;
    session_close(session);
    return err_wrap(err, "session settings");
}

/* The file's first line, or NULL with err set. The caller frees. */
static char *read_dsn_file(const char *side, const char *path, struct err *err)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "re");
    ssize_t size = file == NULL ? -1 : getline(&line, &capacity, file);
    if (file != NULL)
        fclose(file);
    if (size <= 0) {
        free(line);
        err_set(err, ERR_CONFIG, "the %s DSN cannot be read from %s", side, path);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

bool session_open(struct session *session, const char *side, const char *dsn,
                  enum session_kind kind, const struct stop *stop, struct err *err)
{
    if (strncmp(dsn, "file:", 5) != 0)
        return open_dsn(session, side, dsn, kind, stop, err);
    char *read = read_dsn_file(side, dsn + 5, err);
    *session = (struct session){.side = side, .stop = stop, .grace = SESSION_GRACE};
    bool ok = read != NULL && open_dsn(session, side, read, kind, stop, err);
    free(read);
    return ok;
}

bool session_reopen(struct session *session, const char *side, const char *dsn,
                    enum session_kind kind, const struct stop *stop, struct err *err)
{
    if (session_open(session, side, dsn, kind, stop, err))
        return true;
    if (err->class == ERR_CONFIG)
        err->class = ERR_RETRY;
    return false;
}
