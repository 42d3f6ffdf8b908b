/* Single-row statements on their way into the pipeline: the changes of a batch in source order,
 * and rows that the set-wise engine (setwise.h) sends one by one.
 *
 * Statements of the same shape are prepared once for a connection (statement.h). Each question
 * carries a tag that says what its answer means; the sink reads the answers. */
#ifndef POSTGRES_SENDER_H
#define POSTGRES_SENDER_H

#include "base/arena.h"
#include "postgres/pipeline.h"
#include "postgres/sink.h"
#include "postgres/statement.h"

/* What a question was. */
enum question {
    Q_OTHER,
    Q_CHANGE, /* a change in source order: a conflict is counted */
    Q_NET,    /* a row of what a batch comes to: it must find what the stream says is there */
    Q_GHOST,  /* the same, of a row that must not be there */
    Q_STAGE,  /* making or emptying a stage */
    Q_MERGE,  /* a staged statement; the index is the engine's */
    Q_PROGRESS,
    Q_POSITIONS,
};

/* The index is that of a change of the batch; UINT32_MAX: of none. */
static inline uint64_t tag_of(enum question question, uint32_t index,
                              enum statement_tells tells)
{
    return (uint64_t)question << 40 | (uint64_t)tells << 32 | index;
}
static inline enum question tag_question(uint64_t tag)
{
    return (enum question)(tag >> 40);
}
static inline enum statement_tells tag_tells(uint64_t tag)
{
    return (enum statement_tells)(tag >> 32 & 0xff);
}
static inline uint32_t tag_index(uint64_t tag)
{
    return (uint32_t)tag;
}

struct table_shapes;

struct sender {
    const struct pg_sink_config *config;
    struct session *session;
    struct pipeline *pipeline;
    struct table_shapes *shapes; /* by table */
    uint32_t statement_serial;
    uint32_t prepared_count; /* on this connection */
    uint64_t executed;       /* changes sent in source order; the sink sets it to 0 */
    struct arena scratch;    /* parameters of one row */
    bool *known;
    const char **values;
    int *lengths;
    int *formats;
};

/* All borrowed. */
void sender_init(struct sender *sender, const struct pg_sink_config *config,
                 struct session *session, struct pipeline *pipeline);
void sender_free(struct sender *sender);
/* The connection has none of the prepared statements any more. */
void sender_forget(struct sender *sender);

/* One change as it came. `index` is its place in the batch. */
bool sender_change(struct sender *sender, const struct change *change, uint32_t index,
                   struct err *err);
/* One statement for the rows of `change`, which need not be one of the batch; `known` as for
 * statement_create(). A blind change's answer tells nothing. */
bool sender_row(struct sender *sender, const struct change *change, enum statement_kind kind,
                const bool *known, enum question question, uint32_t index, struct err *err);
bool sender_sql(struct sender *sender, const char *sql, uint64_t tag, struct err *err);

#endif
