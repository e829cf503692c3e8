#include "headwater/base/clock.h"

#include <chrono>

namespace headwater {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace headwater
