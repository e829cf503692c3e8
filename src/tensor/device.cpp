#include "headwater/tensor/device.h"

#include <fmt/format.h>

namespace headwater {

std::string name_of(Device device) {
  return device.kind == Device::Kind::cpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

}  // namespace headwater
