#include "distributed_world.h"

#include "self_communicator.h"
#ifdef HEADWATER_HAVE_NCCL
#include "cuda/nccl_communicator.h"

#include "headwater/base/log.h"
#include "headwater/tensor/cuda/devices.h"
#endif

#include <unistd.h>
#include <algorithm>
#include <array>

namespace headwater::comm {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

DistributedWorld::DistributedWorld(const ProgressEngine::Open& open, FailureArbiter::EndJob end_job)
    : engine_(open, std::move(end_job)), groups_with_(static_cast<std::size_t>(engine_.size())) {
  everybody_ = DistributedWorld::group("world", all_ranks());
}

Membership DistributedWorld::join(std::string_view name, const std::vector<int>& ranks) {
  HW_CHECK(!ranks.empty() && ranks.front() >= 0 && ranks.back() < size() &&
               std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end(),
           "the ranks of group {} must rise, within 0 to {}", name, size() - 1);
  const auto mine = std::find(ranks.begin(), ranks.end(), rank());
  HW_CHECK(mine != ranks.end(), "rank {} makes group {} without being in it", rank(), name);
  std::vector<int> channels;
  for (const int other : ranks)
    channels.push_back(other == rank() ? 0 : groups_with_[static_cast<std::size_t>(other)]++);
  return {std::string(name), static_cast<int>(mine - ranks.begin()), ranks, std::move(channels)};
}

void DistributedWorld::register_group(const std::shared_ptr<Group>& group) {
  std::erase_if(groups_, [](const auto& known) { return known.expired(); });
  groups_.push_back(group);
  engine_.add_group(group);
}

std::unique_ptr<Communicator> DistributedWorld::group(std::string_view name, const std::vector<int>& ranks) {
  Membership membership = join(name, ranks);
  if (ranks.size() == 1) return make_self_communicator(name);
  const auto made = std::make_shared<Group>(std::move(membership));
  register_group(made);
  return std::make_unique<GroupCommunicator>(engine_, made);
}

#ifdef HEADWATER_HAVE_NCCL

namespace {

// Logs what the newest communicator takes, and warns if all of them together may take more multiprocessors
// than the device has (cuda/nccl_share.h says why that matters).
void check_room(const std::vector<std::weak_ptr<Group>>& groups, const NcclGroup& newest,
                int multiprocessors) {
  int count = 0, blocks = 0;
  for (const auto& known : groups)
    if (const auto group = std::dynamic_pointer_cast<NcclGroup>(known.lock()))
      ++count, blocks += group->blocks();
  log::debug(
      "NCCL communicator of group {}: {} ranks, {} blocks at most, {} bytes; {} communicators, {} blocks on "
      "{} multiprocessors",
      newest.name, newest.size(), newest.blocks(), newest.scratch_bytes, count, blocks, multiprocessors);
  // The first communicator that is too much gets the warning; those after it do not repeat it.
  if (blocks > multiprocessors && blocks - newest.blocks() <= multiprocessors)
    log::warning(
        "{} NCCL communicators may take {} blocks of a GPU with {} multiprocessors: calls that wait for "
        "other ranks could keep each other from starting",
        count, blocks, multiprocessors);
}

}  // namespace

std::unique_ptr<Communicator> DistributedWorld::device_group(std::string_view name,
                                                             const std::vector<int>& ranks, Device device,
                                                             const Traffic& traffic) {
  std::unique_ptr<Communicator> host = group(name, ranks);
  if (device.kind == Device::Kind::cpu || ranks.size() == 1) return host;
  const int multiprocessors = cuda::describe(device).multiprocessors;
  const auto make = [&](const std::vector<int>& members, const NcclId& id, Traffic::Collectives collectives,
                        int sender) {
    const std::string owner = fmt::format("rank {}", rank());
    const auto made = std::make_shared<NcclGroup>(join(name, members), id, device, owner,
                                                  most_blocks(collectives, multiprocessors));
    register_group(made);  // so that it can be given up while it connects
    if (sender >= 0) made->connect(sender);
    check_room(groups_, *made, multiprocessors);
    return made;
  };
  return make_nccl_communicator(engine_, std::move(host), ranks, traffic, make);
}

#else

std::unique_ptr<Communicator> DistributedWorld::device_group(std::string_view name,
                                                             const std::vector<int>& ranks, Device device,
                                                             const Traffic&) {
  HW_CHECK(device.kind == Device::Kind::cpu || ranks.size() == 1, "group {} on {} in a build without NCCL",
           name, name_of(device));
  return group(name, ranks);
}

#endif

std::int64_t DistributedWorld::scratch_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& known : groups_)
    if (const auto group = known.lock()) bytes += group->scratch_bytes;
  return bytes;
}

void DistributedWorld::finish() {
  if (finished_) return;
  barrier(*everybody_);
  engine_.close();
  finished_ = true;
}

}  // namespace headwater::comm
