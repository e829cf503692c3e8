#pragma once
// The system calls by which data reaches the disk, each counted, so that a fault can be injected at any one
// of them. Results and errno are those of the call itself. Any thread may call; private to the file layer.

#include <cstddef>

namespace headwater::counted {

long write(int descriptor, const void* data, std::size_t size);
int sync(int descriptor);  // fsync
int rename(const char* from, const char* to);
int close(int descriptor);  // the descriptor is closed even where a fault is injected

}  // namespace headwater::counted
