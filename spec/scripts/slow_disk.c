/* A disk that does what a file says, for a program that loads this before libc: the file of the
 * environment's DISK has `hang` or `fail`, or is not there. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether the file says a word now. */
static bool says(const char *word) {
    char text[16] = "";
    const char *path = getenv("DISK");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file) {
        return false;
    }
    bool found = fgets(text, sizeof text, file) && strncmp(text, word, strlen(word)) == 0;
    fclose(file);
    return found;
}

int fdatasync(int descriptor) {
    union {
        void *address;
        int (*call)(int);
    } next = {.address = dlsym(RTLD_NEXT, "fdatasync")};
    while (says("hang")) {
        usleep(5000);
    }
    if (says("fail")) {
        errno = EIO;
        return -1;
    }
    return next.call(descriptor);
}
