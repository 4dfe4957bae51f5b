/* Tells the process that made something from a child that was forked later. */
#include "fork_guard.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

bool cat_init_fork_guard(cat_fork_guard *guard) {
    char *page =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    if (madvise(page, page_size(), MADV_WIPEONFORK) != 0) {
        munmap(page, page_size());
        return false;
    }
    *page = 1;
    guard->owner_page = page;
    return true;
}

void cat_free_fork_guard(cat_fork_guard *guard) {
    if (guard->owner_page) {
        munmap((void *)(uintptr_t)guard->owner_page, page_size());
    }
    guard->owner_page = NULL;
}
