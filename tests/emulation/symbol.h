#pragma once
// Names for addresses of code, for reports: asks addr2line, and does without where that is missing.

#include <string>

namespace emulation {

std::string function_name(const void* code);  // "swiglu_kernel<float, 4>"
std::string source_line(
    const void* code);  // "activation.cu:25", of the caller outside of the dialect's own headers

}  // namespace emulation
