#pragma once
// The part of NVTX that Headwater calls. With the setting `profiler=on` a profiler looks on that prints a
// line for each range that begins or ends; else there is none, and a domain is null.

#include <cstddef>
#include <cstdint>

#define NVTX_VERSION 3
#define NVTX_EVENT_ATTRIB_STRUCT_SIZE static_cast<std::uint16_t>(sizeof(nvtxEventAttributes_t))

namespace emulation {
struct NvtxDomain;
}
using nvtxDomainHandle_t = emulation::NvtxDomain*;
using nvtxRangeId_t = std::uint64_t;

enum nvtxMessageType_t { NVTX_MESSAGE_UNKNOWN = 0, NVTX_MESSAGE_TYPE_ASCII = 1 };

struct nvtxEventAttributes_t {
  std::uint16_t version, size;
  std::int32_t messageType;
  union {
    const char* ascii;
  } message;
};

nvtxDomainHandle_t nvtxDomainCreateA(const char* name);
int nvtxDomainRangePushEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* attributes);
int nvtxDomainRangePop(nvtxDomainHandle_t domain);
nvtxRangeId_t nvtxDomainRangeStartEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* attributes);
void nvtxDomainRangeEnd(nvtxDomainHandle_t domain, nvtxRangeId_t range);
