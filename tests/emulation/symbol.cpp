#include "symbol.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace emulation {
namespace {

struct Frame {
  std::string function, place;  // place: "…/file:line"
};

// Of inlined functions the innermost first.
std::vector<Frame> frames_at(const void* code) {
  Dl_info info;
  if (dladdr(code, &info) == 0) return {};
  const auto offset =
      reinterpret_cast<std::uintptr_t>(code) - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  std::array<char, 64> address;
  std::snprintf(address.data(), address.size(), "0x%lx", static_cast<unsigned long>(offset));
  std::FILE* const pipe = popen(
      (std::string("addr2line -Cfi -e '") + info.dli_fname + "' " + address.data() + " 2>/dev/null").c_str(),
      "r");
  if (pipe == nullptr) return {};
  std::vector<std::string> lines;
  std::array<char, 4096> line;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    lines.emplace_back(line.data());
    lines.back().erase(lines.back().find_last_not_of('\n') + 1);
  }
  pclose(pipe);
  std::vector<Frame> frames;
  for (std::size_t i = 0; i + 1 < lines.size(); i += 2)
    frames.push_back({lines[i], lines[i + 1].substr(0, lines[i + 1].find(' '))});
  return frames;
}

}  // namespace

std::string function_name(const void* code) {
  const std::vector<Frame> frames = frames_at(code);
  if (frames.empty() || frames.front().function == "??") return "a kernel";
  std::string name = frames.back().function;
  name.erase(std::min(name.size(), name.find('(', name.find("(anonymous namespace)") == std::string::npos
                                                      ? 0
                                                      : name.rfind("(anonymous namespace)") + 21)));
  // Without the spaces it lies in, and what a template returns.
  const std::size_t end = std::min(name.find('<'), name.size()), colons = name.rfind("::", end);
  if (colons != std::string::npos) name.erase(0, colons + 2);
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  return name;
}

std::string source_line(const void* code) {
  if (code == nullptr) return "";
  for (const Frame& frame :
       frames_at(static_cast<const char*>(code) - 1)) {  // the call itself, not what follows it
    const std::string file = frame.place.substr(frame.place.rfind('/') + 1);
    if (frame.place[0] == '?' || file.rfind("ptx.cuh", 0) == 0 ||
        frame.place.find("emulation/include") != std::string::npos) {
      continue;
    }
    return file;
  }
  return "";
}

}  // namespace emulation
