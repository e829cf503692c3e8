#include "nccl_group.h"

#include "headwater/base/log.h"
#include "headwater/tensor/cuda/devices.h"

#include <bit>
#include <chrono>

namespace headwater::comm {
namespace {

// Queueing a call takes no longer than this, unless NCCL is making a connection to a rank that is gone.
constexpr std::chrono::seconds kQueueing{1};

}  // namespace

NcclId new_nccl_id() {
  ncclUniqueId id;
  HW_NCCL("a new group", ncclGetUniqueId(&id));
  return std::bit_cast<NcclId>(id);
}

NcclGroup::NcclGroup(Membership membership, const NcclId& id, Device device, std::string_view owner,
                     int blocks)
    : Group(std::move(membership)),
      stream_(device, owner, "group " + name, cuda::Priority::high),
      free_before_(cuda::free_memory(device)),
      blocks_(blocks) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.minCTAs = 1;
  config.maxCTAs = blocks;
  HW_NCCL(stream_.name(),
          ncclCommInitRankConfig(&comm_, size(), std::bit_cast<ncclUniqueId>(id), index, &config));
  count_scratch();
}

NcclGroup::~NcclGroup() {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) return;
  if (const ncclResult_t result = ncclCommDestroy(comm_); result != ncclSuccess)
    log::error("{}: ncclCommDestroy failed: {}", stream_.name(), ncclGetErrorString(result));
}

void NcclGroup::connect(int sender) {
  first_message_ = allocate(stream_.device(), sizeof(std::int32_t), "a group's first message");
  queue({}, [&](ncclComm_t comm, cudaStream_t stream) {
    return index == sender ? ncclSend(first_message_.get(), 1, ncclInt32, 1 - index, comm, stream)
                           : ncclRecv(first_message_.get(), 1, ncclInt32, 1 - index, comm, stream);
  });
  count_scratch();
}

void NcclGroup::count_scratch() {
  scratch_bytes = std::max<std::int64_t>(free_before_ - cuda::free_memory(stream_.device()), 0);
}

std::shared_ptr<cuda::Mark> NcclGroup::queue(
    const Event& after, const std::function<ncclResult_t(ncclComm_t, cudaStream_t)>& call) {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) throw CommError("{} has been given up", stream_.name());
  stream_.wait(after);
  check_nccl(call(comm_, stream_.get()), stream_.name(), "a call");
  return std::make_shared<cuda::Mark>(stream_);
}

void NcclGroup::check_for_errors() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || comm_ == nullptr) return;
  ncclResult_t state = ncclSuccess;
  HW_NCCL(stream_.name(), ncclCommGetAsyncError(comm_, &state));
  if (state != ncclInProgress) check_nccl(state, stream_.name(), "a call under way");
}

void NcclGroup::abandon() {
  const std::unique_lock lock(mutex_, kQueueing);
  if (!lock.owns_lock()) return log::error("{}: the compute thread hangs in a call of NCCL", stream_.name());
  if (comm_ == nullptr) return;
  const ncclResult_t result = ncclCommAbort(std::exchange(comm_, nullptr));
  if (result != ncclSuccess)
    log::error("{}: ncclCommAbort failed: {}", stream_.name(), ncclGetErrorString(result));
}

}  // namespace headwater::comm
