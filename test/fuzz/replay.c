/* Feeds a fuzz target the inputs that once broke it, without libFuzzer: the files that are named,
 * or else those of $srcdir/test/fuzz/found/TARGET for a program called replay_TARGET. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_BYTES = 4096,
    INPUT_BYTES_MAX = 16 << 20
};

static bool replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    uint8_t *data = malloc(INPUT_BYTES_MAX);
    CHECK(data != NULL);
    size_t bytes = fread(data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    uint8_t *exact = malloc(bytes + (bytes == 0)); /* A sanitizer sees a read behind it. */
    CHECK(exact != NULL);
    memcpy(exact, data, bytes);
    free(data);
    LLVMFuzzerTestOneInput(exact, bytes);
    free(exact);
    return true;
}

static bool replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return false;
    }
    bool is_good = true;
    size_t n = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_BYTES];
        int path_bytes = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        CHECK(path_bytes > 0 && path_bytes < PATH_BYTES);
        if (entry->d_name[0] != '.') {
            is_good = replay(path) && is_good;
            n++;
        }
    }
    closedir(dir);
    printf("[       %s ] %zu inputs of %s\n", is_good && n > 0 ? "OK" : "FAILED", n, folder);
    return is_good && n > 0;
}

int main(int argc, char **argv)
{
    bool is_good = true;
    for (int i = 1; i < argc; i++) {
        is_good = replay(argv[i]) && is_good;
    }
    if (argc == 1) {
        const char *srcdir = getenv("srcdir");
        const char *target = strstr(argv[0], "replay_");
        CHECK(target != NULL);
        char folder[PATH_BYTES];
        snprintf(folder, sizeof(folder), "%s/test/fuzz/found/%s", srcdir == NULL ? "." : srcdir,
                 target + strlen("replay_"));
        is_good = replay_folder(folder);
    }
    return is_good ? 0 : 1;
}
