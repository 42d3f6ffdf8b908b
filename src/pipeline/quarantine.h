/* The quarantine of a run: which keys are parked, the breakers that guard it, and the numbers of
 * dead letters (model/letter.h). Shared by the apply thread, which parks changes, and the copy's
 * workers, which park rows; every call takes its lock and no call waits for a server.
 *
 * What is parked is kept at the target, in the transaction of what goes beside it. So what is here
 * is an image of that: it is loaded when the stream starts, the apply thread's part of it can be
 * undone until its batch is at the target, and a worker's part comes in when its chunk is.
 *
 *     quarantine_create -> letter_store.load -> (parking.h, copy) ... -> quarantine_free */
#ifndef PIPELINE_QUARANTINE_H
#define PIPELINE_QUARANTINE_H

#include "base/buf.h"
#include "base/err.h"
#include "model/letter.h"
#include "pipeline/breaker.h"
#include "pipeline/counters.h"

struct quarantine;

/* Keys are compared by bytes, of which equal values may have several. */
enum parked_compare {
    PARKED_AS_WRITTEN,
    PARKED_NUMERIC, /* 1.0 is 1.00 */
    PARKED_PADDED,  /* blanks at the end do not count */
    PARKED_NOT,     /* the column tells no rows apart */
};

/* By what a row of a source table is known: columns of its identity; where it has none, all that
 * every rule of the table reads. Coarser than the row only parks more; finer would let a change
 * overtake a parked one of its row. So a column counts only if rows that differ in its bytes are
 * two, at the source and at the target: where none does, the whole table is one key. */
struct parked_identity {
    uint16_t count;
    const char *const *columns;
    const enum parked_compare *compares; /* by column; NULL: all as written */
};

struct quarantine_config { /* borrowed */
    size_t table_count;
    const struct parked_identity *identities; /* by source table, as the next two */
    const char *const *sources;               /* names, for people */
    struct table_counters *counters;
    struct breaker_limits limits;
    bool stops; /* no bad row is parked; what waits for earlier ones still is */
};

struct quarantine *quarantine_create(const struct quarantine_config *config);
void quarantine_free(struct quarantine *quarantine); /* NULL is accepted */
/* Bad rows may be parked. NULL is accepted. */
bool quarantine_takes(const struct quarantine *quarantine);
const struct parked_identity *quarantine_identity(const struct quarantine *quarantine,
                                                  uint32_t table);

/* ---- what the target has ---- */

/* It is all to be loaded again. Letters that a running copy has under way keep their ids, and its
 * workers count them, for nobody else could tell whether those are there yet: `under_way` gets them as
 * the text of an array, and no id beyond *upto is to be counted either. */
void quarantine_forget(struct quarantine *quarantine, uint64_t *upto, struct buf *under_way);
/* Ids up to here are taken. */
void quarantine_note_id(struct quarantine *quarantine, uint64_t id);
/* Letters that are open at the target. */
void quarantine_note_letters(struct quarantine *quarantine, uint32_t table, uint64_t more);
/* A key at the target: values in the order of the table's identity, in the stream's format. */
void quarantine_note_key(struct quarantine *quarantine, uint32_t table,
                         const struct value *values, uint64_t chain);
/* The last run was stopped by the table's breaker. */
void quarantine_half_open(struct quarantine *quarantine, uint32_t table);
/* The table's letters are moot: its copy begins anew. */
void quarantine_clear(struct quarantine *quarantine, uint32_t table);

/* ---- letters of the copy ---- */

/* Those of a worker's chunk, from the first that is numbered until the chunk is loaded, or given up.
 * Each is counted once, whatever is read from the target meanwhile:
 *
 *     join -> (begin -> (id* -> (tell -> take_back?)?)* -> end)* -> leave */
struct copied_letters { /* guarded by the quarantine's lock */
    uint32_t table;
    uint64_t told; /* of them, as many are in the table's count */
    uint64_t *ids;
    size_t count, capacity;
    struct copied_letters *next;
};

void quarantine_copy_join(struct quarantine *quarantine, struct copied_letters *copied);
void quarantine_copy_leave(struct quarantine *quarantine, struct copied_letters *copied);
void quarantine_copy_begin(struct quarantine *quarantine, struct copied_letters *copied,
                           uint32_t table);
uint64_t quarantine_copy_id(struct quarantine *quarantine, struct copied_letters *copied);
/* So many are at the target, as far as is known; it does not have them after all. */
void quarantine_copy_tell(struct quarantine *quarantine, struct copied_letters *copied,
                          uint64_t letters);
void quarantine_copy_take_back(struct quarantine *quarantine, struct copied_letters *copied);
/* What was told is at the target for good. */
void quarantine_copy_end(struct quarantine *quarantine, struct copied_letters *copied);

/* ---- parking ---- */

uint64_t quarantine_next_id(struct quarantine *quarantine);
/* True if any key of the table is parked. Cheap. */
bool quarantine_holds_any(const struct quarantine *quarantine, uint32_t table);
/* The key of a row image as bytes, appended. What the image does not have is taken from `other`,
 * which may be NULL. False when a column of it is in neither. */
bool quarantine_append_key(const struct quarantine *quarantine, uint32_t table,
                           const struct relation *relation, const struct row *image,
                           const struct row *other, struct buf *key);
/* The same of a row image of a snapshot: it is another row if its key is written otherwise. */
bool quarantine_append_written(const struct quarantine *quarantine, uint32_t table,
                               const struct relation *relation, const struct row *image,
                               struct buf *key);
uint64_t quarantine_find(struct quarantine *quarantine, uint32_t table, const struct buf *key);
/* The apply thread's; undone to a mark, or kept when the batch is at the target. */
void quarantine_park(struct quarantine *quarantine, uint32_t table, const struct buf *key,
                     uint64_t chain);
void quarantine_join(struct quarantine *quarantine, uint64_t from, uint64_t into);
void quarantine_empty(struct quarantine *quarantine, uint32_t table);
size_t quarantine_mark(struct quarantine *quarantine);
void quarantine_undo(struct quarantine *quarantine, size_t mark);
void quarantine_keep(struct quarantine *quarantine, const struct letters *letters);

/* ---- breakers ---- */

/* Rows of the table came. False (ERR_DATA, with the reason and what to do) when its breaker is
 * open, now or before. `why`: the last of the bad ones, or NULL. */
bool quarantine_count(struct quarantine *quarantine, uint32_t table, uint64_t good,
                      uint64_t bad, const struct err *why, struct err *err);
/* True if a breaker has opened or closed since the last call: *table and its state. */
bool quarantine_next_turn(struct quarantine *quarantine, uint32_t *table,
                          enum breaker_state *state, char reason[512]);

#endif
