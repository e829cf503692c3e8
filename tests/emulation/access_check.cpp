#include "access_check.h"

#include "memory.h"

#include <link.h>

#include <cstring>
#include <vector>

namespace emulation {
namespace {

struct Range {
  const unsigned char *begin, *end;
  bool holds(const unsigned char* address, std::size_t bytes) const {
    return address >= begin && address + bytes <= end;
  }
};

// The program's constants, which device code may read: its segments that cannot be written.
const std::vector<Range>& constants() {
  static const std::vector<Range> ranges = [] {
    std::vector<Range> found;
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& segment = info->dlpi_phdr[i];
            if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
            const auto* const begin =
                reinterpret_cast<const unsigned char*>(info->dlpi_addr + segment.p_vaddr);
            static_cast<std::vector<Range>*>(data)->push_back({begin, begin + segment.p_memsz});
          }
          return 0;
        },
        &found);
    return found;
  }();
  return ranges;
}

template <class T>
bool is(const T& variable, const unsigned char* address) {
  const auto* const begin = reinterpret_cast<const unsigned char*>(&variable);
  return address >= begin && address < begin + sizeof(T);
}

// One access, in words where it comes to that: most are right, and no string is made for them.
struct Access {
  AccessKind kind;
  std::size_t bytes;
  std::string words() const {
    const char* const verb =
        kind == AccessKind::read ? "reads " : (kind == AccessKind::write ? "writes " : "changes ");
    return verb + std::to_string(bytes) + " bytes ";
  }
  bool reads() const { return kind != AccessKind::write; }
  bool writes() const { return kind != AccessKind::read; }
};

// `words` makes the access's description.
template <class Words>
void fault_on_race(Block& block, const Conflict& conflict, Words words) {
  if (!conflict.found) return;
  const std::string other =
      conflict.other_block ? "another block" : "thread " + std::to_string(conflict.thread) + " of the block";
  block.fault(words() + ", which " + other + (conflict.other_wrote ? " has written" : " has read") +
              " with nothing to order the two");
}

void check_shared(Block& block, std::size_t offset, Access access) {
  using Shadow = Block::SharedShadow;
  Shadow& shadow = block.shadow();
  const auto words = [&] {
    return access.words() + "at byte " + std::to_string(offset) + " of shared memory";
  };
  for (std::size_t i = offset; i < offset + access.bytes; ++i) {
    if (shadow.state[i] == Shadow::kOutside) block.fault(words() + ", outside of every array");
    if (shadow.copying[i] != 0) {
      block.fault(words() + ", where an asynchronous copy of thread " +
                  std::to_string(shadow.copying[i] - 1) + " is under way");
    }
    if (access.reads() && shadow.state[i] == Shadow::kUnwritten)
      block.fault(words() + ", which nobody has written");
  }
  if (access.writes()) std::memset(shadow.state.data() + offset, Shadow::kWritten, access.bytes);
  fault_on_race(block,
                shadow.history.note(offset, access.bytes, block.lane().number, access.writes(),
                                    access.kind == AccessKind::atomic, false, block.clocks()),
                words);
}

void check_global(Block& block, Allocation& allocation, const unsigned char* address, Access access) {
  const auto offset = address - allocation.begin;
  const auto words = [&] {
    return access.words() + "at byte " + std::to_string(offset) + " of " + std::to_string(allocation.bytes) +
           " bytes of global memory";
  };
  if (allocation.pinned) block.fault(words() + ", which is the host's");
  if (offset < 0) block.fault(words() + ", before its beginning");
  const auto first = static_cast<std::size_t>(offset);
  if (first + access.bytes > allocation.bytes) block.fault(words() + ", beyond its end");
  std::uint8_t* const written = allocation.written.get() + first;
  if (access.reads() && std::memchr(written, 0, access.bytes) != nullptr) {
    block.fault(words() + ", which nobody has written");
  }
  if (access.writes()) std::memset(written, 1, access.bytes);
  if (allocation.history == nullptr) allocation.history = std::make_unique<AccessHistory>(allocation.bytes);
  fault_on_race(block,
                allocation.history->note(first, access.bytes, block.lane().number, access.writes(),
                                         access.kind == AccessKind::atomic, true, block.clocks()),
                words);
}

}  // namespace

void check_access(Block& block, const void* pointer, std::size_t bytes, std::size_t alignment,
                  AccessKind kind) {
  const auto* const address = static_cast<const unsigned char*>(pointer);
  if (!block.checks() || block.on_stack(address)) return;
  const Access access{kind, bytes};
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0) {
    block.fault(access.words() + "at an address that is no multiple of " + std::to_string(alignment));
  }
  if (address >= block.shared() && address < block.shared() + kSharedMapped) {
    check_shared(block, static_cast<std::size_t>(address - block.shared()), access);
    return;
  }
  Allocation*& last = block.last_allocation();
  if (last == nullptr || !last->holds(address, bytes)) last = allocation_near(address);
  if (last != nullptr) {
    check_global(block, *last, address, access);
    return;
  }
  if (kind == AccessKind::read) {
    if (is(threadIdx, address) || is(blockIdx, address) || is(blockDim, address) || is(gridDim, address))
      return;
    if (block.is_argument(address)) return;
    for (const Range& range : constants()) {
      if (range.holds(address, bytes)) return;
    }
  }
  block.fault(access.words() + "of memory that is not the device's");
}

void note_copy_begins(Block& block, const AsyncCopy& copy) {
  if (!block.checks()) return;
  const auto bytes = static_cast<std::size_t>(copy.bytes);
  if (copy.source_bytes > 0) {
    check_access(block, copy.global, static_cast<std::size_t>(copy.source_bytes), 1, AccessKind::read);
  }
  check_access(block, copy.shared, bytes, 1, AccessKind::write);
  std::fill_n(block.shadow().copying.data() + (copy.shared - block.shared()), bytes,
              static_cast<std::uint16_t>(block.lane().number + 1));
}

void note_copy_lands(Block& block, const AsyncCopy& copy) {
  if (!block.checks()) return;
  const auto bytes = static_cast<std::size_t>(copy.bytes);
  std::fill_n(block.shadow().copying.data() + (copy.shared - block.shared()), bytes, std::uint16_t{0});
  check_access(block, copy.shared, bytes, 1, AccessKind::write);
  if (copy.source_bytes > 0) {
    check_access(block, copy.global, static_cast<std::size_t>(copy.source_bytes), 1, AccessKind::read);
  }
}

}  // namespace emulation

// ---- what instrumented code calls

namespace {

void access(const void* address, std::size_t bytes, std::size_t alignment, emulation::AccessKind kind,
            const void* place) {
  emulation::Block* const block = emulation::Block::current();
  if (block == nullptr || !block->checks() || block->on_stack(address)) return;
  block->lane().place = place;
  emulation::check_access(*block, address, bytes, alignment, kind);
}

}  // namespace

#define EMULATION_ACCESS(name, bytes, alignment, kind)                                           \
  void name(void* address) {                                                                     \
    access(address, bytes, alignment, emulation::AccessKind::kind, __builtin_return_address(0)); \
  }
#define EMULATION_ACCESSES(bytes)                                \
  EMULATION_ACCESS(__tsan_read##bytes, bytes, bytes, read)       \
  EMULATION_ACCESS(__tsan_write##bytes, bytes, bytes, write)     \
  EMULATION_ACCESS(__tsan_unaligned_read##bytes, bytes, 1, read) \
  EMULATION_ACCESS(__tsan_unaligned_write##bytes, bytes, 1, write)

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
EMULATION_ACCESSES(1)
EMULATION_ACCESSES(2)
EMULATION_ACCESSES(4)
EMULATION_ACCESSES(8)
EMULATION_ACCESSES(16)
void __tsan_read_range(void* address, std::size_t bytes) {
  access(address, bytes, 1, emulation::AccessKind::read, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  access(address, bytes, 1, emulation::AccessKind::write, __builtin_return_address(0));
}
// Of the host's code in the same sources: counts of shared pointers.
int __tsan_atomic32_fetch_add(volatile int* address, int value, int /*order*/) {
  return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}

// The undefined-behaviour sanitizer's: a vector is read or written as its parts, and only its pointer tells
// that it is not aligned as the GPU asks.
struct MisalignedData {
  const char* file;
  std::uint32_t line, column;
  const void* type;
  unsigned char log_alignment, kind;
};
void __ubsan_handle_type_mismatch_v1(const MisalignedData* data, std::uintptr_t address) {
  emulation::Block* const block = emulation::Block::current();
  if (block == nullptr) return;
  block->lane().place = __builtin_return_address(0);
  const std::uintptr_t alignment = std::uintptr_t{1} << data->log_alignment;
  if (address % alignment != 0) {
    block->fault("uses a pointer to an address that is no multiple of " + std::to_string(alignment));
  }
}

// Clang's spelling of the library's functions.
void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(from), bytes);
  __tsan_write_range(to, bytes);
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(from), bytes);
  __tsan_write_range(to, bytes);
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  __tsan_write_range(to, bytes);
  return std::memset(to, value, bytes);
}
}  // extern "C"
