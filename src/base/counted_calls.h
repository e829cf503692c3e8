#pragma once
// The system calls by which data reaches the disk. They are counted, so that a fault can be injected at any
// of them (base/file.h).
//
// Results and errno are those of the system call. Any thread may call them; only the file layer does.

#include <cstddef>

namespace headwater::counted {

long write(int descriptor, const void* data, std::size_t size);
int sync(int descriptor);  // fsync
int rename(const char* from, const char* to);
int close(int descriptor);  // closes the descriptor even when a fault is injected

}  // namespace headwater::counted
