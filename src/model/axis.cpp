#include "headwater/model/axis.h"

namespace headwater {

std::string_view name_of(Axis axis) {
  switch (axis) {
    case Axis::repeat: return "repeat";
    case Axis::tensor: return "tensor";
    case Axis::context: return "context";
    case Axis::data: return "data";
    case Axis::pipeline: return "pipeline";
  }
  return "?";
}

}  // namespace headwater
