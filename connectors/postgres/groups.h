/* Net changes of a stretch (fold.h) in groups: those of one table with which the same is to be
 * done, of updates with the same known columns. Groups keep their memory from one stretch to
 * the next. */
#ifndef POSTGRES_GROUPS_H
#define POSTGRES_GROUPS_H

#include "postgres/fold.h"
#include "postgres/stage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is to be done with the rows of a group, in the order in which it is done. */
enum operation {
    DELETE_ROWS, /* they are there */
    DELETE_NONE, /* they are not, unless somebody else has written them */
    DELETE_ANY,  /* they may be there */
    UPDATE_ROWS, /* they are there */
    UPSERT_ANY,  /* they may be there */
    INSERT_ROWS, /* they are not there */
    OPERATIONS
};

enum carrier { BY_ROW, BY_STAGE, BY_COPY };

struct item {
    uint64_t prefix; /* of the key's first column, to sort by */
    uint32_t net;
};

struct group {
    const struct relation *relation;
    enum operation operation;
    const bool *known;    /* of UPDATE_ROWS: the columns of all; NULL: each row has its own */
    enum carrier carrier; /* for the engine to choose, as the stage */
    struct stage *stage;
    struct item *items;
    uint32_t count;
    uint32_t capacity;
    uint32_t next; /* of the same table: index + 1 */
    bool sorted;
};

struct groups {
    struct group *items;
    uint32_t count;
    uint32_t capacity; /* beyond count they keep their items' memory */
    uint32_t *first;   /* by table: index + 1 */
    bool *mask;        /* the known columns of one row */
};

/* For tables of at most so many columns. */
void groups_init(struct groups *groups, size_t tables, uint16_t columns);
void groups_free(struct groups *groups);
void groups_clear(struct groups *groups);

/* Of all that the fold has; its arena keeps what they point to. */
void groups_make(struct groups *groups, struct fold *fold);
/* By key, unless it is. */
void group_sort(struct group *group, const struct fold *fold);
/* Which columns of the row are known; until the next call. */
const bool *groups_mask(struct groups *groups, const struct relation *relation,
                        const struct value *row);

#endif
