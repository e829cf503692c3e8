#include "memory.h"

#include "access_history.h"
#include "emulation/settings.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

namespace emulation {
namespace {

constexpr std::size_t kRoom = 4096;  // before and after; never touched

std::mutex mutex;
std::map<const unsigned char*, Allocation> allocations;  // by first address

// That lies at most `room` bytes from the address.
Allocation* find(const void* address, std::size_t room) {
  auto after = allocations.upper_bound(static_cast<const unsigned char*>(address));
  if (after != allocations.begin()) {
    Allocation& before = std::prev(after)->second;
    if (address < before.begin + before.bytes + room) return &before;
  }
  if (after == allocations.end() || static_cast<const unsigned char*>(address) + room < after->first)
    return nullptr;
  return room > 0 ? &after->second : nullptr;
}

bool closed = false;

void protect(const Allocation& allocation, int access) {
  const std::size_t pages = (allocation.bytes + kRoom - 1) / kRoom * kRoom;
  if (!allocation.pinned) mprotect(allocation.begin, pages, access);
}

void protect_all(int access) {
  for (const auto& [address, allocation] : allocations) protect(allocation, access);
}

struct sigaction earlier_action;

// Names what was touched; the access is then made again, and meets whatever handled it before.
void on_fault(int, siginfo_t* info, void*) {
  sigaction(SIGSEGV, &earlier_action, nullptr);
  const Allocation* const allocation = mutex.try_lock() ? find(info->si_addr, 0) : nullptr;
  if (allocation == nullptr || allocation->pinned) return;
  std::array<char, 160> line;
  const int length = std::snprintf(
      line.data(), line.size(), "emulation: the host touches byte %td of %zu bytes of a device's memory\n",
      static_cast<const unsigned char*>(info->si_addr) - allocation->begin, allocation->bytes);
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), static_cast<std::size_t>(length));
}

void name_faults() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &earlier_action);
}

std::size_t mapped_bytes(std::size_t bytes) { return (bytes + kRoom - 1) / kRoom * kRoom + 2 * kRoom; }

}  // namespace

Allocation::Allocation() = default;
Allocation::Allocation(Allocation&&) noexcept = default;
Allocation& Allocation::operator=(Allocation&&) noexcept = default;
Allocation::~Allocation() = default;

void* allocate(std::size_t bytes, bool pinned, int device) {
  if (!pinned && (bytes > settings().memory || allocated_bytes(device) > settings().memory - bytes))
    return nullptr;
  void* const mapped =
      mmap(nullptr, mapped_bytes(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  Allocation allocation;
  allocation.begin = static_cast<unsigned char*>(mapped) + kRoom;
  allocation.bytes = bytes, allocation.pinned = pinned, allocation.device = device;
  mprotect(allocation.begin, mapped_bytes(bytes) - 2 * kRoom, PROT_READ | PROT_WRITE);
  std::memset(allocation.begin, 0xff, bytes);
  if (!pinned) allocation.written = std::make_unique<std::uint8_t[]>(bytes);
  const std::lock_guard lock(mutex);
  if (closed) protect(allocation, PROT_NONE);
  unsigned char* const begin = allocation.begin;
  allocations.emplace(begin, std::move(allocation));
  return begin;
}

bool release(void* memory, bool pinned) {
  const std::lock_guard lock(mutex);
  const auto found = allocations.find(static_cast<const unsigned char*>(memory));
  if (found == allocations.end() || found->second.pinned != pinned) return false;
  munmap(found->second.begin - kRoom, mapped_bytes(found->second.bytes));
  allocations.erase(found);
  return true;
}

Allocation* allocation_of(const void* address) {
  const std::lock_guard lock(mutex);
  return find(address, 0);
}

Allocation* allocation_near(const void* address) {
  const std::lock_guard lock(mutex);
  return find(address, kRoom);
}

std::size_t allocated_bytes(int device) {
  const std::lock_guard lock(mutex);
  std::size_t sum = 0;
  for (const auto& [address, allocation] : allocations) {
    if (!allocation.pinned && allocation.device == device) sum += allocation.bytes;
  }
  return sum;
}

void note_written(const void* address, std::size_t bytes) {
  Allocation* const allocation = allocation_of(address);
  if (allocation == nullptr || allocation->written == nullptr) return;
  std::memset(allocation->written.get() + (static_cast<const unsigned char*>(address) - allocation->begin), 1,
              bytes);
}

void open_device_memory() {
  const std::lock_guard lock(mutex);
  if (closed) protect_all(PROT_READ | PROT_WRITE);
  closed = false;
}

void close_device_memory() {
  if (!settings().check) return;
  static const bool named = (name_faults(), true);
  static_cast<void>(named);
  const std::lock_guard lock(mutex);
  if (!closed) protect_all(PROT_NONE);
  closed = true;
}

void forget_histories() {
  const std::lock_guard lock(mutex);
  for (auto& [address, allocation] : allocations) allocation.history.reset();
}

}  // namespace emulation
