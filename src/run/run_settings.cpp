#include "headwater/run/run_settings.h"

namespace headwater {

Precision precision_of(const std::string& dtype) {
  return dtype == "bf16" ? Precision{DType::bf16, DType::f32} : Precision{DType::f32, DType::f32};
}

}  // namespace headwater
