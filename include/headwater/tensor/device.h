#pragma once
// A place where memory lies and work runs: the CPU, or one of the host's GPUs.

#include <cstdint>
#include <string>

namespace headwater {

struct Device {
  enum class Kind : std::uint8_t { cpu, cuda };
  Kind kind = Kind::cpu;
  int index = 0;

  bool operator==(const Device&) const = default;
};

std::string name_of(Device device);  // "cpu", "cuda:1"

}  // namespace headwater
