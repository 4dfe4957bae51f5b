/* CRC-32C by the processor's instruction where it has one, and eight bytes at a time by tables. */
#include "crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78 /* 0x1edc6f41, reflected */

#if defined(__x86_64__)
#define HAS_INSTRUCTION 1
#else
#define HAS_INSTRUCTION 0
#endif

/* tables[n][b] is what a byte b turns the sum into that has n others behind it. */
static uint32_t tables[8][256];
static bool by_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t sum = byte;
        for (int bit = 0; bit < 8; bit++) {
            sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL : 0);
        }
        tables[0][byte] = sum;
    }
    for (int n = 1; n < 8; n++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = tables[n - 1][byte];
            tables[n][byte] = before >> 8 ^ tables[0][before & 255];
        }
    }
#if HAS_INSTRUCTION
    by_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

#if HAS_INSTRUCTION
__attribute__((target("sse4.2"))) static uint32_t
add_by_instruction(uint32_t sum, const unsigned char *bytes, size_t length) {
    uint64_t wide = sum;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t eight;
        memcpy(&eight, bytes, 8);
        wide = __builtin_ia32_crc32di(wide, eight);
    }
    sum = (uint32_t)wide;
    for (; length > 0; bytes++, length--) {
        sum = __builtin_ia32_crc32qi(sum, *bytes);
    }
    return sum;
}
#endif

static uint32_t add_by_tables(uint32_t sum, const unsigned char *bytes, size_t length) {
    for (; length >= 8; bytes += 8, length -= 8) {
        sum ^= (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
               (uint32_t)bytes[3] << 24;
        sum = tables[7][sum & 255] ^ tables[6][sum >> 8 & 255] ^ tables[5][sum >> 16 & 255] ^
              tables[4][sum >> 24] ^ tables[3][bytes[4]] ^ tables[2][bytes[5]] ^
              tables[1][bytes[6]] ^ tables[0][bytes[7]];
    }
    for (; length > 0; bytes++, length--) {
        sum = sum >> 8 ^ tables[0][(sum ^ *bytes) & 255];
    }
    return sum;
}

uint32_t cat_crc32c(uint32_t sum, const void *bytes, size_t length) {
    pthread_once(&once, prepare);
#if HAS_INSTRUCTION
    if (by_instruction) {
        return ~add_by_instruction(~sum, bytes, length);
    }
#endif
    return ~add_by_tables(~sum, bytes, length);
}

uint32_t cat_crc32c_by_tables(uint32_t sum, const void *bytes, size_t length) {
    pthread_once(&once, prepare);
    return ~add_by_tables(~sum, bytes, length);
}

void cat_crc32c_print(char *to, uint32_t sum) {
    for (int i = 7; i >= 0; i--, sum >>= 4) {
        to[i] = "0123456789abcdef"[sum & 15];
    }
}
