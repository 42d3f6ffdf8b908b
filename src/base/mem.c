/* Allocation that cannot fail.
 *
 * The problem: a branch for "out of memory" at every allocation is code that no test reaches,
 * and the program can do nothing useful there: its state lives at the target. The invariant:
 * whatever these functions return is usable memory of the asked size; products do not wrap. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No stdio: it may want memory itself. */
static void die(const char *message)
{
    ssize_t written = write(STDERR_FILENO, message, strlen(message));
    (void)written;
    abort();
}

/* A size of 0 gets a byte, so that NULL never means success. */
static size_t product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX)
        die("slackwater: an allocation size overflows; this is a bug\n");
    return bytes ? bytes : 1;
}

static void *checked(void *memory)
{
    if (!memory)
        die("slackwater: out of memory; it resumes from the target's progress when restarted "
            "with more\n");
    return memory;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(product(1, size)));
}

void *mem_zero(size_t count, size_t size)
{
    return checked(calloc(1, product(count, size)));
}

void *mem_grow(void *old, size_t count, size_t size)
{
    return checked(realloc(old, product(count, size)));
}

char *mem_string(const char *text)
{
    return text ? mem_string_sized(text, strlen(text)) : NULL;
}

char *mem_string_sized(const char *data, size_t size)
{
    if (size > PTRDIFF_MAX - 1)
        die("slackwater: an allocation size overflows; this is a bug\n");
    char *copy = mem_alloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

char *mem_format(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text);
}

size_t mem_resident(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "re"); /* "size resident shared ...", in pages */
    if (file == NULL)
        return 0;
    const char *second = fgets(line, sizeof line, file) ? strchr(line, ' ') : NULL;
    fclose(file);
    return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
