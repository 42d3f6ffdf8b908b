/* What every fuzz target needs. A target is one function over untrusted bytes:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
 *
 * libFuzzer calls it in build/fuzz; replay.c calls it with files in every other build, so that
 * what was found once is a unit test for ever. It must forget everything between two calls. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the bytes are. In every build: assert() is not in an optimised one. */
static inline void fuzz_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz: it does not hold that %s\n", what);
    abort();
}

/* The next byte of the input, 0 at its end. */
static inline uint8_t fuzz_byte(const uint8_t **data, size_t *size)
{
    if (*size == 0)
        return 0;
    (*size)--;
    return *(*data)++;
}

/* The rest of the input as a C string that the caller frees; a NUL in it is its end. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    return mem_string_sized((const char *)data, strnlen((const char *)data, size));
}

/* The input up to the first `end`, or all of it, as a C string that the caller frees; goes past
 * it. */
static inline char *fuzz_field(const uint8_t **data, size_t *size, char end)
{
    const uint8_t *found = *size ? memchr(*data, end, *size) : NULL;
    size_t length = found ? (size_t)(found - *data) : *size;
    char *text = fuzz_text(*data, length);
    *data += length + (found != NULL);
    *size -= length + (found != NULL);
    return text;
}

/* The path of a file that holds the bytes, until the next call: for what reads files. */
static inline const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[32];
    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

#endif
