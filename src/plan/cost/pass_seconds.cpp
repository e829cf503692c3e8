#include "headwater/plan/cost/pass_seconds.h"

namespace headwater {

ActionSeconds& ActionSeconds::operator+=(const ActionSeconds& other) {
  compute += other.compute;
  recompute += other.recompute;
  tensor_communication += other.tensor_communication;
  return *this;
}

PassSeconds& PassSeconds::operator+=(const PassSeconds& other) {
  forward += other.forward;
  input_gradient += other.input_gradient;
  weight_gradient += other.weight_gradient;
  return *this;
}

}  // namespace headwater
