#include "nccl_group.h"

#include "headwater/base/log.h"
#include "headwater/tensor/cuda/devices.h"

#include <bit>
#include <chrono>

namespace headwater::comm {
namespace {

// A call that is being queued returns at once, but where a connection is being made to a rank that is gone.
constexpr std::chrono::seconds kQueues{1};

}  // namespace

NcclId new_nccl_id() {
  ncclUniqueId id;
  HW_NCCL("a new group", ncclGetUniqueId(&id));
  return std::bit_cast<NcclId>(id);
}

NcclGroup::NcclGroup(Place place, const NcclId& id, Device device, std::string_view owner)
    : Group(std::move(place)), stream_(device, owner, "group " + name, cuda::Priority::high) {
  const std::int64_t before = cuda::free_memory(device);
  HW_NCCL(stream_.name(), ncclCommInitRank(&comm_, size(), std::bit_cast<ncclUniqueId>(id), index));
  scratch_bytes = std::max<std::int64_t>(before - cuda::free_memory(device), 0);
}

NcclGroup::~NcclGroup() {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) return;
  if (const ncclResult_t result = ncclCommDestroy(comm_); result != ncclSuccess)
    log::error("{}: ncclCommDestroy failed: {}", stream_.name(), ncclGetErrorString(result));
}

std::shared_ptr<cuda::Mark> NcclGroup::queue(const Event& after,
                                             const std::function<ncclResult_t(ncclComm_t, cudaStream_t)>& call) {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) throw CommError("{} has been given up", stream_.name());
  stream_.wait(after);
  check_nccl(call(comm_, stream_.get()), stream_.name(), "a call");
  return std::make_shared<cuda::Mark>(stream_);
}

void NcclGroup::look() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || comm_ == nullptr) return;
  ncclResult_t state = ncclSuccess;
  HW_NCCL(stream_.name(), ncclCommGetAsyncError(comm_, &state));
  if (state != ncclInProgress) check_nccl(state, stream_.name(), "a call under way");
}

void NcclGroup::abandon() {
  const std::unique_lock lock(mutex_, kQueues);
  if (!lock.owns_lock()) return log::error("{}: the compute thread hangs in a call of NCCL", stream_.name());
  if (comm_ == nullptr) return;
  const ncclResult_t result = ncclCommAbort(std::exchange(comm_, nullptr));
  if (result != ncclSuccess) log::error("{}: ncclCommAbort failed: {}", stream_.name(), ncclGetErrorString(result));
}

}  // namespace headwater::comm
