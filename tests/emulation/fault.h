#pragma once
// What went wrong is noted here by any thread; settings.h has the way to ask for it.

#include <string>

namespace emulation {

void report_fault(const std::string& text);  // to standard error too
bool faulty();

}  // namespace emulation
