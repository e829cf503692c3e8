#include "nccl_registry.h"

#include <chrono>
#include <map>
#include <thread>

namespace emulation::nccl {
namespace {

constexpr auto kTick = std::chrono::milliseconds(2);
constexpr int kTicksToLook = 25;  // for lost peers, where no call is under way

class Registry {
 public:
  // Made before, so that the streams are there as long as the thread is.
  Registry() {
    const StreamLock lock;
    find_stream(nullptr);
  }

  ncclComm_t add(std::shared_ptr<Communicator> communicator) {
    const std::lock_guard lock(mutex_);
    auto* const handle = reinterpret_cast<ncclComm_t>(++last_);
    all_.emplace(handle, std::move(communicator));
    if (all_.size() == 1) thread_ = std::jthread([this](const std::stop_token& stop) { look_after(stop); });
    return handle;
  }

  std::shared_ptr<Communicator> find(ncclComm_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(handle);
    return found == all_.end() ? nullptr : found->second;
  }

  int blocks_on(int device) {
    const std::lock_guard lock(mutex_);
    int blocks = 0;
    for (const auto& [handle, communicator] : all_)
      if (communicator->at().device == device) blocks += communicator->blocks();
    return blocks;
  }

  std::shared_ptr<Communicator> remove(ncclComm_t handle) {
    std::jthread ended;  // joined when the lock is no longer held
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(handle);
    if (found == all_.end()) return nullptr;
    auto communicator = std::move(found->second);
    all_.erase(found);
    if (all_.empty()) ended = std::move(thread_);
    return communicator;
  }

 private:
  void look_after(const std::stop_token& stop) {
    std::map<ncclComm_t, int> asked;  // for how many ticks
    for (int tick = 0; !stop.stop_requested(); ++tick) {
      std::this_thread::sleep_for(kTick);
      const auto communicators = [this] {
        const std::lock_guard lock(mutex_);
        return all_;
      }();
      bool ran = true;
      while (ran && !stop.stop_requested()) {
        ran = false;
        for (const auto& [handle, communicator] : communicators) {
          const StreamLock lock;
          if (communicator->busy() || tick % kTicksToLook == 0) communicator->move();
          int& ticks = asked[handle];
          ticks = communicator->asked() ? ticks + 1 : 0;
          if (ticks > 1) ran = communicator->go_on() || ran;
        }
      }
    }
  }

  std::mutex mutex_;
  std::uintptr_t last_ = 0;
  std::map<ncclComm_t, std::shared_ptr<Communicator>> all_;
  std::jthread thread_;  // last: it ends before the others go
};

Registry& registry() {
  static Registry all;
  return all;
}

}  // namespace

ncclComm_t add_communicator(std::shared_ptr<Communicator> communicator) {
  return registry().add(std::move(communicator));
}
std::shared_ptr<Communicator> find_communicator(ncclComm_t handle) { return registry().find(handle); }
std::shared_ptr<Communicator> remove_communicator(ncclComm_t handle) { return registry().remove(handle); }
int blocks_on(int device) { return registry().blocks_on(device); }

}  // namespace emulation::nccl
