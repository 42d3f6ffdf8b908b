/* The contract of a backlog: batches on a disk, in order, for a target that is slow or away.
 *
 *     source:   ..........| floor ........................... end |.........
 *                           all commits between the two are here
 *                 durable at the target:  floor <= durable
 *
 * That inequality is the caller's: so a position up to which the backlog is on the disk may be
 * told to the source, for what is before the floor is durable at the target.
 *
 * One thread puts, syncs and trims, and another may take meanwhile. settle, resume, begin and
 * extend are called while nobody else uses it. */
#ifndef PIPELINE_BACKLOG_H
#define PIPELINE_BACKLOG_H

#include "base/err.h"
#include "model/batch.h"

enum backlog_result {
    BACKLOG_OK,
    BACKLOG_NONE,   /* put: there is no room for it now; take: nothing is unread */
    BACKLOG_FAILED, /* err is set */
};

struct backlog;

struct backlog_ops {
    /* Takes away from its end what nobody can use: the beginning of a transaction whose end
     * never came, and what a reader found damaged. The rest is on the disk. */
    bool (*settle)(struct backlog *backlog, struct err *err);
    /* Where the source must go on for one who has applied all up to `applied` and reads the
     * backlog: its end, or `applied` where it is of no help. */
    lsn_t (*resume)(struct backlog *backlog, lsn_t applied);
    /* Reading begins with what one who has applied all up to `applied` lacks; all is unread.
     * What begins behind `applied` is thrown away. */
    bool (*begin)(struct backlog *backlog, lsn_t applied, struct err *err);
    /* Before the first put after begin(), unless something was unread then. Reading goes on at
     * the end. *from: where the source must go on so that what is put follows. */
    bool (*extend)(struct backlog *backlog, lsn_t durable, lsn_t *from, struct err *err);

    enum backlog_result (*put)(struct backlog *backlog, const struct batch *batch,
                               struct err *err);
    /* All that was put is on the disk: *synced is the last commit there. ERR_DISK when it may
     * not be: then it is not tried again, for the system may have forgotten what failed. */
    bool (*sync)(struct backlog *backlog, lsn_t *synced, struct err *err);
    /* The target has all up to here on its disk: room may be made. */
    bool (*trim)(struct backlog *backlog, lsn_t durable, struct err *err);

    /* Appends the oldest unread batch. ERR_RETRY when it is damaged: settle() sees to it. */
    enum backlog_result (*take)(struct backlog *backlog, struct batch *batch, struct err *err);
    /* How many are unread. Any thread. */
    uint64_t (*unread)(struct backlog *backlog);
};

struct backlog {
    const struct backlog_ops *ops;
};

#endif
