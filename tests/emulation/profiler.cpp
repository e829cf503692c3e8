// A profiler of few words: "range: > NAME" where one begins, "range: < NAME" where it ends, on standard
// error.

#include "emulation/settings.h"
#include "nvtx3/nvToolsExt.h"

#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace emulation {

struct NvtxDomain {
  std::string name;
  std::mutex mutex;
  std::map<nvtxRangeId_t, std::string> started;
  nvtxRangeId_t last = 0;
};

namespace {

thread_local std::vector<std::string> pushed;

bool fits(const NvtxDomain* domain, const nvtxEventAttributes_t* attributes) {
  return domain != nullptr && attributes != nullptr && attributes->version == NVTX_VERSION &&
         attributes->size == sizeof(nvtxEventAttributes_t) &&
         attributes->messageType == NVTX_MESSAGE_TYPE_ASCII;
}

void print(const char* what, const std::string& name) {
  std::cerr << "range: " + std::string(what) + " " + name + "\n";
}

}  // namespace
}  // namespace emulation

using emulation::pushed;

nvtxDomainHandle_t nvtxDomainCreateA(const char* name) {
  if (!emulation::settings().profiler) return nullptr;
  auto* domain = new emulation::NvtxDomain;  // to the end of the program, as NVTX has it
  domain->name = name;
  return domain;
}

int nvtxDomainRangePushEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* attributes) {
  if (!emulation::fits(domain, attributes)) return -1;
  emulation::print(">", pushed.emplace_back(attributes->message.ascii));
  return static_cast<int>(pushed.size()) - 1;
}

int nvtxDomainRangePop(nvtxDomainHandle_t domain) {
  if (domain == nullptr || pushed.empty()) return -1;
  emulation::print("<", pushed.back());
  pushed.pop_back();
  return static_cast<int>(pushed.size());
}

nvtxRangeId_t nvtxDomainRangeStartEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* attributes) {
  if (!emulation::fits(domain, attributes)) return 0;
  emulation::print(">", attributes->message.ascii);
  const std::lock_guard lock(domain->mutex);
  domain->started[++domain->last] = attributes->message.ascii;
  return domain->last;
}

void nvtxDomainRangeEnd(nvtxDomainHandle_t domain, nvtxRangeId_t range) {
  if (domain == nullptr) return;
  const std::lock_guard lock(domain->mutex);
  const auto found = domain->started.find(range);
  emulation::print("<", found == domain->started.end() ? "that never began" : found->second);
  if (found != domain->started.end()) domain->started.erase(found);
}
