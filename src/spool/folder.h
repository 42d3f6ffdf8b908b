/* The spool's folder: segment files by number, one owner at a time, room on its disk.
 *
 * Names are the number in 16 hexadecimal digits and ".spool"; files of other names are not
 * touched. */
#ifndef SPOOL_FOLDER_H
#define SPOOL_FOLDER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct folder {
    char *path;
    int fd; /* flock()ed; -1: not open */
};

/* Makes the folder if it is missing (not those above it) and takes it for this process.
 * ERR_CONFIG when another has it, or it cannot be used. */
bool folder_open(struct folder *folder, const char *path, struct err *err);
void folder_close(struct folder *folder); /* also one that was not opened, or zeroed */

/* The segments there are, ascending. The caller frees *numbers. */
bool folder_list(const struct folder *folder, uint64_t **numbers, size_t *count,
                 struct err *err);
/* An open file, or -1 with errno. flags: as for open(2); the file is private to its user. */
int folder_file(const struct folder *folder, uint64_t number, int flags);
/* ERR_DISK unless it is gone; also when it was not there. */
bool folder_remove(const struct folder *folder, uint64_t number, struct err *err);
/* Which files there are is on the disk. ERR_DISK. */
bool folder_sync(const struct folder *folder, struct err *err);
/* What an ordinary user may still write to the disk. */
bool folder_free_bytes(const struct folder *folder, uint64_t *bytes, struct err *err);

#endif
