/* Dead letters at the target (model/letter.h): schema slackwater, tables
 *
 *   dead_letter  one row a parked change or copied row: whose it is, the key that orders it, both
 *                images of the source row as text by column, where it was in the stream, why it was
 *                refused (nothing: it waits behind another of its chain), and what became of it:
 *                parked -> applied | skipped | moot
 *   breaker      one row a table whose breaker has ended a run, until it is closed again
 *   errand       what `slackwater dlq` asks of a run, and its answer (cli/errands.h)
 *
 * Letters are written in the transaction of the rows beside them. */
#ifndef POSTGRES_DEAD_LETTER_H
#define POSTGRES_DEAD_LETTER_H

#include "pipeline/letter_store.h"
#include "postgres/session.h"
#include "postgres/value_texts.h"

struct dead_letter_config { /* borrowed; outlives what is made of it */
    const char *source_dsn;
    const char *target_dsn;
    const char *migration;
    const struct catalog *source;
    size_t table_count;
    const struct catalog_table *const *tables; /* of the source, by index, as the next two */
    const char *const *sources;                /* quoted, qualified names */
    const struct parked_identity *identities;
    bool stream_binary;
    const struct stop *stop;
};

/* Whoever writes letters: one thread's. */
struct dead_letters {
    const struct dead_letter_config *config;
    struct value_texts texts;
    struct arena arena;
};

void dead_letters_init(struct dead_letters *letters, const struct dead_letter_config *config);
void dead_letters_free(struct dead_letters *letters);

/* Creates the tables where missing; schema slackwater is there. */
bool dead_letters_install(struct session *session, struct err *err);

/* In the session's transaction: all that a batch has to say. */
bool dead_letters_write(struct dead_letters *letters, struct session *session,
                        const struct letters *news, struct err *err);
/* One letter; more columns of one that is there. */
bool dead_letters_add(struct dead_letters *letters, struct session *session,
                      const struct letter *letter, struct err *err);
/* In the session's transaction: what waits of the source table is moot. */
bool dead_letters_void(struct session *session, const char *migration, const char *source,
                       struct err *err);
/* Tells the quarantine of the keys that these letters wait for; news NULL: all letters. */
bool dead_letters_load_keys(struct dead_letters *letters, struct session *session,
                            const struct letter *news, size_t count,
                            struct quarantine *quarantine, struct err *err);

/* The contract, with sessions of its own. */
struct letter_store *dead_letter_store_create(const struct dead_letter_config *config);

#endif
