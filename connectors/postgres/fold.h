/* Folds changes to one net change a key: what a stretch of a batch comes to.
 *
 * A net change says what the stream took to be there before its first change (`was`), and what
 * is there after its last (`row`):
 *
 *     was \ row   nothing                      a row
 *     present     delete                       update of the known columns; if the row was
 *                                              deleted in between (`anew`): delete, then insert
 *     absent      nothing was there, and       insert
 *                 nothing is
 *     any         delete, if it is there       upsert; or delete if it is there, then insert
 *
 * "Any" are blind changes (model/batch.h). A later update that brings only some columns keeps
 * what an earlier change of the stretch brought of the others.
 *
 * fold_take() refuses what cannot be folded without loss, or does not fit the history that the
 * fold has of the key (an insert where a row is, an update where none is: the ordered path
 * counts such conflicts). Then the caller sends what the fold holds, sends the change in order,
 * and begins anew.
 *
 * Keys are compared by their bytes, so it is for tables whose keys are equal only if their
 * bytes are (strategy.h). Rows are borrowed from the batch; what is merged lives in the fold.
 * Memory is proportional to the largest stretch and kept from one to the next. */
#ifndef POSTGRES_FOLD_H
#define POSTGRES_FOLD_H

#include "base/arena.h"
#include "model/batch.h"
#include "schema/types.h"

#include <stdbool.h>
#include <stdint.h>

enum net_was { WAS_PRESENT, WAS_ABSENT, WAS_ANY };

struct net {
    const struct relation *relation;
    const struct value *key; /* a row's values, of which the key's columns count; NULL: the
                                table has no key, and this is one of its inserts */
    const struct value *row; /* NULL: nothing */
    uint64_t hash;
    uint32_t slot;
    uint32_t change; /* the last one's index in the batch, for messages */
    enum net_was was;
    bool anew; /* it was deleted in between */
};

/* What the fold must know of a table. */
struct fold_table {
    enum value_kind format;           /* that all values are to have: text or binary */
    const struct type_codec **codecs; /* by column: makes a text that a rule gave binary; NULL
                                         where that cannot be done */
    bool moves; /* it has columns that no change fills: a key change has to move the row, and a
                   row of somebody else's is not to keep them when it is deleted */
};

struct fold {
    struct arena arena; /* merged rows */
    struct net *nets;   /* in the order of their first changes */
    uint32_t count;
    uint32_t capacity;
    uint32_t merged;     /* changes that an earlier net change took in */
    uint32_t *slots;     /* open addressing: index + 1 of a net; 0: free */
    uint32_t slot_count; /* a power of two */
};

void fold_init(struct fold *fold);
void fold_free(struct fold *fold);
void fold_clear(struct fold *fold); /* keeps the memory */

/* Takes an insert, update or delete. False: refused, and nothing is changed. */
bool fold_take(struct fold *fold, const struct fold_table *table, const struct change *change,
               uint32_t index);

#endif
