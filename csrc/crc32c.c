/* CRC-32C by the processor's instruction where it has one, and eight bytes at a time by tables.
 *
 * The instruction takes as long as three of them that do not wait for one another. So three
 * stretches that follow each other are summed side by side, and their sums are put together. */
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
#if HAS_INSTRUCTION
static bool by_instruction;
#endif

/* What is summed side by side: three times so many bytes. */
#define STRETCH ((size_t)256)

/* beyond[n][b] is what the byte b, as the n-th of a sum, turns that into once a stretch of zeros
 * has followed. */
static uint32_t beyond[4][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t behind_zeros(uint32_t sum) {
    for (size_t i = 0; i < STRETCH; i++) {
        sum = sum >> 8 ^ tables[0][sum & 255];
    }
    return sum;
}

/* Of each bit by itself, and so of all bytes: a sum of several bits is that of the sums of each. */
static void prepare_beyond(void) {
    for (int bit = 0; bit < 32; bit++) {
        uint32_t sum = behind_zeros(UINT32_C(1) << bit);
        for (int byte = 0; byte < 256; byte++) {
            beyond[bit / 8][byte] ^= byte >> bit % 8 & 1 ? sum : 0;
        }
    }
}

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
    prepare_beyond();
#if HAS_INSTRUCTION
    by_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

#if HAS_INSTRUCTION
/* The sum once another stretch has followed. */
static uint64_t pass(uint64_t sum) {
    return beyond[0][sum & 255] ^ beyond[1][sum >> 8 & 255] ^ beyond[2][sum >> 16 & 255] ^
           beyond[3][sum >> 24 & 255];
}

static uint64_t eight_at(const unsigned char *bytes) {
    uint64_t eight;
    memcpy(&eight, bytes, 8);
    return eight;
}

__attribute__((target("sse4.2"))) static uint64_t add_three(uint64_t first,
                                                            const unsigned char *bytes) {
    uint64_t second = 0, third = 0;
    static const size_t SECOND = STRETCH, THIRD = (size_t)2 * STRETCH;
    for (const unsigned char *end = bytes + STRETCH; bytes < end; bytes += 8) {
        first = __builtin_ia32_crc32di(first, eight_at(bytes));
        second = __builtin_ia32_crc32di(second, eight_at(bytes + SECOND));
        third = __builtin_ia32_crc32di(third, eight_at(bytes + THIRD));
    }
    return pass(pass(first) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t
add_by_instruction(uint32_t sum, const unsigned char *bytes, size_t length) {
    static const size_t THREE = (size_t)3 * STRETCH;
    uint64_t wide = sum;
    for (; length >= THREE; bytes += THREE, length -= THREE) {
        wide = add_three(wide, bytes);
    }
    for (; length >= 8; bytes += 8, length -= 8) {
        wide = __builtin_ia32_crc32di(wide, eight_at(bytes));
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
