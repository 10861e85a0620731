/*
 * base/hash.h - the one checksum of the file format: XXH3, 64 bits, seeded.
 *
 * It finds damage, not attackers: whoever can write the file can write its hashes.
 */
#ifndef LOFTI_BASE_HASH_H
#define LOFTI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t lofti_hash(const void *data, size_t bytes, uint64_t seed);

#endif /* LOFTI_BASE_HASH_H */
