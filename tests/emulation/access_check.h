#pragma once
// The check of one access of device code, by whoever sees it: the entry points of the thread sanitizer for
// plain loads and stores, the emulation's own functions for what they touch.

#include "block.h"

#include <cstddef>

namespace emulation {

enum class AccessKind { read, write, atomic };

// Faults where the bytes are out of bounds, misaligned for `alignment`, read before they were written, being
// filled by an asynchronous copy, or raced for. Nothing unless settings ask for checks.
void check_access(Block& block, const void* address, std::size_t bytes, std::size_t alignment,
                  AccessKind kind);

// An asynchronous copy is under way to the bytes of shared memory, or has landed there.
void note_copy_begins(Block& block, const AsyncCopy& copy);
void note_copy_lands(Block& block, const AsyncCopy& copy);

}  // namespace emulation
