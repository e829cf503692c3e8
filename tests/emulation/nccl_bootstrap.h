#pragma once
// How the ranks of a communicator find each other: each listens at an address made of the id and its number,
// which dies with it (Linux's abstract addresses of Unix-domain sockets), and calls on those with lower
// numbers.

#include "nccl_exchange.h"

#include <string>

namespace emulation::nccl {

ncclUniqueId random_id();

struct Failure {
  ncclResult_t code;
  std::string text;
};
// Waits until all ranks have come; throws Failure.
Rank meet(const ncclUniqueId& id, int rank, int size, int device);

}  // namespace emulation::nccl
