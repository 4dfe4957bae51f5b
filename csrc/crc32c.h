/* CRC-32C (Castagnoli), as iSCSI has it (RFC 3720, B.4): finds every flipped bit of a line, and
 * every burst of up to 32. */
#ifndef CAT_CRC32C_H
#define CAT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of bytes that follow those `sum` is of; 0: of none. */
uint32_t cat_crc32c(uint32_t sum, const void *bytes, size_t length);

/* Writes a checksum as eight hexadecimal digits, without an end. */
void cat_crc32c_print(char *to, uint32_t sum);

#endif
