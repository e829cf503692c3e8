// Every load and store of instrumented device code arrives here.

#include <cstddef>

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define EMULATION_ACCESS(bytes)                                \
  void __tsan_read##bytes(void*) {}                            \
  void __tsan_write##bytes(void*) {}                           \
  void __tsan_unaligned_read##bytes(void*) {}                  \
  void __tsan_unaligned_write##bytes(void*) {}
EMULATION_ACCESS(1)
EMULATION_ACCESS(2)
EMULATION_ACCESS(4)
EMULATION_ACCESS(8)
EMULATION_ACCESS(16)
#undef EMULATION_ACCESS
void __tsan_read_range(void*, std::size_t) {}
void __tsan_write_range(void*, std::size_t) {}

}  // extern "C"
