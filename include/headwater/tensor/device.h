#pragma once
// Where memory lies and work runs.

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
