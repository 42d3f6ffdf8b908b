/* The spool's folder (folder.h). */
#include "spool/folder.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SUFFIX ".spool"
#define DIGITS 16
#define NAME_SIZE (DIGITS + sizeof SUFFIX)

static bool fail(const struct folder *folder, enum err_class class, const char *what,
                 struct err *err)
{
    int error = errno;
    return err_set(err, class, "spool %s: %s: %s", folder->path, what, strerror(error));
}

static bool take(const struct folder *folder, struct err *err)
{
    if (flock(folder->fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return fail(folder, ERR_CONFIG, "cannot be locked", err);
    err_set(err, ERR_CONFIG, "spool %s: another process uses it", folder->path);
    return err_remedy(err, "each migration needs a folder of its own (spool.dir)");
}

bool folder_open(struct folder *folder, const char *path, struct err *err)
{
    *folder = (struct folder){.path = mem_string(path), .fd = -1};
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        fail(folder, ERR_CONFIG, "cannot be made", err);
        return err_remedy(err, "make the folder above it, or give another as spool.dir");
    }
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return fail(folder, ERR_CONFIG, "cannot be opened", err);
    if (faccessat(folder->fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        return fail(folder, ERR_CONFIG, "cannot be written", err);
    return take(folder, err);
}

void folder_close(struct folder *folder)
{
    if (folder->path != NULL && folder->fd >= 0)
        close(folder->fd);
    free(folder->path);
    *folder = (struct folder){.fd = -1};
}

static bool parse_name(const char *name, uint64_t *number)
{
    if (strlen(name) != NAME_SIZE - 1 || strcmp(name + DIGITS, SUFFIX) != 0 ||
        strspn(name, "0123456789abcdef") != DIGITS)
        return false;
    *number = strtoull(name, NULL, 16);
    return true;
}

static void format_name(uint64_t number, char *name)
{
    snprintf(name, NAME_SIZE, "%0*llx" SUFFIX, DIGITS, (unsigned long long)number);
}

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool folder_list(const struct folder *folder, uint64_t **numbers, size_t *count,
                 struct err *err)
{
    DIR *files = opendir(folder->path);
    const struct dirent *file;
    uint64_t number;
    if (files == NULL)
        return fail(folder, ERR_CONFIG, "cannot be read", err);
    *numbers = NULL;
    *count = 0;
    while ((file = readdir(files)) != NULL) {
        if (!parse_name(file->d_name, &number))
            continue;
        *numbers = mem_grow(*numbers, *count + 1, sizeof(**numbers));
        (*numbers)[(*count)++] = number;
    }
    closedir(files);
    if (*count > 1)
        qsort(*numbers, *count, sizeof(**numbers), ascending);
    return true;
}

int folder_file(const struct folder *folder, uint64_t number, int flags)
{
    char name[NAME_SIZE];
    format_name(number, name);
    return openat(folder->fd, name, flags | O_CLOEXEC, 0600);
}

bool folder_remove(const struct folder *folder, uint64_t number, struct err *err)
{
    char name[NAME_SIZE];
    format_name(number, name);
    return unlinkat(folder->fd, name, 0) == 0 || errno == ENOENT ||
           fail(folder, ERR_DISK, "cannot remove a segment", err);
}

bool folder_sync(const struct folder *folder, struct err *err)
{
    return fsync(folder->fd) == 0 || fail(folder, ERR_DISK, "fsync of the folder", err);
}

bool folder_free_bytes(const struct folder *folder, uint64_t *bytes, struct err *err)
{
    struct statvfs disk;
    if (fstatvfs(folder->fd, &disk) != 0)
        return fail(folder, ERR_DISK, "its free space cannot be read", err);
    *bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return true;
}
