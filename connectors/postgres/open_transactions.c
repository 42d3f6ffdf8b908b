/* Transactions that are not committed yet (open_transactions.h).
 *
 * A message is kept as
 *
 *     uint32_t size | uint64_t tag | size bytes
 *
 * in this machine's own order: nobody else reads it. */
#include "postgres/open_transactions.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER (sizeof(uint32_t) + sizeof(uint64_t))
#define WINDOW ((size_t)256 << 10)
#define FIRST_TAIL 4096

struct open_transactions {
    const char *directory;
    size_t max_memory;
    size_t memory; /* capacity of all tails */
    size_t parts;  /* of all */
    uint64_t in_files;
    struct open_transaction **open;
    size_t count;
    size_t capacity;
};

/* ---- files ---- */

static bool file_error(const char *what, const char *where, struct err *err)
{
    return err_set(err, ERR_RETRY, "temporary storage of open transactions: %s%s%s: %s", what,
                   where[0] != '\0' ? " " : "", where, strerror(errno));
}

/* Without a name where the file system can do that; else its name is taken away at once. */
static int make_file(const char *directory)
{
    int file = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return file;
    char *path = mem_format("%s/slackwater_XXXXXX", directory);
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0)
        (void)unlink(path);
    free(path);
    return file;
}

static bool write_all(int file, const char *data, size_t size, uint64_t at, struct err *err)
{
    while (size > 0) {
        ssize_t written = pwrite(file, data, size, (off_t)at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return file_error("cannot write", "", err);
        data += written;
        size -= (size_t)written;
        at += (uint64_t)written;
    }
    return true;
}

static bool read_all(int file, char *data, size_t size, uint64_t at, struct err *err)
{
    while (size > 0) {
        ssize_t got = pread(file, data, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            return err_set(err, ERR_RETRY, "temporary storage of open transactions: cut short");
        if (got < 0)
            return file_error("cannot read", "", err);
        data += got;
        size -= (size_t)got;
        at += (uint64_t)got;
    }
    return true;
}

bool open_transactions_usable(const char *directory, struct err *err)
{
    int file = make_file(directory);
    if (file >= 0) {
        close(file);
        return true;
    }
    err_set(err, ERR_CONFIG, "source.temporary_directory: no file can be made in %s: %s",
            directory, strerror(errno));
    return err_remedy(err, "name a directory that slackwater may write to, with room for the "
                           "source's largest open transactions");
}

/* ---- memory ---- */

static void drop_tail(struct open_transactions *all, struct open_transaction *t)
{
    all->memory -= t->tail.capacity;
    free(t->tail.data);
    t->tail = (struct open_tail){0};
}

/* What is in memory goes to the file; on failure nothing has changed. */
static bool file_tail(struct open_transactions *all, struct open_transaction *t,
                      struct err *err)
{
    if (t->file < 0)
        t->file = make_file(all->directory);
    if (t->file < 0)
        return file_error("cannot make a file in", all->directory, err);
    if (!write_all(t->file, t->tail.data, t->tail.size, t->filed, err))
        return false;
    t->filed += t->tail.size;
    all->in_files += t->tail.size;
    drop_tail(all, t);
    return true;
}

static struct open_transaction *largest(const struct open_transactions *all)
{
    struct open_transaction *most = NULL;
    for (size_t i = 0; i < all->count; i++)
        if (most == NULL || all->open[i]->tail.capacity > most->tail.capacity)
            most = all->open[i];
    return most;
}

static size_t wider(size_t capacity, size_t needed)
{
    if (capacity < FIRST_TAIL)
        capacity = FIRST_TAIL;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

static bool grow_tail(struct open_transactions *all, struct open_transaction *t, size_t needed)
{
    size_t capacity =
        needed <= t->tail.capacity ? t->tail.capacity : wider(t->tail.capacity, needed);
    size_t more = capacity - t->tail.capacity;
    if (all->memory + more > all->max_memory)
        return false;
    if (more > 0) {
        t->tail.data = mem_grow(t->tail.data, capacity, 1);
        t->tail.capacity = capacity;
        all->memory += more;
    }
    return true;
}

/* Room in the tail for `size` more bytes. *room is false where one message alone would pass the
 * bound. */
static bool make_room(struct open_transactions *all, struct open_transaction *t, size_t size,
                      bool *room, struct err *err)
{
    while (!(*room = grow_tail(all, t, t->tail.size + size))) {
        struct open_transaction *most = largest(all);
        if (most->tail.capacity == 0)
            return true;
        if (most->tail.size == 0)
            drop_tail(all, most);
        else if (!file_tail(all, most, err))
            return false;
    }
    return true;
}

/* ---- which there are ---- */

struct open_transactions *open_transactions_create(const char *directory, size_t max_memory)
{
    struct open_transactions *all = mem_zero(1, sizeof *all);
    all->directory = directory;
    all->max_memory = max_memory;
    return all;
}

void open_transactions_destroy(struct open_transactions *all)
{
    if (all == NULL)
        return;
    open_transactions_clear(all);
    free(all->open);
    free(all);
}

/* Where it is, or the count. Newest first: that is the one most is said of. */
static size_t index_of(const struct open_transactions *all, xid_t xid)
{
    for (size_t i = all->count; i > 0; i--)
        if (all->open[i - 1]->xid == xid)
            return i - 1;
    return all->count;
}

struct open_transaction *open_transactions_find(const struct open_transactions *all, xid_t xid)
{
    size_t at = index_of(all, xid);
    return at < all->count ? all->open[at] : NULL;
}

struct open_transaction *open_transactions_begin(struct open_transactions *all, xid_t xid)
{
    struct open_transaction *t = mem_zero(1, sizeof *t);
    t->xid = xid;
    t->file = -1;
    if (all->count == all->capacity) {
        all->capacity = all->capacity > 0 ? all->capacity * 2 : 16;
        all->open = mem_grow(all->open, all->capacity, sizeof(struct open_transaction *));
    }
    all->open[all->count++] = t;
    return t;
}

static void dispose(struct open_transactions *all, struct open_transaction *t)
{
    drop_tail(all, t);
    all->parts -= t->part_count;
    all->in_files -= t->filed;
    if (t->file >= 0)
        close(t->file);
    shape_map_free(&t->shapes);
    buf_free(&t->window);
    free(t->parts);
    free(t->gid);
    free(t);
}

void open_transactions_end(struct open_transactions *all, struct open_transaction *t)
{
    size_t at = index_of(all, t->xid);
    all->count--;
    for (; at < all->count; at++) /* they stay in the order in which they began */
        all->open[at] = all->open[at + 1];
    dispose(all, t);
}

void open_transactions_clear(struct open_transactions *all)
{
    while (all->count > 0)
        dispose(all, all->open[--all->count]);
}

struct open_totals open_transactions_totals(const struct open_transactions *all)
{
    struct open_totals totals = {.transactions = all->count, .in_files = all->in_files};
    for (size_t i = 0; i < all->count; i++) {
        totals.in_memory += all->open[i]->tail.size;
        totals.prepared += all->open[i]->gid != NULL;
    }
    return totals;
}

/* ---- subtransactions ---- */

/* xids wrap around; those of one transaction are all behind its own. */
static uint32_t age_of(const struct open_transaction *t, xid_t xid)
{
    return (uint32_t)(xid - t->xid);
}

/* The first part that is not older than the xid. */
static size_t part_from(const struct open_transaction *t, xid_t xid)
{
    size_t low = 0;
    size_t high = t->part_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (age_of(t, t->parts[middle].xid) < age_of(t, xid))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool note_part(struct open_transactions *all, struct open_transaction *t, xid_t xid,
                      struct err *err)
{
    size_t at = part_from(t, xid);
    if (xid == t->xid || (at < t->part_count && t->parts[at].xid == xid))
        return true;
    if (all->parts == OPEN_PARTS_MOST)
        return err_set(err, ERR_RETRY, "open transactions have more than %zu subtransactions",
                       OPEN_PARTS_MOST);
    if (t->part_count == t->part_capacity) {
        t->part_capacity = t->part_capacity > 0 ? t->part_capacity * 2 : 16;
        t->parts = mem_grow(t->parts, t->part_capacity, sizeof *t->parts);
    }
    memmove(&t->parts[at + 1], &t->parts[at], (t->part_count - at) * sizeof *t->parts);
    t->parts[at] = (struct open_part){.xid = xid, .since = t->filed + t->tail.size};
    t->part_count++;
    all->parts++;
    return true;
}

/* A child that wrote first has taken the parent's along: then it is shorter already. */
static bool cut(struct open_transactions *all, struct open_transaction *t, uint64_t at,
                struct err *err)
{
    if (at >= t->filed + t->tail.size)
        return true;
    if (at >= t->filed) {
        t->tail.size = (size_t)(at - t->filed);
        return true;
    }
    if (ftruncate(t->file, (off_t)at) != 0)
        return file_error("cannot shorten", "", err);
    all->in_files -= t->filed - at;
    t->filed = at;
    t->tail.size = 0;
    return true;
}

bool open_transactions_take_back(struct open_transactions *all, struct open_transaction *t,
                                 xid_t xid, struct err *err)
{
    size_t first = part_from(t, xid);
    if (xid == t->xid || first == t->part_count || t->parts[first].xid != xid)
        return true;
    uint64_t since = t->parts[first].since;
    for (size_t i = first + 1; i < t->part_count; i++) /* a child may have written first */
        if (t->parts[i].since < since)
            since = t->parts[i].since;
    if (!cut(all, t, since, err))
        return false;
    all->parts -= t->part_count - first;
    t->part_count = first;
    return true;
}

/* ---- messages ---- */

static void pack_header(char header[HEADER], const struct open_message *message)
{
    uint32_t size = (uint32_t)message->size;
    memcpy(header, &size, sizeof size);
    memcpy(header + sizeof size, &message->tag, sizeof message->tag);
}

static bool write_through(struct open_transactions *all, struct open_transaction *t,
                          const char header[HEADER], const struct open_message *message,
                          struct err *err)
{
    if (!file_tail(all, t, err) || !write_all(t->file, header, HEADER, t->filed, err) ||
        !write_all(t->file, message->data, message->size, t->filed + HEADER, err))
        return false;
    t->filed += HEADER + message->size;
    all->in_files += HEADER + message->size;
    return true;
}

bool open_transactions_append(struct open_transactions *all, struct open_transaction *t,
                              xid_t xid, const struct open_message *message, struct err *err)
{
    char header[HEADER];
    bool room = false;
    pack_header(header, message);
    if (!note_part(all, t, xid, err) || !make_room(all, t, HEADER + message->size, &room, err))
        return false;
    if (!room)
        return write_through(all, t, header, message, err);
    memcpy(t->tail.data + t->tail.size, header, HEADER);
    memcpy(t->tail.data + t->tail.size + HEADER, message->data, message->size);
    t->tail.size += HEADER + message->size;
    return true;
}

/* ---- reading ---- */

void open_transaction_rewind(struct open_transaction *t)
{
    t->read_at = 0;
    t->window_at = 0;
    buf_clear(&t->window);
}

/* Bytes of the file from read_at on, at least `size` of them. */
static bool fill_window(struct open_transaction *t, size_t size, const char **data,
                        struct err *err)
{
    if (t->read_at + size > t->window_at + t->window.size) {
        uint64_t left = t->filed - t->read_at;
        size_t wanted = left < WINDOW ? (size_t)left : WINDOW;
        wanted = wanted < size ? size : wanted;
        buf_clear(&t->window);
        if (t->window.capacity > 4 * WINDOW && wanted <= WINDOW)
            buf_free(&t->window); /* one large value is past */
        buf_reserve(&t->window, wanted);
        if (!read_all(t->file, t->window.data, wanted, t->read_at, err))
            return false;
        buf_written(&t->window, wanted);
        t->window_at = t->read_at;
    }
    *data = t->window.data + (t->read_at - t->window_at);
    return true;
}

static bool bytes_at(struct open_transaction *t, size_t size, const char **data,
                     struct err *err)
{
    if (t->read_at < t->filed)
        return fill_window(t, size, data, err);
    *data = t->tail.data + (t->read_at - t->filed);
    return true;
}

bool open_transaction_read(struct open_transaction *t, struct open_message *message,
                           struct err *err)
{
    const char *data = NULL;
    uint32_t size = 0;
    if (t->read_at == t->filed + t->tail.size) {
        *message = (struct open_message){0};
        return true;
    }
    if (!bytes_at(t, HEADER, &data, err))
        return false;
    memcpy(&size, data, sizeof size);
    if (!bytes_at(t, HEADER + size, &data, err))
        return false;
    *message = (struct open_message){.data = data + HEADER, .size = size};
    memcpy(&message->tag, data + sizeof size, sizeof message->tag);
    t->read_at += HEADER + size;
    return true;
}
