/* One change of a source table and what it means for each of the table's targets.
 *
 * Which rows are a target's own is a question of the row (`where`, `route`), so an update may
 * bring a row in or take it out. The new row is always judged; of the old one the stream may
 * hold the key only. Then it is not known whether the row was there, and what is written must be
 * right either way:
 *
 *     old \ new    in                                  out
 *     in           UPDATE                              DELETE
 *     out          INSERT                              nothing
 *     unknown      upsert by key; an old key that      DELETE by key
 *                  differs is deleted
 *
 * Changes of the last line are marked `blind`: finding or missing the row is no conflict. All
 * deletes of one change come before all writes, so that a row which moves between targets never
 * meets itself.
 *
 * A row that enters must be written whole. Values that the stream left out because they did not
 * change (TOAST) are taken from the old image, else read again from the source. */
#ifndef TRANSFORMS_CHANGE_H
#define TRANSFORMS_CHANGE_H

#include "pipeline/row_reader.h"
#include "transforms/shape.h"

/* What becomes of a change at one target. */
struct decision {
    bool removes;   /* deletes the old row first */
    bool writes;    /* then writes the new one */
    bool as_update; /* as an update of the old row, else as an insert */
    bool blind;     /* whether the row was there is not known */
};

/* A change in work. The rooms hold one row of any table each. */
struct task {
    const struct shape_set *set;
    const struct change *in;
    xid_t xid;
    struct batch *out;
    struct row_reader *reader;     /* NULL: rows cannot be read again */
    struct lookup *const *lookups; /* by the chain's requests; NULL: there are none */
    struct value *room_new;
    struct value *room_old;
    struct value *room_target;
    struct decision *decisions; /* one for each shape of the set */
    struct row new;             /* in->new, or completed by reading again */
    bool gone;                  /* it was read again, and is not there any more */
};

/* Appends what the change becomes. */
bool change_transform(struct task *task, struct err *err);

/* The row's values in the order of the bound columns, in `room` where they stand otherwise. */
const struct value *change_line_up(const struct shape *shape, const struct row *row,
                                   struct value *room);
/* ERR_BUG unless the row has a value for each column of its relation. */
bool change_check_count(const struct relation *from, const struct row *row, struct err *err);

#endif
