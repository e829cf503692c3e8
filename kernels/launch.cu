// Which launch was refused, in words for whoever reports it.

#include "kernels.h"
#include "launch.cuh"

#include <cxxabi.h>

#include <cstdlib>
#include <string>

namespace headwater::kernels {
namespace {

thread_local const void* refused_kernel = nullptr;
thread_local std::size_t refused_bytes = 0;

// "forward_kernel<64>": without namespaces, return type and parameters.
std::string name_of(const void* kernel) {
  const char* mangled = nullptr;
#if CUDART_VERSION >= 12030
  cudaFuncGetName(&mangled, kernel);
#endif
  if (mangled == nullptr) return "a kernel";
  int status = 0;
  char* const demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = demangled == nullptr ? mangled : demangled;
  std::free(demangled);
  for (const std::string part : {"void ", "headwater::kernels::", "(anonymous namespace)::"})
    for (std::size_t at = name.find(part); at != std::string::npos; at = name.find(part))
      name.erase(at, part.size());
  int depth = 0;  // of template brackets, in which a type may be in round ones
  for (std::size_t at = 0; at < name.size(); ++at) {
    depth += name[at] == '<' ? 1 : (name[at] == '>' ? -1 : 0);
    if (depth == 0 && name[at] == '(') return name.substr(0, at);
  }
  return name;
}

}  // namespace

void note_refused_launch(const void* kernel, std::size_t shared_bytes) {
  switch (cudaPeekAtLastError()) {
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorLaunchOutOfResources: break;
    default: kernel = nullptr;  // what went wrong in work of before, and shows here
  }
  refused_kernel = kernel;
  refused_bytes = shared_bytes;
}

std::string take_refused_launch() {
  if (refused_kernel == nullptr) return {};
  const std::string name = name_of(refused_kernel);
  refused_kernel = nullptr;
  return name + ", " + std::to_string(refused_bytes) + " bytes of shared memory for each block";
}

}  // namespace headwater::kernels
