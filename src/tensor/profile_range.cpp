#include "headwater/tensor/profile_range.h"

#if defined(HEADWATER_HAVE_CUDA)

#include <nvtx3/nvToolsExt.h>

namespace headwater {
namespace {

// Returns null if no profiler is attached.
nvtxDomainHandle_t domain() {
  static const nvtxDomainHandle_t made = nvtxDomainCreateA("headwater");
  return made;
}

nvtxEventAttributes_t named(const std::string& name) {
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = name.c_str();
  return attributes;
}

}  // namespace

bool ProfileRange::watched() { return domain() != nullptr; }

void ProfileRange::push(const std::string& name) {
  const nvtxEventAttributes_t attributes = named(name);
  nvtxDomainRangePushEx(domain(), &attributes);
}

void ProfileRange::pop() { nvtxDomainRangePop(domain()); }

std::uint64_t begin_range(const std::string& name) {
  const nvtxEventAttributes_t attributes = named(name);
  return nvtxDomainRangeStartEx(domain(), &attributes);
}

void end_range(std::uint64_t range) { nvtxDomainRangeEnd(domain(), range); }

}  // namespace headwater

#else

namespace headwater {

bool ProfileRange::watched() { return false; }
void ProfileRange::push(const std::string&) {}
void ProfileRange::pop() {}
std::uint64_t begin_range(const std::string&) { return 0; }
void end_range(std::uint64_t) {}

}  // namespace headwater

#endif
