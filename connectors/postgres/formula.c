/* Reading formulas (formula.h).
 *
 * The problem: an expression of the file is to stand inside statements of ours, and only the
 * server's own grammar and catalogs know what it is. So the server is made to parse statements
 * around it, which are never executed:
 *
 *   (expression)              in brackets, over all columns: as it will stand
 *   CASE ... THEN expression  without: what closes the first form's bracket breaks this one, and
 *     in a WHERE              what breaks out of this one breaks the first; and no WHERE holds
 *                             an aggregate, a window function or a set of rows. The row has
 *                             another name here, so that nothing can name it.
 *   inside the target table   whose columns are all there twice: a name that reached out of the
 *                             formula would be ambiguous
 *   INSERT                    into the column: is there an assignment cast
 *   EXPLAIN                   the planner leaves a subquery as it is if it holds something
 *                             volatile; and here $1 is no parameter
 *
 * Which columns it reads: exactly those that make it ambiguous when they are there twice. A column
 * left out would not tell, for its name may then mean something else. */
#include "postgres/formula.h"

#include "base/mem.h"
#include "schema/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AMBIGUOUS "42702" /* ambiguous_column */
#define NO_VALUE "NULL::text[]"
#define MOST_TWICE 32 /* a SELECT has at most 1664 columns, a table 1600 */

struct reading {
    struct session *target;
    struct session *source;
    const struct formula_request *request;
    struct arena *arena;
    struct formula_facts *facts;
    struct formula_input *inputs; /* all columns, and room for MOST_TWICE again */
};

/* --- statements --- */

static bool server_answers(const struct err *err)
{
    return err->sqlstate[0] != '\0';
}

/* "(SELECT ...)" over all columns, and over the next inputs[from ..+ count] twice. */
static void append_formula(const struct reading *reading, size_t from, size_t count,
                           const char *value, struct buf *sql)
{
    size_t columns = reading->request->column_count;
    struct buf opening = {0};

    memcpy(reading->inputs + columns, reading->inputs + from, count * sizeof(*reading->inputs));
    formula_open(&opening, reading->request->expression, reading->inputs, columns + count);
    formula_append(sql, buf_text(&opening), value);
    buf_free(&opening);
}

/* Has the server parse it. False in *taken with err when it refuses. */
static bool try_statement(struct session *session, struct buf *sql, bool *taken,
                          struct err *err)
{
    *taken = session_prepare(session, "", buf_text(sql), err);
    buf_free(sql);
    return *taken || server_answers(err);
}

/* The same where a refusal is an answer like any other and no error for the server's log: caught
 * by a block there. sqlstate: "" when it is taken. Without plpgsql the log gets it. */
static bool ask_quietly(struct session *session, struct buf *sql, char sqlstate[6],
                        struct err *err)
{
    struct buf prepare = {0}, block = {0}, all = {0};
    PGresult *result;
    bool taken;

    buf_append_format(&prepare, "PREPARE slackwater_try AS %s", buf_text(sql));
    buf_append_text(&block, "BEGIN EXECUTE ");
    literal_append(&block, prepare.data, prepare.size);
    buf_append_text(&block, "; DEALLOCATE slackwater_try; EXCEPTION WHEN OTHERS THEN "
                            "PERFORM set_config('slackwater.refused', SQLSTATE, false); END");
    buf_append_text(&all, "SELECT set_config('slackwater.refused', '', false); DO ");
    literal_append(&all, block.data, block.size);
    buf_append_text(&all, "; SELECT current_setting('slackwater.refused')");
    result = session_exec(session, buf_text(&all), err);
    buf_free(&prepare);
    buf_free(&block);
    buf_free(&all);
    if (result) {
        snprintf(sqlstate, 6, "%s", PQgetvalue(result, 0, 0));
        PQclear(result);
        buf_free(sql);
        return true;
    }
    if (!try_statement(session, sql, &taken, err))
        return false;
    snprintf(sqlstate, 6, "%s", taken ? "" : err->sqlstate);
    return true;
}

/* --- refusals --- */

static const char *keep(const struct reading *reading, const char *text)
{
    return arena_copy(reading->arena, text, strlen(text) + 1);
}

/* The server's message without our own text, which it quotes where a quote or comment of the
 * expression has no end. */
static size_t own_size(const char *message)
{
    const char *ours = strstr(message, " ) FROM (SELECT ");

    return ours ? (size_t)(ours - message) : strlen(message);
}

/* What the server said, and where in the expression. */
static void refuse(const struct reading *reading, const char *lead, size_t before,
                   const struct err *err)
{
    size_t at = (size_t)reading->target->error_at;
    struct buf text = {0};

    buf_append_format(&text, "%s%.*s", lead, (int)own_size(err->message), err->message);
    if (at > before && at <= before + strlen(reading->request->expression))
        buf_append_format(&text, ", at character %zu of the expression", at - before);
    reading->facts->refusal = keep(reading, buf_text(&text));
    buf_free(&text);
}

/* What a WHERE does not take. */
static const char *lead_of(const char *sqlstate)
{
    static const struct {
        const char *sqlstate;
        const char *lead;
    } leads[] = {
        {"42803", "it is no value of one row but an aggregate: "},
        {"42P20", "it is no value of one row but a window function: "},
        {"0A000", "it is no single value but a set of rows: "},
        {"42601", "it is not one expression by itself: "},
        {"42P01", "it names what it cannot see: "},
    };

    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (strcmp(sqlstate, leads[i].sqlstate) == 0)
            return leads[i].lead;
    return "";
}

/* --- types --- */

/* Types outside the system have a schema in their name. */
static bool find_types(struct reading *reading, struct err *err)
{
    const struct formula_request *request = reading->request;

    for (size_t i = 0; i < request->column_count; i++) {
        const char *const *type = &request->types[i];
        PGresult *result;
        bool found;

        reading->facts->types[i] = *type;
        if (!strchr(*type, '.'))
            continue;
        result =
            session_query(reading->target, "SELECT to_regtype($1) IS NOT NULL", 1, type, err);
        found = result && PQgetvalue(result, 0, 0)[0] == 't';
        PQclear(result);
        if (!result && !server_answers(err))
            return false;
        err_clear(err);
        if (!found)
            reading->facts->types[i] = "text";
    }
    return true;
}

/* --- what it is --- */

static bool try_in_brackets(struct reading *reading, struct err *err)
{
    struct buf sql = {0};
    bool taken;

    buf_append_text(&sql, "SELECT ");
    append_formula(reading, 0, 0, NO_VALUE, &sql);
    if (!try_statement(reading->target, &sql, &taken, err))
        return false;
    if (!taken)
        refuse(reading, "", strlen("SELECT ") + formula_offset(), err);
    return true;
}

static bool try_bare(struct reading *reading, struct err *err)
{
    static const char before[] = "WHERE CASE WHEN TRUE THEN\n";
    struct buf sql = {0};
    size_t offset;
    bool taken;

    buf_append_text(&sql, "WITH \"a row\" AS (SELECT ");
    for (size_t i = 0; i < reading->request->column_count; i++) {
        buf_append_format(&sql, "%sNULL::%s AS ", i ? ", " : "", reading->inputs[i].type);
        ident_append(&sql, reading->inputs[i].name);
    }
    buf_append_format(&sql, ") SELECT FROM \"a row\" %s", before);
    offset = sql.size;
    buf_append_format(&sql, "%s\nEND IS NULL", reading->request->expression);
    if (!try_statement(reading->target, &sql, &taken, err))
        return false;
    if (!taken)
        refuse(reading, lead_of(err->sqlstate), offset, err);
    return true;
}

static bool try_inside_target(struct reading *reading, struct err *err)
{
    const struct formula_request *request = reading->request;
    struct buf sql = {0};
    bool taken;

    buf_append_text(&sql, "SELECT ");
    append_formula(reading, 0, 0, NO_VALUE, &sql);
    buf_append_text(&sql, " FROM (SELECT t.*, t.* FROM ");
    ident_append_qualified(&sql, request->schema, request->table);
    buf_append_text(&sql, " AS t) AS \"target row\"");
    if (!try_statement(reading->target, &sql, &taken, err))
        return false;
    if (!taken)
        refuse(reading, "it names a column of the target table and none of the source's: ",
               strlen("SELECT ") + formula_offset(), err);
    return true;
}

static bool try_assignment(struct reading *reading, struct err *err)
{
    const struct formula_request *request = reading->request;
    struct buf sql = {0};
    bool taken;

    buf_append_text(&sql, "INSERT INTO ");
    ident_append_qualified(&sql, request->schema, request->table);
    buf_append_text(&sql, " (");
    ident_append(&sql, request->column);
    buf_append_text(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    append_formula(reading, 0, 0, NO_VALUE, &sql);
    if (!try_statement(reading->target, &sql, &taken, err))
        return false;
    if (!taken)
        reading->facts->misfit = keep(reading, err->message);
    return true;
}

static bool explain(struct reading *reading, struct err *err)
{
    struct buf sql = {0};
    PGresult *result;

    buf_append_text(&sql, "BEGIN READ ONLY; SET LOCAL max_parallel_workers_per_gather = 0; "
                          "EXPLAIN (COSTS OFF) SELECT 1, x FROM (SELECT ");
    append_formula(reading, 0, 0, "proconfig", &sql);
    buf_append_text(&sql, " AS x FROM pg_catalog.pg_proc) AS rows");
    result = session_exec(reading->target, buf_text(&sql), err);
    buf_free(&sql);
    if (result)
        reading->facts->varies =
            strncmp(PQgetvalue(result, 0, 0), "Subquery Scan", strlen("Subquery Scan")) == 0;
    else if (server_answers(err))
        refuse(reading, "", SIZE_MAX / 2, err);
    else
        return false;
    PQclear(result);
    return session_run(reading->target, "ROLLBACK", err);
}

/* --- what it reads --- */

static bool find_reads(struct reading *reading, size_t from, size_t count, struct err *err)
{
    struct buf sql = {0};
    char sqlstate[6];

    buf_append_text(&sql, "SELECT ");
    append_formula(reading, from, count, NO_VALUE, &sql);
    if (!ask_quietly(reading->target, &sql, sqlstate, err))
        return false;
    if (!*sqlstate)
        return true;
    if (strcmp(sqlstate, AMBIGUOUS) != 0) /* it was taken a moment ago */
        return err_set(err, ERR_RETRY, "target: a formula is refused now (SQLSTATE %s)",
                       sqlstate);
    if (count == 1) {
        reading->facts->reads[from] = true;
        return true;
    }
    return find_reads(reading, from, count / 2, err) &&
           find_reads(reading, from + count / 2, count - count / 2, err);
}

static bool find_all_reads(struct reading *reading, struct err *err)
{
    size_t columns = reading->request->column_count;

    for (size_t from = 0; from < columns; from += MOST_TWICE) {
        size_t count = columns - from < MOST_TWICE ? columns - from : MOST_TWICE;

        if (!find_reads(reading, from, count, err))
            return false;
    }
    return true;
}

static bool try_source(struct reading *reading, struct err *err)
{
    struct buf sql = {0};
    char sqlstate[6];

    buf_append_text(&sql, "SELECT ");
    append_formula(reading, 0, 0, NO_VALUE, &sql);
    if (!ask_quietly(reading->source, &sql, sqlstate, err))
        return false;
    reading->facts->at_source = !*sqlstate;
    return true;
}

/* --- the whole --- */

static bool read_parsed(struct reading *reading, struct err *err)
{
    static bool (*const steps[])(struct reading *, struct err *) = {
        try_in_brackets, try_bare,       try_inside_target, try_assignment,
        explain,         find_all_reads, try_source,
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (!steps[i](reading, err))
            return false;
        err_clear(err);
        if (reading->facts->refusal || reading->facts->misfit)
            break;
    }
    return true;
}

static void prepare_reading(struct reading *reading)
{
    const struct formula_request *request = reading->request;
    size_t columns = request->column_count;

    *reading->facts = (struct formula_facts){
        .reads = arena_alloc(reading->arena, columns + 1),
        .types = arena_alloc(reading->arena, (columns + 1) * sizeof(char *))};
    memset(reading->facts->reads, 0, columns + 1);
    reading->inputs = mem_zero(columns + MOST_TWICE, sizeof(*reading->inputs));
}

static bool pg_formula_read(void *context, const struct formula_request *request,
                            struct arena *arena, struct formula_facts *facts, struct err *err)
{
    const struct pg_formulas *formulas = context;
    struct reading reading = {.target = formulas->target,
                              .source = formulas->source,
                              .request = request,
                              .arena = arena,
                              .facts = facts};
    bool ok;

    prepare_reading(&reading);
    ok = find_types(&reading, err);
    for (size_t i = 0; ok && i < request->column_count; i++)
        reading.inputs[i] =
            (struct formula_input){.name = request->names[i], .type = facts->types[i]};
    ok = ok && session_see_operators(reading.target, err) && read_parsed(&reading, err) &&
         session_run(reading.target, "SET search_path = ''", err);
    free(reading.inputs);
    return ok;
}

struct formula_reader pg_formula_reader(struct pg_formulas *formulas)
{
    return (struct formula_reader){.read = pg_formula_read, .context = formulas};
}

/* --- what it gives --- */

static PGresult *ask_value(struct session *session, const char *opening, const char *type,
                           const struct value *value, struct err *err)
{
    char *text = mem_string_sized(value->data, value->size);
    const char *values[] = {text};
    const Oid types[] = {FORMULA_VALUE_TYPE};
    struct buf sql = {0};
    PGresult *result;

    buf_append_text(&sql, type ? "SELECT CAST(" : "SELECT ");
    formula_append(&sql, opening, "$1");
    if (type)
        buf_append_format(&sql, " AS %s)", type);
    result = session_query_typed(session, buf_text(&sql), 1, types, values, NULL, NULL, err);
    buf_free(&sql);
    free(text);
    return result;
}

bool pg_formula_evaluate(struct session *session, const char *opening, const char *type,
                         const struct value *value, struct arena *arena, struct value *out,
                         struct err *err)
{
    struct err ended = {0};
    PGresult *result = NULL;

    if (!session_see_operators(session, err) || !session_run(session, "BEGIN READ ONLY", err))
        return false;
    result = ask_value(session, opening, type, value, err);
    if (result && PQgetisnull(result, 0, 0))
        *out = (struct value){.kind = VALUE_NULL};
    else if (result)
        *out = (struct value){.data = arena_copy(arena, PQgetvalue(result, 0, 0),
                                                 (size_t)PQgetlength(result, 0, 0)),
                              .size = (uint32_t)PQgetlength(result, 0, 0),
                              .kind = VALUE_TEXT};
    PQclear(result);
    if (!session_run(session, "ROLLBACK", &ended) && result)
        *err = ended;
    return result && ended.class == ERR_NONE;
}

const struct column *pg_formula_at_fault(struct session *session,
                                         const struct relation *relation, const struct row *row,
                                         const struct err *failure)
{
    const struct column *fault = NULL;
    struct arena arena;

    arena_init(&arena, 0);
    for (uint16_t i = 0; row->values && !fault && i < relation->column_count; i++) {
        const struct column *column = &relation->columns[i];
        struct value made;
        struct err err = {0};

        if (column->formula && row->values[i].kind == VALUE_TEXT &&
            !pg_formula_evaluate(session, column->formula, NULL, &row->values[i], &arena, &made,
                                 &err) &&
            strcmp(err.sqlstate, failure->sqlstate) == 0)
            fault = column;
    }
    arena_free(&arena);
    return fault;
}

char *pg_formula_type(struct session *session, const char *expression,
                      const struct formula_input *inputs, size_t count, struct err *err)
{
    struct buf sql = {0}, opening = {0};
    PGresult *result;
    char *type = NULL;

    formula_open(&opening, expression, inputs, count);
    /* Only parsed: what stands behind a false condition is not evaluated. */
    buf_append_text(&sql, "SELECT pg_catalog.format_type(pg_catalog.pg_typeof("
                          "CASE WHEN FALSE THEN ");
    formula_append(&sql, buf_text(&opening), NO_VALUE);
    buf_append_text(&sql, " END), NULL)");
    result = session_query(session, buf_text(&sql), 0, NULL, err);
    if (result)
        type = mem_string(PQgetvalue(result, 0, 0));
    PQclear(result);
    buf_free(&opening);
    buf_free(&sql);
    return type;
}
