#pragma once
// Calls of NCCL that throw CommError if they fail. The message has `where` (rank and stream), the call, and
// NCCL's own words.

#include "headwater/base/error.h"

#include <nccl.h>

#include <array>
#include <string_view>

namespace headwater::comm {

static_assert(NCCL_VERSION_CODE >= NCCL_VERSION(2, 17, 0),
              "NCCL before 2.17 cannot bound a communicator's blocks");

// The id of a new NCCL communicator. One of its ranks makes it and sends it to the others.
using NcclId = std::array<std::int32_t, sizeof(ncclUniqueId) / sizeof(std::int32_t)>;
NcclId new_nccl_id();

inline void check_nccl(ncclResult_t result, std::string_view where, const char* call) {
  if (result != ncclSuccess)
    throw CommError("{}: {} failed: {}: {}", where, call, ncclGetErrorString(result),
                    ncclGetLastError(nullptr));
}

#define HW_NCCL(where, call) ::headwater::comm::check_nccl((call), (where), #call)

}  // namespace headwater::comm
