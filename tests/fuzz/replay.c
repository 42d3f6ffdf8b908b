/* Runs a fuzz target over files, and over all files of folders: seeds and what fuzzing found. A
 * folder that is not there is an empty one. Prints what a program of Check prints. */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t ran;

/* Exact in size, so that a sanitizer sees a read past the end. */
static void run_file(const char *path, size_t size)
{
    uint8_t *data = mem_alloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    if (!file || fread(data, 1, size, file) != size) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    fclose(file);
    fprintf(stderr, "%s\n", path); /* the last one is to blame when it dies */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    ran++;
}

static void run_path(const char *path)
{
    struct stat entry;
    struct dirent **names;
    if (stat(path, &entry) == 0 && S_ISREG(entry.st_mode))
        run_file(path, (size_t)entry.st_size);
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            char *inner = mem_format("%s/%s", path, names[i]->d_name);
            run_path(inner);
            free(inner);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("100%%: Checks: %zu, Failures: 0, Errors: 0\n", ran);
    return ran ? EXIT_SUCCESS : EXIT_FAILURE;
}
